from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from medpy.metric import dc
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from spd_bench.errors import InputError
from spd_bench.paths import DataFolders
from spd_bench.planning.grid import masks_on_own_grid
from spd_bench.planning.plan import Plan
from spd_bench.planning.prepare import plan_and_preprocess
from spd_bench.planning.settings import PlanSettings
from spd_bench.prediction.folder import CaseFiles, find_cases, predict_cases
from spd_bench.prediction.volume import (
    MASK_ONLY,
    ExtraOutputs,
    Prediction,
    PromptedVolume,
    VolumePredictor,
)
from spd_bench.prompts.points import read_prompts
from spd_bench.raw.volumes import read_geometry, read_volume

TINY = "Dataset901_Tiny"


def _cases(images: Path, *, channels: int = 1) -> list[CaseFiles]:
    return find_cases(images, images.with_name("promptsTr"), channels=channels, file_ending=".nii.gz")


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# Writing predictions


def test_masks_lie_where_their_images_lie(bright_pixels: VolumePredictor, images: Path, tmp_path: Path) -> None:
    predict_cases(_cases(images), bright_pixels, output=tmp_path / "out", file_ending=".nii.gz")
    assert _files(tmp_path / "out") == ["case_0.nii.gz", "case_1.nii.gz"]
    for case in ("case_0", "case_1"):
        mask = nib.load(tmp_path / "out" / f"{case}.nii.gz")
        image = nib.load(images / f"{case}_0000.nii.gz")
        assert mask.shape == image.shape
        np.testing.assert_allclose(mask.affine, image.affine, atol=1e-6)
        voxels = np.asarray(mask.dataobj)
        assert voxels.dtype == np.uint8
        assert set(np.unique(voxels)) == {0, 1}


def test_predictions_find_their_target_without_any_label_on_disk(
    bright_pixels: VolumePredictor, images: Path, tmp_path: Path, tiny_raw: Path
) -> None:
    predict_cases(_cases(images), bright_pixels, output=tmp_path / "out", file_ending=".nii.gz")
    for case in ("case_0", "case_1"):
        reference, _ = read_volume(tiny_raw / TINY / "labelsTr" / f"{case}.nii.gz")
        prediction, _ = read_volume(tmp_path / "out" / f"{case}.nii.gz")
        assert dc(prediction, reference) > 0.9


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (MASK_ONLY, []),
        (ExtraOutputs(saliency=True), ["saliency/case_0.nii.gz", "saliency/case_1.nii.gz"]),
        (ExtraOutputs(prompts=True), ["prompts/case_0.mrk.json", "prompts/case_1.mrk.json"]),
    ],
)
def test_extra_outputs_are_written_where_asked_for(
    bright_pixels: VolumePredictor, images: Path, tmp_path: Path, extra: ExtraOutputs, expected: list[str]
) -> None:
    output = tmp_path / "out"
    predict_cases(_cases(images), bright_pixels, output=output, file_ending=".nii.gz", extra=extra)
    assert _files(output) == sorted(["case_0.nii.gz", "case_1.nii.gz", *expected])
    if extra.saliency:
        saliency, geometry = read_volume(output / "saliency" / "case_0.nii.gz")
        assert set(np.unique(saliency)) == {0.0, 0.5}
        assert geometry.difference_to(read_geometry(images / "case_0_0000.nii.gz")) is None
    if extra.prompts:
        given = read_prompts(images.with_name("promptsTr") / "case_0.mrk.json")
        np.testing.assert_allclose(read_prompts(output / "prompts" / "case_0.mrk.json").positions, given.positions)


def test_methods_without_extras_write_none(point_counter: VolumePredictor, images: Path, tmp_path: Path) -> None:
    extra = ExtraOutputs(saliency=True, prompts=True)
    predict_cases(_cases(images), point_counter, output=tmp_path / "out", file_ending=".nii.gz", extra=extra)
    assert _files(tmp_path / "out") == ["case_0.nii.gz", "case_1.nii.gz"]


def test_a_case_that_fails_leaves_no_file_of_its_own(
    point_counter: VolumePredictor, images: Path, tmp_path: Path
) -> None:
    (images.with_name("promptsTr") / "case_1.mrk.json").write_text("{}")
    with pytest.raises(InputError, match=r"case_1\.mrk\.json"):
        predict_cases(_cases(images), point_counter, output=tmp_path / "out", file_ending=".nii.gz")
    assert _files(tmp_path / "out") == ["case_0.nii.gz"]


# The whole way there and back, through a plan whose slices run along the last axis


class Preprocessed:
    """Answers with the preprocessed mask, as logits: what a perfect network would say."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        folder = self._plan.folder / f"SPDPlans_{self._plan.configuration}"
        _, mask, _, _ = nnUNetDatasetBlosc2(str(folder), [volume.case]).load_case(volume.case)
        logits = np.asarray(mask[0]) * 20.0 - 10.0
        return Prediction(
            mask=masks_on_own_grid(logits, shape=volume.geometry.shape, transpose=self._plan.transpose),
            points=volume.points(),
        )


@pytest.mark.parametrize(
    ("shape", "spacing", "transpose"),
    [
        ((6, 24, 20), (5.0, 1.0, 1.5), (0, 1, 2)),
        ((24, 20, 6), (1.0, 1.5, 5.0), (2, 0, 1)),
        ((15, 7, 16), (1, 4, 1), (1, 0, 2)),
    ],
)
def test_a_perfect_network_gives_the_label_back(
    own_folders: DataFolders,
    make_tiny_dataset: Callable[..., Path],
    fingerprint_in_threads: None,
    tmp_path: Path,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    transpose: tuple[int, ...],
) -> None:
    raw = make_tiny_dataset(own_folders.raw, shape=shape, spacing=spacing, cases=4)
    plan = plan_and_preprocess(TINY, folders=own_folders, settings=PlanSettings(resolution=32, context=1, folds=3))
    assert plan.transpose == transpose
    cases = find_cases(raw / "imagesTr", raw / "promptsTr", channels=1, file_ending=".nii.gz")
    predict_cases(cases, Preprocessed(plan), output=tmp_path / "out", file_ending=".nii.gz")
    for files in cases:
        prediction, geometry = read_volume(tmp_path / "out" / f"{files.case}.nii.gz")
        label, expected = read_volume(raw / "labelsTr" / f"{files.case}.nii.gz")
        assert dc(prediction, label) == 1.0
        assert geometry.difference_to(expected) is None
