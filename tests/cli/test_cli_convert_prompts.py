from __future__ import annotations

import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from spd_bench.cli.convert_prompts import main
from spd_bench.prompts.points import read_prompts
from spd_bench.prompts.tracings import Tracing, TracingFile, write_tracings
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import write_volume

Capture = pytest.CaptureFixture[str]
GEOMETRY = VolumeGeometry(
    shape=(6, 9, 7),
    spacing=(8.0, 1.5, 0.75),
    origin=(10.0, -20.0, 30.0),
    direction=(0.0, 0.6, -0.8, 1.0, 0.0, 0.0, 0.0, -0.8, -0.6),
)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.nii.gz"
    write_volume(path, np.zeros(GEOMETRY.shape, dtype=np.int16), GEOMETRY)
    return path


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_help_shows_an_example(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "example:\n  spd_convert_prompts 'A1 axial tracings' promptsTr/A1.mrk.json --image 'A1 Axial T2.nii" in shown
    assert "the image that was traced: of a converted release the release's own" in " ".join(shown.split())


def test_a_trace_becomes_a_file_that_slicer_opens(tmp_path: Path, image: Path, capsys: Capture) -> None:
    points = np.array([[1, 2, 3], [2, 2, 3], [3, 3, 4], [6, 8, 5], [0, 0, 0], [1, 0, 0]])
    trace = TracingFile(tracings=(Tracing(name="abnormal", points=points),), spacing=(1, 1, 1), image_size=(7, 9, 6))
    write_tracings(tmp_path / "A1 tracings", trace, compressed=True)
    output = tmp_path / "promptsTr" / "A1.mrk.json"
    assert main([str(tmp_path / "A1 tracings"), str(output), "--image", str(image), "--share", "0.5"]) == 0
    reference = sitk.ReadImage(str(image))
    expected = [reference.TransformIndexToPhysicalPoint(index) for index in points[:3].tolist()]
    markup = json.loads(output.read_text())["markups"][0]
    found = [point["position"] for point in markup["controlPoints"]]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert (markup["type"], markup["coordinateSystem"]) == ("Fiducial", "LPS")
    assert read_prompts(output).provenance["share"] == 0.5
    assert capsys.readouterr().out.splitlines() == [
        f"3 point(s) from {tmp_path / 'A1 tracings'} (tracings, voxel_xyz, first 50 % of each path)",
        "on 2 of 6 slices; voxels x 1-3, y 2-3, z 3-4",
        "note: traced with spacing 1 x 1 x 1, the image's is 0.75 x 1.5 x 8 mm (x, y, z)",
        f"written to {output}",
    ]
    assert _names(tmp_path) == ["A1 tracings", "image.nii.gz", "promptsTr", "promptsTr/A1.mrk.json"]


def test_points_outside_are_an_error_or_left_out(tmp_path: Path, image: Path, capsys: Capture) -> None:
    (tmp_path / "a.csv").write_text("x,y,z,xd,yd,zd\n1,2,3,0,0,0\n7,2,3,0,0,0\n")
    arguments = [str(tmp_path / "a.csv"), str(tmp_path / "out.mrk.json"), "--image", str(image)]
    before = _names(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: 1 of 2 points lie outside the volume, first point 2 at (")
    assert f"in {tmp_path / 'a.csv'}: " in error
    assert _names(tmp_path) == before
    assert main([*arguments, "--drop-outside"]) == 0
    assert "1 point(s) outside the image left out" in capsys.readouterr().out
    assert len(read_prompts(tmp_path / "out.mrk.json")) == 1


def test_an_older_output_stays_when_the_points_are_refused(tmp_path: Path, image: Path) -> None:
    (tmp_path / "out.mrk.json").write_text("older")
    (tmp_path / "a.csv").write_text("1,2,3\n")
    arguments = [str(tmp_path / "a.csv"), str(tmp_path / "out.mrk.json"), "--image", str(image)]
    assert main(arguments) == 2
    assert (tmp_path / "out.mrk.json").read_text() == "older"
    assert main([*arguments, "--frame", "voxel_xyz"]) == 0
    assert len(read_prompts(tmp_path / "out.mrk.json")) == 1


TRACES = b'<tracings><path name="p"><point x="1" y="2" z="3"/></path></tracings>'


@pytest.mark.parametrize(
    ("name", "content", "options", "fault"),
    [
        ("a.csv", b"", [], "error: the file holds no points, in"),
        ("a.csv", b"a,b,c\n", ["--frame", "ras_mm"], "error: no columns x, y, z among a, b, c, in"),
        ("a.csv", b"1,2,3\n1,2,c\n", ["--frame", "ras_mm"], "error: line 2: 'c' is not a number, in"),
        ("a.csv", b"1,2,3\n", [], "error: the frame of the coordinates is not stated, in"),
        ("a.csv", b"1,2,3\n", ["--frame", "mm"], "error: unknown frame 'mm', in"),
        ("a.csv", b"1,2,3\n", ["--frame", "voxel_xyz", "--share", "0"], "error: share 0.0 is not above 0"),
        ("a.csv", b"9,9,9\n", ["--frame", "voxel_xyz", "--drop-outside"], "error: none of 1 points lies inside the"),
        ("a.csv", b"nan,2,3\n", ["--frame", "voxel_xyz", "--drop-outside"], "error: line 1: 'nan' is not a number"),
        ("a.dat", b"1,2,3\n", ["--frame", "ras_mm"], "error: neither name nor content tells the format"),
        ("a.csv", b"1,2,3\n", ["--format", "vtk"], "error: unknown format 'vtk'"),
        ("a.traces", gzip.compress(TRACES)[:-12], [], "error: file cannot be read (Compressed file ended before"),
        ("a.traces", b'<!DOCTYPE a [<!ENTITY b "c">]>' + TRACES, [], "error: XML that declares an entity (b), in"),
        ("a.traces", b'<tracings><path name="p"/></tracings>', [], "error: the file holds no points, in"),
        ("a.mrk.json", b'{"markups": 1}', [], "error: not a Slicer Markups file"),
        ("a.fcsv", b"\x00\x01\xff", [], "error: not readable as text"),
        ("a.nii.gz", b"\x00\x01\xff", [], "error: image cannot be read"),
        ("a.json", b'{"frame": "lps_mm", "points": [[1, 2, null]]}', [], "error: point 1 is not three finite numbers"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    tmp_path: Path, image: Path, capsys: Capture, name: str, content: bytes, options: list[str], fault: str
) -> None:
    (tmp_path / name).write_bytes(content)
    before = _names(tmp_path)
    status = main([str(tmp_path / name), str(tmp_path / "new" / "out.mrk.json"), "--image", str(image), *options])
    captured = capsys.readouterr()
    assert status == 2
    assert captured.out == ""
    assert captured.err.startswith(fault)
    assert captured.err.count("\n") == 1
    assert _names(tmp_path) == before


@pytest.mark.parametrize(
    ("output", "fault"),
    [
        ("out.json", "OUT must end with .mrk.json"),
        (".mrk.json", "OUT must end with .mrk.json"),
        ("folder.mrk.json", "a folder stands where OUT should be"),
        ("a.csv/out.mrk.json", "a file stands where the output folder should be"),
        ("in.mrk.json", "OUT is IN itself"),
    ],
)
def test_an_output_that_cannot_be_is_refused_first(
    tmp_path: Path, image: Path, capsys: Capture, output: str, fault: str
) -> None:
    (tmp_path / "folder.mrk.json").mkdir()
    (tmp_path / "a.csv").write_text("1,2,3\n")
    (tmp_path / "in.mrk.json").write_text("{}")
    assert main([str(tmp_path / "in.mrk.json"), str(tmp_path / output), "--image", str(image)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {fault}")
    assert (tmp_path / "in.mrk.json").read_text() == "{}"


def test_an_output_that_the_disk_refuses_is_told(tmp_path: Path, image: Path, capsys: Capture) -> None:
    (tmp_path / "a.csv").write_text("1,2,3\n")
    before = _names(tmp_path)
    # As long as a name may be: there is no room for that of the temporary file.
    output = tmp_path / ("a" * 246 + ".mrk.json")
    assert main([str(tmp_path / "a.csv"), str(output), "--image", str(image), "--frame", "voxel_xyz"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: cannot be written (")
    assert captured.out == ""
    assert _names(tmp_path) == before


def test_a_missing_image_is_told(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a.csv").write_text("1,2,3\n")
    arguments = [str(tmp_path / "a.csv"), str(tmp_path / "out.mrk.json"), "--image", str(tmp_path / "no.nii.gz")]
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: image file not found, in")


def _converted(folder: Path, repairs: list[str]) -> Path:
    """An image of a raw dataset with the record that its conversion left."""
    image = folder / "imagesTr" / "A1_axial_0000.nii.gz"
    write_volume(image, np.zeros(GEOMETRY.shape, dtype=np.int16), GEOMETRY)
    record = {
        **{"case": "A1_axial", "patient": "A1", "source": {}, "choices": {}, "statistics": {}},
        **{"repairs": repairs, "written": {"imagesTr/A1_axial_0000.nii.gz": "0"}},
    }
    (folder / "conversion").mkdir()
    (folder / "conversion" / "A1_axial.json").write_text(json.dumps(record))
    return image


REORDERING = "axes LAS reordered to LPS: axial slices first (nothing resampled)"


@pytest.mark.parametrize(
    ("repairs", "frame", "warned"),
    [
        ([REORDERING], "voxel_xyz", True),
        (["pixdim taken", f"image and label: {REORDERING}"], "voxel_zyx", True),
        ([REORDERING], "ras_mm", False),
        ([f"label: {REORDERING}"], "voxel_xyz", False),
        ([], "voxel_xyz", False),
    ],
)
def test_voxels_on_an_image_that_conversion_turned_are_warned_of(
    tmp_path: Path, capsys: Capture, repairs: list[str], frame: str, warned: bool
) -> None:
    image = _converted(tmp_path / "Dataset501_TI", repairs)
    inside = np.array(sitk.ReadImage(str(image)).TransformIndexToPhysicalPoint((1, 2, 3))) * (-1, -1, 1)
    point = inside.tolist() if frame == "ras_mm" else [1, 2, 3]
    (tmp_path / "a.json").write_text(json.dumps({"frame": frame, "points": [point]}))
    assert main([str(tmp_path / "a.json"), str(tmp_path / "out.mrk.json"), "--image", str(image)]) == 0
    shown = capsys.readouterr().err
    assert shown.startswith(f"warning: conversion turned {image} ({repairs[-1] if repairs else ''}): points") == warned
    assert shown.count("\n") == warned


def _with_sizes(path: Path, *, pixdim: tuple[int, ...], affine: tuple[int, ...]) -> Path:
    """An image whose sform has another voxel size than pixdim, and no qform: so are EMIDEC's."""
    image = nib.Nifti1Image(np.zeros((7, 9, 6), dtype=np.int16), None)
    image.header.set_sform(np.diag([*affine, 1]), code=2)
    image.header["pixdim"][1:4] = pixdim
    nib.save(nib.Nifti1Image(image.dataobj, None, image.header), path)
    return path


@pytest.mark.parametrize(("pixdim", "affine", "warned"), [((2, 2, 8), (1, 1, 1), False), ((1, 1, 1), (2, 2, 8), True)])
def test_a_header_that_contradicts_itself_is_told_in_our_words_or_not_at_all(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    pixdim: tuple[int, ...],
    affine: tuple[int, ...],
    warned: bool,
) -> None:
    image = _with_sizes(tmp_path / "image.nii", pixdim=pixdim, affine=affine)
    (tmp_path / "a.csv").write_text("1,2,3\n")
    arguments = [str(tmp_path / "a.csv"), str(tmp_path / "out.mrk.json"), "--image", str(image)]
    assert main([*arguments, "--frame", "voxel_xyz"]) == 0
    captured = capfd.readouterr()
    assert "NiftiImageIO" not in captured.out + captured.err
    assert captured.err.startswith(f"warning: the header of {image} contradicts itself") == warned
    assert captured.err.count("\n") == warned
    # What conversion takes where it does not warn: voxels of the size in pixdim, RAS turned to LPS.
    expected = np.array([-1, -2, 3]) * pixdim
    np.testing.assert_allclose(read_prompts(tmp_path / "out.mrk.json").positions, [expected], atol=1e-4)
    assert sitk.ProcessObject.GetGlobalWarningDisplay()
