from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from spd_bench.errors import InputError
from spd_bench.prompts.formats import read_points
from spd_bench.prompts.point_tables import read_fcsv, read_table
from spd_bench.raw.geometry import VolumeGeometry

POINTS = [[1.0, -2.5, 3e1], [4.0, 5.0, 6.25]]
COLUMNS = "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"


def _write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("delimiter", [",", ", ", ";", "\t", " ", "   "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_points_are_read_with_any_delimiter_and_line_end(tmp_path: Path, delimiter: str, end: str, mark: str) -> None:
    lines = ["", *(delimiter.join(map(str, point)) for point in POINTS), ""]
    path = _write(tmp_path / "a.csv", mark + end.join(lines))
    found = read_table(path, frame="ras_mm")
    np.testing.assert_array_equal(found.paths[0], POINTS)
    assert found.frame == "ras_mm"


@pytest.mark.parametrize("comment", ["# frame = lps_mm", "#frame=lps_mm", "# Frame: lps_mm", "# frame = lps_mm,,"])
def test_a_comment_line_states_the_frame(tmp_path: Path, comment: str) -> None:
    path = _write(tmp_path / "a.txt", f"# made by hand\n{comment}\n1 -2.5 30\n4 5 6.25\n")
    assert read_table(path).frame == "lps_mm"
    np.testing.assert_array_equal(read_table(path, frame="lps_mm").paths[0], POINTS)
    with pytest.raises(InputError, match=r"voxel_xyz was asked for, the file itself states lps_mm, in .*a\.txt"):
        read_table(path, frame="voxel_xyz")


def test_snt_s_columns_are_voxels_by_their_names(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", '"x","y","z","xd","yd","zd"\n3,4,5,1.5,3.0,25\n')
    found = read_table(path)
    assert found.frame == "voxel_xyz"
    np.testing.assert_array_equal(found.paths[0], [[3, 4, 5]])
    with pytest.raises(InputError, match="states voxel_xyz"):
        read_table(path, frame="ras_mm")


@pytest.mark.parametrize(("names", "frame"), [("r,a,s", "ras_mm"), ("l,p,s", "lps_mm")])
def test_slicer_s_table_of_control_points_names_its_frame(tmp_path: Path, names: str, frame: str) -> None:
    header = f"label,{names},defined,selected,visible,locked,description\n"
    rows = 'F-1,1,-2.5,30,1,1,1,0,"a, b"\nF-2,0,0,0,0,1,1,0,\nF-3,4,5,6.25,1,1,0,0,\nF-4,7,7,7,1,0,1,0,\n'
    found = read_table(_write(tmp_path / "a.csv", header + rows))
    assert found.frame == frame
    np.testing.assert_array_equal(found.paths[0], POINTS)
    assert found.notes == ("2 point(s) that Slicer shows as unchecked or undefined left out",)


@pytest.mark.parametrize(("frame", "expected"), [("voxel_xyz", [[3, 2, 1]]), ("voxel_zyx", [[1, 2, 3]])])
def test_named_columns_are_found_wherever_they_stand(tmp_path: Path, frame: str, expected: list[list[int]]) -> None:
    path = _write(tmp_path / "a.csv", "case;Z;Y;X\nA1;1;2;3\n")
    found = read_table(path, frame=frame)
    np.testing.assert_array_equal(found.paths[0], expected)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "holds no points"),
        ("# frame = ras_mm\n\n", "holds no points"),
        ("1,2,3\n4,x,6\n", "line 2: 'x' is not a number"),
        ("# c\n\n1,2,3\n4,nan,6\n", "line 4: 'nan' is not a number"),
        ("1,2,inf\n", "line 1: 'inf' is not a number"),
        ("1,2,1e999\n", "line 1: '1e999' is not a number"),
        ("1,2,1_0\n", "line 1: '1_0' is not a number"),
        ("1,2,1e308\n", "line 1: '1e308' is too far away"),
        ("1,,3\n", "line 1: '' is not a number"),
        ("1;2;3\n1,5;2;3\n", "line 2: '1,5' is not a number"),
        ("1,5;2,5;3,5\n", "line 1: '1,5' is not a number"),
        ("1,5 2,5 3,5\n", "line 1 has 4 column(s), expected 3"),
        ("x,y,z\n1,5,2,5,3,5\n", "line 2 has 6 column(s), expected 3"),
        ("1,5,2,5,3,5\n", "line 1 has 6 column(s), expected 3"),
        ("1 2\n", "line 1 has 2 column(s), expected 3"),
        ("x,y,z,name\n1,2\n", "line 2 has 2 column(s), expected 4"),
        ("a,b,c\n1,2,3\n", "no columns x, y, z among a, b, c"),
        ("# frame = ras_mm\n# frame = lps_mm\n1,2,3\n", "contradicting comment lines (lps_mm, ras_mm)"),
        ("# frame = RAS\n1,2,3\n", "unknown frame 'RAS'"),
        ('1,2,"' + "3" * 200_000 + "\n", "line 1 has no readable columns"),
        ("1,2,3\0\n", "not a text file"),
    ],
)
def test_faults_are_told_with_their_line(tmp_path: Path, text: str, fault: str) -> None:
    path = _write(tmp_path / "a.csv", text)
    with pytest.raises(InputError, match=r"in .*a\.csv: ") as raised:
        read_table(path, frame="ras_mm")
    assert fault in str(raised.value)


@pytest.mark.parametrize("text", ["1,2,3\n", "x,y,z\n1,2,3\n", "x,y,z,name\n1,2,3,a\n"])
def test_without_a_frame_coordinates_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"not stated, in .*a\.csv: name it with --frame"):
        read_table(_write(tmp_path / "a.csv", text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="not readable as text"):
        read_table(tmp_path / "a.csv", frame="ras_mm")


@pytest.mark.parametrize(
    ("version", "system", "frame"),
    [("4.11", "LPS", "lps_mm"), ("4.11", "RAS", "ras_mm"), ("4.10", "0", "ras_mm"), ("4.10", "1", "lps_mm")],
)
def test_fcsv_says_its_frame_by_name_or_by_number(tmp_path: Path, version: str, system: str, frame: str) -> None:
    head = f"# Markups fiducial file version = {version}\n# CoordinateSystem = {system}\n{COLUMNS}\n"
    rows = (
        'vtkMRMLMarkupsFiducialNode_0,1.0,-2.5,30,0,0,0,1,1,1,0,"a, ""b"";c",,vtkMRMLScalarVolumeNode1\n'
        "1,9,9,9,0,0,0,1,1,0,0,unchecked,,\n"
        "2,4,5,6.25,0,0,0,1,0,1,0,F;3,,\n"
    )
    found = read_fcsv(_write(tmp_path / "a.fcsv", head + rows))
    assert found.frame == frame
    np.testing.assert_array_equal(found.paths[0], POINTS)
    assert found.notes == ("1 point(s) that Slicer shows as unchecked or undefined left out",)


def test_fcsv_without_a_coordinate_system_needs_a_frame(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.fcsv", f"{COLUMNS}\n0,1,-2.5,30,0,0,0,1,1,1,0,F-1,,\n")
    with pytest.raises(InputError, match="not stated"):
        read_fcsv(path)
    assert read_fcsv(path, frame="ras_mm").frame == "ras_mm"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "holds no points"),
        (f"# CoordinateSystem = LPS\n{COLUMNS}\n", "holds no points"),
        ("1,2,3\n", "not a Markups fiducial file"),
        (f"# CoordinateSystem = 2\n{COLUMNS}\n0,1,2,3\n", "unknown CoordinateSystem '2'"),
        (f"# CoordinateSystem = IJK\n{COLUMNS}\n0,1,2,3\n", "unknown CoordinateSystem 'IJK'"),
        (f"# CoordinateSystem = LPS\n# CoordinateSystem = RAS\n{COLUMNS}\n0,1,2,3\n", "contradicting comment lines"),
        (f"# CoordinateSystem = LPS\n{COLUMNS}\n0,1,2\n", "line 3 has 3 column(s), expected 4"),
        (f"# CoordinateSystem = LPS\n{COLUMNS}\n0,1,2,\n", "line 3 has 3 column(s), expected 4"),
        (f"# CoordinateSystem = LPS\n{COLUMNS}\n0,1,b,3,\n", "line 3: 'b' is not a number"),
        ("# CoordinateSystem = LPS\n# columns = id,label\n0,1,2,3\n", "no columns x, y, z among id, label"),
    ],
)
def test_a_broken_fcsv_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(InputError, match=r"in .*a\.fcsv: ") as raised:
        read_fcsv(_write(tmp_path / "a.fcsv", text))
    assert fault in str(raised.value)


@pytest.mark.parametrize("read", [read_table, read_fcsv])
def test_a_missing_file_is_told(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(InputError, match="file not found"):
        read(tmp_path / "a")


def test_a_voxel_that_would_be_infinitely_far_in_mm_is_refused(tmp_path: Path) -> None:
    geometry = VolumeGeometry(shape=(2, 3, 4), spacing=(8.0, 1.5, 0.75))
    path = _write(tmp_path / "a.csv", "# frame = voxel_zyx\n1e308,2,3\n")
    with pytest.raises(InputError, match=r"line 2: '1e308' is too far away, in .*a\.csv"):
        read_points(path, geometry=geometry)


def test_a_table_of_absurd_size_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.touch()
    os.truncate(path, 2**40)  # a hole, which takes no room on the disk
    with pytest.raises(InputError, match=r"1099511627776 bytes of text are too many, in .*a\.csv"):
        read_table(path)
