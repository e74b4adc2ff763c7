from __future__ import annotations

import gzip
import os
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import read_geometry, read_volume, write_volume

DATA = Path(os.environ.get("SPD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
GEOMETRY = VolumeGeometry(
    shape=(3, 4, 5),
    spacing=(8.0, 1.5, 0.75),
    origin=(10.0, -20.0, 30.0),
    direction=tuple(Rotation.from_euler("zx", [40, 20], degrees=True).as_matrix().ravel()),
)
VOXELS = np.arange(60, dtype=np.int16).reshape(3, 4, 5)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_written_volume_is_read_back_and_simpleitk_agrees(tmp_path: Path, ending: str, dtype: str) -> None:
    path = tmp_path / f"volume{ending}"
    write_volume(path, VOXELS.astype(dtype), GEOMETRY)
    voxels, geometry = read_volume(path)
    np.testing.assert_array_equal(voxels, VOXELS)
    assert voxels.dtype == dtype
    assert geometry.difference_to(GEOMETRY) is None
    assert read_geometry(path) == geometry
    image = sitk.ReadImage(str(path))
    assert image[4, 1, 2] == VOXELS[2, 1, 4]
    np.testing.assert_allclose(image.GetSpacing(), (0.75, 1.5, 8.0))
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


def test_voxels_must_fit_the_geometry(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shape"):
        write_volume(tmp_path / "a.nii.gz", VOXELS[1:], GEOMETRY)


@pytest.mark.parametrize("read", [read_volume, read_geometry])
def test_a_missing_file_is_named(tmp_path: Path, read) -> None:  # noqa: ANN001
    with pytest.raises(InputError, match=r"not found, in .*gone\.nii\.gz"):
        read(tmp_path / "gone.nii.gz")


@pytest.mark.parametrize("read", [read_volume, read_geometry])
def test_a_file_of_something_else_is_named(tmp_path: Path, read) -> None:  # noqa: ANN001
    path = tmp_path / "text.nii.gz"
    path.write_text("not an image")
    with pytest.raises(InputError, match=r"cannot be read .*text\.nii\.gz") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_truncated_file_is_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"short{ending}"
    noise = np.random.default_rng(0).integers(0, 1000, (3, 64, 64)).astype(np.int16)
    write_volume(path, noise, VolumeGeometry(shape=noise.shape, spacing=(1.0, 1.0, 1.0)))
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(InputError, match=rf"cannot be read .*short{ending}") as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [read_volume, read_geometry])
def test_a_header_that_makes_no_grid_is_named(tmp_path: Path, read) -> None:  # noqa: ANN001
    path = tmp_path / "negative.nii"
    image = nib.Nifti1Image(VOXELS.T, None)
    nib.save(image, path)
    content = bytearray(path.read_bytes())
    content[80:88] = np.array([1.0, -2.0], dtype="<f4").tobytes()  # pixdim[1] and pixdim[2]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"spacing .*-2\.0.*negative\.nii"):
        read(path)


def test_a_sheared_volume_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sheared.nii.gz"
    shear = np.eye(4)
    shear[0, 1] = 0.3
    nib.save(nib.Nifti1Image(VOXELS.T, shear), path)
    with pytest.raises(InputError, match=r"orthonormal.*sheared\.nii\.gz"):
        read_volume(path)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_nan_and_infinity_are_not_hidden(tmp_path: Path, ending: str) -> None:
    voxels = VOXELS.astype(np.float32)
    voxels[0, 1, 2], voxels[2, 3, 4] = np.nan, np.inf
    write_volume(tmp_path / f"v{ending}", voxels, GEOMETRY)
    np.testing.assert_array_equal(read_volume(tmp_path / f"v{ending}")[0], voxels)


def test_rescaled_and_big_endian_nifti_is_read_as_simpleitk_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "v.nii.gz"
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    image = nib.Nifti1Image(VOXELS.T.astype(">i2"), np.diag([-0.75, -1.5, 8.0, 1.0]), header)
    image.header.set_slope_inter(2.0, -1024.0)
    nib.save(image, path)
    voxels, geometry = read_volume(path)
    expected = sitk.ReadImage(str(path))
    np.testing.assert_allclose(voxels, sitk.GetArrayFromImage(expected))
    assert voxels.dtype.isnative
    assert geometry.difference_to(VolumeGeometry.of_image(expected)) is None


def test_a_volume_stored_with_a_time_axis_of_one_is_a_volume(tmp_path: Path) -> None:
    path = tmp_path / "v.nii.gz"
    nib.save(nib.Nifti1Image(VOXELS.T[..., None], np.eye(4)), path)
    np.testing.assert_array_equal(read_volume(path)[0], VOXELS)


@pytest.mark.parametrize(
    "name",
    [
        "sunnybrook/imagesTr/SCD0000101_ED_0000.nii.gz",
        "spinalcord/t1_image.nii.gz",
        "spinalcord/t2_label.nii.gz",
        "pyradiomics/brain1_image.nrrd",
        "kidney_ct/example_ct_sm.nii.gz",
        "hippocampus/imagesTr/hippocampus_001_0000.nii.gz",
    ],
)
def test_scanner_volumes_are_read_as_simpleitk_reads_them(name: str) -> None:
    if not (DATA / name).is_file():
        pytest.skip("scanner data absent")
    voxels, geometry = read_volume(DATA / name)
    expected = sitk.ReadImage(str(DATA / name))
    np.testing.assert_array_equal(voxels, sitk.GetArrayFromImage(expected))
    assert voxels.dtype == sitk.GetArrayViewFromImage(expected).dtype
    assert voxels.flags.c_contiguous
    assert geometry == VolumeGeometry.of_image(expected)


def test_a_series_and_colours_are_not_a_volume(tmp_path: Path) -> None:
    series = tmp_path / "series.nii.gz"
    sitk.WriteImage(sitk.Image([4, 4, 3, 2], sitk.sitkInt16), str(series))
    colours = tmp_path / "colours.nii.gz"
    sitk.WriteImage(sitk.Image([4, 4, 3], sitk.sitkVectorUInt8, 3), str(colours))
    for path in (series, colours):
        with pytest.raises(InputError, match="expected one 3D volume"):
            read_volume(path)
    with pytest.raises(InputError, match="expected one 3D volume"):
        read_geometry(colours)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_a_small_file_that_claims_to_be_enormous_is_refused_unread(tmp_path: Path, ending: str) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((30_000, 30_000, 3_000))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    path = tmp_path / f"bomb{ending}"
    with (gzip.open if ending == ".nii.gz" else open)(path, "wb") as file:
        file.write(header.binaryblock + bytes(4) + bytes(10**6))
    with pytest.raises(InputError, match=rf"claims 2700000000000 voxels, more than 2147483648, in .*bomb{ending}"):
        read_volume(path)


def _spoiled_nifti(path: Path, **fields: object) -> Path:
    header = nib.Nifti1Image(VOXELS.T, np.eye(4)).header
    header["vox_offset"] = 352
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock + bytes(4) + VOXELS.tobytes())
    return path


@pytest.mark.parametrize("read", [read_volume, read_geometry])
@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        # ITK's reader does not come back from this one.
        ({"sform_code": 1, "srow_x": (1, 1000, 0, -10), "srow_y": (-0.45, -1.2, 0, np.inf)}, "srow_y .* inf"),
        ({"sform_code": 8, "qform_code": 1, "pixdim": (1, 0.75, 1.5, 3e38, 0, 0, 0, 0)}, "pixdim of its header is"),
        ({"qform_code": 1, "quatern_b": np.nan}, r"quatern_b of its header is \[nan\]"),
        ({"pixdim": (1, np.inf, 1, 1, 0, 0, 0, 0)}, "pixdim"),
        ({"vox_offset": np.inf}, "vox_offset"),
        # ITK takes this for Analyze's format.
        ({"magic": b""}, "cannot be read .*magic"),
    ],
    ids=str,
)
def test_a_nifti_header_that_is_not_one_or_not_finite_is_refused(
    tmp_path: Path,
    read,  # noqa: ANN001
    fields: dict[str, object],
    fault: str,
) -> None:
    with pytest.raises(InputError, match=rf"{fault}.*a\.nii"):
        read(_spoiled_nifti(tmp_path / "a.nii", **fields))


def test_what_no_code_of_a_nifti_header_announces_may_be_anything(tmp_path: Path) -> None:
    fields = {"sform_code": 0, "srow_x": [np.nan] * 4, "qform_code": 1, "pixdim": (1, 1, 1, 1, 1, np.nan, np.inf, 0)}
    np.testing.assert_array_equal(read_volume(_spoiled_nifti(tmp_path / "a.nii", **fields))[0], VOXELS)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_memory_is_not_taken_for_voxels_that_a_file_cannot_hold(tmp_path: Path, ending: str) -> None:
    dim = (3, 30_000, 30_000, 2, 1, 1, 1, 1)
    path = _spoiled_nifti(tmp_path / "a.nii", dim=dim, datatype=64, bitpix=64)
    if ending == ".nii.gz":
        path = tmp_path / "a.nii.gz"
        path.write_bytes(gzip.compress((tmp_path / "a.nii").read_bytes()))
    with pytest.raises(InputError, match=rf"claims 14400000352 bytes, which \d+ bytes cannot hold.*a{ending}"):
        read_volume(path)


def test_what_an_archive_holds_beyond_its_voxels_is_not_unpacked(tmp_path: Path) -> None:
    path = _spoiled_nifti(tmp_path / "a.nii")
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes() + bytes(2**26)))
    tracemalloc.start()
    voxels, _ = read_volume(tmp_path / "a.nii.gz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(voxels, VOXELS)
    assert peak < 2**23
