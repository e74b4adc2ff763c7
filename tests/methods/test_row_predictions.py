"""What every row answers for a volume: a binary mask on the volume's own grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spd_bench.errors import InputError
from spd_bench.methods.fitting import fit
from spd_bench.methods.method import MethodOptions, MethodRun
from spd_bench.methods.registry import METHODS
from spd_bench.methods.spd import SPDPredictor
from spd_bench.methods.unet import UNetPredictor
from spd_bench.planning.plan import Plan
from spd_bench.prediction.volume import ExtraOutputs, PromptedVolume, read_prompted_volume
from spd_bench.prompts.points import PointPrompts
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import read_volume
from spd_bench.training.settings import Budget
from spd_bench.training.spd_settings import SPDSettings

CPU = torch.device("cpu")
EVERYTHING = ExtraOutputs(saliency=True, prompts=True)
OVERRIDES: dict[str, dict[str, Any]] = {"unet": {"base_features": 4}, "spd": {"saliency_bias": 4.0}}


MakeRun = Callable[..., MethodRun]


def run_of(make_run: MakeRun, name: str, results: Path) -> MethodRun:
    """The row's run from random weights, with settings that leave something to be seen after two steps."""
    base = METHODS[name].base or name
    options = MethodOptions(backbone="vit_t", allow_random=True, overrides=OVERRIDES.get(base, {}))
    return make_run(name, results, options=options)


@pytest.fixture(scope="module")
def trained(make_method_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A results folder with every row trained for two steps."""
    results = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("nnUNet_results", str(results))
        for name in METHODS:
            fit(run_of(make_method_run, name, results), Budget(epochs=2, iterations_per_epoch=1, batch_size=2))
        yield results


def tiny_volume(raw: Path, plan: Plan, case: str = "case_0") -> PromptedVolume:
    folder = raw / plan.dataset
    return read_prompted_volume(
        case, [folder / "imagesTr" / f"{case}_0000.nii.gz"], folder / "promptsTr" / f"{case}.mrk.json"
    )


def odd_volume() -> PromptedVolume:
    """Another size, spacing and number of slices than training saw."""
    shape = (3, 41, 27)
    geometry = VolumeGeometry(shape=shape, spacing=(4.0, 0.7, 1.1), origin=(1.0, 2.0, 3.0))
    channels = np.random.default_rng(0).normal(100, 30, (1, *shape)).astype(np.float32)
    points = PointPrompts.from_voxels(np.array([[0, 20, 13], [2, 1, 26]]), geometry)
    return PromptedVolume(case="odd", channels=channels, geometry=geometry, prompts=points)


@pytest.mark.parametrize("name", list(METHODS))
def test_a_row_answers_with_a_binary_mask_on_the_volumes_own_grid(
    trained: Path, make_method_run: MakeRun, planned: Plan, tiny_raw: Path, name: str
) -> None:
    predictor = METHODS[name].predictor(run_of(make_method_run, name, trained))
    for volume in (tiny_volume(tiny_raw, planned), odd_volume()):
        prediction = predictor.predict(volume, EVERYTHING)
        assert prediction.mask.dtype == np.uint8
        assert prediction.mask.shape == volume.geometry.shape
        assert prediction.mask.flags.c_contiguous
        assert set(np.unique(prediction.mask)) <= {0, 1}
        bare = predictor.predict(volume)
        assert (bare.saliency, bare.points) == (None, None)
        np.testing.assert_array_equal(bare.mask, prediction.mask)
        if prediction.saliency is not None:
            assert prediction.saliency.shape == volume.geometry.shape
            assert 0 <= prediction.saliency.min() <= prediction.saliency.max() <= 1
    assert (prediction.saliency is not None) == ((METHODS[name].base or name) == "spd")
    assert (prediction.points is not None) == ((METHODS[name].base or name) == "spd")


@pytest.mark.parametrize("name", list(METHODS))
def test_a_prediction_can_be_repeated(
    trained: Path, make_method_run: MakeRun, planned: Plan, tiny_raw: Path, name: str
) -> None:
    masks = []
    for _ in range(2):
        predictor = METHODS[name].predictor(run_of(make_method_run, name, trained))
        masks.append(predictor.predict(tiny_volume(tiny_raw, planned)).mask)
    np.testing.assert_array_equal(masks[0], masks[1])


def test_only_rows_that_use_prompts_ask_for_them(trained: Path, make_method_run: MakeRun) -> None:
    volume = odd_volume()
    bare = PromptedVolume(case="bare", channels=volume.channels, geometry=volume.geometry)
    for name, method in METHODS.items():
        predictor = method.predictor(run_of(make_method_run, name, trained))
        if method.uses_prompts:
            with pytest.raises(InputError, match="case bare has no prompts"):
                predictor.predict(bare)
        else:
            assert predictor.predict(bare).mask.shape == volume.geometry.shape, name


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.trainer is not None])
def test_a_row_that_was_not_trained_says_so(make_method_run: MakeRun, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"checkpoint not found.*train the method first"):
        METHODS[name].predictor(run_of(make_method_run, name, tmp_path))


class Brightness(nn.Module):
    """A network that takes what is bright for the target."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :1] * 10


def sliced_along(plan: Plan, transpose: list[int]) -> Plan:
    """The plan with its slices taken along another axis of the volumes."""
    backward = np.argsort(transpose).tolist()
    return replace(plan, plans={**plan.plans, "transpose_forward": transpose, "transpose_backward": backward})


AXES = pytest.mark.parametrize("transpose", [[0, 1, 2], [1, 2, 0], [2, 0, 1]])


@AXES
def test_the_unets_mask_lies_where_the_target_is(planned: Plan, tiny_raw: Path, transpose: list[int]) -> None:
    volume, planned = tiny_volume(tiny_raw, planned), sliced_along(planned, transpose)
    mask = UNetPredictor(Brightness(), planned, CPU).predict(volume).mask
    label = read_volume(tiny_raw / planned.dataset / "labelsTr" / "case_0.nii.gz")[0]
    assert 2 * (mask & (label > 0)).sum() / (mask.sum() + label.sum()) > 0.95


class BrightnessSPD(nn.Module):
    """As :class:`Brightness` with SPD's words: a slice without a point is never decoded."""

    threshold = torch.tensor(0.5)

    def __init__(self, resolution: int) -> None:
        super().__init__()
        self.resolution = resolution

    def encode(self, images: Tensor) -> Tensor:
        return images

    def saliency_logits(self, embeddings: Tensor) -> Tensor:
        return embeddings[:, 0] * 10

    def saliency_logits_at(self, embeddings: Tensor, pixels: Any) -> Tensor:
        maps = self.saliency_logits(embeddings)
        return torch.cat([one[xy[:, 1], xy[:, 0]] for one, xy in zip(maps, pixels, strict=True)])

    def decode(self, embeddings: Tensor, points: Any) -> Tensor:
        return embeddings[:, 0] * 10


@AXES
def test_spds_mask_saliency_and_points_lie_where_the_target_is(
    planned: Plan, tiny_raw: Path, transpose: list[int]
) -> None:
    volume, planned = tiny_volume(tiny_raw, planned), sliced_along(planned, transpose)
    network: Any = BrightnessSPD(planned.resolution)
    prediction = SPDPredictor(network, SPDSettings(backbone="vit_t"), planned, CPU).predict(volume, EVERYTHING)
    label = read_volume(tiny_raw / planned.dataset / "labelsTr" / "case_0.nii.gz")[0]
    assert prediction.saliency is not None
    assert prediction.points is not None
    assert prediction.saliency[label > 0].mean() > 0.85
    assert prediction.saliency[label == 0].mean() < 0.15
    raw = volume.points().voxels(volume.geometry)
    consensus = prediction.points.voxels(volume.geometry)
    assert len(consensus) > len(raw[label[tuple(raw.T)] > 0])
    axis = transpose[0]
    prompted = np.isin(np.arange(label.shape[axis]), consensus[:, axis])
    mask, target = (np.compress(prompted, array, axis=axis) for array in (prediction.mask, label > 0))
    assert 2 * (mask & target).sum() / (mask.sum() + target.sum()) > 0.95
    assert not np.compress(~prompted, prediction.mask, axis=axis).any()
    assert (label[tuple(consensus.T)] > 0).all()
    assert {tuple(point) for point in raw[label[tuple(raw.T)] > 0]} <= {tuple(point) for point in consensus}
    plane = transpose[1:]
    assert {tuple(point) for point in consensus[:, plane]} <= {tuple(point) for point in raw[:, plane]}
    assert prediction.points.provenance == {"distilled_by": "spd"}
