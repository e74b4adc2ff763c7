from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from segment_anything.modeling import Sam
from torch import Tensor, nn

from spd_bench.models.lora import LoraSettings, add_lora, has_lora, set_lora_trainable
from spd_bench.models.qv_lora import QVLoraLinear
from spd_bench.models.sam import build_sam
from spd_bench.models.sam_network import SamNetwork

WIDTH = 12


def _layer(*, dropout: float = 0.0) -> QVLoraLinear:
    """Rank 4, scaled by 2.5, with random B."""
    torch.manual_seed(0)
    layer = QVLoraLinear(nn.Linear(WIDTH, 3 * WIDTH), rank=4, alpha=10, dropout=dropout)
    for name in ("q", "v"):
        layer.lora_B[name].weight.data.normal_()
    return layer


def _vit_t() -> Sam:
    torch.manual_seed(0)
    sam = build_sam("vit_t", resolution=64)
    for parameter in sam.parameters():
        nn.init.normal_(parameter, std=0.1)
    return sam


def _tokens() -> Tensor:
    return torch.rand((2, 3, 5, WIDTH), generator=torch.Generator().manual_seed(1))


def test_updates_are_scaled_products_for_q_and_v_and_none_for_k() -> None:
    layer = _layer()
    tokens, result = _tokens().double().numpy(), layer(_tokens()).detach()
    weights = {name: value.double().numpy() for name, value in layer.state_dict().items()}
    fused, bias = weights["base_layer.weight"], weights["base_layer.bias"]
    expected = []
    for number, name in enumerate("qkv"):
        rows = slice(number * WIDTH, (number + 1) * WIDTH)
        matrix = fused[rows]
        if name != "k":
            matrix = matrix + 2.5 * weights[f"lora_B.{name}.weight"] @ weights[f"lora_A.{name}.weight"]
        expected.append(tokens @ matrix.T + bias[rows])
    q, k, v = result.chunk(3, dim=-1)
    torch.testing.assert_close(q, torch.from_numpy(expected[0]).float())
    torch.testing.assert_close(v, torch.from_numpy(expected[2]).float())
    own = layer.base_layer(_tokens()).chunk(3, dim=-1)
    assert torch.equal(k, own[1])
    assert not torch.allclose(q, own[0])
    assert not torch.allclose(v, own[2])


def test_results_are_peft_s_on_split_q_and_v_layers() -> None:
    layer = _layer()
    split = nn.ModuleDict({name: nn.Linear(WIDTH, WIDTH) for name in "qkv"})
    for number, part in enumerate(split.values()):
        rows = slice(number * WIDTH, (number + 1) * WIDTH)
        part.load_state_dict({name: value[rows] for name, value in layer.base_layer.state_dict().items()})
    config = LoraConfig(r=4, lora_alpha=10, lora_dropout=0.0, target_modules=["q", "v"])
    inject_adapter_in_model(config, split)
    for name in ("q", "v"):
        split[name].lora_A["default"].weight.data = layer.lora_A[name].weight.data
        split[name].lora_B["default"].weight.data = layer.lora_B[name].weight.data
    expected = torch.cat([split[name](_tokens()) for name in "qkv"], dim=-1)
    torch.testing.assert_close(layer(_tokens()), expected)


def test_a_loss_on_k_alone_reaches_no_update() -> None:
    layer = _layer()
    _, k, _ = layer(_tokens()).chunk(3, dim=-1)
    k.square().sum().backward()
    for name in ("q", "v"):
        assert not layer.lora_A[name].weight.grad.any()
        assert not layer.lora_B[name].weight.grad.any()
    assert layer.base_layer.weight.grad[WIDTH : 2 * WIDTH].any()


@pytest.mark.parametrize(("name", "number", "other"), [("q", 0, "v"), ("v", 2, "q")])
def test_a_loss_on_one_of_q_and_v_reaches_its_own_update_alone(name: str, number: int, other: str) -> None:
    layer = _layer()
    layer(_tokens()).chunk(3, dim=-1)[number].square().sum().backward()
    assert layer.lora_A[name].weight.grad.any()
    assert layer.lora_B[name].weight.grad.any()
    assert not layer.lora_A[other].weight.grad.any()
    assert not layer.lora_B[other].weight.grad.any()


def test_dropout_leaves_k_and_evaluation_alone() -> None:
    layer = _layer(dropout=0.5).train()
    first, second = (layer(_tokens()).chunk(3, dim=-1) for _ in range(2))
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], second[0])
    assert not torch.equal(first[2], second[2])
    layer.eval()
    assert torch.equal(layer(_tokens()), layer(_tokens()))


def test_layers_that_are_not_fused_are_refused() -> None:
    with pytest.raises(ValueError, match=r"36 outputs.*got 24"):
        QVLoraLinear(nn.Linear(WIDTH, 2 * WIDTH), rank=4, alpha=10, dropout=0.0)


def test_vit_b_gets_294912_trainable_parameters_for_q_and_v() -> None:
    with torch.device("meta"):
        encoder = build_sam("vit_b", resolution=512).image_encoder
        own = sum(p.numel() for p in encoder.parameters())
        add_lora(encoder, LoraSettings(target="q_v"))
    trainable = [p.numel() for p in encoder.parameters() if p.requires_grad]
    assert sum(trainable) == 294_912
    assert trainable == [8 * 768] * 48
    assert sum(p.numel() for p in encoder.parameters()) == own + 294_912


def test_the_encoder_s_output_is_unchanged_at_first_and_lora_is_found_and_frozen() -> None:
    encoder = _vit_t().image_encoder
    images = torch.rand((1, 3, 64, 64))
    before = encoder(images)
    add_lora(encoder, LoraSettings(target="q_v"))
    assert torch.equal(encoder.eval()(images), before)
    assert has_lora(encoder)
    assert {name for name, p in encoder.named_parameters() if p.requires_grad} == {
        f"blocks.{number}.attn.qkv.lora_{half}.{name}.weight" for number in range(4) for half in "AB" for name in "qv"
    }
    set_lora_trainable(encoder, trainable=False)
    assert not any(p.requires_grad for p in encoder.parameters())


def test_pretrained_weights_fill_all_but_the_updates(tmp_path: Path) -> None:
    pretrained = _vit_t()
    torch.save(pretrained.state_dict(), tmp_path / "pretrained.pth")
    sam = build_sam("vit_t", resolution=64)
    add_lora(sam.image_encoder, LoraSettings(target="q_v"))
    network = SamNetwork(sam=sam, backbone="vit_t", resolution=64).eval()
    network.load_sam(tmp_path / "pretrained.pth")
    images = torch.rand((1, 3, 64, 64))
    assert torch.equal(network.encode(images), pretrained.image_encoder(images))
    network.train_only(["image_encoder"])
    assert all(".lora_" in name for name, p in network.named_parameters() if p.requires_grad)


def test_an_encoder_without_fused_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="qkv"):
        add_lora(nn.Linear(4, 12), LoraSettings(target="q_v"))
