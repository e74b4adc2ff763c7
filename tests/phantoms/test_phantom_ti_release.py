import gzip
from pathlib import Path
from xml.etree import ElementTree

import nibabel as nib
import numpy as np
import pytest

from spd_bench.phantoms import Phantom, make_phantom
from spd_bench.phantoms.ti_release import write_ti_release


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return [make_phantom("TI", seed=1, case_number=number, size=64, slices=10) for number in range(4)]


@pytest.fixture(scope="module")
def release(phantoms: list[Phantom], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    assert write_ti_release(folder, phantoms) == ("A1", "I2", "A3", "I4")
    return folder


def test_segmentation_holds_the_target_in_the_releases_values(release: Path, phantoms: list[Phantom]) -> None:
    abnormal = np.asarray(nib.load(release / "A1 Axial T2 segmentation.nii.gz").dataobj).T
    normal = np.asarray(nib.load(release / "axial/seg/I2 axial.nii.gz").dataobj).T
    np.testing.assert_array_equal(abnormal == 1, phantoms[0].label > 0)
    np.testing.assert_array_equal(normal == 2, phantoms[1].label > 0)
    assert set(np.unique(abnormal)) == {0, 1, 3}
    assert set(np.unique(normal)) == {0, 2, 3}


@pytest.mark.parametrize(
    ("number", "name", "is_gzip", "path_name"),
    [
        (0, "A1 axial HASTE tracings", True, "abnormal TI"),
        (1, "axial/centreline/I2 axial tracings", False, "normal TI"),
    ],
)
def test_trace_is_the_tracers_xml(
    release: Path, phantoms: list[Phantom], number: int, name: str, is_gzip: bool, path_name: str
) -> None:
    content = (release / name).read_bytes()
    assert content.startswith(b"\x1f\x8b") == is_gzip
    root = ElementTree.fromstring(gzip.decompress(content) if is_gzip else content)
    phantom = phantoms[number]
    size = root.find("imagesize").attrib
    assert tuple(int(size[side]) for side in ("depth", "height", "width")) == phantom.image.shape
    path = root.find("path")
    assert path.get("name") == path_name
    points = np.array([[float(point.get(axis)) for axis in "xyz"] for point in path])
    origin, spacing = np.array(phantom.geometry.origin), np.array(phantom.geometry.spacing[::-1])
    expected = (phantom.trace - origin) / spacing
    inside = (np.rint(expected) >= 0).all(axis=1) & (np.rint(expected) < phantom.image.shape[::-1]).all(axis=1)
    np.testing.assert_allclose(points, expected[inside], atol=0.5 + 1e-9)


def test_table_has_its_description_beside_it(release: Path, phantoms: list[Phantom]) -> None:
    table = np.loadtxt(release / "scans/i4 axial HASTE tracings.csv", delimiter=",", skiprows=1)
    meta = np.loadtxt(release / "scans/i4 axial HASTE tracings_meta.txt", delimiter=",")
    np.testing.assert_allclose(table[:, 3:], table[:, :3] * meta[:3], atol=1e-3)
    np.testing.assert_array_equal(meta[3:], phantoms[3].image.shape[::-1])


def test_a_phantom_without_a_trace_is_an_error(tmp_path: Path) -> None:
    phantom = make_phantom("SCAR", seed=0, case_number=0, size=32, slices=4)
    with pytest.raises(ValueError, match="no trace"):
        write_ti_release(tmp_path / "release", [phantom])
    assert not (tmp_path / "release").exists()
