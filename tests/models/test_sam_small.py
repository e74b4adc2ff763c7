from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from segment_anything.modeling import Sam
from torch import nn

from spd_bench.models.lora import LoraSettings, add_lora
from spd_bench.models.msa import AdapterSettings, add_adapters
from spd_bench.models.sam_network import SamNetwork
from spd_bench.models.sam_small import build_sam_small
from spd_bench.models.weights import load_sam_weights


@pytest.fixture
def sam() -> Sam:
    torch.manual_seed(0)
    return build_sam_small(resolution=64)


def images(count: int, side: int) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_it_has_at_most_four_million_parameters_and_fits_8_mb_in_half_precision(sam: Sam) -> None:
    tensors = sam.state_dict().values()
    assert sum(parameter.numel() for parameter in sam.parameters()) <= 4_000_000
    assert sum(tensor.numel() * 2 for tensor in tensors) < 8_000_000


@pytest.mark.parametrize("resolution", [32, 96, 160])
def test_any_multiple_of_32_goes_through_the_house_s_network(resolution: int) -> None:
    network = SamNetwork(sam=build_sam_small(resolution=resolution), backbone="sam_small", resolution=resolution)
    embeddings = network.encode(images(2, resolution))
    assert embeddings.shape == (2, 128, resolution // 8, resolution // 8)
    masks = network.decode(embeddings, [torch.tensor([[3.0, 5.0]]), torch.zeros(0, 2)])
    assert masks.shape == (2, resolution, resolution)
    assert network.decode_boxes(embeddings, torch.tensor([[1.0, 1, 9, 9]] * 2)).shape == masks.shape


@pytest.mark.parametrize("resolution", [0, -32, 48])
def test_another_resolution_is_refused(resolution: int) -> None:
    with pytest.raises(ValueError, match=str(resolution)):
        build_sam_small(resolution=resolution)


def test_one_file_of_half_precision_fits_every_resolution(sam: Sam, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_file({name: value.half().contiguous() for name, value in sam.state_dict().items()}, path)
    torch.manual_seed(9)
    other = build_sam_small(resolution=128)
    assert load_sam_weights(other, path).name == "small.safetensors"
    for name, value in other.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, sam.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_an_image_s_embedding_does_not_depend_on_the_rest_of_the_batch(sam: Sam) -> None:
    sam.train()
    batch = images(3, 64)
    with torch.no_grad():
        torch.testing.assert_close(sam.image_encoder(batch)[1:2], sam.image_encoder(batch[1:2]), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in sam.modules())


def test_what_is_far_away_matters_beyond_the_attention_windows() -> None:
    sam = build_sam_small(resolution=288)
    near, far = images(1, 288), images(1, 288)
    far[..., 200:, 200:] = 1.0
    with torch.no_grad():
        difference = (sam.image_encoder(near) - sam.image_encoder(far)).abs()
    assert difference[..., 0, 0].max() > 1e-5


@pytest.mark.parametrize("target", ["qkv", "q_v"])
def test_lora_sits_on_every_block_changes_nothing_at_first_and_gets_gradients(sam: Sam, target: str) -> None:
    encoder = sam.image_encoder
    before = encoder(images(1, 64)).detach()
    add_lora(encoder, LoraSettings(rank=2, target=target))
    torch.testing.assert_close(encoder(images(1, 64)), before, rtol=1e-4, atol=1e-5)
    trained = {name: value for name, value in encoder.named_parameters() if value.requires_grad}
    assert trained
    assert all(".lora_" in name for name in trained)
    assert {name.split(".")[1] for name in trained} == {str(index) for index in range(len(encoder.blocks))}
    encoder(images(1, 64)).square().sum().backward()
    assert all(value.grad.abs().sum() > 0 for name, value in trained.items() if "lora_B" in name)


def test_msa_adapters_change_nothing_at_first_and_something_after_a_change(sam: Sam) -> None:
    encoder = sam.image_encoder
    before = encoder(images(1, 64)).detach()
    add_adapters(encoder, AdapterSettings())
    torch.testing.assert_close(encoder(images(1, 64)), before, rtol=1e-4, atol=1e-5)
    nn.init.ones_(encoder.blocks[0].mlp_adapter[2].bias)
    assert (encoder(images(1, 64)) - before).abs().max() > 1e-3


def test_gradients_reach_every_parameter(sam: Sam) -> None:
    sam.train()
    with torch.no_grad():  # a fresh relative position is zero everywhere, and then some gradients are exactly so
        for block in sam.image_encoder.blocks:
            block.attn.rel_pos_h.normal_(std=0.1)
            block.attn.rel_pos_w.normal_(std=0.1)
    embeddings = sam.image_encoder(images(2, 64))
    points = (torch.tensor([[[5.0, 5], [20, 30], [8, 9]]] * 2), torch.tensor([[1.0, 0, -1]] * 2))
    boxes = torch.tensor([[1.0, 2, 30, 40]] * 2)
    total = torch.zeros(())
    for masks in (torch.randn(2, 1, 32, 32), None):
        sparse, dense = sam.prompt_encoder(points=points, boxes=boxes, masks=masks)
        logits, ious = sam.mask_decoder.predict_masks(
            torch.zeros(1, 128, 8, 8), sam.prompt_encoder.get_dense_pe(), sparse, embeddings + dense
        )
        weights = torch.linspace(-1, 1, logits.numel()).reshape(logits.shape)
        total = total + (logits * weights).sum() + ious.square().sum()
    total.backward()
    without = [name for name, value in sam.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == []
