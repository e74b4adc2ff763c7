from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spd_bench.errors import InputError
from spd_bench.models.decoding import decode_points
from spd_bench.models.lora import LoraSettings
from spd_bench.models.sam import build_sam
from spd_bench.models.spd import SPDModelSettings, SPDNetwork

LORA = LoraSettings(rank=2, alpha=4, dropout=0.5)
POINTS = [np.array([[3, 50]]), np.empty((0, 2), dtype=np.int64)]


def _build(settings: SPDModelSettings) -> SPDNetwork:
    return SPDNetwork(settings, sam=build_sam(settings.backbone, resolution=settings.resolution))


def _network(*, lora: LoraSettings | None = LORA, **choices: Any) -> SPDNetwork:
    torch.manual_seed(0)
    settings = SPDModelSettings(backbone="vit_t", resolution=64, lora=lora, **choices)
    return _build(settings)


def _images() -> torch.Tensor:
    return torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(0)) * 2 - 1


def _step(network: SPDNetwork, points: list[np.ndarray] | None) -> set[str]:
    """One Adam step on all parameters; the names of those that it changed."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2, weight_decay=1e-2)
    network(_images(), points).square().mean().backward()
    optimizer.step()
    return {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


def _trainable(network: nn.Module) -> set[str]:
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}


def _with_gradient(network: nn.Module) -> set[str]:
    return {name for name, parameter in network.named_parameters() if parameter.grad is not None}


def _names(network: nn.Module, *prefixes: str) -> set[str]:
    return {name for name, _ in network.named_parameters() if name.startswith(prefixes)}


def test_stage_one_trains_lora_and_the_saliency_head_only() -> None:
    network = _network()
    adapters = {
        f"sam.image_encoder.blocks.{number}.attn.qkv.lora_{half}.default.weight" for number in range(4) for half in "AB"
    }
    expected = adapters | _names(network, "saliency_head.")
    assert _trainable(network) == expected
    changed = _step(network, None)
    assert _with_gradient(network) == expected
    # A's gradient is zero while B is, but weight decay moves A.
    assert changed == expected


def test_stage_one_from_scratch_trains_the_whole_encoder() -> None:
    network = _network(lora=None)
    expected = _names(network, "sam.image_encoder.", "saliency_head.")
    assert _trainable(network) == expected
    changed = _step(network, None)
    assert _with_gradient(network) == expected
    assert changed <= expected
    assert "sam.image_encoder.pos_embed" in changed


def test_stage_two_trains_the_mask_decoder_only() -> None:
    network = _network()
    network.train_stage_two()
    expected = _names(network, "sam.mask_decoder.")
    assert _trainable(network) == expected
    changed = _step(network, POINTS)
    # The head that predicts a mask's quality is not asked.
    assert _with_gradient(network) == expected - _names(network, "sam.mask_decoder.iou_prediction_head.")
    assert changed <= expected
    assert "sam.mask_decoder.mask_tokens.weight" in changed


def test_stage_two_trains_the_prompt_encoder_too_where_asked() -> None:
    network = _network(lora=None, train_prompt_encoder=True)
    network.train_stage_two()
    assert _trainable(network) == _names(network, "sam.mask_decoder.", "sam.prompt_encoder.")
    changed = _step(network, POINTS)
    # The embedding of negative points has a gradient of zero; weight decay alone moves it.
    assert {name for name in changed if "prompt_encoder" in name} == {
        "sam.prompt_encoder.point_embeddings.0.weight",
        "sam.prompt_encoder.point_embeddings.1.weight",
        "sam.prompt_encoder.not_a_point_embed.weight",
        "sam.prompt_encoder.no_mask_embed.weight",
    }


@pytest.mark.parametrize("lora", [LORA, None])
@pytest.mark.parametrize("choice", [False, True])
def test_the_prompt_encoder_s_training_can_be_chosen(lora: LoraSettings | None, choice: bool) -> None:
    network = _network(lora=lora, train_prompt_encoder=choice)
    assert not any("prompt_encoder" in name for name in _trainable(network))
    network.train_stage_two()
    assert any("prompt_encoder" in name for name in _trainable(network)) is choice


def test_what_stage_two_trains_is_trained_in_stage_one_too_where_masks_have_a_weight_there() -> None:
    network = _network(lora=None, train_prompt_encoder=True, stage_one_mask_weight=0.5)
    first = set(_trainable(network))
    network.train_stage_two()
    second = set(_trainable(network))
    assert second < first
    assert first - second == _names(network, "sam.image_encoder.") | _names(network, "saliency_head.")


def test_dropout_of_lora_is_on_in_stage_one_and_off_in_stage_two() -> None:
    network = _network()
    for block in network.sam.image_encoder.blocks:
        block.attn.qkv.lora_B["default"].weight.data.normal_()
    network.train()
    assert not torch.equal(network.encode(_images()), network.encode(_images()))
    network.train_stage_two()
    network.train()
    assert torch.equal(network.encode(_images()), network.encode(_images()))
    assert network.training
    assert network.sam.mask_decoder.training
    assert not any(module.training for module in network.sam.image_encoder.modules())
    assert not any(module.training for module in network.saliency_head.modules())
    network.train_stage_one()
    assert not torch.equal(network.encode(_images()), network.encode(_images()))
    network.eval()
    assert not any(module.training for module in network.modules())


def test_stage_two_builds_no_graph_through_the_encoder() -> None:
    network = _network()
    network.train_stage_two()
    assert not network.encode(_images()).requires_grad
    network.train_stage_one()
    assert network.encode(_images()).requires_grad


def test_other_parts_can_be_trained_together() -> None:
    network = _network()
    network.train_only(("image_encoder", "mask_decoder"))
    names = _trainable(network)
    assert _names(network, "sam.mask_decoder.") < names
    assert all("mask_decoder" in name or ".lora_" in name for name in names)
    with pytest.raises(ValueError, match="decoder"):
        network.train_only(("decoder",))


def test_shapes_of_all_outputs() -> None:
    network = _network().eval()
    embeddings = network.encode(_images())
    assert embeddings.shape == (2, 128, 8, 8)
    assert network.saliency_logits(embeddings).shape == (2, 64, 64)
    assert network.decode(embeddings, POINTS).shape == (2, 64, 64)
    assert torch.equal(network(_images()), network.saliency_logits(embeddings))
    assert torch.equal(network(_images(), POINTS), network.decode(embeddings, POINTS))


def test_the_saliency_bias_is_passed_on() -> None:
    settings = SPDModelSettings(backbone="vit_t", resolution=64, lora=None, saliency_bias=-4.0)
    assert _build(settings).saliency_head.logit.bias.item() == -4.0


def test_a_trained_network_is_restored_by_its_state_dict() -> None:
    network, other = _network().eval(), _network().eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(_images(), POINTS), network(_images(), POINTS))


@pytest.mark.parametrize("lora", [LORA, None])
def test_pretrained_weights_fill_all_of_sam_but_lora(tmp_path: Path, lora: LoraSettings | None) -> None:
    torch.manual_seed(1)
    sam = build_sam("vit_t", resolution=64).requires_grad_(False)
    for parameter in sam.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    torch.save(sam.state_dict(), tmp_path / "pretrained.pth")
    network = _network(lora=lora).eval()
    trainable = _trainable(network)
    info = network.load_sam(tmp_path / "pretrained.pth")
    assert info.name == "pretrained.pth"
    assert torch.equal(network.encode(_images()), sam.image_encoder(_images()))
    embeddings = sam.image_encoder(_images())
    assert torch.equal(network.decode(embeddings, POINTS), decode_points(sam, embeddings, POINTS, resolution=64))
    assert _trainable(network) == trainable


def test_weights_that_do_not_fit_change_nothing(tmp_path: Path) -> None:
    network = _network().eval()
    before = network(_images(), POINTS)
    torch.save({"image_encoder.pos_embed": torch.ones((1, 8, 8, 128))}, tmp_path / "part.pth")
    with pytest.raises(InputError, match="missing"):
        network.load_sam(tmp_path / "part.pth")
    assert torch.equal(network(_images(), POINTS), before)


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3, 32, 32\)"):
        _network().encode(torch.zeros((1, 3, 32, 32)))
    with pytest.raises(ValueError, match=r"\(1, 1, 64, 64\)"):
        _network().encode(torch.zeros((1, 1, 64, 64)))


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="resolution"):
        SPDModelSettings(resolution=0)
    with pytest.raises(ValueError, match="saliency_bias"):
        SPDModelSettings(saliency_bias=float("nan"))


@pytest.mark.parametrize("position", [False, True])
def test_the_saliency_head_knows_its_place_where_it_is_told(position: bool) -> None:
    network = _network(lora=None, saliency_position=position)
    # The same features everywhere: what differs is the place.
    embeddings = torch.randn(1, 128, 1, 1).expand(1, 128, 8, 8)
    # Pixels at the same place within their embedding's cell of eight by eight.
    logits = network.saliency_logits(embeddings)[0, 12::32, 12::32].flatten()
    differ = bool((logits - logits[0]).abs().max() > 1e-3)
    assert differ is position
    pixels = [np.array([[12, 12], [44, 12], [12, 44], [44, 44]])]
    torch.testing.assert_close(network.saliency_logits_at(embeddings, pixels), logits)


def test_a_part_that_is_frozen_keeps_no_gradient() -> None:
    network = _network(lora=None)
    network(_images()).square().mean().backward()
    assert _with_gradient(network)
    network.train_stage_two()
    assert not _with_gradient(network)
