"""LoRA that was merged costs nothing and changes nothing."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from spd_bench.models.lora import LoraSettings, add_lora, has_lora
from spd_bench.models.merged_lora import merge_lora
from spd_bench.models.sam import build_sam


@pytest.mark.parametrize("target", ["qkv", "q_v"])
def test_a_merged_encoder_gives_what_the_adapted_one_gave(target: str) -> None:
    torch.manual_seed(0)
    plain = build_sam("vit_t", resolution=64).image_encoder
    names = list(plain.state_dict())
    encoder = copy.deepcopy(plain)
    add_lora(encoder, LoraSettings(target=target))
    for name, parameter in encoder.named_parameters():
        if ".lora_B." in name:
            nn.init.normal_(parameter, std=0.1)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        expected = encoder.eval()(images)
        encoder.train()
        merge_lora(encoder)
        merged = encoder(images)
        assert (expected - plain(images)).abs().max() > 0.1
    torch.testing.assert_close(merged, expected, atol=1e-4, rtol=1e-4)
    assert not has_lora(encoder)
    assert list(encoder.state_dict()) == names


def test_an_encoder_without_lora_stays_as_it_is() -> None:
    encoder = build_sam("vit_t", resolution=64).image_encoder
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    merge_lora(encoder)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
