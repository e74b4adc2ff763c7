"""DICOM series as volumes: files written by ITK, some then spoiled with pydicom; geometry against ITK's own reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from spd_bench.errors import InputError
from spd_bench.raw.release.dicom_headers import dicom_files, image_uids, natural_key, read_headers
from spd_bench.raw.release.dicom_series import DicomVolume, read_series

TURN = np.deg2rad(20.0)
OBLIQUE = (1.0, 0.0, 0.0, 0.0, np.cos(TURN), np.sin(TURN))
HU = np.random.default_rng(3).integers(-1000, 1500, (5, 6, 7)).astype(np.int16)


def write_series(folder: Path, *, orientation: tuple[float, ...] = OBLIQUE, series: str = "1.2.3") -> np.ndarray:
    """Write HU, file 0.dcm at the far end of the normal; returns the position of each slice of HU."""
    folder.mkdir(parents=True, exist_ok=True)
    normal = np.cross(orientation[:3], orientation[3:])
    positions = np.array([10.0, -20.0, 30.0]) + np.outer(np.arange(len(HU)) * 1.5, normal)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number, (hu, position) in enumerate(zip(HU[::-1], positions[::-1], strict=True)):
        image = sitk.GetImageFromArray(hu)
        image.SetSpacing((0.5, 0.75))
        for tag, value in {
            "0008|0060": "CT",
            "0008|0018": f"{series}.{number}",
            "0020|000e": series,
            "0020|0013": str(number),
            "0020|0032": "\\".join(f"{value:.6f}" for value in position),
            "0020|0037": "\\".join(f"{value:.8f}" for value in orientation),
        }.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{number}.dcm"))
        writer.Execute(image)
    return positions


def read(folder: Path) -> DicomVolume:
    (slices,) = read_headers(dicom_files(folder)).series.values()
    return read_series(slices)


def spoil(file: Path, **tags: object) -> None:
    dataset = pydicom.dcmread(file)
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(file)


def test_oblique_series_has_the_voxels_and_the_place_that_were_written(tmp_path: Path) -> None:
    positions = write_series(tmp_path)
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.voxels, HU)
    assert volume.voxels.dtype == np.int16
    assert volume.geometry.spacing == pytest.approx((1.5, 0.75, 0.5))
    assert [header.file.name for header in volume.slices] == ["4.dcm", "3.dcm", "2.dcm", "1.dcm", "0.dcm"]
    # Row 2, column 3 of slice 4, by hand from ImagePositionPatient.
    by_hand = positions[4] + 3 * 0.5 * np.array(OBLIQUE[:3]) + 2 * 0.75 * np.array(OBLIQUE[3:])
    np.testing.assert_allclose(volume.geometry.voxel_to_lps(np.array([[4.0, 2, 3]]))[0], by_hand, atol=1e-4)


def test_volume_is_that_of_gdcm_s_own_series_reader(tmp_path: Path) -> None:
    write_series(tmp_path)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    theirs, mine = sitk.ReadImage(names), read(tmp_path)
    np.testing.assert_array_equal(mine.voxels, sitk.GetArrayFromImage(theirs))
    np.testing.assert_allclose(mine.geometry.origin, theirs.GetOrigin(), atol=1e-6)
    np.testing.assert_allclose(mine.geometry.direction, theirs.GetDirection(), atol=1e-6)


def test_names_are_sorted_as_people_count() -> None:
    names = ["D10", "D2", "d1", "D1", "10", "a/D3", "D01", "D"]
    assert sorted(names, key=natural_key) == ["10", "a/D3", "D", "D01", "D1", "d1", "D2", "D10"]


@pytest.mark.parametrize(("shift", "accepted"), [(0.25, True), (0.35, False)])
def test_spacing_may_differ_by_a_fifth(tmp_path: Path, shift: float, accepted: bool) -> None:
    write_series(tmp_path, orientation=(1, 0, 0, 0, 1, 0))
    position = pydicom.dcmread(tmp_path / "0.dcm").ImagePositionPatient
    spoil(tmp_path / "0.dcm", ImagePositionPatient=[position[0], position[1], float(position[2]) + shift])
    if accepted:
        assert read(tmp_path).geometry.spacing[0] == pytest.approx((4 * 1.5 + shift) / 4)
    else:
        with pytest.raises(InputError, match=r"1\.85 mm between 1\.dcm and 0\.dcm where 1\.5 mm is usual \(1 such"):
            read(tmp_path)


@pytest.mark.parametrize(
    ("tag", "kind", "value", "line"),
    [
        ("ImageOrientationPatient", "DS", [1, 0, 0, 0, 1, 0], r"orientation .* differs from .* of 0.dcm, in .*3.dcm"),
        ("PixelSpacing", "DS", [1, 1], r"pixel spacing \(1, 1\) differs from \(0.75, 0.5\) of 0.dcm, in .*3.dcm"),
        ("ImagePositionPatient", "DS", "", r"slice without position.*3.dcm"),
        ("InstanceNumber", "LO", "first", r"DICOM file cannot be read .*3.dcm"),
        ("SamplesPerPixel", "US", 3, "slices are missing or not evenly spaced"),
    ],
)
def test_slice_that_does_not_belong_is_named(tmp_path: Path, tag: str, kind: str, value: object, line: str) -> None:
    write_series(tmp_path)
    dataset = pydicom.dcmread(tmp_path / "3.dcm")
    dataset[tag] = pydicom.DataElement(tag, kind, value)
    dataset.save_as(tmp_path / "3.dcm")
    with pytest.raises(InputError, match=line):
        read(tmp_path)


def test_several_frames_in_a_file_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path)
    spoil(tmp_path / "0.dcm", NumberOfFrames=2)
    with pytest.raises(InputError, match=r"not a series of single slices \(5 file\(s\), 2 frame\(s\)"):
        read(tmp_path)


def test_shift_across_the_slices_below_a_pixel_is_no_tilt(tmp_path: Path) -> None:
    write_series(tmp_path, orientation=(1, 0, 0, 0, 1, 0))
    for number in range(5):
        file = tmp_path / f"{number}.dcm"
        x, y, z = (float(value) for value in pydicom.dcmread(file).ImagePositionPatient)
        spoil(file, ImagePositionPatient=[x, y + 0.18 * number, z])
    assert read(tmp_path).voxels.shape == HU.shape
    spoil(tmp_path / "4.dcm", ImagePositionPatient=[10, -20 + 0.8, 30])
    with pytest.raises(InputError, match="gantry tilt"):
        read(tmp_path)


def test_single_slice_is_no_series(tmp_path: Path) -> None:
    write_series(tmp_path)
    (slices,) = read_headers([tmp_path / "0.dcm"]).series.values()
    with pytest.raises(InputError, match="not a series of single slices"):
        read_series(slices)


@pytest.mark.parametrize("cut", [1, 40, 84, 90])
def test_truncated_file_is_named(tmp_path: Path, cut: int) -> None:
    write_series(tmp_path)
    file = tmp_path / "2.dcm"
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(InputError, match=r"2\.dcm"):
        read(tmp_path)


def test_file_truncated_in_its_header_is_told_as_without_an_image(tmp_path: Path) -> None:
    write_series(tmp_path)
    file = tmp_path / "2.dcm"
    file.write_bytes(file.read_bytes()[:-250])
    assert read_headers(dicom_files(tmp_path)).ignored == (file,)


def test_nothing_is_printed_for_uneven_or_truncated_slices(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_series(tmp_path, orientation=(1, 0, 0, 0, 1, 0))
    x, y, z = pydicom.dcmread(tmp_path / "0.dcm").ImagePositionPatient
    spoil(tmp_path / "0.dcm", ImagePositionPatient=[x, y, float(z) + 0.25])
    read(tmp_path)
    file = tmp_path / "2.dcm"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(InputError):
        read(tmp_path)
    output = capfd.readouterr()
    assert (output.out, output.err) == ("", "")


def test_warnings_of_itk_are_on_again_afterwards(tmp_path: Path) -> None:
    write_series(tmp_path)
    read(tmp_path)
    assert sitk.ProcessObject.GetGlobalWarningDisplay()


def test_files_without_an_image_are_told_and_left_out(tmp_path: Path) -> None:
    write_series(tmp_path)
    (tmp_path / "notes.txt").write_text("scanned on a Monday")
    dataset = pydicom.dcmread(tmp_path / "0.dcm")
    for tag in ("Rows", "Columns", "PixelData"):
        delattr(dataset, tag)
    dataset.save_as(tmp_path / "report.dcm")
    found = read_headers(dicom_files(tmp_path))
    assert [len(slices) for slices in found.series.values()] == [5]
    assert [path.name for path in found.ignored] == ["notes.txt", "report.dcm"]


def test_images_of_damaged_and_foreign_files_are_passed_over(tmp_path: Path) -> None:
    write_series(tmp_path / "a", series="1.2.3")
    whole = image_uids(dicom_files(tmp_path))
    (tmp_path / "a" / "0.dcm").write_bytes(b"")
    (tmp_path / "a" / "notes").write_text("x")
    assert len(whole) == 5
    assert image_uids(dicom_files(tmp_path)) < whole


def test_one_uid_for_all_images_of_an_anonymised_scan_names_none_and_is_read(tmp_path: Path) -> None:
    write_series(tmp_path / "a", series="1.2.3")
    before = read_series(read_headers(dicom_files(tmp_path)).series["1.2.3"])
    for path in dicom_files(tmp_path):
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID = "1.2.3.4"
        dataset.save_as(path)
    assert not image_uids(dicom_files(tmp_path))
    after = read_series(read_headers(dicom_files(tmp_path)).series["1.2.3"])
    np.testing.assert_array_equal(after.voxels, before.voxels)
