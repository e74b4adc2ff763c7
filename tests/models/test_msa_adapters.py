from __future__ import annotations

from pathlib import Path

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn
from torch.nn import functional

from spd_bench.models.msa import AdapterSettings, add_adapters, ignore_relative_positions
from spd_bench.models.sam import build_sam
from spd_bench.models.sam_network import SamNetwork

SIDE = 96
"""12 x 12 tokens in windows of 8: four windows, three of them padded."""


def _encoder(resolution: int = SIDE) -> ImageEncoderViT:
    torch.manual_seed(0)
    encoder = build_sam("vit_t", resolution=resolution).image_encoder
    for block in encoder.blocks:
        nn.init.normal_(block.attn.rel_pos_h, std=0.1)
        nn.init.normal_(block.attn.rel_pos_w, std=0.1)
    return encoder


def _adapted(encoder: ImageEncoderViT, settings: AdapterSettings) -> ImageEncoderViT:
    """A copy with adapters that do something."""
    adapted = _encoder()
    adapted.load_state_dict(encoder.state_dict())
    add_adapters(adapted, settings)
    for name, value in adapted.named_parameters():
        if "_adapter." in name:
            nn.init.normal_(value, std=0.1)
    return adapted


def _images() -> Tensor:
    return torch.rand((2, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(1)) * 2 - 1


def _adapter(state: dict[str, Tensor], prefix: str, values: Tensor) -> Tensor:
    inner = functional.gelu(values @ state[f"{prefix}.0.weight"].T + state[f"{prefix}.0.bias"])
    return inner @ state[f"{prefix}.2.weight"].T + state[f"{prefix}.2.bias"]


def test_vit_b_gets_7_10_million_parameters() -> None:
    with torch.device("meta"):
        encoder = build_sam("vit_b", resolution=512).image_encoder
        own = {name for name, _ in encoder.named_parameters()}
        add_adapters(encoder, AdapterSettings())
    added = {name: p.numel() for name, p in encoder.named_parameters() if name not in own}
    assert sum(added.values()) == 24 * (768 * 192 + 192 + 192 * 768 + 768) == 7_100_928
    assert all("_adapter." in name for name in added)
    assert own < {name for name, _ in encoder.named_parameters()}


def test_the_output_is_unchanged_at_first() -> None:
    encoder = _encoder()
    before = encoder(_images())
    add_adapters(encoder, AdapterSettings())
    torch.testing.assert_close(encoder(_images()), before, rtol=0, atol=1e-5)
    assert encoder.img_size == SIDE


def test_adapters_stand_after_attention_and_beside_the_mlp() -> None:
    """Against segment_anything's own blocks, whose parts are changed from outside while they run."""
    settings = AdapterSettings(mlp_scale=0.3)
    encoder = _encoder()
    adapted = _adapted(encoder, settings)
    state = dict(adapted.state_dict())
    for number, block in enumerate(encoder.blocks):
        after, beside = f"blocks.{number}.attention_adapter", f"blocks.{number}.mlp_adapter"
        block.attn.register_forward_hook(lambda _, __, out, name=after: out + _adapter(state, name, out))
        block.mlp.register_forward_hook(
            lambda _, inputs, out, name=beside: out + 0.3 * _adapter(state, name, inputs[0])
        )
    with torch.inference_mode():
        torch.testing.assert_close(adapted(_images()), encoder(_images()), rtol=1e-4, atol=1e-4)
        assert not torch.allclose(adapted(_images()), _encoder()(_images()), atol=1e-2)


def test_relative_positions_can_be_ignored_as_if_they_were_zero() -> None:
    encoder = _encoder()
    adapted = _adapted(encoder, AdapterSettings())
    kept = adapted(_images())
    ignore_relative_positions(adapted)
    ignored = adapted(_images())
    for name, value in adapted.named_parameters():
        if ".rel_pos_" in name:
            nn.init.zeros_(value)
    for block in adapted.blocks:
        block.attn.use_rel_pos = True
    torch.testing.assert_close(ignored, adapted(_images()))
    assert not torch.allclose(ignored, kept, atol=1e-3)


def test_pretrained_weights_fill_all_but_the_adapters(tmp_path: Path) -> None:
    pretrained = build_sam("vit_t", resolution=64)
    torch.save(pretrained.state_dict(), tmp_path / "pretrained.pth")
    sam = build_sam("vit_t", resolution=64)
    add_adapters(sam.image_encoder, AdapterSettings())
    network = SamNetwork(sam=sam, backbone="vit_t", resolution=64).eval()
    network.load_sam(tmp_path / "pretrained.pth")
    images = torch.rand((1, 3, 64, 64))
    torch.testing.assert_close(network.encode(images), pretrained.image_encoder(images), rtol=0, atol=1e-5)
    network.train_only(["image_encoder"])
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert len(trained) == 4 * 2 * 4
    assert all("_adapter." in name for name in trained)


def test_adapters_learn() -> None:
    encoder = _encoder()
    add_adapters(encoder, AdapterSettings())
    optimizer = torch.optim.Adam([p for name, p in encoder.named_parameters() if "_adapter." in name], lr=1e-2)
    before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    for _ in range(2):  # while an adapter's last layer is zero nothing reaches its first
        optimizer.zero_grad()
        encoder(_images()).square().mean().backward()
        optimizer.step()
    moved = {name for name, p in encoder.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if "_adapter." in name}


@pytest.mark.parametrize("values", [{"reduction": 0}, {"reduction": 2.5}, {"mlp_scale": -1.0}])
def test_settings_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        AdapterSettings(**values)  # type: ignore[arg-type]
