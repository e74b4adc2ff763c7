"""The rows of SAM-Refiner: whose masks they refine, and what they are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spd_bench.errors import InputError
from spd_bench.methods.fitting import ensure_fitted, hashes
from spd_bench.methods.method import MethodOptions, MethodRun
from spd_bench.methods.registry import METHODS, ROWS
from spd_bench.methods.sam_refiner import SamRefinerPredictor, SamRefinerSettings
from spd_bench.models.refiner import refine_volume
from spd_bench.planning.grid import masks_on_own_grid
from spd_bench.planning.plan import Plan
from spd_bench.prediction.volume import Prediction, PromptedVolume, read_prompted_volume, volume_slices
from spd_bench.raw.volumes import read_volume
from spd_bench.training.settings import Budget

CPU = torch.device("cpu")
MakeRun = Callable[..., MethodRun]


def random_weights(**overrides: Any) -> MethodOptions:
    return MethodOptions(backbone="vit_t", allow_random=True, overrides=overrides)


class Label:
    """Answers with the case's own label, on the volume's own grid."""

    def __init__(self, raw: Path, plan: Plan) -> None:
        self.folder = raw / plan.dataset / "labelsTr"

    def predict(self, volume: PromptedVolume) -> Prediction:
        return Prediction(mask=(read_volume(self.folder / f"{volume.case}.nii.gz")[0] > 0).astype(np.uint8))


class TwoBlocks:
    """Answers with the same two blocks on every slice."""

    def predict(self, volume: PromptedVolume) -> Prediction:
        mask = np.zeros(volume.geometry.shape, np.uint8)
        mask[:, 2:7, 3:9] = mask[:, 14:20, 11:16] = 1
        return Prediction(mask=mask)


def tiny_volume(raw: Path, plan: Plan) -> PromptedVolume:
    folder = raw / plan.dataset
    return read_prompted_volume("case_0", [folder / "imagesTr" / "case_0_0000.nii.gz"], None)


@pytest.mark.parametrize("transpose", [[0, 1, 2], [1, 2, 0], [2, 0, 1]])
def test_the_coarse_mask_lies_on_the_slices_where_the_target_is(
    planned: Plan, tiny_raw: Path, monkeypatch: pytest.MonkeyPatch, transpose: list[int]
) -> None:
    """With nothing refined, a mask goes to the slices and comes back."""
    backward = np.argsort(transpose).tolist()
    plan = replace(planned, plans={**planned.plans, "transpose_forward": transpose, "transpose_backward": backward})
    volume, coarse = tiny_volume(tiny_raw, plan), Label(tiny_raw, plan)
    settings = SamRefinerSettings(backbone="vit_t", coarse="unet")
    seen: list[np.ndarray] = []

    def unchanged(network: Any, slices: np.ndarray, masks: np.ndarray, **_: Any) -> np.ndarray:
        seen.append(masks)
        assert masks.shape == (len(slices), 32, 32)
        assert slices[:, 0][masks].mean() > slices[:, 0][~masks].mean() + 0.5
        return np.where(masks, 1.0, -1.0).astype(np.float32)

    monkeypatch.setattr("spd_bench.methods.sam_refiner.refine_volume", unchanged)
    network = settings.network(32)
    predictor = SamRefinerPredictor(network, coarse, settings=settings, plan=plan, device=CPU)
    mask, label = predictor.predict(volume).mask, coarse.predict(volume).mask
    assert seen[0].dtype == bool
    assert 2 * (mask & label).sum() / (mask.sum() + label.sum()) > 0.9


@pytest.mark.parametrize("settings", [{"rounds": 1}, {"rounds": 3, "objects": "component"}])
def test_rounds_and_objects_reach_the_refinement(planned: Plan, tiny_raw: Path, settings: dict[str, Any]) -> None:
    chosen = SamRefinerSettings(backbone="vit_t", coarse="unet", **settings)
    torch.manual_seed(0)
    network = chosen.network(32)
    volume, coarse = tiny_volume(tiny_raw, planned), TwoBlocks()
    predictor = SamRefinerPredictor(network, coarse, settings=chosen, plan=planned, device=CPU)
    mask = coarse.predict(volume).mask
    rows, columns = (np.minimum(((np.arange(32) + 0.5) * size / 32).astype(int), size - 1) for size in mask.shape[1:])
    on_slices = mask[:, rows][:, :, columns] > 0
    logits = refine_volume(network, volume_slices(volume, planned), on_slices, device=CPU, **settings)
    expected = masks_on_own_grid(logits, shape=mask.shape, transpose=[0, 1, 2])
    np.testing.assert_array_equal(predictor.predict(volume).mask, expected)


def test_each_row_starts_from_another_row_and_sees_points_where_that_one_does(make_method_run: MakeRun) -> None:
    for name, coarse in {"sam_refiner": "unet", "sam_refiner_points": "sam"}.items():
        run = make_method_run(name, options=random_weights())
        assert [other.method.name for other in run.required] == [coarse]
        assert METHODS[name].settings(run.own_options)["coarse"] == coarse
        assert METHODS[name].uses_prompts == METHODS[coarse].uses_prompts
        assert f"run of {coarse}" in hashes(run)
    assert METHODS["sam_refiner_points"].base == "sam_refiner"


def test_the_row_trains_the_row_that_it_starts_from(
    make_method_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planned: Plan, tiny_raw: Path
) -> None:
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    run = make_method_run("sam_refiner", tmp_path, options=random_weights())
    with pytest.raises(InputError, match="checkpoint not found"):
        METHODS["sam_refiner"].predictor(run)
    record = ensure_fitted(run, Budget(epochs=1, iterations_per_epoch=1, batch_size=2))
    assert record.hashes["prompts"] is None
    assert record.hashes["run of unet"]
    assert METHODS["sam_refiner"].predictor(run).predict(tiny_volume(tiny_raw, planned)).mask.any()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"rounds": 0}, "rounds"),
        ({"rounds": 1.5}, "rounds"),
        ({"objects": "all"}, "objects"),
        ({"empty_prompt": "decode"}, "no prompts"),
        ({"coarse": "sam"}, "coarse"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    make_method_run: MakeRun, tmp_path: Path, overrides: dict[str, Any], words: str
) -> None:
    run = make_method_run("sam_refiner", tmp_path, options=random_weights(**overrides))
    with pytest.raises(InputError, match=f"setting of sam_refiner refused.*{words}"):
        ensure_fitted(replace(run, method=replace(run.method, requires=lambda _: ())), Budget())


def test_the_papers_systems_stand_in_the_papers_order() -> None:
    names = [method.name for method in ROWS]
    paper = ["sam", "sam_tuning", "medsam", "msa", "sam_refiner", "unet", "nnunet", "sam2", "medsam2", "spd"]
    assert [name for name in names if name in paper] == paper
