from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spd_bench.errors import InputError
from spd_bench.models.sam2 import Sam2Sizes, build_sam2, build_sam2_from_sizes
from spd_bench.models.sam2_keys import MODULES, POINT_EMBEDDINGS, translate_key
from spd_bench.models.sam2_weights import load_sam2_weights
from spd_bench.models.weights import WeightsInfo

TINY = Sam2Sizes(
    embed_dim=16, num_heads=1, blocks_per_stage=(1, 1, 2, 1), global_attention_blocks=(3,), hidden_size=128
)
SHARED = "shared_image_embedding.positional_embedding"


def _random_sam2(*, seed: int, resolution: int = 64) -> Any:
    torch.manual_seed(seed)
    model = build_sam2_from_sizes(TINY, resolution=resolution)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def _assert_equal_weights(result: Any, expected: Any) -> None:
    torch.testing.assert_close(result.state_dict(), expected.state_dict(), rtol=0, atol=0)


def _as_official(model: Any) -> dict[str, Tensor]:
    """The model's weights under official names, found by trying the names that the rules of SAM 2 allow."""
    from_ours = {translate_key(key): key for key in _candidates()}
    weights = {from_ours[key]: value for key, value in model.state_dict().items() if key in from_ours}
    table = model.prompt_encoder.point_embed.weight.detach()
    return weights | {key: table[[label]] for label, key in enumerate(POINT_EMBEDDINGS)}


def _candidates() -> list[str]:
    numbers = range(sum(TINY.blocks_per_stage))
    names = [name.replace("*", str(number)) for name in MODULES for number in numbers]
    return [name + kind for name in dict.fromkeys(names) for kind in ("", ".weight", ".bias")]


def test_official_weights_are_loaded_and_recorded(tmp_path: Path) -> None:
    source, model = _random_sam2(seed=0), _random_sam2(seed=1)
    path = tmp_path / "MedSAM2_latest.pt"
    torch.save({"model": _as_official(source)}, path)
    info = load_sam2_weights(model, path)
    _assert_equal_weights(model, source)
    assert info == WeightsInfo(name=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_weights_do_not_depend_on_the_resolution(tmp_path: Path) -> None:
    source, model = _random_sam2(seed=0, resolution=128), _random_sam2(seed=1)
    torch.save({"model": _as_official(source)}, tmp_path / "large.pt")
    load_sam2_weights(model, tmp_path / "large.pt")
    _assert_equal_weights(model, source)


def test_a_hugging_face_folder_is_loaded(tmp_path: Path) -> None:
    source, model = _random_sam2(seed=0), _random_sam2(seed=1)
    folder = tmp_path / "sam2.1-hiera-tiny"
    source.save_pretrained(folder)
    info = load_sam2_weights(model, folder)
    _assert_equal_weights(model, source)
    sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert info == WeightsInfo(name="sam2.1-hiera-tiny", sha256=sha256)


@pytest.mark.parametrize("kept", [SHARED, "prompt_encoder.shared_embedding.positional_embedding"])
def test_the_shared_matrix_of_positions_may_be_there_once(tmp_path: Path, kept: str) -> None:
    source, model = _random_sam2(seed=0), _random_sam2(seed=1)
    weights = {
        key: value for key, value in source.state_dict().items() if "positional_embedding" not in key or key == kept
    }
    torch.save(weights, tmp_path / "once.pt")
    load_sam2_weights(model, tmp_path / "once.pt")
    _assert_equal_weights(model, source)


def test_missing_unexpected_and_misshapen_weights_are_named_and_the_model_left_as_it_was(tmp_path: Path) -> None:
    weights = _as_official(_random_sam2(seed=0))
    del weights["no_obj_ptr"]
    weights["sam_mask_decoder.more"] = torch.zeros(1)
    weights["image_encoder.trunk.pos_embed"] = torch.zeros((1, 16, 9, 9))
    torch.save({"model": weights}, tmp_path / "other.pt")
    model, before = _random_sam2(seed=1), _random_sam2(seed=1)
    with pytest.raises(InputError) as caught:
        load_sam2_weights(model, tmp_path / "other.pt")
    message = str(caught.value)
    assert "1 missing: no_object_pointer" in message
    assert "1 unexpected: sam_mask_decoder.more" in message
    assert "misshapen: vision_encoder.backbone.pos_embed (1, 16, 9, 9) instead of (1, 16, 7, 7)" in message
    _assert_equal_weights(model, before)


def test_another_backbone_is_recognised(tmp_path: Path) -> None:
    torch.save(build_sam2("hiera_tiny", resolution=64).state_dict(), tmp_path / "tiny.pt")
    with pytest.raises(InputError, match="choose that backbone") as caught:
        load_sam2_weights(_random_sam2(seed=0), tmp_path / "tiny.pt")
    assert "of the size of hiera_tiny" in str(caught.value)


def test_sam_2_0_is_recognised(tmp_path: Path) -> None:
    weights = _as_official(_random_sam2(seed=0))
    del weights["no_obj_embed_spatial"]
    torch.save({"model": weights}, tmp_path / "sam2_hiera_tiny.pt")
    with pytest.raises(InputError, match=r"SAM 2\.0: give the one of SAM 2\.1"):
        load_sam2_weights(_random_sam2(seed=0), tmp_path / "sam2_hiera_tiny.pt")


def test_weights_of_sam_are_refused(tmp_path: Path) -> None:
    from spd_bench.models.sam import build_sam

    torch.save(build_sam("vit_t", resolution=64).state_dict(), tmp_path / "sam.pth")
    with pytest.raises(InputError, match=r"give the file of a SAM 2\.1"):
        load_sam2_weights(_random_sam2(seed=0), tmp_path / "sam.pth")


def test_a_published_name_with_another_hash_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sam2.1_hiera_tiny.pt"
    torch.save({"model": _as_official(_random_sam2(seed=0))}, path)
    with pytest.raises(InputError, match="not that of the published"):
        load_sam2_weights(_random_sam2(seed=0), path)


def test_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.pt"):
        load_sam2_weights(_random_sam2(seed=0), tmp_path / "absent.pt")
    path = tmp_path / "short.pt"
    torch.save({"model": _as_official(_random_sam2(seed=0))}, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"short\.pt"):
        load_sam2_weights(_random_sam2(seed=0), path)
