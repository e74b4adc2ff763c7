from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from spd_bench.errors import InputError
from spd_bench.prompts.tracings import Tracing, TracingFile, first_share, read_tracings, write_tracings

# The head of every file that SNT writes: a document type, the spacing, the size.
HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tracings [
  <!ELEMENT tracings       (samplespacing,imagesize,path*,fill*)>
  <!ELEMENT path           (point+)>
  <!ATTLIST path           usefitted         (true|false)    #IMPLIED>
  <!ATTLIST fill           metric            CDATA           #REQUIRED>
]>
<tracings>
  <samplespacing x="0.5" y="0.75" z="5.0" units="mm"/>
  <imagesize width="40" height="30" depth="20"/>
"""


def _tracing(name: str, *points: tuple[int, int, int]) -> Tracing:
    return Tracing(name=name, points=np.array(points, dtype=np.int64).reshape(-1, 3))


FILE = TracingFile(
    tracings=(
        _tracing("abnormal TI", (1, 2, 3), (4, 5, 6), (4, 5, 6)),
        _tracing("empty"),
        _tracing('Normal <&"> µ', (0, 0, 0)),
    ),
    spacing=(0.5, 0.75, 5.0),
    image_size=(40, 30, 20),
)


def _write(path: Path, body: str) -> Path:
    path.write_text(HEAD + body + "</tracings>\n")
    return path


@pytest.mark.parametrize("name", ["A1 axial HASTE tracings", "a.traces", "a.xml"])
@pytest.mark.parametrize("compressed", [True, False])
def test_what_is_written_is_read_again_whatever_the_name(tmp_path: Path, name: str, compressed: bool) -> None:
    path = tmp_path / name
    write_tracings(path, FILE, compressed=compressed)
    assert path.read_bytes().startswith(b"\x1f\x8b" if compressed else b"<?xml")
    again = read_tracings(path)
    assert (again.spacing, again.image_size) == (FILE.spacing, FILE.image_size)
    assert [tracing.name for tracing in again.tracings] == [tracing.name for tracing in FILE.tracings]
    assert [tracing.abnormal for tracing in again.tracings] == [True, False, False]
    for mine, theirs in zip(again.tracings, FILE.tracings, strict=True):
        assert mine.points.dtype == np.int64
        np.testing.assert_array_equal(mine.points, theirs.points)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_the_file_written_holds_what_snt_looks_for(tmp_path: Path) -> None:
    write_tracings(tmp_path / "a.traces", FILE, compressed=True)
    root = ElementTree.fromstring(gzip.decompress((tmp_path / "a.traces").read_bytes()))
    assert [child.tag for child in root] == ["samplespacing", "imagesize", "path", "path", "path"]
    point = root.findall("path")[0].findall("point")[1]
    assert point.attrib == {"x": "4", "y": "5", "z": "6", "xd": "2.0", "yd": "3.75", "zd": "30.0"}
    assert [path.get("id") for path in root.findall("path")] == ["0", "1", "2"]


def test_a_file_need_not_say_spacing_and_size(tmp_path: Path) -> None:
    write_tracings(tmp_path / "a", TracingFile(tracings=FILE.tracings), compressed=False)
    again = read_tracings(tmp_path / "a")
    assert (again.spacing, again.image_size) == (None, None)
    np.testing.assert_array_equal(again.tracings[0].points, FILE.tracings[0].points)


def test_positions_stand_in_for_missing_voxels(tmp_path: Path) -> None:
    path = _write(tmp_path / "a", '<path name="p"><point xd="2.0" yd="3.76" zd="9.9"/></path>')
    np.testing.assert_array_equal(read_tracings(path).tracings[0].points, [[4, 5, 2]])


def test_a_path_that_starts_on_another_holds_its_own_points(tmp_path: Path) -> None:
    body = """
      <path id="0" name="trunk" reallength="3"><point x="1" y="1" z="1"/><point x="2" y="2" z="2"/></path>
      <path id="1" startson="0" startsx="1.0" startsy="1.5" startsz="10" name="branch"><point x="3" y="2" z="2"/></path>
    """
    trunk, branch = read_tracings(_write(tmp_path / "a", body)).tracings
    assert (trunk.name, branch.name) == ("trunk", "branch")
    np.testing.assert_array_equal(branch.points, [[3, 2, 2]])
    assert len(trunk.points) == 2


@pytest.mark.parametrize(("use", "expected"), [("true", [[9, 9, 9]]), ("false", [[1, 1, 1]])])
def test_a_path_and_its_fitted_version_are_one_path(tmp_path: Path, use: str, expected: list[list[int]]) -> None:
    body = f"""
      <path id="0" name="abnormal" fitted="1" usefitted="{use}"><point x="1" y="1" z="1"/></path>
      <path id="1" name="Path 1" fittedversionof="0" usefitted="false"><point x="9" y="9" z="9"/></path>
    """
    (tracing,) = read_tracings(_write(tmp_path / "a", body)).tracings
    assert tracing.abnormal
    np.testing.assert_array_equal(tracing.points, expected)


def test_fills_are_no_points(tmp_path: Path) -> None:
    body = '<path name="p"><point x="1" y="1" z="1"/></path><fill id="0"><node id="0" x="7" y="7" z="7"/></fill>'
    assert len(read_tracings(_write(tmp_path / "a", body)).tracings) == 1


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(10, 0.2, 2), (11, 0.2, 3), (1, 0.01, 1), (100, 0.07, 7), (7, 1.0, 7), (0, 0.2, 0)]
)
def test_a_share_is_rounded_up(count: int, share: float, expected: int) -> None:
    points = np.arange(3 * count).reshape(-1, 3)
    np.testing.assert_array_equal(first_share(points, share), points[:expected])


@pytest.mark.parametrize("share", [0.0, -0.2, 1.01, float("nan")])
def test_a_share_beyond_the_whole_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="share"):
        first_share(np.zeros((3, 3)), share)


def test_points_must_be_triples() -> None:
    with pytest.raises(ValueError, match="shape"):
        Tracing(name="a", points=np.zeros((3, 2), dtype=np.int64))


def _truncated(content: bytes) -> bytes:
    return gzip.compress(content)[:-20]


def _corrupted(content: bytes) -> bytes:
    packed = bytearray(gzip.compress(content))
    packed[len(packed) // 2] ^= 0xFF
    return bytes(packed)


@pytest.mark.parametrize("broken", [_truncated, _corrupted, lambda content: gzip.compress(content[:-15])])
def test_a_damaged_archive_is_refused(tmp_path: Path, broken: Callable[[bytes], bytes]) -> None:
    write_tracings(tmp_path / "whole", FILE, compressed=False)
    (tmp_path / "a").write_bytes(broken((tmp_path / "whole").read_bytes()))
    with pytest.raises(InputError, match=r"in .*a: save the traces"):
        read_tracings(tmp_path / "a")


def test_an_archive_that_grows_beyond_all_points_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(b"<tracings>" + b"<path/>" * 2**20 + b"</tracings>"))
    with pytest.raises(InputError, match=r"more than \d+ bytes of XML, in .*a: save the traces"):
        read_tracings(path)


def test_a_file_of_traces_of_absurd_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    os.truncate(path, 2**40)  # a hole, which takes no room on the disk
    with pytest.raises(InputError, match=r"more than 33554432 bytes of XML, in .*a: save the traces"):
        read_tracings(path)


def test_deep_nesting_is_no_recursion(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("<tracings>" + "<path>" * 20_000 + "</path>" * 20_000 + "</tracings>")
    assert len(read_tracings(path).tracings) == 1


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not readable as XML"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "not readable as XML"),
        (b"1,2,3\n", "not readable as XML"),
        (b"<html></html>", "its root is <html>"),
        (b"<tracings><path></tracings>", "not readable as XML"),
        (b'<?xml version="1.0" encoding="klingon"?><tracings/>', "not readable as XML"),
        (b'<?xml version="1.0" encoding="utf-7"?><tracings/>', "not readable as XML"),
        (b'<tracings><path name="p"><point x="1" y="2"/></path></tracings>', "point 1 of path 'p' has no z"),
        (b'<tracings><path name="p"><point x="1" y="2" z="b"/></path></tracings>', "z='b', which is not a"),
        (b'<tracings><path name="p"><point x="1" y="nan" z="2"/></path></tracings>', "y='nan', which is not a"),
        (b'<tracings><path name="p"><point x="1" y="inf" z="2"/></path></tracings>', "y='inf', which is not a"),
        (b'<tracings><path name="p"><point xd="1" yd="2" zd="3"/></path></tracings>', "the file no spacing"),
        (b'<tracings><samplespacing x="1" y="0" z="1"/></tracings>', "samplespacing> is not positive"),
        (b'<tracings><imagesize width="4" height="3"/></tracings>', "<imagesize> has no depth"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "a tracings"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"in .*a tracings: ") as raised:
        read_tracings(path)
    assert fault in str(raised.value)


def test_entities_are_refused_before_they_grow(tmp_path: Path) -> None:
    doubled = "".join(f'<!ENTITY e{n} "&e{n - 1};&e{n - 1};">' for n in range(1, 40))
    path = tmp_path / "a"
    path.write_text(f'<!DOCTYPE tracings [<!ENTITY e0 "ha">{doubled}]><tracings><path name="&e39;"/></tracings>')
    with pytest.raises(InputError, match=r"declares an entity \(e0\), in .*a: remove"):
        read_tracings(path)


def test_files_that_the_document_type_points_to_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text('<!ATTLIST path name CDATA "from outside">')
    path = tmp_path / "a"
    path.write_text(f'<!DOCTYPE tracings SYSTEM "{tmp_path}/secret"><tracings><path/></tracings>')
    assert [tracing.name for tracing in read_tracings(path).tracings] == [""]
    path.write_text(f'<!DOCTYPE tracings [<!ENTITY x SYSTEM "{tmp_path}/secret">]><tracings>&x;</tracings>')
    with pytest.raises(InputError, match="declares an entity"):
        read_tracings(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="file not found"):
        read_tracings(tmp_path / "a")
