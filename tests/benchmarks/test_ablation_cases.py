"""Settings scored from one encoding give what the ordinary way through a volume gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.ablation_cases import (
    LEARNED,
    ORACLE,
    AblatedSetting,
    EncodedCase,
    dice_of_volume,
    encode_case,
    saliency_alone,
    score_settings,
)
from benchmarks.ablations import ablated_settings
from spd_bench.evaluation.case import CaseKey, evaluate_case
from spd_bench.models.inference import encode_slices, segment_volume
from spd_bench.models.sam import SamConfig, build_sam_from_config
from spd_bench.models.spd import SPDModelSettings, SPDNetwork
from spd_bench.prediction.own_grid import mask_of_parts

SIDE, DEPTH = 32, 7
TRANSPOSE = (1, 0, 2)
SHAPE = (20, DEPTH, 24)
TINY = SamConfig(
    embed_dim=32,
    depth=2,
    num_heads=2,
    global_attn_indexes=(1,),
    window_size=2,
    patch_size=8,
    prompt_embed_dim=32,
    decoder_mlp_dim=32,
)


@pytest.fixture(scope="module")
def network() -> SPDNetwork:
    torch.manual_seed(0)
    settings = SPDModelSettings(backbone="vit_t", resolution=SIDE, lora=None, saliency_bias=0.0)
    network = SPDNetwork(settings, sam=build_sam_from_config(TINY, resolution=SIDE))
    with torch.no_grad():
        network.saliency_head.logit.weight.mul_(20)
        network.saliency_head.logit.bias.sub_(network.eval()(torch.from_numpy(slices())).median())
    return network


def slices() -> NDArray[np.float32]:
    return np.random.default_rng(3).uniform(-1, 1, (DEPTH, 3, SIDE, SIDE)).astype(np.float32)


def points() -> list[NDArray[np.int64]]:
    generator = np.random.default_rng(4)
    return [generator.integers(0, SIDE, (count, 2)) for count in (0, 3, 1, 5, 0, 2, 1)]


def target() -> NDArray[np.bool_]:
    mask = np.zeros(SHAPE, bool)
    mask[5:12, 2:5, 8:20] = True
    return mask


@pytest.fixture(scope="module")
def case(network: SPDNetwork) -> EncodedCase:
    planned = np.zeros((DEPTH, SIDE, SIDE), bool)
    planned[2:5, 8:20, 10:26] = True
    return encode_case(network, slices(), points(), target=target(), planned_target=planned, transpose=TRANSPOSE)


def evaluated(mask: NDArray[np.bool_]) -> dict[str, float]:
    key = CaseKey(dataset="d", method="m", case="c", fold=0)
    scores = evaluate_case(target(), mask, key=key, spacing=(1.0, 1.0, 1.0), slice_axis=1)
    foreground = [row["dice"] for row in scores.slices if row["reference_pixels"]]
    return {
        **{name: scores.volume[name] for name in ("volumetric_dice", "average_dice")},
        "foreground_dice": float(np.mean(foreground)),
    }


@pytest.mark.parametrize("empty_prompt", ["skip", "decode"])
@pytest.mark.parametrize(("context", "threshold"), [(0, 0.0), (0, 0.5), (2, 0.45), (3, 0.55)])
def test_a_setting_scores_what_the_network_gives_with_it(
    network: SPDNetwork, case: EncodedCase, context: int, threshold: float, empty_prompt: str
) -> None:
    setting = AblatedSetting(context=context, threshold=threshold, empty_prompt=empty_prompt)  # type: ignore[arg-type]
    network.threshold.fill_(threshold)
    embeddings = encode_slices(network, slices(), device=torch.device("cpu"))
    parts = segment_volume(network, embeddings, points(), context=context, empty_prompt=setting.empty_prompt)
    mask = mask_of_parts(parts, shape=SHAPE, transpose=TRANSPOSE) > 0
    assert mask.any()
    others = [AblatedSetting(context=1, threshold=0.5), AblatedSetting(context=0, threshold=0.0)]
    found = score_settings(network, case, {setting, *others})[setting]
    assert found == pytest.approx(evaluated(mask))


def test_dice_is_the_evaluation_s(case: EncodedCase) -> None:
    mask = np.random.default_rng(0).random(SHAPE) < 0.4
    assert dice_of_volume(mask, case) == pytest.approx(evaluated(mask))


def test_a_slice_is_decoded_once_for_all_settings_that_leave_it_the_same_points(
    network: SPDNetwork, case: EncodedCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    decode = network.decode

    def counted(embeddings: torch.Tensor, prompts: list[NDArray[np.int64]]) -> torch.Tensor:
        decoded.extend(prompts)
        return decode(embeddings, prompts)

    monkeypatch.setattr(network, "decode", counted)
    score_settings(network, case, [AblatedSetting(context=0, threshold=tau) for tau in (0.0, 1e-6, 2e-6)])
    assert len(decoded) == sum(len(prompts) > 0 for prompts in points())


def test_oracle_saliency_keeps_the_points_within_two_pixels_of_the_target(case: EncodedCase) -> None:
    planned = np.zeros((DEPTH, SIDE, SIDE), bool)
    planned[2:5, 8:20, 10:26] = True
    kept = case.saliency[ORACLE] > 0.5
    rows, columns = np.mgrid[:SIDE, :SIDE]
    away = np.hypot(
        np.maximum(np.maximum(8 - rows, rows - 19), 0), np.maximum(np.maximum(10 - columns, columns - 25), 0)
    )
    np.testing.assert_array_equal(kept[3], away <= 2)
    assert not kept[0].any()


def test_saliency_alone_is_thresholded(network: SPDNetwork, case: EncodedCase) -> None:
    level = float(np.median(case.saliency[LEARNED]))
    some, none = (saliency_alone(case, threshold=tau)["average_dice"] for tau in (level, 1.0))
    assert 0 < some < 1
    assert none == pytest.approx(4 / 7)


def test_every_ablation_changes_one_thing() -> None:
    found = list(ablated_settings(context=2, threshold=0.4))
    own = AblatedSetting(context=2, threshold=0.4)
    assert ("as trained", own) in found
    for name, setting in found:
        changed = {key for key, value in vars(setting).items() if value != getattr(own, key)}
        if name in ("context", "threshold"):
            assert changed <= {name}
