"""The TI release end to end: files as the hospital has them in, an nnU-Net raw dataset out."""

import gzip
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
from numpy.typing import NDArray

from dataset_conversion.ti import TiRelease, main
from spd_bench.paths import DataFolders
from spd_bench.phantoms import make_phantom
from spd_bench.phantoms.ti_release import trace_voxels, write_ti_release
from spd_bench.planning.grid import points_on_slices, resize_masks
from spd_bench.prompts.points import read_prompts
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.raw.verify import verify_raw_dataset

# Voxels (i, j, k) as NIfTI stores them: columns, rows, slices; slices are not square, and tilted by 17 degrees.
SIZE = (24, 36, 10)
_TILT = np.array([[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)], [0, np.sin(0.3), np.cos(0.3)]])
AFFINE = np.eye(4)
AFFINE[:3, :3] = _TILT @ np.diag([-2.0, -1.5, 5.0])
AFFINE[:3, 3] = (30.0, 21.0, -15.0)
# The TI runs near a corner of its slices, from abnormal (1) into normal (2); the trace goes on through the colon (3).
TI_COURSE = np.array([(19, 6, 2), (19, 7, 2), (18, 8, 3), (17, 8, 3)])
COLON_COURSE = np.array([(6, y, z) for z, y in zip(np.repeat((4, 5, 6, 7), 4), range(12, 28), strict=True)])
TRACE = np.concatenate([TI_COURSE, COLON_COURSE])
BRIGHT = 900

Array = NDArray[Any]
Run = Callable[..., tuple[int, str]]


def segmentation() -> NDArray[np.uint8]:
    voxels = np.zeros(SIZE, dtype=np.uint8)
    for value, course in ((3, COLON_COURSE), (1, TI_COURSE[:2]), (2, TI_COURSE[2:])):
        for x, y, z in course:
            voxels[x - 1 : x + 2, y - 1 : y + 2, z] = value
    voxels[0, :6, 0], voxels[0, :6, 1], voxels[0, :6, 2] = 4, 5, 6
    return voxels


def image_of(segmented: NDArray[np.uint8]) -> NDArray[np.int16]:
    noise = np.random.default_rng(0).normal(100, 10, segmented.shape)
    return np.where(np.isin(segmented, (1, 2)), BRIGHT, noise).astype(np.int16)


def snt_xml(points: Sequence[Sequence[int]], *, size: Sequence[int] = SIZE) -> bytes:
    """The file of Simple Neurite Tracer 4.3, written out by hand."""
    points = "\n".join(
        f'<point x="{x}" y="{y}" z="{z}" xd="{x * 2.0}" yd="{y * 1.5}" zd="{z * 5.0}"/>' for x, y, z in points
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tracings [
  <!ELEMENT tracings (samplespacing,imagesize,path*)>
  <!ATTLIST path id CDATA #REQUIRED>
]>
<tracings>
  <samplespacing x="2.0" y="1.5" z="5.0" units="mm"/>
  <imagesize width="{size[0]}" height="{size[1]}" depth="{size[2]}"/>
  <path id="0" swctype="0" color="#ff00ff" name="Abnormal" reallength="120.5">
{points}
  </path>
</tracings>
""".encode()


def save(path: Path, voxels: NDArray[np.generic], affine: NDArray[np.float64] = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def write_case(folder: Path, patient: str = "A1", *, trace: Sequence[Sequence[int]] = TRACE) -> tuple[Path, Path, Path]:
    """Image, segmentation and trace of one axial case in the plainest spelling."""
    segmented = segmentation()
    image = save(folder / f"{patient} Axial T2.nii.gz", image_of(segmented))
    label = save(folder / f"{patient} Axial T2 seg.nii.gz", segmented)
    file = folder / f"{patient} axial HASTE tracings"
    file.write_bytes(gzip.compress(snt_xml(trace)))
    return image, label, file


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    folder.mkdir()
    return folder


@pytest.fixture
def run(source: Path, own_folders: DataFolders, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command on ``source``: exit status, and what it says on standard error without the bar."""

    def call(*options: str) -> tuple[int, str]:
        status = main([str(source), *options])
        lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
        return status, "\n".join(line for line in lines if line and not line.startswith("converting:"))

    return call


@pytest.fixture
def raw(own_folders: DataFolders) -> Path:
    return own_folders.raw / "Dataset501_TI"


def converted(raw: Path, case: str = "A1_axial") -> tuple[Array, Array, Array, Array]:
    """Image and label (i, j, k), the image's affine, and the points in mm (RAS)."""
    image, label = nib.load(raw / f"imagesTr/{case}_0000.nii.gz"), nib.load(raw / f"labelsTr/{case}.nii.gz")
    np.testing.assert_allclose(image.affine, label.affine, atol=1e-5)
    points = read_prompts(raw / f"promptsTr/{case}.mrk.json").positions * (-1, -1, 1)
    return np.asarray(image.dataobj), np.asarray(label.dataobj), image.affine, points


def cases_in(raw: Path) -> list[str]:
    return [path.name.removesuffix(".nii.gz") for path in sorted((raw / "labelsTr").iterdir())]


def test_mask_lies_on_the_bright_voxels_and_points_where_they_were_traced(source: Path, run: Run, raw: Path) -> None:
    write_case(source)
    assert run() == (0, "")
    image, label, affine, points = converted(raw)
    np.testing.assert_array_equal(label, np.isin(segmentation(), (1, 2)))
    assert image[label == 1].min() == BRIGHT > image[label == 0].max()
    np.testing.assert_allclose(affine, AFFINE, atol=1e-4)
    # ceil(0.2 * 20) of the trace are the TI's four.
    np.testing.assert_allclose(points, nib.affines.apply_affine(AFFINE, TI_COURSE), atol=1e-4)


def test_points_lie_in_the_resized_mask_of_slices_that_are_not_square(source: Path, run: Run, raw: Path) -> None:
    write_case(source)
    run()
    _, label, affine, points = converted(raw)
    voxels = np.rint(nib.affines.apply_affine(np.linalg.inv(affine), points)).astype(int)[:, ::-1]
    label = label.T
    pixels = points_on_slices(voxels, shape=label.shape, transpose=(0, 1, 2), resolution=64)
    masks = resize_masks(label, (64, 64))
    inside = [masks[number, y, x] for number, found in enumerate(pixels) for x, y in found]
    assert inside == [1, 1, 1, 1]


def test_phantoms_written_as_a_release_come_back_unchanged(source: Path, run: Run, raw: Path) -> None:
    phantoms = [make_phantom("TI", seed=3, case_number=number, size=64, slices=10) for number in range(4)]
    patients = write_ti_release(source, phantoms)
    assert run() == (0, "")
    for patient, phantom in zip(patients, phantoms, strict=True):
        image, label, affine, points = converted(raw, f"{patient}_axial")
        np.testing.assert_array_equal(label.T, phantom.label)
        np.testing.assert_array_equal(image.T, phantom.image)
        voxels = nib.affines.apply_affine(np.linalg.inv(affine), points)[:, ::-1]
        traced = trace_voxels(phantom)
        taken = traced[: int(np.ceil(0.2 * len(traced)))]
        exact = phantom.geometry.lps_to_voxel(phantom.trace)
        exact = exact[phantom.geometry.contains(np.rint(exact))][: len(taken)]
        assert voxels.shape == exact.shape
        assert np.abs(voxels - exact).max() <= 0.5 + 1e-4
    verify_dataset_integrity(str(raw), 1)
    verify_raw_dataset(read_raw_dataset(raw), target_labels=[1])


@pytest.mark.parametrize("axes", [(2, 0, 1), (1, 2, 0)])
def test_a_trace_follows_slices_that_are_brought_to_the_front(
    source: Path, run: Run, raw: Path, axes: tuple[int, int, int]
) -> None:
    segmented = segmentation().transpose(axes)
    affine = AFFINE.copy()
    affine[:, :3] = AFFINE[:, axes]
    save(source / "A1 Axial T2.nii.gz", image_of(segmented), affine)
    save(source / "A1 Axial T2 seg.nii.gz", segmented, affine)
    trace = snt_xml(TRACE[:, axes], size=segmented.shape)
    (source / "A1 axial tracings").write_bytes(trace)
    assert run() == (0, "")
    image, label, affine, points = converted(raw)
    assert image.shape[2] == SIZE[2]
    assert label.sum() == np.isin(segmented, (1, 2)).sum()
    assert image[label == 1].min() == BRIGHT > image[label == 0].max()
    np.testing.assert_allclose(points, nib.affines.apply_affine(AFFINE, TI_COURSE), atol=1e-4)
    voxels = np.rint(nib.affines.apply_affine(np.linalg.inv(affine), points)).astype(int)
    assert label[tuple(voxels.T)].tolist() == [1, 1, 1, 1]
    assert "reordered to LPS" in (raw / "conversion/A1_axial.json").read_text()


def test_coronal_cases_are_a_set_of_their_own(source: Path, run: Run, raw: Path) -> None:
    write_case(source)
    coronal = AFFINE.copy()
    coronal[:3, :3] = np.array([[-2.0, 0, 0], [0, 0, 5.0], [0, -1.5, 0]])
    save(source / "A1 Coronal T2.nii.gz", image_of(segmentation()), coronal)
    save(source / "A1 cor seg.nii.gz", segmentation(), coronal)
    (source / "A1 coronal tracings").write_bytes(snt_xml(TRACE))
    assert run("--plane", "coronal") == (0, "")
    assert cases_in(raw) == ["A1_coronal"]
    image, _, _, points = converted(raw, "A1_coronal")
    assert image.shape == SIZE
    np.testing.assert_allclose(points, nib.affines.apply_affine(coronal, TI_COURSE), atol=1e-4)


@pytest.mark.parametrize(("share", "count"), [("0.2", 4), ("0.21", 5), ("1.0", 20), ("0.01", 1)])
def test_share_of_the_trace_is_a_switch(source: Path, run: Run, raw: Path, share: str, count: int) -> None:
    write_case(source)
    assert run("--share", share) == (0, "")
    assert len(converted(raw)[3]) == count


@pytest.mark.parametrize("name", ["A1 axial HASTE tracings", "A1 axial.traces", "a01_ax tracings.xml"])
@pytest.mark.parametrize("compress", [gzip.compress, bytes])
def test_traces_gzip_or_plain_with_any_suffix(
    source: Path, run: Run, raw: Path, name: str, compress: Callable[[bytes], bytes]
) -> None:
    _, _, trace = write_case(source)
    trace.unlink()
    (source / name).write_bytes(compress(snt_xml(TRACE)))
    assert run() == (0, "")
    np.testing.assert_allclose(converted(raw)[3], nib.affines.apply_affine(AFFINE, TI_COURSE), atol=1e-4)


def test_share_is_taken_of_each_path(source: Path, run: Run, raw: Path) -> None:
    _, _, trace = write_case(source)
    second = b'<path id="1" name="colon"><point x="6" y="12" z="4"/><point x="6" y="13" z="4"/></path>'
    trace.write_bytes(snt_xml(TRACE).replace(b"</tracings>", second + b'<path id="2" name="empty"/></tracings>'))
    assert run() == (0, "")
    expected = nib.affines.apply_affine(AFFINE, [*TI_COURSE, (6, 12, 4)])
    np.testing.assert_allclose(converted(raw)[3], expected, atol=1e-4)
    assert "trace in several paths" in (raw / "conversion/A1_axial.json").read_text()


def write_csv(folder: Path, *, size: Sequence[int] = SIZE) -> None:
    rows = [f"{x},{y},{z},{x * 2.0},{y * 1.5},{z * 5.0}" for x, y, z in TRACE]
    (folder / "A1 axial tracings.csv").write_text("\n".join(["x,y,z,xd,yd,zd", *rows]))
    (folder / "A1 axial tracings_meta.txt").write_text(f"2.0,1.5,5.0,{size[0]},{size[1]},{size[2]}\n")


def write_text_lines(folder: Path) -> None:
    (folder / "A1 axial.txt").write_text("\n".join(f"{z} {y} {x}" for x, y, z in TRACE))


@pytest.mark.parametrize("write", [write_csv, write_text_lines])
def test_tables_of_a_trace(source: Path, run: Run, raw: Path, write: Callable[[Path], None]) -> None:
    _, _, trace = write_case(source)
    trace.unlink()
    write(source)
    assert run() == (0, "")
    np.testing.assert_allclose(converted(raw)[3], nib.affines.apply_affine(AFFINE, TI_COURSE), atol=1e-4)


def test_the_tracers_own_file_comes_before_tables_derived_from_it(source: Path, run: Run, raw: Path) -> None:
    write_case(source)
    write_csv(source)
    write_text_lines(source)
    assert run() == (0, "")
    assert read_prompts(raw / "promptsTr/A1_axial.mrk.json").provenance["source"] == "A1 axial HASTE tracings"
    assert "more than one format" in (raw / "conversion/A1_axial.json").read_text()


def test_folders_of_a_dataset_inside_the_release_are_not_part_of_it(
    source: Path, run: Run, raw: Path, own_folders: DataFolders
) -> None:
    write_case(source)
    run()
    shutil.copytree(raw, source / "raw" / raw.name)
    assert run() == (0, "")
    assert cases_in(raw) == ["A1_axial"]


def test_simulated_prompts_need_no_trace(source: Path, run: Run, raw: Path) -> None:
    write_case(source, "A1")
    _, _, trace = write_case(source, "I2")
    trace.unlink()
    assert run("--prompts", "simulated") == (0, "")
    assert cases_in(raw) == ["A1_axial", "I2_axial"]
    assert not (raw / "promptsTr").exists()


def test_unlabelled_images_can_be_passed_over(
    source: Path, run: Run, raw: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_case(source, "A1")
    for file in write_case(source, "A2")[1:]:
        file.unlink()
    status, errors = run()
    assert status == 1
    assert "failed: A2_axial: no segmentation" in errors
    assert run("--skip-unlabelled")[0] == 0
    assert "1 axial image(s) without a segmentation passed over" in caplog.text


def test_an_empty_segmentation_keeps_its_trace_and_says_what_was_not_checked(
    source: Path, run: Run, raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, label, trace = write_case(source)
    save(label, np.where(segmentation() > 2, 3, 0).astype(np.uint8))
    trace.write_bytes(snt_xml(TRACE))
    assert run()[0] == 0
    _, target, _, points = converted(raw)
    assert not target.any()
    assert len(points) == 4
    assert "nothing to check the trace against" in (raw / "conversion/A1_axial.json").read_text()


def drawn_flipped(axis: int) -> NDArray[np.int64]:
    flipped = TRACE.copy()
    flipped[:, axis] = SIZE[axis] - 1 - flipped[:, axis]
    return flipped


@pytest.mark.parametrize(("axis", "name"), [(0, "x"), (1, "y"), (2, "z")])
def test_a_flipped_trace_is_refused_and_the_switch_flips_it_back(
    source: Path, run: Run, raw: Path, axis: int, name: str
) -> None:
    write_case(source, "A1", trace=drawn_flipped(axis))
    write_case(source, "A2")
    status, errors = run()
    assert status == 1
    assert (
        f"A1_axial: only 0% of the trace's points lie in the segmented TI; flipped along {name} it would be 100%"
        in errors
    )
    assert f"give --flip-trace {name}" in errors
    assert cases_in(raw) == ["A2_axial"]
    shutil.rmtree(raw)
    assert run("--flip-trace", name) == (0, "")
    for case in ("A1_axial", "A2_axial"):
        np.testing.assert_allclose(converted(raw, case)[3], nib.affines.apply_affine(AFFINE, TI_COURSE), atol=1e-4)
    assert f"trace flipped along {name}, as asked for" in (raw / "conversion/A1_axial.json").read_text()
    assert f"not flipped along {name}" in (raw / "conversion/A2_axial.json").read_text()


# In the middle of the columns: mirrored along x it crosses itself, and lies within 10 mm of itself throughout.
NEAR_THE_MIDLINE = np.array([(x, 6 + row, 4) for row, x in enumerate((10, 10, 11, 11, 12, 12, 13, 13, 14, 14))])
MIRRORED = NEAR_THE_MIDLINE * (-1, 1, 1) + (SIZE[0] - 1, 0, 0)


def write_near_the_midline(folder: Path, patient: str, *, trace: NDArray[np.int64]) -> None:
    _, label, file = write_case(folder, patient)
    segmented = np.zeros(SIZE, dtype=np.uint8)
    segmented[tuple(NEAR_THE_MIDLINE.T)] = 1
    save(label, segmented)
    file.write_bytes(snt_xml(trace))


def test_near_the_midline_a_mirrored_trace_is_refused_and_a_right_one_never_flipped(
    source: Path, run: Run, raw: Path
) -> None:
    write_near_the_midline(source, "A1", trace=MIRRORED)
    write_near_the_midline(source, "A2", trace=NEAR_THE_MIDLINE)
    status, errors = run("--share", "1")
    assert status == 1
    assert "A1_axial: only 0% of the trace's points lie in the segmented TI; flipped along x" in errors
    assert cases_in(raw) == ["A2_axial"]
    shutil.rmtree(raw)
    assert run("--share", "1", "--flip-trace", "x") == (0, "")
    for case in ("A1_axial", "A2_axial"):
        np.testing.assert_allclose(
            converted(raw, case)[3], nib.affines.apply_affine(AFFINE, NEAR_THE_MIDLINE), atol=1e-4
        )
    assert "not flipped along x: it fits the segmentation better" in (raw / "conversion/A2_axial.json").read_text()


def test_a_flip_that_fits_little_better_is_noted(source: Path, run: Run, raw: Path) -> None:
    # 4 of 9 points lie inside as they are, 5 of 9 flipped.
    twice = np.concatenate([MIRRORED[:5], NEAR_THE_MIDLINE[:4]])
    write_near_the_midline(source, "A1", trace=twice)
    assert run("--share", "1") == (0, "")
    assert "flipped along x the trace would have more points" in (raw / "conversion/A1_axial.json").read_text()
    shutil.rmtree(raw)
    assert run("--share", "1", "--flip-trace", "x") == (0, "")
    np.testing.assert_allclose(
        converted(raw)[3], nib.affines.apply_affine(AFFINE, twice * (-1, 1, 1) + (SIZE[0] - 1, 0, 0)), atol=1e-4
    )
    assert "about as well flipped along x and not" in (raw / "conversion/A1_axial.json").read_text()


def test_a_trace_that_fits_in_no_way_is_kept_and_noted(source: Path, run: Run, raw: Path) -> None:
    write_case(source, trace=[(12, 18, 5)] * 10)
    assert run() == (0, "")
    assert "fewer than 10 % of the trace's points" in (raw / "conversion/A1_axial.json").read_text()


def test_points_outside_the_image_are_left_out_when_they_are_few(source: Path, run: Run, raw: Path) -> None:
    write_case(source, trace=[*TI_COURSE, (24, 6, 2)])
    assert run("--share", "1") == (0, "")
    np.testing.assert_allclose(converted(raw)[3], nib.affines.apply_affine(AFFINE, TI_COURSE), atol=1e-4)
    assert "outside the image left out" in (raw / "conversion/A1_axial.json").read_text()


def truncated(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    paths[0].write_bytes(paths[0].read_bytes()[:2000])


def empty_image(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    paths[0].write_bytes(b"")


def not_a_volume(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    paths[1].write_bytes(b"a word document, renamed")


def truncated_trace(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    paths[2].write_bytes(paths[2].read_bytes()[:80])


def empty_trace(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    paths[2].write_bytes(gzip.compress(snt_xml([])))


def wrong_suffix(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    paths[0].rename(folder / "A1 Axial T2.dcm")


def only_postcon(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    paths[0].rename(folder / "A1 Axial Postcon.nii.gz")


def without_segmentation(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    paths[1].unlink()


def without_trace(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    paths[2].unlink()


def two_images(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    save(folder / "more/a01 T2 Ax.nii", image_of(segmentation()))


def two_segmentations(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    save(folder / "A01 axial mask.nii", segmentation())


def two_traces(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    shutil.copy(paths[2], folder / "A1 axial tracings 2")


def another_patients_folder(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    (folder / "A7").mkdir()
    paths[1].rename(folder / "A7" / paths[1].name)


def label_seven(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    save(paths[1], np.where(segmentation() == 4, 7, segmentation()).astype(np.uint8))


def fractional_label(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    save(paths[1], segmentation().astype(np.float32) / 2)


def nan_in_the_image(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    save(paths[0], np.where(segmentation() == 1, np.nan, 1.0).astype(np.float32))


def other_spacing(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    save(paths[1], segmentation(), AFFINE @ np.diag([1, 1, 1.2, 1]))


def other_size(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    save(paths[1], segmentation()[:-1])


def traced_on_another_image(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    paths[2].write_bytes(snt_xml(TRACE, size=(36, 24, 10)))


def table_of_another_image(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    paths[2].unlink()
    write_csv(folder, size=(36, 24, 10))


def broken_description(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    paths[2].unlink()
    write_csv(folder)
    (folder / "A1 axial tracings_meta.txt").write_text("2.0,1.5,5.0\n")


def mostly_outside(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    paths[2].write_bytes(snt_xml([(19, 6, 2), (19, 6, 12), (19, 6, 13)] * 5))


def mask_of_points(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    paths[2].unlink()
    save(folder / "centreline/A1 axial.nii.gz", (segmentation() == 1).astype(np.uint8))


def coronal_by_its_header(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    affine = AFFINE.copy()
    affine[:3, :3] = np.array([[-2.0, 0, 0], [0, 0, 5.0], [0, -1.5, 0]])
    for path in paths[:2]:
        save(path, np.asarray(nib.load(path).dataobj), affine)


def link_out_of_the_release(folder: Path, paths: tuple[Path, Path, Path]) -> None:
    elsewhere = folder.parent / "elsewhere.nii.gz"
    paths[0].rename(elsewhere)
    paths[0].symlink_to(elsewhere)


FAULTS = {
    truncated: "image cannot be read",
    empty_image: "image cannot be read",
    not_a_volume: "image cannot be read",
    truncated_trace: "file cannot be read",
    empty_trace: "no points",
    wrong_suffix: "no T2 image (not taken, by series or suffix: A1 Axial T2.dcm)",
    only_postcon: "no T2 image (not taken, by series or suffix: A1 Axial Postcon.nii.gz)",
    without_segmentation: "no segmentation, in",
    without_trace: "--prompts simulated",
    two_images: "2 files could be its T2 image: A1 Axial T2.nii.gz, more/a01 T2 Ax.nii",
    two_segmentations: "2 files could be its segmentation: A01 axial mask.nii, A1 Axial T2 seg.nii.gz",
    two_traces: "2 files could be its centreline",
    another_patients_folder: "a file of patient A1 lies in the folder of patient A7",
    label_seven: "label value(s) 7 are not in",
    fractional_label: "not a whole number",
    nan_in_the_image: "NaN",
    other_spacing: "not on the grid of its image: spacing",
    other_size: "not on the grid of its image: shape",
    traced_on_another_image: "traced on an image of 36 x 24 x 10 voxels, the given one has 24 x 36 x 10",
    table_of_another_image: "traced on an image of 36 x 24 x 10 voxels, the given one has 24 x 36 x 10",
    broken_description: "not a line of six numbers",
    mostly_outside: "2 of 3 points of the trace lie outside the image",
    mask_of_points: "a mask of points has no order",
    coronal_by_its_header: "named axial, but its slices (5 mm thick) run front to back",
    link_out_of_the_release: "path leaves the release's folder",
}


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: spoil.__name__)
def test_a_fault_costs_one_case_and_is_told_in_one_line(
    source: Path, run: Run, raw: Path, spoil: Callable[..., None]
) -> None:
    paths = write_case(source, "A1")
    write_case(source, "A2")
    spoil(source, paths)
    status, errors = run()
    assert status == 1
    first, summary = errors.splitlines()
    assert first.startswith("failed: A1_axial: ")
    assert FAULTS[spoil] in first
    assert "unexpected" not in first
    assert summary.startswith("1 case(s) failed")
    assert cases_in(raw) == ["A2_axial"]
    assert not [path for path in raw.rglob("*") if "A1" in path.name or path.name.startswith(".part")]
    verify_raw_dataset(read_raw_dataset(raw), target_labels=[1])


def test_a_corrected_release_converts_the_rest_only(
    source: Path, run: Run, raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(source, "A2")
    image, _, _ = write_case(source, "A1")
    image.write_bytes(b"")
    assert run()[0] == 1
    before = (raw / "imagesTr/A2_axial_0000.nii.gz").stat().st_mtime_ns
    write_case(source, "A1")
    main([str(source)])
    assert "2 of 2 patients (1 were there already)" in capsys.readouterr().out
    assert (raw / "imagesTr/A2_axial_0000.nii.gz").stat().st_mtime_ns == before
    assert cases_in(raw) == ["A1_axial", "A2_axial"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("B7 Axial T2.nii.gz", "says no patient (A1... or I1...)"), ("A7 T2.nii.gz", "says no plane (axial)")],
)
def test_a_volume_whose_name_does_not_tell_its_case_is_reported(
    source: Path, run: Run, raw: Path, name: str, expected: str
) -> None:
    write_case(source)
    save(source / name, image_of(segmentation()))
    status, errors = run()
    assert status == 1
    assert expected in errors
    assert name in errors
    assert cases_in(raw) == ["A1_axial"]


def test_case_ids_come_without_a_channel_number_in_the_files_name(source: Path, run: Run, raw: Path) -> None:
    image, _, _ = write_case(source)
    image.rename(source / "A1 Axial T2_0000.nii.gz")
    assert run() == (0, "")
    assert cases_in(raw) == ["A1_axial"]


def test_a_folder_without_cases_is_an_error(source: Path, run: Run) -> None:
    (source / "readme.txt").write_text("nothing here")
    status, errors = run()
    assert status == 2
    assert errors.startswith("error: no case found")


@pytest.mark.parametrize("share", ["0", "1.5", "nan", "x"])
def test_a_share_out_of_range_is_an_error(source: Path, run: Run, share: str) -> None:
    with pytest.raises(SystemExit) as left:
        run("--share", share)
    assert left.value.code == 2


def test_other_choices_do_not_mix_with_what_is_there(source: Path, run: Run, raw: Path) -> None:
    write_case(source)
    run()
    status, errors = run("--share", "0.4")
    assert status == 2
    assert errors.count("\n") == 0
    assert len(converted(raw)[3]) == 4


@pytest.mark.parametrize(("name", "value"), [("plane", "sagittal"), ("share", 0.0), ("prompts", "none"), ("flip", "i")])
def test_settings_are_checked(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        TiRelease(**{name: value})
