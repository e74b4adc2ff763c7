from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from spd_bench.models.unet import build_unet


def _parameters_by_hand(in_channels: int, features: list[int]) -> int:
    """Two conv + norm at each stage; going up, a 2x2 transposed convolution and two more; a 1x1 at the end."""

    def double(inside: int, outside: int) -> int:
        return (9 * inside * outside + 3 * outside) + (9 * outside * outside + 3 * outside)

    total = sum(double(a, b) for a, b in zip([in_channels, *features], features, strict=False))
    for low, high in zip(features[:0:-1], features[-2::-1], strict=True):
        total += 4 * low * high + high + double(2 * high, high)
    return total + features[0] + 1


def test_gives_one_logit_for_each_pixel() -> None:
    torch.manual_seed(0)
    network = build_unet(in_channels=3, base_features=4)
    logits = network(torch.randn((2, 3, 32, 48)))
    assert isinstance(logits, torch.Tensor)
    assert logits.shape == (2, 1, 32, 48)
    assert logits.min() < 0 < logits.max()


@pytest.mark.parametrize(
    ("sizes", "features"),
    [
        ({"in_channels": 1, "base_features": 4, "stages": 3}, [4, 8, 16]),
        ({"in_channels": 3}, [32, 64, 128, 256, 512]),
        ({"in_channels": 1, "stages": 6}, [32, 64, 128, 256, 512, 512]),
    ],
)
def test_size_follows_the_plan(sizes: dict[str, int], features: list[int]) -> None:
    with torch.device("meta"):
        network = build_unet(**sizes)
    assert sum(p.numel() for p in network.parameters()) == _parameters_by_hand(sizes["in_channels"], features)


def test_layers_are_instance_norm_and_leaky_relu() -> None:
    kinds = {type(module) for module in build_unet(in_channels=1, base_features=4, stages=2).modules()}
    assert {nn.InstanceNorm2d, nn.LeakyReLU, nn.Conv2d, nn.ConvTranspose2d} <= kinds
    assert not kinds & {nn.BatchNorm2d, nn.ReLU, nn.Dropout2d}


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    network = build_unet(in_channels=1, base_features=4, stages=3)
    network(torch.randn((1, 1, 16, 16))).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("change", [{"in_channels": 0}, {"base_features": 0}, {"stages": 1}])
def test_impossible_sizes_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        build_unet(**({"in_channels": 1} | change))


def test_needs_neither_timm_nor_torchvision() -> None:
    code = "import sys, spd_bench.models.unet; sys.exit(bool({'timm', 'torchvision'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
