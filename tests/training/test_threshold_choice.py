"""Tau chosen by what the decoder makes of it, against plain segmentation with every threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from medpy.metric.binary import dc
from numpy.typing import NDArray

from spd_bench.models.inference import encode_slices, segment_volume
from spd_bench.models.sam import SamConfig, build_sam_from_config
from spd_bench.models.spd import SPDModelSettings, SPDNetwork
from spd_bench.training.threshold_choice import ThresholdChoice, Volume, choose_threshold

SIZE, DEPTH, CONTEXT = 32, 7, 1
CPU = torch.device("cpu")
CANDIDATES = (0.5, 0.0, 0.45, 0.52, 0.55, 0.6, 1.0)
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


def volume(seed: int, *, points: bool = True) -> Volume:
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(-1, 1, (DEPTH, 3, SIZE // 8, SIZE // 8))
    counts = generator.integers(0, 5, DEPTH) if points else [0] * DEPTH
    masks = np.zeros((DEPTH, SIZE, SIZE), np.uint8)
    masks[1:6, 8:24, 4:20] = 1
    return Volume(
        slices=np.kron(coarse, np.ones((8, 8))).astype(np.float32),
        points=[generator.integers(0, SIZE, (count, 2)) for count in counts],
        masks=masks,
    )


VOLUMES = {"a": volume(0), "b": volume(1), "without points": volume(2, points=False)}


@pytest.fixture(scope="module")
def network() -> SPDNetwork:
    torch.manual_seed(3)
    settings = SPDModelSettings(backbone="vit_t", resolution=SIZE, lora=None, saliency_bias=0.0)
    network = SPDNetwork(settings, sam=build_sam_from_config(TINY, resolution=SIZE)).eval()
    with torch.no_grad():
        # Fresh weights give one saliency everywhere; spread it over the candidates.
        network.saliency_head.logit.weight.mul_(20)
        bias = network.saliency_head.logit.bias
        assert bias is not None
        bias.sub_(network(torch.from_numpy(VOLUMES["a"].slices)).median())
    return network


def choose(network: SPDNetwork, names: Any, **changes: Any) -> ThresholdChoice:
    arguments: dict[str, Any] = {"candidates": CANDIDATES, "context": CONTEXT, "empty_prompt": "skip", **changes}
    return choose_threshold(network, VOLUMES.__getitem__, cases=names, device=CPU, **arguments)


def plain_dice(network: SPDNetwork, one: Volume, threshold: float, empty_prompt: Any) -> float:
    mask: NDArray[np.bool_] = np.zeros(one.masks.shape, bool)
    network.threshold.fill_(threshold)
    embeddings = encode_slices(network, one.slices, device=CPU)
    for part in segment_volume(network, embeddings, one.points, context=CONTEXT, empty_prompt=empty_prompt):
        mask[part.indices] = (part.logits > 0).numpy()
    return float(dc(mask, one.masks)) if mask.any() else 0.0


@pytest.mark.parametrize("empty_prompt", ["skip", "decode"])
def test_the_choice_is_that_of_plain_segmentation(network: SPDNetwork, empty_prompt: str) -> None:
    table = [[plain_dice(network, one, tau, empty_prompt) for one in VOLUMES.values()] for tau in CANDIDATES]
    expected = np.mean(table, axis=1)
    # The case is a test only if the candidates differ.
    assert len({round(float(value), 6) for value in expected}) > 2
    choice = choose(network, VOLUMES, empty_prompt=empty_prompt)
    assert choice.dice == pytest.approx(max(expected), abs=1e-9)
    assert choice.threshold == CANDIDATES[int(np.argmax(expected))]


def test_of_equally_good_thresholds_the_first_is_taken(network: SPDNetwork) -> None:
    for candidates in ((0.3, 0.0, 1.0), (1.0, 0.5)):
        choice = choose(network, ["without points"], candidates=candidates)
        assert (choice.threshold, choice.dice) == (candidates[0], 0.0)
        assert choice.quality.points == 0


def test_the_points_of_the_choice_are_counted(network: SPDNetwork) -> None:
    choice = choose(network, ["a"], candidates=(0.0,), context=0)
    points, masks = VOLUMES["a"].points, VOLUMES["a"].masks
    distinct = [{(x, y) for x, y in xy.tolist()} for xy in points]
    assert choice.quality.points == sum(map(len, distinct))
    assert choice.quality.points_inside == sum(bool(masks[z, y, x]) for z, xy in enumerate(distinct) for x, y in xy)


def test_nothing_in_the_network_changes(network: SPDNetwork) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    choose(network, VOLUMES)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
