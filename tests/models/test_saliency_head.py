from __future__ import annotations

import numpy as np
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


@pytest.mark.parametrize("side", [3, 16, 48, 50, 64, 7])
def test_logits_at_pixels_are_those_of_the_whole_map(side: int) -> None:
    """At every pixel, borders included, and for sides that are not four or sixteen times the embedding's."""
    torch.manual_seed(0)
    head = SaliencyHead(channels=16)
    torch.nn.init.normal_(head.logit.weight)
    embedding = torch.randn((2, 16, 4, 4))
    everywhere = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    whole = head(embedding, side)[:, 0]
    found = head.at_pixels(embedding, [everywhere, everywhere[::-1]], side).reshape(2, side, side)
    torch.testing.assert_close(found[0], whole[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1].flip(0, 1), whole[1], atol=1e-5, rtol=1e-5)
    assert whole.std() > 0.1


def test_pixels_may_be_few_repeated_or_none() -> None:
    torch.manual_seed(0)
    head = SaliencyHead(channels=16)
    embedding = torch.randn((3, 16, 2, 3))
    none = np.empty((0, 2), dtype=np.int64)
    pixels = [np.array([[31, 0], [5, 20], [31, 0]]), none, np.array([[0, 31]])]
    whole = head(embedding, 32)[:, 0]
    expected = torch.stack([whole[0, 0, 31], whole[0, 20, 5], whole[0, 0, 31], whole[2, 31, 0]])
    torch.testing.assert_close(head.at_pixels(embedding, pixels, 32), expected)
    assert head.at_pixels(embedding, [none, none, none], 32).shape == (0,)


def test_few_pixels_need_few_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    head = SaliencyHead(channels=16)
    columns: list[int] = []
    forward = head.upscaling.forward
    monkeypatch.setattr(head.upscaling, "forward", lambda given: columns.append(given.numel() // 16) or forward(given))
    head.at_pixels(torch.randn((1, 16, 8, 8)), [np.array([[9, 9], [10, 9], [40, 50]])], 64)
    assert columns[0] <= 8
