from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from segment_anything.modeling import Sam
from segment_anything.modeling.image_encoder import get_rel_pos

from spd_bench.errors import InputError
from spd_bench.models.sam import SamConfig, build_sam, build_sam_from_config
from spd_bench.models.weights import WeightsInfo, load_sam_weights, random_weights_info


def _random_sam(resolution: int = 64, seed: int = 0) -> Sam:
    """A vit_t with every parameter random: SAM starts its position tables at zero."""
    torch.manual_seed(seed)
    sam = build_sam("vit_t", resolution=resolution)
    for parameter in sam.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return sam


def _assert_equal_weights(result: Sam, expected: Sam) -> None:
    torch.testing.assert_close(result.state_dict(), expected.state_dict(), rtol=0, atol=0)


def _save(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def test_weights_are_loaded_and_recorded(tmp_path: Path) -> None:
    source, sam = _random_sam(), _random_sam(seed=1)
    path = _save(source.state_dict(), tmp_path / "own.pth")
    info = load_sam_weights(sam, path)
    _assert_equal_weights(sam, source)
    assert info == WeightsInfo(name="own.pth", sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_random_weights_have_no_hash() -> None:
    assert random_weights_info() == WeightsInfo(name="random", sha256=None)


@pytest.mark.parametrize("key", ["model", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_training_checkpoints_are_unpacked(tmp_path: Path, key: str, prefix: str) -> None:
    source, sam = _random_sam(), _random_sam(seed=1)
    weights = {prefix + name: value for name, value in source.state_dict().items()}
    load_sam_weights(sam, _save({key: weights, "optimizer": {"step": 3}, "epoch": 7}, tmp_path / "epoch_7.pth"))
    _assert_equal_weights(sam, source)


def test_position_tables_are_resized_to_the_model_s_resolution(tmp_path: Path) -> None:
    large, small = _random_sam(128), _random_sam(64, seed=1)
    load_sam_weights(small, _save(large.state_dict(), tmp_path / "large.pth"))
    table = large.image_encoder.pos_embed
    means = table.reshape(1, 8, 2, 8, 2, 128).mean(dim=(2, 4))  # halving bilinearly is the mean of 2 x 2
    torch.testing.assert_close(small.image_encoder.pos_embed, means)
    for ours, theirs in zip(small.image_encoder.blocks, large.image_encoder.blocks, strict=True):
        for name in ("rel_pos_h", "rel_pos_w"):
            on_the_fly = get_rel_pos(8, 8, getattr(theirs.attn, name))
            assert torch.equal(get_rel_pos(8, 8, getattr(ours.attn, name)), on_the_fly)
    unchanged = [name for name in small.state_dict() if "pos_embed" not in name and "rel_pos" not in name]
    assert all(torch.equal(small.state_dict()[name], large.state_dict()[name]) for name in unchanged)


def test_windowed_blocks_keep_their_tables_and_the_encoder_its_output(tmp_path: Path) -> None:
    large, small = _random_sam(128), _random_sam(96, seed=1)
    load_sam_weights(small, _save(large.state_dict(), tmp_path / "large.pth"))
    for number in (0, 2):
        windowed = small.image_encoder.blocks[number].attn.rel_pos_h
        assert torch.equal(windowed, large.image_encoder.blocks[number].attn.rel_pos_h)
    # SAM's own encoder interpolates relative positions itself, absolute ones it cannot.
    large.image_encoder.pos_embed = small.image_encoder.pos_embed
    images = torch.rand((1, 3, 96, 96))
    torch.testing.assert_close(small.image_encoder(images), large.image_encoder(images), rtol=0, atol=0)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not found, in .*absent\.pth: give the path"):
        load_sam_weights(_random_sam(), tmp_path / "absent.pth")
    with pytest.raises(InputError, match="the folder holds no weights"):
        load_sam_weights(_random_sam(), tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello world", b"<!DOCTYPE html>", b"\x80\x02."])
def test_files_of_another_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.pth") as caught:
        load_sam_weights(_random_sam(), path)
    assert "weights_only" not in str(caught.value)


def test_a_truncated_file_is_refused_and_the_model_left_as_it_was(tmp_path: Path) -> None:
    sam, before = _random_sam(), _random_sam()
    path = _save(_random_sam(seed=1).state_dict(), tmp_path / "short.pth")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match="download it again"):
        load_sam_weights(sam, path)
    _assert_equal_weights(sam, before)


class _WritesFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, 2))])
def test_code_in_a_file_is_not_run(tmp_path: Path, save: Any) -> None:
    trace = tmp_path / "code_was_run"
    save({"model": _WritesFile(trace)}, tmp_path / "code.pth")
    with pytest.raises(InputError, match="could run code"):
        load_sam_weights(_random_sam(), tmp_path / "code.pth")
    assert not trace.exists()


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, torch.zeros(2)])
def test_files_without_a_state_dict_are_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(InputError, match="no state dict"):
        load_sam_weights(_random_sam(), _save(content, tmp_path / "other.pth"))


def test_another_backbone_is_refused_with_keys_and_the_likely_one(tmp_path: Path) -> None:
    source, sam, before = _random_sam(), _tiny_sam(), _tiny_sam()
    path = _save(source.state_dict(), tmp_path / "t.pth")
    with pytest.raises(InputError) as caught:
        load_sam_weights(sam, path)
    message = str(caught.value)
    assert "unexpected: image_encoder.blocks.1.norm1.weight" in message
    assert "misshapen: image_encoder.pos_embed (1, 8, 8, 128) instead of (1, 8, 8, 32)" in message
    assert "backbone vit_t" in message
    _assert_equal_weights(sam, before)


@pytest.mark.parametrize(
    ("key", "architecture"),
    [
        ("image_encoder.trunk.blocks.0.norm1.weight", "SAM2"),
        ("vision_encoder.backbone.blocks.0.layer_norm1.weight", "SAM2"),
        ("image_encoder.layers.0.blocks.0.conv1.c.weight", "MobileSAM"),
    ],
)
def test_weights_of_sam_s_relatives_are_refused_by_name(tmp_path: Path, key: str, architecture: str) -> None:
    weights = {key: torch.ones(1), "mask_decoder.iou_token.weight": torch.ones((1, 256))}
    with pytest.raises(InputError, match=f"weights of {architecture}, not of SAM"):
        load_sam_weights(_random_sam(), _save({"model": weights}, tmp_path / "other.pt"))


def test_a_folder_of_sam2_is_refused_by_name(tmp_path: Path) -> None:
    save_file({"vision_encoder.backbone.pos_embed": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="weights of SAM2"):
        load_sam_weights(_random_sam(), tmp_path)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    weights = _random_sam().state_dict()
    del weights["mask_decoder.iou_token.weight"]
    with pytest.raises(InputError, match=r"1 missing: mask_decoder\.iou_token\.weight\)"):
        load_sam_weights(_random_sam(), _save(weights, tmp_path / "part.pth"))


def test_a_published_name_with_another_hash_is_refused(tmp_path: Path) -> None:
    path = _save(_random_sam().state_dict(), tmp_path / "sam_vit_b_01ec64.pth")
    with pytest.raises(InputError, match="not that of the published"):
        load_sam_weights(_random_sam(), path)


def _tiny_sam() -> Sam:
    torch.manual_seed(2)
    config = SamConfig(
        embed_dim=32, depth=1, num_heads=2, global_attn_indexes=(0,), patch_size=8, prompt_embed_dim=128,
        decoder_mlp_dim=512,
    )  # fmt: skip
    return build_sam_from_config(config, resolution=64)
