from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from spd_bench.models.saliency import SaliencyHead


def test_equals_its_layers_written_out() -> None:
    torch.manual_seed(0)
    head = SaliencyHead(channels=16)
    embedding = torch.randn((2, 16, 3, 3))
    first, norm, _, second, _ = head.upscaling
    x = functional.conv_transpose2d(embedding, first.weight, first.bias, stride=2)
    x = functional.layer_norm(x.permute(0, 2, 3, 1), (4,), norm.weight, norm.bias, eps=1e-6).permute(0, 3, 1, 2)
    x = functional.conv_transpose2d(functional.gelu(x), second.weight, second.bias, stride=2)
    x = functional.conv2d(functional.gelu(x), head.logit.weight, head.logit.bias)
    expected = functional.interpolate(x, scale_factor=4, mode="bilinear")
    result = head(embedding, 48)
    assert result.shape == (2, 1, 48, 48)
    torch.testing.assert_close(result, expected)


def test_sam_sized_head_has_the_channels_of_the_method() -> None:
    shapes = [tuple(p.shape) for name, p in SaliencyHead(channels=256).named_parameters() if p.ndim == 4]
    assert shapes == [(256, 64, 2, 2), (64, 32, 2, 2), (1, 32, 1, 1)]


def test_logits_can_be_negative_and_start_at_the_bias() -> None:
    head = SaliencyHead(channels=16, bias=-3.5)
    torch.nn.init.zeros_(head.logit.weight)
    assert torch.equal(head(torch.randn((1, 16, 2, 2)), 16), torch.full((1, 1, 16, 16), -3.5))
    assert SaliencyHead(channels=16).logit.bias.item() == -2.0


def test_other_channel_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="got 12"):
        SaliencyHead(channels=12)
