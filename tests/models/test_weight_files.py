from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spd_bench.errors import InputError
from spd_bench.models import weight_files as module
from spd_bench.models.weight_files import read_state_dict, weight_files, weights_sha256
from spd_bench.storage import sha256_of_files

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4)}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 375042383\n" % (b"0" * 64)
PAGE = b"\n<!DOCTYPE html>\n<html><head><title>Quota exceeded</title></head></html>"


def _assert_equal(result: dict[str, torch.Tensor]) -> None:
    torch.testing.assert_close(result, WEIGHTS, rtol=0, atol=0)


def test_safetensors_and_torch_s_files_hold_the_same(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "w.safetensors")
    torch.save(WEIGHTS, tmp_path / "w.pt")
    _assert_equal(read_state_dict(tmp_path / "w.safetensors"))
    _assert_equal(read_state_dict(tmp_path / "w.pt"))


@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
def test_an_index_names_the_files_to_read(tmp_path: Path, kind: str) -> None:
    stem, suffix = kind.split(".")
    names = [f"{stem}-0000{number}-of-00002.{suffix}" for number in (1, 2)]
    for name, (key, value) in zip(names, WEIGHTS.items(), strict=True):
        save_file({key: value}, tmp_path / name) if suffix == "safetensors" else torch.save(
            {key: value}, tmp_path / name
        )
    _write_index(tmp_path / f"{kind}.index.json", dict(zip(WEIGHTS, names, strict=True)))
    _assert_equal(read_state_dict(tmp_path))
    assert weights_sha256(tmp_path) == sha256_of_files([tmp_path / name for name in names])


@pytest.mark.parametrize("shard", ["absent.safetensors", "../outside.safetensors"])
def test_an_index_may_only_name_files_of_its_folder(tmp_path: Path, shard: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    save_file(WEIGHTS, tmp_path / "outside.safetensors")
    _write_index(folder / "model.safetensors.index.json", dict.fromkeys(WEIGHTS, shard))
    with pytest.raises(InputError, match=rf"names {Path(shard).name}, which is not in its folder"):
        read_state_dict(folder)


@pytest.mark.parametrize("content", [[], {}, {"weight_map": {}}, {"weight_map": {"a": 3}}])
def test_an_index_without_files_is_refused(tmp_path: Path, content: object) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"names no files of weights, in .*index\.json"):
        read_state_dict(tmp_path)


def test_safetensors_go_before_torch_s_file(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "model.safetensors")
    torch.save({"other": torch.ones(1)}, tmp_path / "pytorch_model.bin")
    assert weight_files(tmp_path) == [tmp_path / "model.safetensors"]
    _assert_equal(read_state_dict(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (POINTER, r"Git LFS pointer, .*: run `git lfs pull`"),
        (PAGE, r"web page .*: download from the link to the file itself"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "web page"),
        (b"", "the file is empty"),
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "sam_vit_b_01ec64.pth"])
def test_what_lies_in_the_weights_place_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_state_dict(tmp_path / name)


@pytest.mark.parametrize("kept", [5, 60, -8])
def test_truncated_safetensors_are_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "w.safetensors"
    save_file(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"not readable as safetensors .*: download it again"):
        read_state_dict(path)


def test_truncated_torch_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match=r"cut short or damaged\), in .*w\.pth: download it again"):
        read_state_dict(path)


def test_a_folder_without_weights_is_refused_with_the_file_to_give(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds no weights .*: give a checkpoint file"):
        read_state_dict(tmp_path)
    torch.save(WEIGHTS, tmp_path / "sam_vit_b_01ec64.pth")
    with pytest.raises(InputError, match=r"give the file itself, such as sam_vit_b_01ec64\.pth"):
        read_state_dict(tmp_path)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.pth"
    torch.save(WEIGHTS, path)
    monkeypatch.setattr(Path, "open", _denied)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\), in .*w\.pth"):
        read_state_dict(path)
    with pytest.raises(InputError, match="Permission denied"):
        weights_sha256(path)


def test_the_hash_is_that_of_the_bytes_and_computed_once_for_each_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []
    original = module.sha256_of_file
    monkeypatch.setattr(module, "sha256_of_file", lambda path: hashed.append(path) or original(path))
    path = tmp_path / "w.pth"
    for content in (b"first", b"second!"):
        path.write_bytes(content)
        for _ in range(3):
            assert weights_sha256(path) == hashlib.sha256(content).hexdigest()
    assert len(hashed) == 2
    path.write_bytes(b"third!!")  # as long as before
    os.utime(path, ns=(0, 0))
    assert weights_sha256(path) == hashlib.sha256(b"third!!").hexdigest()


def test_a_missing_path_has_no_hash(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="weights not found"):
        weights_sha256(tmp_path / "absent")


def _write_index(path: Path, names: dict[str, str]) -> None:
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": names}))


def _denied(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")
