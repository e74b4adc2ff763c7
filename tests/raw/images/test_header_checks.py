"""Headers at which SimpleITK's readers would end the process or not come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import read_geometry, read_volume

VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
GEOMETRY = VolumeGeometry(shape=VOXELS.shape, spacing=(8.0, 1.5, 0.75), origin=(10.0, -20.0, 30.0))
NRRD = (
    "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 4 3 2\nencoding: raw\nendian: little\n"
    "space directions: (0.75,0,0) (0,1.5,0) (0,0,8)\nspace origin: (10,-20,30)\n"
)
META = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 10 -20 30\n"
    "ElementSpacing = 0.75 1.5 8\nDimSize = 4 3 2\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
)


def _nrrd(path: Path, header: str) -> Path:
    path.write_bytes(header.encode() + b"\n" + VOXELS.tobytes())
    return path


def _meta(path: Path, header: str) -> Path:
    path.write_bytes(header.encode() + VOXELS.tobytes())
    return path


def test_plain_headers_pass(tmp_path: Path) -> None:
    for path in (_nrrd(tmp_path / "a.nrrd", NRRD), _meta(tmp_path / "a.mha", META)):
        voxels, geometry = read_volume(path)
        np.testing.assert_array_equal(voxels, VOXELS)
        assert geometry == GEOMETRY


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(0.75,0,0)", "( 0.75 , -1.2246e-016, 6e-17)"),
        ("sizes: 4 3 2", "# a comment\nsizes:  4 3  2\nkinds: domain domain domain"),
        ("encoding: raw", f'Segment0_Terminology:={"~" * 3000}\nencoding: raw\nspace units: "mm" "mm" "mm"'),
        ("NRRD0004\n", "NRRD0005\r\ncontent: what it is\n"),
    ],
)
def test_what_other_writers_add_to_nrrd_passes(tmp_path: Path, old: str, new: str) -> None:
    path = _nrrd(tmp_path / "a.nrrd", NRRD.replace(old, new))
    np.testing.assert_array_equal(read_volume(path)[0], VOXELS)
    assert read_geometry(path).difference_to(GEOMETRY) is None


def test_a_dictionary_that_itk_writes_passes(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(VOXELS)
    for key, value in {"0008|0060": "MR", "ITK_original_direction": "1 0 0", "Modality": "MET_MOD_MR"}.items():
        image.SetMetaData(key, value)
    for name in ("a.mha", "a.mhd", "a.nrrd", "a.nhdr"):
        sitk.WriteImage(image, str(tmp_path / name))
        np.testing.assert_array_equal(read_volume(tmp_path / name)[0], VOXELS)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("NRRD0004", "NRRD9", "does not begin with NRRD0004"),
        # teem writes such a line into a buffer that is too small for it.
        ("type: short", "type: short\n" + "9" * 5000, "line 3 is '9999"),
        ("type: short", "type: short\ncontent: " + "9" * 5000 + ":=", "line 3 is 'content: 9999"),
        ("type: short", "colour: red", "line 2 is 'colour: red'"),
        ("dimension: 3", "dimension: 99", "dimension in line 3 is '99'"),
        ("dimension: 3", "dimension: 2", r"sizes is '4 3 2' in 2 dimensions"),
        ("sizes: 4 3 2", "sizes: 4 -3 2", "sizes in line 5 is '4 -3 2'"),
        ("sizes: 4 3 2\n", "", "it has no sizes"),
        ("encoding: raw", "encoding: raw\nencoding: hex", "says encoding once more"),
        ("(0.75,0,0)", "(0.75,0,1e308)", "space directions"),
        ("encoding: raw", "encoding: raw\ndata file: -", "data file"),
        ("encoding: raw", "encoding: raw\ndata file: LIST", "data file"),
        ("encoding: raw", "encoding: raw\ndata file: a%s%03d.raw 1 9 1", "data file"),
    ],
)
def test_another_nrrd_header_is_refused(tmp_path: Path, old: str, new: str, fault: str) -> None:
    with pytest.raises(InputError, match=rf"cannot be read \(NRRD header: .*{fault}.*a\.nrrd"):
        read_volume(_nrrd(tmp_path / "a.nrrd", NRRD.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("NDims = 3", "NDims = 32768 = 1e-12 3", "NDims in line 2 is"),
        ("NDims = 3", "NDims = 3 =3", "NDims in line 2 is"),
        ("NDims = 3", "NDims = 2", r"DimSize is '4 3 2' in 2 dimensions"),
        ("Offset", "CenterOfRotation = 0 0\nOffset", "CenterOfRotation is '0 0'"),
        ("Offset = 10", "Offset = 1e308", "Offset in line 5"),
        ("DimSize = 4 3 2\n", "", "it has no DimSize"),
        ("DimSize = 4 3 2", "DimSize = " + "9" * 400, "DimSize in line 7 is '999"),
        ("BinaryData", "9" * 5000 + " = \nBinaryData", "line 3 is '999"),
        ("ElementDataFile = LOCAL", "ElementDataFile = LIST", "ElementDataFile"),
        ("ElementDataFile = LOCAL", "ElementDataFile = a%s%d.raw 1 9 1", "ElementDataFile"),
    ],
)
def test_another_metaimage_header_is_refused(tmp_path: Path, old: str, new: str, fault: str) -> None:
    with pytest.raises(InputError, match=rf"cannot be read \(MetaImage header: .*{fault}.*a\.mha"):
        read_volume(_meta(tmp_path / "a.mha", META.replace(old, new)))
