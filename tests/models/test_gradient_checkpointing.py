from __future__ import annotations

from typing import Any

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn

from spd_bench.models.checkpointing import set_gradient_checkpointing
from spd_bench.models.image_encoder import FusedImageEncoder
from spd_bench.models.lora import LoraSettings, add_lora
from spd_bench.models.msa import AdapterSettings, add_adapters
from spd_bench.models.sam_small_encoder import SmallImageEncoder

DEPTH = 3
ADAPTATIONS = ("none", "lora", "q_v", "adapters")


def _encoder(adaptation: str = "none") -> FusedImageEncoder:
    torch.manual_seed(0)
    encoder = FusedImageEncoder(
        img_size=24, patch_size=4, embed_dim=16, depth=DEPTH, num_heads=2, out_chans=8, window_size=4, use_rel_pos=True
    )
    if adaptation in ("lora", "q_v"):
        target = "qkv" if adaptation == "lora" else adaptation
        add_lora(encoder, LoraSettings(rank=2, dropout=0.5, target=target))
    if adaptation == "adapters":
        add_adapters(encoder, AdapterSettings())
    for name, parameter in encoder.named_parameters():
        if "norm" not in name:
            nn.init.normal_(parameter, std=0.3)
    return encoder.train()


def _images() -> Tensor:
    return torch.randn((2, 3, 24, 24), generator=torch.Generator().manual_seed(1))


def _step(encoder: FusedImageEncoder) -> tuple[Tensor, dict[str, Tensor | None], Tensor]:
    """Output, gradients and the next random number of one step."""
    torch.manual_seed(2)
    encoder.zero_grad()
    output = encoder(_images())
    output.square().mean().backward()
    return output.detach(), {name: p.grad for name, p in encoder.named_parameters()}, torch.rand(1)


def _count_calls(encoder: FusedImageEncoder | SmallImageEncoder) -> list[Any]:
    calls: list[Any] = []
    for block in encoder.blocks:
        block.mlp.register_forward_pre_hook(lambda module, _: calls.append(module))
    return calls


def _saved_numbers(encoder: FusedImageEncoder) -> int:
    """How many numbers a forward pass keeps for the gradients, parameters apart."""
    own = {p.data_ptr() for p in encoder.parameters()}
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            saved[tensor.data_ptr()] = tensor.untyped_storage().size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = encoder(_images())
    assert output.requires_grad
    return sum(saved.values())


@pytest.mark.parametrize("adaptation", ADAPTATIONS)
def test_outputs_and_gradients_stay_the_same_with_dropout_too(adaptation: str) -> None:
    plain, checkpointed = _encoder(adaptation), _encoder(adaptation)
    set_gradient_checkpointing(checkpointed, enabled=True)
    expected, found = _step(plain), _step(checkpointed)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[2], expected[2])
    trained = {name for name, gradient in expected[1].items() if gradient is not None}
    assert trained
    assert trained == {name for name, gradient in found[1].items() if gradient is not None}
    for name in trained:
        assert torch.equal(found[1][name], expected[1][name]), name


@pytest.mark.parametrize("adaptation", ["lora", "q_v"])
def test_dropout_is_at_work_where_it_is_tested(adaptation: str) -> None:
    encoder = _encoder(adaptation)
    assert not torch.equal(encoder(_images()), encoder(_images()))


def test_blocks_are_computed_again_for_the_gradients() -> None:
    encoder = _encoder("lora")
    calls = _count_calls(encoder)
    _step(encoder)
    assert len(calls) == DEPTH
    set_gradient_checkpointing(encoder, enabled=True)
    _step(encoder)
    assert len(calls) == DEPTH + 2 * DEPTH
    set_gradient_checkpointing(encoder, enabled=False)
    _step(encoder)
    assert len(calls) == DEPTH + 2 * DEPTH + DEPTH


def test_much_less_is_kept_for_the_gradients() -> None:
    encoder = _encoder("lora")
    kept = _saved_numbers(encoder)
    set_gradient_checkpointing(encoder, enabled=True)
    assert 0 < _saved_numbers(encoder) < kept / 4


def test_nothing_changes_without_gradients() -> None:
    encoder = _encoder().eval()
    calls = _count_calls(encoder)
    with torch.no_grad():
        expected = encoder(_images())
        set_gradient_checkpointing(encoder, enabled=True)
        assert torch.equal(encoder(_images()), expected)
    assert len(calls) == 2 * DEPTH


def test_the_state_dict_stays_the_same() -> None:
    encoder = _encoder("lora")
    names = list(encoder.state_dict())
    set_gradient_checkpointing(encoder, enabled=True)
    assert list(encoder.state_dict()) == names


def test_adaptation_may_follow_the_switch() -> None:
    encoder = _encoder()
    set_gradient_checkpointing(encoder, enabled=True)
    add_adapters(encoder, AdapterSettings())
    calls = _count_calls(encoder)
    _step(encoder)
    assert len(calls) == 2 * DEPTH


@pytest.mark.parametrize("adaptation", ADAPTATIONS)
def test_the_small_encoder_saves_memory_and_gives_the_same(adaptation: str) -> None:
    def small() -> SmallImageEncoder:
        torch.manual_seed(0)
        encoder = SmallImageEncoder(img_size=64, out_chans=16)
        if adaptation in ("lora", "q_v"):
            add_lora(encoder, LoraSettings(rank=2, target="qkv" if adaptation == "lora" else adaptation))
        if adaptation == "adapters":
            add_adapters(encoder, AdapterSettings())
        return encoder.train()

    images = torch.randn((1, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    found = []
    for enabled in (False, True):
        encoder = small()
        set_gradient_checkpointing(encoder, enabled=enabled)
        calls = _count_calls(encoder)
        torch.manual_seed(2)
        output = encoder(images)
        output.square().mean().backward()
        gradients = {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}
        found.append((len(calls), output.detach(), gradients))
    (once, expected, plain), (twice, output, recomputed) = found
    assert twice == 2 * once > 0
    assert torch.equal(output, expected)
    assert plain.keys() == recomputed.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(recomputed[name], gradient, rtol=1e-5, atol=1e-7)


def test_other_encoders_are_refused() -> None:
    other = ImageEncoderViT(img_size=16, embed_dim=16, depth=1, num_heads=2)
    with pytest.raises(ValueError, match="an image encoder of SAM's, got ImageEncoderViT"):
        set_gradient_checkpointing(other, enabled=True)
