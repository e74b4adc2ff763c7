"""Datasets in nnU-Net's other formats, from raw to the slices that training and prediction see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from medpy.metric import dc
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from spd_bench.errors import InputError
from spd_bench.evaluation import evaluate_folders
from spd_bench.paths import DataFolders
from spd_bench.planning.grid import masks_on_own_grid
from spd_bench.planning.plan import Plan
from spd_bench.prediction.folder import CaseFiles, find_cases, predict_cases
from spd_bench.prediction.volume import (
    MASK_ONLY,
    ExtraOutputs,
    Prediction,
    PromptedVolume,
    read_prompted_volume,
    slice_points,
    volume_slices,
)

MakeDataset = Callable[..., Path]
PlanTiny = Callable[..., Plan]
RGB = ("R", "G", "B")

DATASETS: dict[str, tuple[dict[str, Any], str]] = {
    "rgb png": ({"colours": 3, "channel_names": RGB}, "NaturalImage2DIO"),
    "two grey png": ({"channel_names": ("a", "b")}, "NaturalImage2DIO"),
    "bmp": ({"file_ending": ".bmp"}, "NaturalImage2DIO"),
    "tif": ({"file_ending": ".tif"}, "NaturalImage2DIO"),
    "rgb tif": ({"file_ending": ".tif", "colours": 3, "channel_names": RGB}, "NaturalImage2DIO"),
    "stack": ({"file_ending": ".tif", "depth": 5}, "Tiff3DIO"),
    "stack of three": ({"file_ending": ".tif", "depth": 3}, "Tiff3DIO"),
    "tiff stack": ({"file_ending": ".tiff", "depth": 4}, "Tiff3DIO"),
}
SPACING = (4.0, 1.5, 0.5)


class BrightPixels:
    """Takes what is bright on the preprocessed slices, and calls that its saliency too."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        logits = volume_slices(volume, self._plan).mean(axis=1)
        mask = masks_on_own_grid(logits, shape=volume.geometry.shape, transpose=self._plan.transpose)
        return Prediction(mask=mask, saliency=mask.astype(np.float32) / 3)


def _cases(raw: Path, plan: Plan) -> list[CaseFiles]:
    channels = len(plan.dataset_json["channel_names"])
    return find_cases(raw / "imagesTr", raw / "promptsTr", channels=channels, file_ending=plan.file_ending)


def _pixels(path: Path) -> np.ndarray:
    return tifffile.imread(path) if path.suffix.startswith(".tif") else iio.imread(path)


@pytest.mark.parametrize(("options", "reader"), DATASETS.values(), ids=DATASETS.keys())
def test_a_dataset_goes_from_raw_to_scores_in_its_own_format(
    plan_tiny: PlanTiny,
    names: Callable[[Path], list[str]],
    own_folders: DataFolders,
    make_image_dataset: MakeDataset,
    fingerprint_in_threads: None,
    tmp_path: Path,
    options: dict[str, Any],
    reader: str,
) -> None:
    raw = make_image_dataset(own_folders.raw, cases=4, **options)
    plan = plan_tiny(own_folders)
    depth = options.get("depth")
    spacing = SPACING if depth else (999.0, 1.0, 1.0)
    assert plan.plans["image_reader_writer"] == reader
    assert plan.plans["original_median_spacing_after_transp"] == list(spacing)
    assert plan.slice_axis == 0

    # Training and prediction see the same slices, and each point lies on its target.
    cases = _cases(raw, plan)
    channels = len(plan.dataset_json["channel_names"])
    for files in cases:
        volume = read_prompted_volume(files.case, files.images, files.prompts)
        assert volume.channels.shape == (channels, depth or 1, 24, 20)
        data, mask, _, _ = nnUNetDatasetBlosc2(str(plan.folder / "SPDPlans_spd_32"), [files.case]).load_case(files.case)
        wanted = np.asarray(data[:])[plan.slice_settings["channels"]].transpose(1, 0, 2, 3)
        np.testing.assert_allclose(volume_slices(volume, plan), wanted, atol=1e-5)
        points = slice_points(volume, plan)
        [z] = np.flatnonzero([len(found) for found in points])
        [(x, y)] = points[z]
        assert mask[0, z, y, x] == 1

    # Masks and references are images of the dataset's own format.
    ending = plan.file_ending
    output = tmp_path / "masks"
    predict_cases(cases, BrightPixels(plan), output=output, file_ending=ending, extra=ExtraOutputs(saliency=True))
    spacings = [f"case_{number}.json" for number in range(4)] if depth else []
    assert names(output) == sorted([*(f"case_{n}{ending}" for n in range(4)), *spacings, "saliency"])
    for number in range(4):
        label = _pixels(raw / "labelsTr" / f"case_{number}{ending}")
        np.testing.assert_array_equal(_pixels(plan.reference_folder / f"case_{number}{ending}"), label)
        mask = _pixels(output / f"case_{number}{ending}")
        assert mask.shape == label.shape
        assert dc(mask, label) > 0.9
        saliency_ending = ".tif" if ending in (".png", ".bmp") else ending
        saliency = _pixels(output / "saliency" / f"case_{number}{saliency_ending}")
        np.testing.assert_allclose(saliency, mask / 3)

    scores = evaluate_folders(reference=raw / "labelsTr", prediction=output, dataset="d", method="m")
    assert scores.slice_axis == 0
    assert not scores.missing
    assert scores.volumes["slices"].tolist() == [depth or 1] * 4
    assert scores.volumes["volumetric_dice"].min() > 0.9


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_2d_volumes_are_planned_and_answered_in_2d(
    plan_tiny: PlanTiny,
    own_folders: DataFolders,
    make_image_dataset: MakeDataset,
    fingerprint_in_threads: None,
    tmp_path: Path,
    ending: str,
) -> None:
    raw = make_image_dataset(own_folders.raw, cases=3)
    for path in [*raw.glob("imagesTr/*"), *raw.glob("labelsTr/*")]:
        image = sitk.GetImageFromArray(iio.imread(path))
        image.SetSpacing((0.5, 1.5))
        image.SetOrigin((-3.0, 7.0))
        sitk.WriteImage(image, str(path.with_name(path.name.replace(".png", ending))))
        path.unlink()
    for path in (raw / "promptsTr").iterdir():
        path.unlink()
    description = raw / "dataset.json"
    description.write_text(description.read_text().replace(".png", ending))
    plan = plan_tiny(own_folders, patient_pattern="case_(.)")
    assert plan.plans["image_reader_writer"] == "SimpleITKIO"
    assert plan.plans["original_median_spacing_after_transp"] == [999 * 1.5, 1.5, 0.5]
    predict_cases(_cases(raw, plan), BrightPixels(plan), output=tmp_path / "masks", file_ending=ending)
    for number in range(3):
        mask = sitk.ReadImage(str(tmp_path / "masks" / f"case_{number}{ending}"))
        label = sitk.ReadImage(str(raw / "labelsTr" / f"case_{number}{ending}"))
        assert mask.GetSize() == label.GetSize() == (20, 24)
        np.testing.assert_allclose(mask.GetOrigin(), label.GetOrigin())
        np.testing.assert_allclose(mask.GetSpacing(), label.GetSpacing())
        assert dc(sitk.GetArrayFromImage(mask), sitk.GetArrayFromImage(label)) > 0.9


def test_channels_in_one_volume_are_planned(
    plan_tiny: PlanTiny, own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None
) -> None:
    raw = make_tiny_dataset(own_folders.raw, cases=4, channel_names=("T1", "T2"))
    for number in range(4):
        files = [raw / "imagesTr" / f"case_{number}_{channel:04d}.nii.gz" for channel in range(2)]
        series = sitk.JoinSeries([sitk.ReadImage(str(file)) for file in files])
        files[1].unlink()
        sitk.WriteImage(series, str(files[0]))
    plan = plan_tiny(own_folders)
    data, _, _, _ = nnUNetDatasetBlosc2(str(plan.folder / "SPDPlans_2d"), ["case_0"]).load_case("case_0")
    assert data.shape[0] == 2
    [files, *_] = _cases(raw, plan)
    assert read_prompted_volume(files.case, files.images, None).channels.shape == (2, 6, 24, 20)


@pytest.mark.parametrize(
    ("colours", "announced", "fault"),
    [(3, 2, r"3 channel\(s\) in 1 file.*announces 2"), (0, 3, r"case_0 lacks a channel.*case_0_0001\.png")],
)
def test_images_with_other_channels_than_the_plan_are_refused(
    make_image_dataset: MakeDataset, tmp_path: Path, colours: int, announced: int, fault: str
) -> None:
    raw = make_image_dataset(tmp_path, colours=colours)
    with pytest.raises(InputError, match=fault):
        find_cases(raw / "imagesTr", None, channels=announced, file_ending=".png")


def test_a_colour_image_where_a_grey_one_is_due_is_refused(make_image_dataset: MakeDataset, tmp_path: Path) -> None:
    raw = make_image_dataset(tmp_path, colours=3)
    cases = find_cases(raw / "imagesTr", None, channels=1, file_ending=".png")
    with pytest.raises(InputError, match=r"3 channel\(s\) in 1 file.*announces 1.*case_0_0000\.png"):
        predict_cases(cases, _Never(), output=tmp_path / "masks", file_ending=".png")
    assert not (tmp_path / "masks").exists()


class _Never:
    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        raise AssertionError(volume)
