"""FUMPE in the release's own layout: real DICOM files, real .mat files, and every way in which they can be wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace

import nnunetv2.utilities.utils
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from nnunetv2.experiment_planning import verify_dataset_integrity as verify_dataset_integrity_module
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy.io import savemat

from dataset_conversion.fumpe import main
from spd_bench.paths import DataFolders
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.raw.verify import verify_raw_dataset

SLICES, ROWS, COLUMNS = 12, 20, 20
STEP, PIXEL = 1.25, (0.7, 0.6)
FIRST_POSITION = (-12.0, -31.0, 140.0)
LUNG, VESSEL, CLOT, MUSCLE = -850, 350, 55, 45
FOLDER = "Dataset503_FUMPE"


def chest() -> tuple[np.ndarray, np.ndarray]:
    """HU (z, y, x) and clot: a vessel that runs backwards on its way up, the clot at one side of its lumen."""
    z, y, x = np.indices((SLICES, ROWS, COLUMNS))
    hu = np.full((SLICES, ROWS, COLUMNS), LUNG)
    hu[:, :, 17:] = MUSCLE
    centre_y, centre_x = 2 + 0.7 * z, 14 - 0.1 * z
    hu[(y - centre_y) ** 2 + (x - centre_x) ** 2 <= 12] = VESSEL
    clot = ((y - centre_y - 0.7) ** 2 + (x - centre_x - 0.7) ** 2 <= 3) & (z >= 6) & (z <= 10)
    hu[clot] = CLOT
    return hu, clot.astype(np.uint8)


def write_dicom_slice(path: Path, hu: np.ndarray, *, position: Sequence[float], **tags: object) -> None:
    """One CT slice as stored values of 0 to 4095 with RescaleIntercept; ``tags`` override."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = generate_uid()
    dataset.Modality = "CT"
    dataset.ImagePositionPatient = [float(value) for value in position]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = list(PIXEL)
    dataset.Rows, dataset.Columns = hu.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    for name, value in tags.items():
        setattr(dataset, name, value)
    stored = (hu - float(dataset.RescaleIntercept)) / float(dataset.RescaleSlope)
    dataset.PixelData = np.round(stored).astype(np.uint16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def write_patient(
    release: Path,
    case: str = "PAT001",
    *,
    file_order: Sequence[int] | None = None,
    mask_order: Sequence[int] | None = None,
    axes: str = "yx",
    name: Callable[[int], str] = lambda number: f"D{number + 1:04d}.dcm",
    step: float = STEP,
    volume: tuple[np.ndarray, np.ndarray] | None = None,
    mat: dict[str, np.ndarray] | None = None,
) -> None:
    """Write a patient; file k is the slice at position ``file_order[k]``, head first by default, as is mask slice k."""
    hu, clot = chest() if volume is None else volume
    file_order = range(len(hu))[::-1] if file_order is None else file_order
    series = generate_uid()
    for number, at in enumerate(file_order):
        write_dicom_slice(
            release / "CT_scans" / case / name(number),
            hu[at],
            position=(*FIRST_POSITION[:2], FIRST_POSITION[2] + at * step),
            SeriesInstanceUID=series,
            InstanceNumber=number + 1,
        )
    mask = clot[list(file_order if mask_order is None else mask_order)]
    mask = mask.transpose(1, 2, 0) if axes == "yx" else mask.transpose(2, 1, 0)
    (release / "GroundTruth").mkdir(parents=True, exist_ok=True)
    savemat(release / "GroundTruth" / f"{case}.mat", {"Mask": mask} if mat is None else mat)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """An empty folder for a release."""
    return tmp_path / "download" / "FUMPE"


@pytest.fixture
def convert(own_folders: DataFolders, release: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple]:
    """Run the command on the release; returns exit status, output and what failed."""

    def run(*options: str, source: Path = release) -> tuple[int, str, list[str]]:
        status = main([str(source), *options])
        output = capfd.readouterr()
        lines = [line for line in output.err.replace("\r", "\n").splitlines() if "converting:" not in line]
        return status, output.out, [line for line in lines if line]

    return run


@pytest.fixture
def raw(own_folders: DataFolders) -> Path:
    """The raw dataset that the command writes."""
    return own_folders.raw / FOLDER


def converted(raw: Path, case: str = "PAT001") -> tuple[np.ndarray, np.ndarray, sitk.Image]:
    """Image, label and the label's ITK image of a converted case."""
    image = sitk.ReadImage(str(raw / "imagesTr" / f"{case}_0000.nii.gz"))
    label = sitk.ReadImage(str(raw / "labelsTr" / f"{case}.nii.gz"))
    return sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(label), label


def assert_on_the_clot(raw: Path, case: str = "PAT001") -> None:
    image, label, _ = converted(raw, case)
    hu, clot = chest()
    np.testing.assert_array_equal(image, hu)
    np.testing.assert_array_equal(label, clot)
    assert set(image[label > 0]) == {CLOT}


def cases(raw: Path) -> list[str]:
    return sorted(path.name.removesuffix(".nii.gz") for path in (raw / "labelsTr").glob("*.nii.gz"))


def repairs(raw: Path, case: str = "PAT001") -> str:
    return "; ".join(json.loads((raw / "conversion" / f"{case}.json").read_text())["repairs"])


def assert_valid(raw: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # nnU-Net's pools of processes cost seconds a call.
        threads = SimpleNamespace(get_context=lambda _: SimpleNamespace(Pool=ThreadPool))
        patch.setattr(verify_dataset_integrity_module, "multiprocessing", threads)
        patch.setattr(nnunetv2.utilities.utils, "Pool", ThreadPool)
        verify_dataset_integrity_module.verify_dataset_integrity(str(raw), 1)
    verify_raw_dataset(read_raw_dataset(raw), target_labels=(1,))


def test_mask_of_files_against_positions_lands_on_the_clot_in_voxels_and_mm(
    release: Path, convert: Callable[..., tuple], raw: Path
) -> None:
    write_patient(release)
    status, output, failed = convert()
    assert (status, failed) == (0, [])
    assert_on_the_clot(raw)
    assert_valid(raw)
    # By hand: a voxel's centre is ImagePositionPatient plus columns by 0.6 mm and rows by 0.7 mm, per 1.25 mm slice.
    label = converted(raw)[2]
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(label)
    z, y, x = np.argwhere(chest()[1]).mean(axis=0)
    np.testing.assert_allclose(shape.GetCentroid(1), (-12 + 0.6 * x, -31 + 0.7 * y, 140 + 1.25 * z), atol=1e-4)
    np.testing.assert_allclose(label.GetSpacing(), (0.6, 0.7, 1.25), atol=1e-6)
    assert "in the order of the DICOM file names, mask axes row before column: found by the HU" in repairs(raw)
    assert "1 case(s): mask slices taken" in output


def test_naive_orders_are_wrong_on_this_data() -> None:
    hu, clot = chest()
    naive = clot[::-1]
    assert np.mean(hu[naive > 0] == CLOT) < 0.1
    assert np.mean(hu[clot.transpose(0, 2, 1) > 0] == CLOT) < 0.2
    assert not np.array_equal(naive, clot)


@pytest.mark.parametrize("axes", ["yx", "xy"])
@pytest.mark.parametrize("mask_order", ["file", "position", "reversed"])
@pytest.mark.parametrize("file_order", ["up", "down", "shuffled"])
def test_every_order_and_axes_of_a_mask_is_found(
    release: Path, convert: Callable[..., tuple], raw: Path, file_order: str, mask_order: str, axes: str
) -> None:
    up = list(range(SLICES))
    files = {"up": up, "down": up[::-1], "shuffled": [3, 0, 7, 11, 1, 9, 2, 10, 4, 8, 5, 6]}[file_order]
    masks = {"file": files, "position": up, "reversed": up[::-1]}[mask_order]
    write_patient(release, file_order=files, mask_order=masks, axes=axes)
    assert convert()[0] == 0
    assert_on_the_clot(raw)


def test_mask_in_the_order_of_instance_numbers_is_found(
    release: Path, convert: Callable[..., tuple], raw: Path
) -> None:
    shuffled = [3, 0, 7, 11, 1, 9, 2, 10, 4, 8, 5, 6]
    write_patient(release, file_order=list(range(SLICES)), mask_order=shuffled)
    for number, at in enumerate(shuffled):
        file = release / "CT_scans" / "PAT001" / f"D{at + 1:04d}.dcm"
        dataset = pydicom.dcmread(file)
        dataset.InstanceNumber = 100 + number
        dataset.save_as(file)
    assert convert()[0] == 0
    assert_on_the_clot(raw)
    assert "in the order of InstanceNumber" in repairs(raw)


def test_file_names_are_ordered_by_number_not_by_letter(
    release: Path, convert: Callable[..., tuple], raw: Path
) -> None:
    write_patient(release, name=lambda number: f"D{number + 1}.dcm")
    assert convert()[0] == 0
    assert_on_the_clot(raw)
    assert "DICOM file names" in repairs(raw)


def test_slices_that_are_not_square_settle_the_axes(release: Path, convert: Callable[..., tuple], raw: Path) -> None:
    hu, clot = (array[:, :16] for array in chest())
    write_patient(release, volume=(hu, clot), axes="xy")
    assert convert()[0] == 0
    np.testing.assert_array_equal(converted(raw)[1], clot)


def test_scan_that_runs_feet_first_and_prone_becomes_axial_lps(
    release: Path, convert: Callable[..., tuple], raw: Path
) -> None:
    write_patient(release)
    for file in (release / "CT_scans" / "PAT001").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
        dataset.save_as(file)
    assert convert()[0] == 0
    image, label, itk = converted(raw)
    hu, clot = chest()
    np.testing.assert_array_equal(image, hu[:, ::-1, ::-1])
    np.testing.assert_array_equal(label, clot[:, ::-1, ::-1])
    np.testing.assert_allclose(itk.GetDirection(), np.eye(3).ravel(), atol=1e-6)
    # The pixel at ImagePositionPatient is now the last one of row and column.
    corner = (-12 - 0.6 * (COLUMNS - 1), -31 - 0.7 * (ROWS - 1), 140)
    np.testing.assert_allclose(itk.GetOrigin(), corner, atol=1e-4)


def test_each_slice_is_rescaled_by_its_own_slope_and_intercept(
    release: Path, convert: Callable[..., tuple], raw: Path
) -> None:
    write_patient(release)
    for number, file in enumerate(sorted((release / "CT_scans" / "PAT001").iterdir())):
        dataset = pydicom.dcmread(file)
        hu = dataset.pixel_array.astype(float) - 1024
        # The lowest slice is the last file: whole HU there, half HU above.
        slope, intercept = (1, -2000) if number % 2 else (0.5, -1023.5)
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        dataset.PixelData = np.round((hu + (0 if number % 2 else 0.5) - intercept) / slope).astype(np.uint16).tobytes()
        dataset.BitsStored, dataset.HighBit = 16, 15
        dataset.save_as(file)
    assert convert()[0] == 0
    hu = chest()[0].astype(float)
    hu[1::2] += 0.5
    np.testing.assert_array_equal(converted(raw)[0], hu)
    np.testing.assert_array_equal(converted(raw)[1], chest()[1])


def homogeneous() -> tuple[np.ndarray, np.ndarray]:
    """Blood everywhere, and a mask that is the same from head to feet and from feet to head."""
    clot = np.zeros((SLICES, ROWS, COLUMNS), dtype=np.uint8)
    clot[4:8, 4:9, 8:15] = 1
    return np.full(clot.shape, 60), clot


def test_order_that_the_hu_leave_open_is_refused_with_the_scores_and_decided_by_the_user(
    release: Path, convert: Callable[..., tuple], raw: Path
) -> None:
    write_patient(release, "PAT001")
    write_patient(release, "PAT002", volume=homogeneous())
    status, _, failed = convert()
    assert status == 1
    assert cases(raw) == ["PAT001"]
    assert failed[0].startswith("failed: PAT002: order of the mask is not clear")
    assert "file/yx 0.00, file/xy 0.00" in failed[0]
    assert "--order CASE=file|position|reversed|instance --axes CASE=yx|xy" in failed[0]
    assert len(failed) == 2

    status, output, failed = convert("--order", "PAT002=file", "--axes", "PAT002=xy")
    assert (status, failed) == (0, [])
    assert "(1 were there already)" in output
    np.testing.assert_array_equal(converted(raw, "PAT002")[1], homogeneous()[1].transpose(0, 2, 1))
    assert "mask axes column before row: by the user's decision" in repairs(raw, "PAT002")

    # The record of a case changes with the decision about it alone.
    status, output, _ = convert("--order", "PAT002=file", "--axes", "PAT002=yx")
    assert "(1 were there already)" in output
    np.testing.assert_array_equal(converted(raw, "PAT002")[1], homogeneous()[1])


def test_one_half_of_a_decision_leaves_the_other_to_the_hu(
    release: Path, convert: Callable[..., tuple], raw: Path
) -> None:
    write_patient(release, axes="xy")
    assert convert("--order", "file")[0] == 0
    assert_on_the_clot(raw)
    assert (
        "mask slices taken in the order of the DICOM file names: by the user's decision;"
        " mask axes column before row: found by the HU under the mask" in repairs(raw)
    )
    status, _, failed = convert("--axes", "yx")
    assert status == 1
    assert "not clear" in failed[0]
    assert "/xy" not in failed[0].partition(": look")[0]


def test_decision_against_the_hu_is_obeyed_and_told(release: Path, convert: Callable[..., tuple], raw: Path) -> None:
    write_patient(release)
    assert convert("--order", "position", "--axes", "yx")[0] == 0
    np.testing.assert_array_equal(converted(raw)[1], chest()[1][::-1])
    assert "by the user's decision, against the HU under the mask" in repairs(raw)


def test_mask_too_small_to_tell_is_refused(release: Path, convert: Callable[..., tuple]) -> None:
    hu, clot = chest()
    clot[np.arange(SLICES) != 8] = 0
    write_patient(release, volume=(hu, clot))
    status, _, failed = convert()
    assert status == 1
    assert f"{clot.sum()} voxels are too few to tell" in failed[0]


def test_mask_that_lies_on_no_clot_in_any_order_is_refused(release: Path, convert: Callable[..., tuple]) -> None:
    hu, clot = chest()
    write_patient(release, volume=(np.where(hu == CLOT, VESSEL, hu), clot))
    status, _, failed = convert()
    assert status == 1
    assert "not clear" in failed[0]


def test_patient_without_emboli_is_kept(release: Path, convert: Callable[..., tuple], raw: Path) -> None:
    hu, clot = chest()
    write_patient(release, "PAT001")
    write_patient(release, "PAT004", volume=(hu, np.zeros_like(clot)))
    assert convert()[0] == 0
    assert cases(raw) == ["PAT001", "PAT004"]
    assert not converted(raw, "PAT004")[1].any()
    assert "no emboli: the empty mask is kept" in repairs(raw, "PAT004")
    assert_valid(raw)


def test_wide_slice_interval_is_kept_and_told(release: Path, convert: Callable[..., tuple], raw: Path) -> None:
    write_patient(release, step=3.0)
    status, output, _ = convert()
    assert status == 0
    assert converted(raw)[2].GetSpacing()[2] == pytest.approx(3.0)
    assert "slice interval of 3 mm or more: kept" in output


def test_localiser_stray_files_and_missing_suffixes_do_not_matter(
    release: Path, convert: Callable[..., tuple], raw: Path
) -> None:
    write_patient(release, name=lambda number: f"D{number + 1:04d}")
    folder = release / "CT_scans" / "PAT001"
    for number in range(2):
        write_dicom_slice(
            folder / f"A{number}", np.zeros((30, 8)), position=(0, 0, 0), SeriesInstanceUID="1.2.3", InstanceNumber=1
        )
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf")
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "._D0001.dcm").write_bytes(b"\0\5\x16\7")
    (folder / "DICOMDIR").write_bytes(b"no directory")
    (folder / "readme.txt").write_text("scan 1")
    (release / "CT_scans" / "notes.txt").write_text("")
    assert convert()[0] == 0
    assert_on_the_clot(raw)
    assert "other series in the scan's folder" in repairs(raw)


def test_two_series_that_fit_the_mask_are_refused(release: Path, convert: Callable[..., tuple]) -> None:
    write_patient(release)
    shutil.copytree(release / "CT_scans" / "PAT001", release / "again")
    write_patient(release, name=lambda number: f"E{number + 1:04d}.dcm")
    status, _, failed = convert()
    assert status == 1
    assert "more than one series has the mask's 12 slices (slices of the series there: 12, 12)" in failed[0]


def _remove_one(release: Path) -> None:
    (release / "CT_scans" / "PAT002" / "D0005.dcm").unlink()


def _truncate(release: Path) -> None:
    file = release / "CT_scans" / "PAT002" / "D0005.dcm"
    file.write_bytes(file.read_bytes()[:-7])


def _empty(release: Path) -> None:
    (release / "CT_scans" / "PAT002" / "D0005.dcm").write_bytes(b"")


def _copy_a_file(release: Path) -> None:
    folder = release / "CT_scans" / "PAT002"
    shutil.copy(folder / "D0005.dcm", folder / "D0006.dcm")


def _same_position(release: Path) -> None:
    folder = release / "CT_scans" / "PAT002"
    first, second = pydicom.dcmread(folder / "D0005.dcm"), pydicom.dcmread(folder / "D0006.dcm")
    second.ImagePositionPatient = first.ImagePositionPatient
    second.save_as(folder / "D0006.dcm")


def _leave_a_gap(release: Path) -> None:
    shutil.rmtree(release / "CT_scans" / "PAT002")
    hu, clot = chest()
    kept = [number for number in range(SLICES) if number != 4]
    write_patient(release, "PAT002", file_order=kept, volume=(hu, clot))


def _tilt(release: Path) -> None:
    for file in (release / "CT_scans" / "PAT002").iterdir():
        dataset = pydicom.dcmread(file)
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y + 0.2 * (z - 140), z]
        dataset.save_as(file)


def _without_position(release: Path) -> None:
    for file in (release / "CT_scans" / "PAT002").iterdir():
        dataset = pydicom.dcmread(file)
        del dataset.ImagePositionPatient
        dataset.save_as(file)


def _mask(**variables: np.ndarray) -> Callable[[Path], None]:
    return lambda release: savemat(release / "GroundTruth" / "PAT002.mat", variables)


def _truncate_mask(release: Path) -> None:
    file = release / "GroundTruth" / "PAT002.mat"
    savemat(file, {"Mask": np.random.default_rng(0).integers(0, 2, (ROWS, COLUMNS, SLICES))}, do_compression=True)
    file.write_bytes(file.read_bytes()[:300])


def _mask_of_7_3(release: Path) -> None:
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 ."
    header = text.ljust(116) + bytes(8) + b"\x00\x02IM"
    (release / "GroundTruth" / "PAT002.mat").write_bytes(header + bytes(384) + b"\x89HDF\r\n\x1a\n")


def _no_mask(release: Path) -> None:
    (release / "GroundTruth" / "PAT002.mat").unlink()


def _no_scan(release: Path) -> None:
    shutil.rmtree(release / "CT_scans" / "PAT002")


def _link_out(release: Path) -> None:
    file = release / "CT_scans" / "PAT002" / "D0005.dcm"
    outside = release.parent / "elsewhere.dcm"
    file.rename(outside)
    file.symlink_to(outside)


BAD_INPUT = {
    "slice missing for the mask": (_remove_one, "no series has the mask's 12 slices (slices of the series there: 11)"),
    "file truncated": (_truncate, "pixels cannot be read, in {folder}/D0005.dcm: replace the file"),
    "file empty": (_empty, "DICOM file cannot be read (is empty), in {folder}/D0005.dcm"),
    "same image twice": (_copy_a_file, "2 files hold the same image"),
    "same position twice": (_same_position, "D0005.dcm and D0006.dcm lie at the same position"),
    "gap": (_leave_a_gap, "2.5 mm between D0004.dcm and D0005.dcm where 1.25 mm is usual (1 such place(s))"),
    "gantry tilt": (_tilt, "gantry tilt of 11.3 degrees"),
    "no position": (_without_position, "slice without position, orientation or pixel spacing"),
    "mask of other size": (
        _mask(Mask=np.ones((8, 9, SLICES))),
        "mask slices of 8 x 9 on image slices of 20 x 20 (rows x columns)",
    ),
    "empty mask of other size": (_mask(Mask=np.zeros((8, 9, SLICES))), "mask slices of 8 x 9"),
    "mask of three values": (
        _mask(Mask=np.random.default_rng(0).integers(0, 3, (ROWS, COLUMNS, SLICES)).astype(np.uint8)),
        "expected a mask of 0 and one other value",
    ),
    "mask with NaN": (_mask(Mask=np.full((ROWS, COLUMNS, SLICES), np.nan)), "not a whole number"),
    "mask of one slice": (_mask(Mask=np.ones((ROWS, COLUMNS))), "no three-dimensional array 'Mask' (there is: Mask"),
    "mask truncated": (_truncate_mask, "MATLAB file cannot be read"),
    "mask of version 7.3": (_mask_of_7_3, "MATLAB file of version 7.3, in {mask}: save it again in MATLAB"),
    "two unnamed arrays": (
        _mask(a=np.ones((ROWS, COLUMNS, SLICES)), b=np.ones((ROWS, COLUMNS, SLICES))),
        "no three-dimensional array 'Mask' (there is: a (20, 20, 12), b (20, 20, 12))",
    ),
    "no mask": (_no_mask, "no mask for this scan, in {folder}: add the mask or remove the scan"),
    "no scan": (_no_scan, "no scan for this mask, in {mask}: add the scan or remove the mask"),
    "path leaves the release": (_link_out, "path leaves the release's folder"),
}


@pytest.mark.parametrize("fault", BAD_INPUT)
def test_fault_of_one_case_is_one_line_and_the_others_are_converted(
    release: Path, convert: Callable[..., tuple], raw: Path, fault: str
) -> None:
    damage, line = BAD_INPUT[fault]
    for case in ("PAT001", "PAT002"):
        write_patient(release, case)
    damage(release)
    status, output, failed = convert()
    assert status == 1
    assert "cases: 1 of 1 patients" in output
    expected = line.format(folder=release / "CT_scans" / "PAT002", mask=release / "GroundTruth" / "PAT002.mat")
    assert len(failed) == 2, failed
    assert failed[0].startswith("failed: PAT002: ")
    assert expected in failed[0]
    assert failed[1].startswith("1 case(s) failed")
    # Nothing half-written, and what is there is a dataset.
    assert cases(raw) == ["PAT001"]
    assert [path.name for path in raw.rglob("*") if "PAT002" in path.name or path.name.startswith(".")] == []
    assert_on_the_clot(raw)
    assert_valid(raw)

    shutil.rmtree(release / "CT_scans" / "PAT002", ignore_errors=True)
    write_patient(release, "PAT002")
    status, output, failed = convert()
    assert (status, failed) == (0, [])
    assert "cases: 2 of 2 patients (1 were there already)" in output
    assert_on_the_clot(raw, "PAT002")


def test_same_scan_under_two_names_refuses_both(release: Path, convert: Callable[..., tuple], raw: Path) -> None:
    for case in ("PAT001", "PAT002"):
        write_patient(release, case)
    shutil.copytree(release / "CT_scans" / "PAT002", release / "CT_scans" / "PAT003")
    shutil.copy(release / "GroundTruth" / "PAT002.mat", release / "GroundTruth" / "PAT003.mat")
    status, _, failed = convert()
    assert status == 1
    assert cases(raw) == ["PAT001"]
    for case, line in zip(("PAT002", "PAT003"), failed, strict=False):
        place = release / "CT_scans" / case
        told = f"PAT002 and PAT003 hold the same DICOM images, in {place}: keep the right one of them"
        assert line == f"failed: {case}: {told}"


@pytest.mark.parametrize(
    ("folders", "mask"),
    [
        (("CT_scans", "GroundTruth"), "pat001.MAT"),
        (("ct_scans", "groundtruth"), "PAT001.mat"),
        (("CT_SCANS", "Groundtruth"), "Pat001.Mat"),
    ],
)
def test_upper_and_lower_case_of_names_do_not_matter(
    release: Path, convert: Callable[..., tuple], raw: Path, folders: tuple[str, str], mask: str
) -> None:
    write_patient(release)
    (release / "GroundTruth" / "PAT001.mat").rename(release / "GroundTruth" / mask)
    (release / "CT_scans").rename(release / folders[0])
    (release / "GroundTruth").rename(release / folders[1])
    status, _, failed = convert()
    assert (status, failed) == (0, [])
    assert cases(raw) == ["PAT001"]
    assert_on_the_clot(raw)


@pytest.mark.parametrize("name", ["pat001.nii.gz", "PAT001.NII.GZ"])
def test_upper_and_lower_case_of_nifti_names_do_not_matter(
    release: Path, convert: Callable[..., tuple], raw: Path, name: str
) -> None:
    write_nifti(release, "PAT001")
    (release / "labelsTr" / "PAT001.nii.gz").rename(release / "labelsTr" / name)
    (release / "labelsTr").rename(release / "labelstr")
    status, _, failed = convert()
    assert (status, failed) == (0, [])
    assert cases(raw) == ["PAT001"]


def _two_spellings_of_a_scan(release: Path) -> str:
    shutil.copytree(release / "CT_scans" / "PAT002", release / "CT_scans" / "pat002")
    return "2 scans of one patient: CT_scans/PAT002, CT_scans/pat002, in"


def _two_spellings_of_a_mask(release: Path) -> str:
    shutil.copy(release / "GroundTruth" / "PAT002.mat", release / "GroundTruth" / "PAT002.MAT")
    return "2 masks of one patient: GroundTruth/PAT002.MAT, GroundTruth/PAT002.mat, in"


@pytest.mark.parametrize("double", [_two_spellings_of_a_scan, _two_spellings_of_a_mask])
def test_two_scans_or_masks_of_one_patient_are_a_fault(
    release: Path, convert: Callable[..., tuple], raw: Path, double: Callable[[Path], str]
) -> None:
    for case in ("PAT001", "PAT002"):
        write_patient(release, case)
    told = double(release)
    # A decision about the patient is no mistake.
    status, _, failed = convert("--axes", "PAT002=yx")
    assert status == 1
    assert len(failed) == 2
    assert failed[0].startswith(f"failed: PAT002: {told}")
    assert cases(raw) == ["PAT001"]


@pytest.mark.parametrize(
    ("folder", "name", "told"),
    [
        ("imagesTr", "PAT002.nii.gz", "scans of one patient: imagesTr/PAT002.nii.gz, imagesTr/PAT002_0000.nii.gz, in"),
        (
            "imagesTr",
            "PAT002_0000.nii",
            "scans of one patient: imagesTr/PAT002_0000.nii, imagesTr/PAT002_0000.nii.gz, in",
        ),
        ("labelsTr", "PAT002.nii", "masks of one patient: labelsTr/PAT002.nii, labelsTr/PAT002.nii.gz, in"),
    ],
)
def test_two_nifti_files_of_one_patient_are_a_fault(
    release: Path, convert: Callable[..., tuple], raw: Path, folder: str, name: str, told: str
) -> None:
    for case in ("PAT001", "PAT002"):
        write_nifti(release, case)
    first = release / folder / ("PAT002_0000.nii.gz" if folder == "imagesTr" else "PAT002.nii.gz")
    sitk.WriteImage(sitk.ReadImage(str(first)), str(release / folder / name))
    status, _, failed = convert()
    assert status == 1
    assert len(failed) == 2
    assert failed[0].startswith(f"failed: PAT002: 2 {told}")
    assert failed[0].endswith("keep the right one")
    assert cases(raw) == ["PAT001"]


def test_two_folders_that_differ_in_case_alone_are_one_line(release: Path, convert: Callable[..., tuple]) -> None:
    write_patient(release)
    (release / "ct_scans").mkdir()
    status, _, failed = convert()
    assert status == 2
    assert failed == [
        f"error: CT_scans and ct_scans differ in upper and lower case alone, in {release}: keep the right one of them"
    ]


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"Mask": 255}, "mask holds 255 in place of 1"),
        ({"gt": 1}, "mask read from variable 'gt': there is none called 'Mask'"),
    ],
)
def test_variants_of_the_mask_file_are_taken_and_told(
    release: Path, convert: Callable[..., tuple], raw: Path, variables: dict[str, int], told: str
) -> None:
    mask = chest()[1][::-1].transpose(1, 2, 0)
    mat = {name: np.uint8(value) * mask for name, value in variables.items()} | {"author": "somebody"}
    write_patient(release, mat=mat)
    assert convert()[0] == 0
    assert_on_the_clot(raw)
    assert told in repairs(raw)


@pytest.mark.parametrize("dtype", [bool, np.float64])
def test_logical_and_double_masks_are_the_same(
    release: Path, convert: Callable[..., tuple], raw: Path, dtype: type
) -> None:
    write_patient(release, mat={"Mask": chest()[1][::-1].transpose(1, 2, 0).astype(dtype)})
    assert convert()[0] == 0
    assert_on_the_clot(raw)


def test_release_is_found_in_the_folder_below(release: Path, convert: Callable[..., tuple], raw: Path) -> None:
    write_patient(release)
    assert convert(source=release.parent)[0] == 0
    assert cases(raw) == ["PAT001"]


def write_nifti(release: Path, case: str, *, turned: bool = False, wrong: bool = False, suffix: str = "_0000") -> None:
    """A redistributed patient; ``turned`` stores sagittal slices, ``wrong`` has the label's slices reversed."""
    hu, clot = chest()
    for folder, name, array in (
        ("imagesTr", f"{case}{suffix}", hu.astype(np.int16)),
        ("labelsTr", case, clot[::-1] if wrong else clot),
    ):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((0.6, 0.7, 1.25))
        image.SetOrigin(FIRST_POSITION)
        (release / folder).mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.DICOMOrient(image, "PIR") if turned else image, str(release / folder / f"{name}.nii.gz"))


def test_nifti_redistribution_is_taken_turned_and_checked(
    release: Path, convert: Callable[..., tuple], raw: Path
) -> None:
    write_nifti(release, "PAT001")
    write_nifti(release, "PAT002", turned=True, suffix="")
    write_nifti(release, "PAT003", wrong=True)
    write_nifti(release, "PAT_0000_4")
    assert convert()[0] == 0
    assert cases(raw) == ["PAT001", "PAT002", "PAT003", "PAT_0000_4"]
    for case in cases(raw):
        assert_on_the_clot(raw, case)
        np.testing.assert_allclose(converted(raw, case)[2].GetOrigin(), FIRST_POSITION, atol=1e-4)
    assert repairs(raw, "PAT001") == ""
    assert "axes" in repairs(raw, "PAT002")
    assert "in the reverse order of the slices' positions" in repairs(raw, "PAT003")
    assert_valid(raw)


def test_decision_that_leaves_a_nifti_mask_as_it_is_against_the_hu_is_told(
    release: Path, convert: Callable[..., tuple], raw: Path
) -> None:
    write_nifti(release, "PAT001", wrong=True)
    assert convert("--order", "position", "--axes", "yx")[0] == 0
    np.testing.assert_array_equal(converted(raw)[1], chest()[1][::-1])
    assert "by the user's decision, against the HU under the mask" in repairs(raw)


def test_nifti_masks_have_no_order_of_dicom_files(release: Path, convert: Callable[..., tuple]) -> None:
    write_nifti(release, "PAT001")
    status, _, failed = convert("--order", "file")
    assert status == 1
    assert "this mask has no order 'file'" in failed[0]
    assert "choose one of position, reversed" in failed[0]


def test_nifti_image_without_label_is_a_fault_of_that_case(
    release: Path, convert: Callable[..., tuple], raw: Path
) -> None:
    for case in ("PAT001", "PAT002"):
        write_nifti(release, case)
    (release / "labelsTr" / "PAT002.nii.gz").unlink()
    status, _, failed = convert()
    assert status == 1
    assert failed[0].startswith("failed: PAT002: no mask for this scan")
    assert cases(raw) == ["PAT001"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--order", "sideways"], "error: --order sideways is unknown: choose one of file, position"),
        (["--axes", "PAT001=zyx"], "error: --axes PAT001=zyx is unknown: choose one of yx, xy"),
        (["--order", "PAT009=file"], "error: a decision about PAT009, which is no case of the release"),
    ],
)
def test_wrong_choices_are_one_line_with_status_2(
    release: Path, convert: Callable[..., tuple], options: list[str], line: str
) -> None:
    write_patient(release)
    status, _, failed = convert(*options)
    assert status == 2
    assert failed[0].startswith(line)
    assert len(failed) == 1


def test_folder_that_is_no_release_is_one_line(release: Path, convert: Callable[..., tuple]) -> None:
    (release / "CT_scans").mkdir(parents=True)
    status, _, failed = convert()
    assert status == 2
    assert "no FUMPE release(s) there" in failed[0]


def test_cases_are_converted_side_by_side(release: Path, convert: Callable[..., tuple], raw: Path) -> None:
    for case in ("PAT001", "PAT002"):
        write_patient(release, case)
    assert convert("--jobs", "2")[0] == 0
    for case in ("PAT001", "PAT002"):
        assert_on_the_clot(raw, case)
