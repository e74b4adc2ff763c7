"""Every format of nnU-Net: what it reads, we read; what we write, it and others read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO
from nnunetv2.imageio.reader_writer_registry import LIST_OF_IO_CLASSES
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.imageio.tif_reader_writer import Tiff3DIO
from PIL import Image
from scipy.spatial.transform import Rotation

from spd_bench.raw.channels import read_channels, read_channels_header, write_channel
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.formats import FORMATS, ending_for_fractions, ending_of
from spd_bench.raw.images.planes import is_plane, plane_geometry
from spd_bench.raw.volumes import read_geometry, read_volume, write_volume

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (24, 20), dtype=np.uint8)
DEEP = RANDOM.integers(0, 2**16, (24, 20), dtype=np.uint16)
COLOURS = RANDOM.integers(0, 256, (24, 20, 4), dtype=np.uint8)
STACK = RANDOM.integers(0, 2**12, (5, 24, 20), dtype=np.uint16)
OBLIQUE = Rotation.from_euler("zx", [40, 20], degrees=True).as_matrix()
PLANE = plane_geometry((24, 20))


def _itk(path: Path, array: np.ndarray, *, vector: bool = False) -> None:
    image = sitk.GetImageFromArray(array, isVector=vector)
    dimension = image.GetDimension()
    image.SetSpacing((0.5, 0.75, 3.0, 1.0)[:dimension])
    image.SetOrigin((10.0, -20.0, 30.0, 0.0)[:dimension])
    direction = np.eye(dimension)
    if dimension == 2:
        direction = np.array([[0.0, -1.0], [1.0, 0.0]])
    else:
        direction[:3, :3] = OBLIQUE
    image.SetDirection(direction.ravel().tolist())
    sitk.WriteImage(image, str(path))


def _tiff(path: Path, array: np.ndarray, **options: Any) -> None:
    tifffile.imwrite(path, array, **{"photometric": "minisblack", **options})


def _stack(path: Path, array: np.ndarray, **options: Any) -> None:
    _tiff(path, array, **options)
    (path.parent / "a.json").write_text(json.dumps({"spacing": [3.0, 0.75, 0.5]}))


# name -> file ending, how one channel is written, nnU-Net's reader
CASES: dict[str, tuple[str, Callable[[Path], None], type[BaseReaderWriter]]] = {
    "grey png": (".png", lambda p: Image.fromarray(GREY).save(p), NaturalImage2DIO),
    "black and white png": (".png", lambda p: Image.fromarray(GREY > 99).save(p), NaturalImage2DIO),
    "deep png": (".png", lambda p: Image.fromarray(DEEP).save(p), NaturalImage2DIO),
    "rgb png": (".png", lambda p: Image.fromarray(COLOURS[..., :3]).save(p), NaturalImage2DIO),
    "rgba png": (".png", lambda p: Image.fromarray(COLOURS).save(p), NaturalImage2DIO),
    "palette png": (".png", lambda p: Image.fromarray(GREY).convert("P").save(p), NaturalImage2DIO),
    "capital png": (".PNG", lambda p: Image.fromarray(GREY).save(p), NaturalImage2DIO),
    "grey bmp": (".bmp", lambda p: Image.fromarray(GREY).save(p), NaturalImage2DIO),
    "rgb bmp": (".bmp", lambda p: Image.fromarray(COLOURS[..., :3]).save(p), NaturalImage2DIO),
    "grey tif": (".tif", lambda p: _tiff(p, DEEP), NaturalImage2DIO),
    "rgb tif": (".tif", lambda p: _tiff(p, COLOURS[..., :3], photometric="rgb"), NaturalImage2DIO),
    "rgb tif, planes": (
        ".tif",
        lambda p: _tiff(p, np.moveaxis(COLOURS[..., :3], 2, 0), photometric="rgb", planarconfig="separate"),
        NaturalImage2DIO,
    ),
    "stack": (".tif", lambda p: _stack(p, STACK), Tiff3DIO),
    "stack, compressed pages": (".tiff", lambda p: _stack(p, STACK, metadata=None, compression="zlib"), Tiff3DIO),
    "stack of three slices": (".tif", lambda p: _stack(p, STACK[:3]), Tiff3DIO),
    "stack of three slices that looks like colours": (
        ".tif",
        lambda p: _stack(p, STACK[:3].astype(np.uint8), photometric="rgb", planarconfig="separate"),
        Tiff3DIO,
    ),
    "stack of one slice": (".tif", lambda p: _stack(p, STACK[:1]), Tiff3DIO),
    "stack of floats": (".tif", lambda p: _stack(p, STACK.astype(np.float32) / 7), Tiff3DIO),
    "stack without spacing": (".tif", lambda p: _tiff(p, STACK), Tiff3DIO),
    "ImageJ's stack": (".tif", lambda p: _stack(p, STACK, imagej=True), Tiff3DIO),
    "nii.gz": (".nii.gz", lambda p: _itk(p, STACK), SimpleITKIO),
    "nii by nibabel": (".nii", lambda p: _itk(p, STACK), NibabelIO),
    "nrrd": (".nrrd", lambda p: _itk(p, STACK), SimpleITKIO),
    "mha": (".mha", lambda p: _itk(p, STACK), SimpleITKIO),
    "gipl": (".gipl", lambda p: _itk(p, STACK), SimpleITKIO),
    "2D nii.gz": (".nii.gz", lambda p: _itk(p, DEEP), SimpleITKIO),
    "2D nrrd": (".nrrd", lambda p: _itk(p, DEEP), SimpleITKIO),
    "2D mha": (".mha", lambda p: _itk(p, DEEP), SimpleITKIO),
    "4D nii.gz": (".nii.gz", lambda p: _itk(p, np.stack([STACK, STACK + 1]).astype(np.int16)), SimpleITKIO),
    "4D mha": (".mha", lambda p: _itk(p, np.stack([STACK, STACK + 1])), SimpleITKIO),
}


@pytest.mark.parametrize(("ending", "write", "reader"), CASES.values(), ids=CASES.keys())
def test_channels_are_those_that_nnunet_reads(
    tmp_path: Path, ending: str, write: Callable[[Path], None], reader: type[BaseReaderWriter]
) -> None:
    files = [tmp_path / f"a_000{channel}{ending}" for channel in range(2)]
    for file in files:
        write(file)
    expected, properties = reader().read_images([str(file) for file in files])
    channels, geometry = read_channels(files)
    np.testing.assert_array_equal(channels, expected)
    assert channels.dtype == expected.dtype == np.float32
    np.testing.assert_allclose(geometry.spacing, properties["spacing"])
    header = read_channels_header(files)
    assert (header.channels, header.geometry) == (len(expected), geometry)


@pytest.mark.parametrize("name", ["grey png", "deep png", "grey bmp", "grey tif", "stack", "nii.gz", "2D nii.gz"])
def test_a_label_is_the_one_that_nnunet_reads(tmp_path: Path, name: str) -> None:
    ending, write, reader = CASES[name]
    file = tmp_path / f"a{ending}"
    write(file)
    expected, properties = reader().read_seg(str(file))
    voxels, geometry = read_volume(file)
    np.testing.assert_array_equal(voxels, expected[0])
    np.testing.assert_allclose(geometry.spacing, properties["spacing"])
    assert read_geometry(file) == geometry


def test_every_ending_of_nnunets_readers_is_known() -> None:
    assert set(FORMATS) == {ending for reader in LIST_OF_IO_CLASSES for ending in reader.supported_file_endings}
    assert ending_of(Path("a.b_0000.nii.gz")) == ".nii.gz"
    assert ending_of(Path("a.b.TIFF")) == ".TIFF"


def test_colours_are_channels_in_their_order(tmp_path: Path) -> None:
    Image.fromarray(COLOURS[..., :3]).save(tmp_path / "a_0000.png")
    channels, geometry = read_channels([tmp_path / "a_0000.png"])
    assert channels.shape == (3, 1, 24, 20)
    for channel in range(3):
        np.testing.assert_array_equal(channels[channel, 0], COLOURS[..., channel])
    assert is_plane(geometry)


def test_a_point_of_a_2d_image_is_its_pixel(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    geometry = read_geometry(tmp_path / "a.png")
    assert geometry.lps_to_voxel(np.array([[7.0, 3.0, 0.0]])).tolist() == [[0.0, 3.0, 7.0]]


def test_a_2d_volume_lies_where_simpleitk_says(tmp_path: Path) -> None:
    _itk(tmp_path / "a.nii.gz", DEEP)
    image = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    geometry = read_geometry(tmp_path / "a.nii.gz")
    expected = (*image.TransformIndexToPhysicalPoint((7, 3)), 0.0)
    np.testing.assert_allclose(geometry.voxel_to_lps(np.array([[0.0, 3.0, 7.0]]))[0], expected)


def test_an_oblique_nifti_has_its_affine_for_nibabel(tmp_path: Path) -> None:
    _itk(tmp_path / "a.nii.gz", STACK)
    geometry = read_geometry(tmp_path / "a.nii.gz")
    position = nib.affines.apply_affine(nib.load(tmp_path / "a.nii.gz").affine, (7, 3, 2)) * (-1, -1, 1)
    np.testing.assert_allclose(geometry.voxel_to_lps(np.array([[2.0, 3.0, 7.0]]))[0], position, atol=1e-4)


# Writing


@pytest.mark.parametrize("name", list(CASES))
def test_a_mask_in_a_datasets_own_format_comes_back_with_its_geometry(tmp_path: Path, name: str) -> None:
    ending, write, reader = CASES[name]
    write(tmp_path / f"a_0000{ending}")
    geometry = read_channels_header([tmp_path / f"a_0000{ending}"]).geometry
    mask = RANDOM.integers(0, 2, geometry.shape, dtype=np.uint8)
    output = tmp_path / "masks"
    write_volume(output / f"a{ending}", mask, geometry)
    voxels, written = read_volume(output / f"a{ending}")
    np.testing.assert_array_equal(voxels, mask)
    assert written.difference_to(geometry) is None
    theirs, properties = reader().read_seg(str(output / f"a{ending}"))
    np.testing.assert_array_equal(theirs[0], mask)
    np.testing.assert_allclose(properties["spacing"], geometry.spacing)


@pytest.mark.parametrize(("ending", "read"), [(".png", iio.imread), (".bmp", iio.imread), (".tif", tifffile.imread)])
def test_a_2d_mask_is_a_grey_image_for_others(tmp_path: Path, ending: str, read: Callable[[Path], np.ndarray]) -> None:
    mask = (GREY > 99).astype(np.int64)
    write_volume(tmp_path / f"a{ending}", mask[None], PLANE)
    assert [path.name for path in tmp_path.iterdir()] == [f"a{ending}"]
    pixels = read(tmp_path / f"a{ending}")
    assert pixels.shape == mask.shape
    np.testing.assert_array_equal(pixels, mask)


def test_a_2d_nifti_stays_2d(tmp_path: Path) -> None:
    _itk(tmp_path / "a.nii.gz", DEEP)
    write_volume(tmp_path / "b.nii.gz", DEEP[None], read_geometry(tmp_path / "a.nii.gz"))
    first, second = (sitk.ReadImage(str(tmp_path / name)) for name in ("a.nii.gz", "b.nii.gz"))
    assert second.GetDimension() == 2
    for measure in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(first, measure)(), getattr(second, measure)())


def test_a_stack_has_its_spacing_where_nnunet_looks_for_it(tmp_path: Path) -> None:
    geometry = VolumeGeometry(shape=STACK.shape, spacing=(3.0, 0.75, 0.5))
    for channel in range(2):
        write_channel(tmp_path / f"CT_0000_{channel:04d}.tif", STACK, geometry)
    write_volume(tmp_path / "labels" / "CT_0000.tif", STACK, geometry)
    assert {path.name for path in tmp_path.rglob("*.json")} == {"CT_0000.json"}
    for file in (tmp_path / "CT_0000.json", tmp_path / "labels" / "CT_0000.json"):
        assert json.loads(file.read_text()) == {"spacing": [3.0, 0.75, 0.5]}
    assert read_volume(tmp_path / "CT_0000_0001.tif")[1] == geometry
    assert read_volume(tmp_path / "labels" / "CT_0000.tif")[1] == geometry


@pytest.mark.parametrize(
    ("ending", "voxels", "geometry", "fault"),
    [
        (".png", STACK, VolumeGeometry(shape=STACK.shape, spacing=(999.0, 1.0, 1.0)), "one slice"),
        (".png", DEEP[None], plane_geometry((24, 20), spacing=(0.5, 0.5)), "spacing"),
        (".png", DEEP[None] / 2, PLANE, "whole numbers"),
        (".png", -DEEP[None].astype(np.int32), PLANE, "whole numbers"),
        (".bmp", DEEP[None], PLANE, r"0 to 255, got uint16"),
        (".tif", STACK, VolumeGeometry(shape=STACK.shape, spacing=(1.0, 1.0, 1.0), origin=(5.0, 0.0, 0.0)), "position"),
        (".tif", DEEP[None], plane_geometry((24, 20), spacing=(0.5, 0.5)), "spacing"),
        (".tiff", DEEP[None], PLANE, r"must end in \.tif"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_and_nothing_written(
    tmp_path: Path, ending: str, voxels: np.ndarray, geometry: VolumeGeometry, fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        write_volume(tmp_path / f"a{ending}", voxels, geometry)
    assert list(tmp_path.iterdir()) == []


def test_fractions_go_where_they_can_be_held(tmp_path: Path) -> None:
    assert [ending_for_fractions(ending) for ending in (".png", ".BMP", ".tiff", ".nrrd")] == [
        ".tif",
        ".tif",
        ".tiff",
        ".nrrd",
    ]
    saliency = RANDOM.random((1, 24, 20), dtype=np.float32)
    write_volume(tmp_path / "a.tif", saliency, PLANE)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif")[0], saliency)
