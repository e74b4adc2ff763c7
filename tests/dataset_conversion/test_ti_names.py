from pathlib import PurePosixPath

import pytest

from dataset_conversion.ti_names import TiName, read_name


def named(path: str) -> TiName:
    return read_name(PurePosixPath(path))


@pytest.mark.parametrize(
    "path",
    [
        "A1 Axial T2.nii.gz",
        "A1 Axial T2.nii",
        "A1 T2 Ax.nii.gz",
        "A1 axial HASTE.nii",
        "A1_axial-T2.nii",
        "a1  AXIAL   t2.NII.GZ",
        "A01AxialT2.nii.gz",
        "A001_AxT2.nii.gz",
        "A 1 axial T2.nii",
        "A1/Axial T2.nii.gz",
        "abnormal/A1/T2/axial.nii.gz",
        "axial/img/A1 axial.nii.gz",
        "axial/img/A1.nii.gz",
        "A1 axial.nii.gz",
        "A1 axial T2_0000.nii.gz",
        "A1 to A50/A1 transverse HASTE.nii.gz",
        "Axial T2 and postcon/A1 Axial T2.nii.gz",
    ],
)
def test_spellings_of_an_axial_t2_image(path: str) -> None:
    name = named(path)
    assert (name.role, name.case, name.misplaced_in) == ("image", "A1_axial", None)
    assert name.series in ("t2", None)


@pytest.mark.parametrize(
    "path",
    [
        "A1 Axial Postcon.nii.gz",
        "A1 axial post contrast T2.nii",
        "A1_ax_T1.nii",
        "A1 axial DWI.nii.gz",
        "Postcon/A1 axial.nii.gz",
        "A1 Axial Postcon seg.nii.gz",
        "A1 axial survey.nii.gz",
    ],
)
def test_other_series_are_never_t2(path: str) -> None:
    assert named(path).series == "other"


@pytest.mark.parametrize(
    "path",
    [
        "A1 Axial T2 seg.nii.gz",
        "A1 Axial T2_Segmentation.nii",
        "A1 axial mask.nii.gz",
        "A1 axial TI label.nii.gz",
        "axial/seg/A1 axial.nii.gz",
        "Segmentations/A1 Axial T2.nii.gz",
        "labels/axial/A1.nii.gz",
    ],
)
def test_segmentations_by_name_or_folder(path: str) -> None:
    name = named(path)
    assert (name.role, name.case) == ("label", "A1_axial")
    assert name.series != "other"


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("A1 axial HASTE tracings", "tracings"),
        ("a1_Axial_haste_Tracings.traces", "tracings"),
        ("A1 axial.traces", "tracings"),
        ("A1 axial tracings.xml", "tracings"),
        ("A1 axial tracings.gz", "tracings"),
        ("axial/centreline/A1 axial", "tracings"),
        ("A1 axial HASTE tracings.csv", "csv"),
        ("A1 axial.txt", "text"),
        ("centerlines/A1 axial.mrk.json", "markups"),
        ("axial/centreline/A1 axial.nii.gz", "nifti"),
    ],
)
def test_traces_and_their_formats(path: str, form: str) -> None:
    name = named(path)
    assert (name.role, name.trace_form, name.case) == ("trace", form, "A1_axial")


@pytest.mark.parametrize(
    "path", ["A1 axial report.txt", "seg/A1 axial.txt", "A1 axial", "A1 axial T2.zip", "A1 axial screenshot.png"]
)
def test_files_that_are_no_part_of_a_case(path: str) -> None:
    assert named(path).role is None


def test_a_traces_description_is_told_from_a_trace() -> None:
    assert named("A1 axial HASTE tracings_meta.txt").role == "meta"


@pytest.mark.parametrize(
    ("path", "patient", "plane"),
    [
        ("I12 Coronal T2.nii.gz", "I12", "coronal"),
        ("I012 T2 cor.nii.gz", "I12", "coronal"),
        ("A3 sag T2.nii", "A3", "sagittal"),
        ("coronal/img/A3 axial.nii.gz", "A3", "axial"),
        ("B7 Axial T2.nii.gz", None, "axial"),
        ("MRI2 axial.nii.gz", None, "axial"),
        ("A1 A2 axial.nii.gz", None, "axial"),
        ("A3 T2.nii", "A3", None),
        ("A3 axial coronal T2.nii", "A3", None),
    ],
)
def test_patient_and_plane(path: str, patient: str | None, plane: str | None) -> None:
    name = named(path)
    assert (name.patient, name.plane) == (patient, plane)


def test_a_file_in_another_patients_folder_says_so() -> None:
    assert named("A2/A1 Axial T2.nii").misplaced_in == "A2"
    assert named("A01/a1 Axial T2.nii").misplaced_in is None
