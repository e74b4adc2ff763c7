from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Block, window_partition, window_unpartition
from torch import Tensor, nn

from spd_bench.models import fused_attention
from spd_bench.models.image_encoder import FusedBlock, FusedImageEncoder
from spd_bench.models.lora import LoraSettings, add_lora
from spd_bench.models.msa import AdapterBlock, AdapterSettings, add_adapters, ignore_relative_positions
from spd_bench.models.sam import VIT_CONFIGS, build_sam

PATCH = 4
SIZES: dict[str, Any] = {
    "patch_size": PATCH,
    "embed_dim": 20,
    "depth": 3,
    "num_heads": 2,
    "out_chans": 8,
    "window_size": 4,
    "global_attn_indexes": (1,),
}
"""Heads are 10 wide: of no size that kernels are made for."""

GRIDS = {"no padding": 8, "one window": 4, "padding": 10, "padding in nearly all": 5, "window above the image": 3}


def _pair(grid: int, **changes: Any) -> tuple[ImageEncoderViT, FusedImageEncoder]:
    """segment_anything's encoder with random weights, position tables among them, and ours with the same."""
    torch.manual_seed(0)
    sizes = SIZES | {"use_rel_pos": True, "norm_layer": partial(nn.LayerNorm, eps=1e-6)} | changes
    sizes["img_size"] = grid * sizes["patch_size"]
    theirs, ours = ImageEncoderViT(**sizes), FusedImageEncoder(**sizes)
    _randomise(theirs)
    ours.load_state_dict(theirs.state_dict())
    return theirs.eval(), ours.eval()


def _randomise(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if "norm" not in name:
            nn.init.normal_(parameter, std=0.3)


def _images(encoder: ImageEncoderViT, *, count: int = 2) -> Tensor:
    return torch.randn((count, 3, encoder.img_size, encoder.img_size), generator=torch.Generator().manual_seed(1))


def _assert_same(theirs: nn.Module, ours: nn.Module, inputs: Tensor, *, atol: float = 1e-5) -> None:
    """Equal outputs without gradients and with them, and equal gradients of inputs and parameters."""
    with torch.inference_mode():
        expected = theirs(inputs)
        assert expected.std() > 0.1
        torch.testing.assert_close(ours(inputs), expected, rtol=0, atol=atol)
    found = []
    for module in (theirs, ours):
        own = inputs.clone().requires_grad_()
        output = module(own)
        torch.testing.assert_close(output, expected.clone(), rtol=0, atol=atol)
        (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
        found.append({"inputs": own.grad} | {name: p.grad for name, p in module.named_parameters()})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        if gradient is None:
            assert found[1][name] is None
            continue
        scale = float(gradient.abs().max()) or 1.0
        # Sums over all tokens in single precision: CPUs with other kernels differ in the fifth digit.
        torch.testing.assert_close(found[1][name] / scale, gradient / scale, rtol=0, atol=5e-5, msg=name)


@pytest.fixture(params=["all queries", "real queries only"])
def _cropping(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of attending in padded windows, whatever the size."""
    worth = 0 if request.param == "real queries only" else 2**62
    monkeypatch.setattr(fused_attention, "_ELEMENTS_WORTH_A_CALL", worth)


@pytest.mark.usefixtures("_cropping")
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_outputs_and_gradients_are_segment_anything_s(grid: int) -> None:
    theirs, ours = _pair(grid)
    _assert_same(theirs, ours, _images(theirs))


@pytest.mark.parametrize(
    "changes",
    [
        {"use_rel_pos": False},
        {"window_size": 0},
        {"global_attn_indexes": ()},
        {"qkv_bias": False},
        {"use_abs_pos": False},
    ],
    ids=str,
)
@pytest.mark.usefixtures("_cropping")
def test_other_kinds_of_encoders_agree_too(changes: dict[str, Any]) -> None:
    theirs, ours = _pair(6, **changes)
    _assert_same(theirs, ours, _images(theirs))


def test_the_grid_of_512_pixels_in_windows_of_14_agrees() -> None:
    theirs, ours = _pair(32, patch_size=16, embed_dim=48, num_heads=3, depth=2, window_size=14)
    _assert_same(theirs, ours, _images(theirs, count=1))


@pytest.mark.parametrize("elements", [1, 300, 2**20])
def test_any_number_of_masks_at_a_time_gives_the_same(elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_attention, "_MASK_ELEMENTS", elements)
    theirs, ours = _pair(10)
    with torch.no_grad():
        torch.testing.assert_close(ours(_images(theirs)), theirs(_images(theirs)), rtol=0, atol=1e-5)


@pytest.mark.usefixtures("_cropping")
@pytest.mark.parametrize("window", [0, 4])
@pytest.mark.parametrize("size", [(6, 11), (4, 9), (2, 7), (7, 4)])
def test_blocks_take_images_that_are_not_square(window: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    theirs = Block(dim=20, num_heads=2, use_rel_pos=True, window_size=window, input_size=size)
    _randomise(theirs)
    ours = FusedBlock(Block(dim=20, num_heads=2, use_rel_pos=True, window_size=window, input_size=size))
    ours.load_state_dict(theirs.state_dict())
    _assert_same(theirs, ours, torch.randn((2, *size, 20)))


def test_tables_for_another_grid_are_resized() -> None:
    torch.manual_seed(0)
    theirs = Block(dim=20, num_heads=2, use_rel_pos=True, input_size=(9, 9))
    _randomise(theirs)
    ours = FusedBlock(Block(dim=20, num_heads=2, use_rel_pos=True, input_size=(9, 9)))
    ours.load_state_dict(theirs.state_dict())
    _assert_same(theirs, ours, torch.randn((1, 6, 6, 20)))


@pytest.mark.parametrize("target", ["qkv", "q_v"])
def test_lora_gives_the_same_in_both_encoders(target: str) -> None:
    theirs, ours = _pair(10)
    for encoder in (theirs, ours):
        add_lora(encoder, LoraSettings(rank=2, target=target, dropout=0.0))
    _randomise(theirs)
    ours.load_state_dict(theirs.state_dict())
    _assert_same(theirs, ours, _images(theirs))
    assert all(p.grad is not None for name, p in ours.named_parameters() if ".lora_" in name)


class _PlainAdapterBlock(nn.Module):
    """MSA's block around segment_anything's own attention, windows cut as segment_anything does."""

    def __init__(self, block: AdapterBlock, stock: Any) -> None:
        super().__init__()
        self.block, self.stock = block, stock

    def forward(self, tokens: Tensor) -> Tensor:
        attended = self._attend(self.block.norm1(tokens))
        tokens = tokens + attended + self.block.attention_adapter(attended)
        normalised = self.block.norm2(tokens)
        return tokens + self.block.mlp(normalised) + 0.5 * self.block.mlp_adapter(normalised)

    def _attend(self, tokens: Tensor) -> Tensor:
        if self.stock.window_size == 0:
            return self.stock.attn(tokens)
        windows, padded = window_partition(tokens, self.stock.window_size)
        return window_unpartition(self.stock.attn(windows), self.stock.window_size, padded, tokens.shape[1:3])


@pytest.mark.parametrize("ignored", [False, True])
def test_msa_s_adapters_give_the_same_around_either_attention(ignored: bool) -> None:
    theirs, ours = _pair(10)
    add_adapters(ours, AdapterSettings())
    for encoder in (theirs, ours):
        if ignored:
            ignore_relative_positions(encoder)
    _randomise(ours)
    theirs.load_state_dict(ours.state_dict(), strict=False)
    for index, stock in enumerate(theirs.blocks):
        theirs.blocks[index] = _PlainAdapterBlock(copy.deepcopy(ours.blocks[index]), stock)
    images = _images(ours)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-5, rtol=0)


class _Bent(nn.Module):
    """An adapted layer whose answer to zeros is not the bias of the layer within."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.tanh(self.layer(tokens) + 0.5)


def test_padded_tokens_get_what_an_adapted_layer_makes_of_zeros() -> None:
    theirs, ours = _pair(10)
    for encoder in (theirs, ours):
        for block in encoder.blocks:
            block.attn.qkv = _Bent(block.attn.qkv)
    _assert_same(theirs, ours, _images(theirs))


@pytest.mark.parametrize(("grid", "calls"), [(10, 2), (8, 1)])
def test_padding_is_projected_once_in_and_never_out(grid: int, calls: int) -> None:
    _, ours = _pair(grid)
    projected: dict[str, list[int]] = {"qkv": [], "proj": []}

    def count(name: str) -> Callable[..., None]:
        return lambda _, inputs, __: projected[name].append(inputs[0].numel() // SIZES["embed_dim"])

    for name in projected:
        getattr(ours.blocks[0].attn, name).register_forward_hook(count(name))
    ours(_images(ours))
    assert projected == {"qkv": [2 * grid**2, 1][:calls], "proj": [2 * grid**2]}


def test_the_state_dict_is_segment_anything_s() -> None:
    theirs, ours = _pair(10)
    assert [(name, value.shape) for name, value in ours.state_dict().items()] == [
        (name, value.shape) for name, value in theirs.state_dict().items()
    ]


@pytest.mark.parametrize("backbone", VIT_CONFIGS)
def test_every_vision_transformer_is_built_with_it(backbone: str) -> None:
    with torch.device("meta"):
        encoder = build_sam(backbone, resolution=64).image_encoder
    assert isinstance(encoder, FusedImageEncoder)
    assert all(isinstance(block, FusedBlock) for block in encoder.blocks)


@pytest.mark.parametrize("gradients", [False, True])
def test_it_compiles_as_one_graph(gradients: bool) -> None:
    theirs, ours = _pair(10)
    torch.compiler.reset()
    compiled = torch.compile(ours, backend="eager", fullgraph=True)
    with torch.set_grad_enabled(gradients):
        torch.testing.assert_close(compiled(_images(theirs)), theirs(_images(theirs)), rtol=0, atol=1e-5)


@pytest.mark.usefixtures("_cropping")
@pytest.mark.parametrize("gradients", [False, True])
def test_bfloat16_is_as_close_as_segment_anything_s(gradients: bool) -> None:
    theirs, ours = _pair(10)
    exact = theirs(_images(theirs)).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.set_grad_enabled(gradients):
        errors = [float((encoder(_images(theirs)).detach() - exact).norm()) for encoder in (ours, theirs)]
    assert 0 < errors[0] < 1.5 * errors[1]
