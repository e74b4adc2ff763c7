from __future__ import annotations

import pytest
import torch

from spd_bench.models.lora import LoraSettings, add_lora, has_lora, set_lora_trainable
from spd_bench.models.sam import build_sam


def test_vit_b_gets_294912_trainable_parameters() -> None:
    with torch.device("meta"):
        encoder = build_sam("vit_b", resolution=512).image_encoder
        add_lora(encoder, LoraSettings())
    trainable = {name: p.numel() for name, p in encoder.named_parameters() if p.requires_grad}
    assert sum(trainable.values()) == 294_912
    assert len(trainable) == 24
    assert all(".attn.qkv.lora_" in name for name in trainable)


def test_the_output_is_unchanged_at_first_and_the_encoder_keeps_its_attributes() -> None:
    torch.manual_seed(0)
    encoder = build_sam("vit_t", resolution=64).image_encoder
    images = torch.rand((1, 3, 64, 64))
    before = encoder(images)
    add_lora(encoder, LoraSettings())
    assert torch.equal(encoder.eval()(images), before)
    assert encoder.img_size == 64
    assert has_lora(encoder)


def test_adapters_follow_the_definition_of_lora() -> None:
    torch.manual_seed(0)
    encoder = build_sam("vit_t", resolution=64).image_encoder
    weights = [block.attn.qkv.weight.detach().clone() for block in encoder.blocks]
    plain = build_sam("vit_t", resolution=64).image_encoder
    plain.load_state_dict(encoder.state_dict())
    add_lora(encoder, LoraSettings(rank=4, alpha=10))
    for number, block in enumerate(encoder.blocks):
        down = block.attn.qkv.lora_A["default"].weight.data
        up = block.attn.qkv.lora_B["default"].weight.data.normal_(std=0.1)
        assert down.shape == (4, 128)
        plain.blocks[number].attn.qkv.weight.data = weights[number] + 10 / 4 * up @ down
    images = torch.rand((1, 3, 64, 64))
    torch.testing.assert_close(encoder.eval()(images), plain(images), rtol=1e-4, atol=1e-5)


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    encoder = build_sam("vit_t", resolution=64).image_encoder
    add_lora(encoder, LoraSettings(dropout=0.5))
    for block in encoder.blocks:
        block.attn.qkv.lora_B["default"].weight.data.normal_()
    images = torch.rand((1, 3, 64, 64))
    encoder.train()
    assert not torch.equal(encoder(images), encoder(images))
    encoder.eval()
    assert torch.equal(encoder(images), encoder(images))


def test_adapters_can_be_frozen_and_released() -> None:
    encoder = build_sam("vit_t", resolution=64).image_encoder
    assert not has_lora(encoder)
    add_lora(encoder, LoraSettings())
    set_lora_trainable(encoder, trainable=False)
    assert not any(p.requires_grad for p in encoder.parameters())
    set_lora_trainable(encoder, trainable=True)
    assert {name for name, p in encoder.named_parameters() if p.requires_grad} == {
        f"blocks.{number}.attn.qkv.lora_{half}.default.weight" for number in range(4) for half in "AB"
    }


@pytest.mark.parametrize(
    ("change", "named"), [({"rank": 0}, "rank"), ({"alpha": 0}, "alpha"), ({"dropout": 1.0}, "dropout"),
                          ({"target": "proj"}, "target")],
)  # fmt: skip
def test_settings_out_of_range_are_refused(change: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        LoraSettings(**change)  # type: ignore[arg-type]
