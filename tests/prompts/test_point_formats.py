from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from spd_bench.errors import InputError
from spd_bench.prompts.formats import MANY_POINTS, POINT_FORMATS, guess_format, read_points
from spd_bench.prompts.points import PointPrompts, write_prompts
from spd_bench.prompts.tracings import Tracing, TracingFile, write_tracings
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import read_geometry, read_volume, write_volume

DATA = Path(os.environ.get("SPD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
REAL = ["sunnybrook/imagesTr", "spinalcord/t1_image.nii.gz", "spinalcord/t2_image.nii.gz"]
FCSV = (
    "# Markups fiducial file version = 4.11\n# CoordinateSystem = {}\n# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock\n"
)


def _geometry(euler: tuple[float, float, float] = (20, -35, 110), flip: tuple[int, int, int] = (1, -1, 1)) -> Any:
    return VolumeGeometry(
        shape=(6, 9, 7),
        spacing=(8.0, 1.5, 0.75),
        origin=(10.0, -200.0, 30.5),
        direction=tuple((Rotation.from_euler("xyz", euler, degrees=True).as_matrix() * flip).ravel()),
    )


def _image(geometry: VolumeGeometry) -> sitk.Image:
    image = sitk.Image(geometry.shape[::-1], sitk.sitkUInt8)
    geometry.apply_to(image)
    return image


def _rows(points: np.ndarray, delimiter: str) -> str:
    return "".join(delimiter.join(map(repr, map(float, point))) + "\n" for point in points)


def _markups(lps: np.ndarray, **fields: Any) -> dict[str, Any]:
    return {"type": "Curve", "controlPoints": [{"position": point} for point in lps.tolist()], **fields}


class Writers:
    """The same points in every format, from voxels (x, y, z), LPS by SimpleITK and RAS by nibabel's rule."""

    def __init__(self, folder: Path, geometry: VolumeGeometry, voxels: np.ndarray) -> None:
        self.folder, self.geometry, self.indices = folder, geometry, voxels[:, ::-1]
        image = _image(geometry)
        self.lps = np.array([image.TransformIndexToPhysicalPoint(index) for index in self.indices.tolist()])
        self.ras = nib.affines.apply_affine(np.diag([-1, -1, 1, 1]), self.lps)

    def _text(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text)
        return self.folder / name

    def markups(self) -> list[tuple[Path, dict[str, Any]]]:
        ras = {"markups": [_markups(self.ras[:2], coordinateSystem="RAS"), _markups(self.lps[2:])]}
        mixed = self._text("mixed.mrk.json", json.dumps(ras))
        only = self._text("old.mkp.json", json.dumps({"markups": [_markups(self.ras, coordinateSystem="RAS")]}))
        return [(mixed, {}), (only, {}), (only, {"frame": "ras_mm"})]

    def fcsv(self) -> list[tuple[Path, dict[str, Any]]]:
        tail = ",0,0,0,1,1,1,0"
        points = {"LPS": self.lps, "RAS": self.ras, "1": self.lps, "0": self.ras}
        return [
            (
                self._text(
                    f"{system}.fcsv",
                    FCSV.format(system) + "".join(f"a,{line}{tail}\n" for line in _rows(found, ",").split()),
                ),
                {},
            )
            for system, found in points.items()
        ]

    def tracings(self) -> list[tuple[Path, dict[str, Any]]]:
        traces = tuple(Tracing(name=str(n), points=part) for n, part in enumerate(np.array_split(self.indices, 3)))
        size, spacing = self.geometry.shape[::-1], self.geometry.spacing[::-1]
        file = TracingFile(tracings=traces, spacing=spacing, image_size=size)
        write_tracings(self.folder / "A1 axial tracings", file, compressed=True)
        write_tracings(self.folder / "plain.v2 tracings", file, compressed=False)
        return [(self.folder / "A1 axial tracings", {}), (self.folder / "plain.v2 tracings", {"frame": "voxel_xyz"})]

    def csv(self) -> list[tuple[Path, dict[str, Any]]]:
        table = self._text("points.csv", "name;x;y;z\n" + "".join(f"a;{row}\n" for row in _rows(self.ras, ";").split()))
        snt = self._text("snt.csv", "x,y,z,xd,yd,zd\n" + "".join(f"{x},{y},{z},0,0,0\n" for x, y, z in self.indices))
        return [(table, {"frame": "ras_mm"}), (snt, {})]

    def text(self) -> list[tuple[Path, dict[str, Any]]]:
        stated = self._text("stated.txt", "# frame = lps_mm\n" + _rows(self.lps, "\t"))
        slices = self._text("slices.txt", "".join(f"{z} {y} {x}\n" for x, y, z in self.indices))
        return [(stated, {}), (slices, {"frame": "voxel_zyx"})]

    def json(self) -> list[tuple[Path, dict[str, Any]]]:
        named = self._text("named.json", json.dumps({"frame": "ras_mm", "points": self.ras.tolist()}))
        plain = self._text("plain.json", json.dumps(self.indices.tolist()))
        return [(named, {}), (plain, {"frame": "voxel_xyz"})]

    def nifti(self) -> list[tuple[Path, dict[str, Any]]]:
        mask = np.zeros(self.geometry.shape, dtype=np.uint8)
        mask[tuple(self.indices[:, ::-1].T)] = 3
        found = []
        for suffix in (".nii.gz", ".nii", ".nrrd", ".mha"):
            write_volume(self.folder / f"mask{suffix}", mask, self.geometry)
            found.append((self.folder / f"mask{suffix}", {}))
        return found


def _assert_round_trip(folder: Path, geometry: VolumeGeometry, voxels: np.ndarray, name: str, tolerance: float) -> None:
    writers = Writers(folder, geometry, voxels)
    files = getattr(writers, name)()
    assert files
    for path, options in files:
        prompts = read_points(path, geometry=geometry, **options)
        assert prompts.provenance["format"] == name
        assert prompts.provenance["source"] == path.name
        np.testing.assert_array_equal(prompts.voxels(geometry), voxels, err_msg=path.name)
        image = _image(geometry)
        indices = [image.TransformPhysicalPointToContinuousIndex(point) for point in prompts.positions.tolist()]
        np.testing.assert_allclose(indices, voxels[:, ::-1], atol=tolerance, err_msg=path.name)


def _sorted_voxels(shape: tuple[int, ...], seed: int, count: int = 9) -> np.ndarray:
    # A mask has its own order, that of the array.
    chosen = np.random.default_rng(seed).choice(np.prod(shape), min(count, np.prod(shape)), replace=False)
    return np.stack(np.unravel_index(np.sort(chosen), shape), axis=1)


@pytest.mark.parametrize("name", POINT_FORMATS)
@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
def test_every_format_leads_back_to_the_voxel_on_an_oblique_grid(
    tmp_path: Path, name: str, flip: tuple[int, int, int]
) -> None:
    geometry = _geometry(flip=flip)
    # NIfTI's header holds the orientation in single precision.
    tolerance = 1e-3 if name == "nifti" else 1e-6
    _assert_round_trip(tmp_path, geometry, _sorted_voxels(geometry.shape, 0), name, tolerance)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([name for name in POINT_FORMATS if name != "nifti"]),
    euler=st.tuples(*[st.floats(-180, 180)] * 3),
    flip=st.tuples(*[st.sampled_from((-1, 1))] * 3),
    seed=st.integers(0, 99),
)
def test_every_format_leads_back_to_the_voxel_on_any_grid(
    tmp_path: Path, name: str, euler: tuple[float, float, float], flip: tuple[int, int, int], seed: int
) -> None:
    geometry = _geometry(euler, flip)
    _assert_round_trip(tmp_path, geometry, _sorted_voxels(geometry.shape, seed), name, 1e-6)


def _real_volumes() -> list[Path]:
    found = [
        path for place in REAL for path in ([DATA / place] if (DATA / place).is_file() else (DATA / place).glob("*"))
    ]
    return sorted(found)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the real volumes")
@pytest.mark.parametrize("name", POINT_FORMATS)
def test_every_format_leads_back_to_the_voxel_on_real_volumes(tmp_path: Path, name: str) -> None:
    volumes = _real_volumes()
    assert len(volumes) > 2
    for number, path in enumerate(volumes):
        geometry = read_geometry(path)
        _assert_round_trip(tmp_path, geometry, _sorted_voxels(geometry.shape, number), name, 1e-3)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the real volumes")
def test_points_in_nibabel_s_world_land_on_nibabel_s_voxels_of_real_volumes(tmp_path: Path) -> None:
    for number, path in enumerate(_real_volumes()):
        volume = nib.load(path)
        ijk = _sorted_voxels(volume.shape, number, 20)
        rows = _rows(nib.affines.apply_affine(volume.affine, ijk), ",")
        (tmp_path / "a.csv").write_text("# frame = ras_mm\n" + rows)
        prompts = read_points(tmp_path / "a.csv", geometry=read_geometry(path))
        np.testing.assert_array_equal(prompts.voxels(read_geometry(path))[:, ::-1], ijk, err_msg=str(path))


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the real volumes")
def test_the_manual_centreline_lies_in_the_cord() -> None:
    cord = DATA / "spinalcord"
    label, geometry = read_volume(cord / "t2_label.nii.gz")
    prompts = read_points(cord / "t2_centerline-manual.nii.gz", geometry=geometry)
    voxels = prompts.voxels(geometry)
    assert len(voxels) == 55
    assert label[tuple(voxels.T)].all()
    assert "notes" not in prompts.provenance


def test_a_mask_on_another_grid_is_carried_over_in_mm(tmp_path: Path) -> None:
    geometry = VolumeGeometry(shape=(4, 8, 8), spacing=(5.0, 2.0, 2.0), origin=(1.0, 2.0, 3.0))
    finer = VolumeGeometry(shape=(20, 16, 16), spacing=(1.0, 1.0, 1.0), origin=(1.0, 2.0, 3.0))
    mask = np.zeros(finer.shape, dtype=np.float32)
    mask[10, 4, 6] = 0.5
    write_volume(tmp_path / "mask.nii.gz", mask, finer)
    prompts = read_points(tmp_path / "mask.nii.gz", geometry=geometry)
    np.testing.assert_array_equal(prompts.voxels(geometry), [[2, 2, 3]])
    assert "another grid" in prompts.provenance["notes"][0]


def test_a_mask_of_many_points_is_questioned(tmp_path: Path) -> None:
    geometry = VolumeGeometry(shape=(4, 32, 32), spacing=(5.0, 2.0, 2.0))
    for extra in (0, 1):
        mask = np.zeros(geometry.shape, dtype=np.uint8)
        mask.flat[: MANY_POINTS + extra] = 1
        write_volume(tmp_path / "mask.nii.gz", mask, geometry)
        prompts = read_points(tmp_path / "mask.nii.gz", geometry=geometry)
        assert len(prompts) == MANY_POINTS + extra
        assert ("segmentation" in str(prompts.provenance)) == bool(extra)


def test_the_share_is_taken_of_each_path(tmp_path: Path) -> None:
    geometry = _geometry()
    paths = [np.arange(3 * count).reshape(-1, 3) % 6 for count in (5, 0, 6, 1)]
    traces = TracingFile(tracings=tuple(Tracing(name="p", points=points) for points in paths))
    write_tracings(tmp_path / "t", traces, compressed=True)
    prompts = read_points(tmp_path / "t", geometry=geometry, share=0.2)
    expected = np.concatenate([paths[0][:1], paths[2][:2], paths[3][:1]])
    np.testing.assert_array_equal(prompts.voxels(geometry)[:, ::-1], expected)
    assert prompts.provenance == {"source": "t", "format": "tracings", "frame": "voxel_xyz", "share": 0.2}
    curves = [_markups(np.ones((4, 3))), _markups(np.zeros((2, 3)))]
    (tmp_path / "a.mrk.json").write_text(json.dumps({"markups": curves}))
    assert len(read_points(tmp_path / "a.mrk.json", geometry=geometry, share=0.5)) == 3


def test_the_traced_image_must_have_the_image_s_size_and_may_lack_its_spacing(tmp_path: Path) -> None:
    geometry = _geometry()
    trace = Tracing(name="p", points=np.array([[1, 2, 3]]))
    write_tracings(
        tmp_path / "t",
        TracingFile(tracings=(trace,), spacing=(1, 1, 1), image_size=geometry.shape[::-1]),
        compressed=True,
    )
    prompts = read_points(tmp_path / "t", geometry=geometry)
    assert prompts.provenance["notes"] == [
        "traced with spacing 1 x 1 x 1, the image's is 0.75 x 1.5 x 8 mm (x, y, z)",
    ]
    np.testing.assert_array_equal(prompts.voxels(geometry), [[3, 2, 1]])
    write_tracings(tmp_path / "t", TracingFile(tracings=(trace,), image_size=geometry.shape), compressed=True)
    with pytest.raises(InputError, match=r"of 6 x 9 x 7 voxels, the given one has 7 x 9 x 6 \(x, y, z\), in .*t: give"):
        read_points(tmp_path / "t", geometry=geometry)


def test_our_own_file_keeps_its_provenance(tmp_path: Path) -> None:
    geometry = _geometry()
    prompts = PointPrompts.from_voxels(np.array([[1, 2, 3]]), geometry, provenance={"seed": 4, "notes": ["old"]})
    write_prompts(tmp_path / "a.mrk.json", prompts)
    found = read_points(tmp_path / "a.mrk.json", geometry=geometry).provenance
    expected = {"seed": 4, "source": "a.mrk.json", "format": "markups", "frame": "lps_mm", "share": 1.0}
    assert found == expected


def test_a_format_that_is_named_beats_the_name_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_text("1 2 3\n")
    options: dict[str, Any] = {"geometry": _geometry(), "frame": "lps_mm"}
    assert len(read_points(tmp_path / "a.dat", format_name="text", **options)) == 1
    with pytest.raises(InputError, match="name it with --format, one of markups, fcsv"):
        read_points(tmp_path / "a.dat", **options)
    with pytest.raises(InputError, match="unknown format 'swc': choose one of markups"):
        read_points(tmp_path / "a.dat", format_name="swc", **options)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.MRK.JSON", b"", "markups"),
        ("a.json", b'{"markups": []}', "markups"),
        ("a.json", b"[]", "json"),
        ("a.fcsv", b"", "fcsv"),
        ("a.tsv", b"", "csv"),
        ("a.TXT", b"", "text"),
        ("a.nii.gz", b"", "nifti"),
        ("a.traces", b"", "tracings"),
        ("A1 axial HASTE tracings", b"\x1f\x8b\x08", "tracings"),
        ("A1 axial tracings.gz", b"\x1f\x8b\x08", "tracings"),
        ("I1.2 tracings", b"\xef\xbb\xbf \n<?xml", "tracings"),
    ],
)
def test_the_format_is_told_by_name_and_content(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert guess_format(tmp_path / name) == expected


GARBAGE = bytes(range(256)) * 3
MASK = VolumeGeometry(shape=(2, 3, 4), spacing=(1, 1, 1))


@pytest.mark.parametrize("content", [b"", GARBAGE, gzip.compress(b"hello" * 100)[:-9]], ids=["empty", "bytes", "cut"])
@pytest.mark.parametrize(
    "name", ["a.mrk.json", "a.fcsv", "a.traces", "a tracings", "a.csv", "a.txt", "a.json", "a.nii.gz", "a.nii", "a.doc"]
)
def test_broken_files_are_refused_in_every_format(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_points(tmp_path / name, geometry=_geometry())
    assert f"in {tmp_path / name}: " in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.mrk.json", '{"controlPoints": []}', "not a Slicer Markups file"),
        ("a.mrk.json", '{"markups": [{"controlPoints": [{"position": [1e999, 2, 3]}]}]}', "not a Slicer Markups file"),
        ("a.mrk.json", '{"markups": [{"controlPoints": [{"position": [1%s, 2, 3]}]}]}' % ("0" * 400), "Markups file"),
        ("a.mrk.json", '{"markups": []}', "holds no points"),
        ("a.traces", '<tracings><path name="abnormal"/></tracings>', "holds no points"),
        ("a.json", '{"frame": "ras_mm"}', "not a list of points"),
        ("a.json", '{"frame": 3, "points": []}', "not a list of points"),
        ("a.json", '{"frame": "RAS", "points": [[1, 2, 3]]}', "unknown frame 'RAS'"),
        ("a.json", '{"frame": "ras_mm", "points": []}', "holds no points"),
        ("a.json", "[[1, 2, 3]]", "frame of the coordinates is not stated"),
        ("a.json", '{"frame": "ras_mm", "points": [[1, 2, 3], [1, 2]]}', "point 2 is not three finite numbers"),
        ("a.json", '{"frame": "ras_mm", "points": [[1, 2, "3"]]}', "point 1 is not three finite numbers"),
        ("a.json", '{"frame": "ras_mm", "points": [[1, 2, true]]}', "point 1 is not three finite numbers"),
        ("a.json", '{"frame": "ras_mm", "points": [[1, 2, NaN]]}', "point 1 is not three finite numbers"),
        ("a.json", '{"frame": "ras_mm", "points": [1, 2, 3]}', "point 1 is not three finite numbers"),
        ("a.json", '"points"', "not a list of points"),
        ("a.json", "9" * 5000, "not readable as JSON"),
    ],
)
def test_wrong_content_is_told(tmp_path: Path, name: str, content: str, fault: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=r"in .*: ") as raised:
        read_points(tmp_path / name, geometry=_geometry())
    assert fault in str(raised.value)


@pytest.mark.parametrize(
    ("voxels", "options", "fault"),
    [
        (np.zeros(MASK.shape), {}, "holds no points"),
        (np.full(MASK.shape, np.nan), {}, "holds NaN"),
        (np.ones(MASK.shape), {"frame": "ras_mm"}, "has its own frame"),
        (np.ones(MASK.shape), {"share": 0.2}, "no order"),
        (np.ones(MASK.shape), {"share": 1.2}, "no order"),
    ],
)
def test_a_mask_that_holds_no_list_of_points_is_refused(
    tmp_path: Path, voxels: np.ndarray, options: dict[str, Any], fault: str
) -> None:
    write_volume(tmp_path / "mask.nii.gz", voxels.astype(np.float32), MASK)
    with pytest.raises(InputError, match=fault):
        read_points(tmp_path / "mask.nii.gz", geometry=MASK, **options)


def test_a_volume_with_several_images_is_no_mask(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2, 3), dtype=np.uint8), np.eye(4)), tmp_path / "mask.nii.gz")
    with pytest.raises(InputError, match="expected one 3D volume"):
        read_points(tmp_path / "mask.nii.gz", geometry=MASK)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a.csv")
    with pytest.raises(InputError, match="point file not found"):
        read_points(tmp_path / "a.csv", geometry=MASK)


@pytest.mark.parametrize("name", ["markups", "tracings", "fcsv"])
def test_a_frame_against_the_file_s_own_is_refused(tmp_path: Path, name: str) -> None:
    geometry = _geometry()
    writers = Writers(tmp_path, geometry, _sorted_voxels(geometry.shape, 0))
    with pytest.raises(InputError, match="voxel_zyx was asked for, the file itself states"):
        read_points(getattr(writers, name)()[0][0], geometry=geometry, frame="voxel_zyx")
