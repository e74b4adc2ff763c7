"""Files of weights as tensors: which files a path stands for, their hash, and what they hold.

Two kinds are read: torch's own (``.pth``, ``.pt``, ``.bin``), as plain tensors only, so that a file cannot run code,
and safetensors. A folder stands for the weights in it, as ``save_pretrained`` of transformers writes them; nothing
is ever fetched from elsewhere.
"""

from __future__ import annotations

import pickle  # nosec B403 - for the error that torch raises, nothing is unpickled with it
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spd_bench.errors import InputError
from spd_bench.storage import read_json, sha256_of_file, sha256_of_json

FOLDER_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""What holds the weights in a Hugging Face folder; the first one found is read, an index names several files."""

_SAFETENSORS = ".safetensors"
_LFS_POINTER = b"version https://git-lfs"
_WEB_PAGES = (b"<!doctype", b"<html", b"<?xml")
_ZIP = b"PK\x03\x04"


def weight_files(path: Path) -> list[Path]:
    """The files that hold the weights which ``path`` stands for: itself, or those in the folder.

    Raises:
        InputError: there is no such file or folder, the folder holds no weights, or its index is damaged.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(
            "weights not found", file=path, remedy="give the path of a checkpoint (.pth, .pt, .safetensors) or folder"
        )
    for name in FOLDER_FILES:
        if (path / name).is_file():
            return _shards(path / name) if name.endswith(".index.json") else [path / name]
    loose = sorted(file.name for file in path.iterdir() if file.suffix in {".pth", ".pt", ".bin", _SAFETENSORS})
    remedy = f"give the file itself, such as {loose[0]}" if loose else "give a checkpoint file, or the folder of one"
    raise InputError(f"the folder holds no weights (no {' or '.join(FOLDER_FILES[::2])})", file=path, remedy=remedy)


def weights_sha256(path: Path) -> str:
    """Hex SHA-256 of the weights that ``path`` stands for.

    Of one file it is that of its bytes, of several that over their names and hashes
    (``storage.sha256_of_files``). A file is hashed again only when its size or time of change differs.

    Raises:
        InputError: as for ``weight_files``, or a file cannot be read.
    """
    hashes = [(file.name, _file_sha256(file)) for file in weight_files(path)]
    return hashes[0][1] if len(hashes) == 1 else sha256_of_json(sorted(hashes))


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The named tensors of a checkpoint, on the CPU.

    Training checkpoints that keep the weights under "model" or "state_dict" are unpacked, and the "module." prefix
    of distributed training is removed.

    Args:
        path: a file, or a folder in the layout of ``save_pretrained``.

    Raises:
        InputError: as for ``weight_files``; or a file is damaged, a web page or a Git LFS pointer in the weights'
            place, or holds anything but tensors.
    """
    content: dict[str, Tensor] = {}
    for file in weight_files(path):
        content |= _read_file(file)
    return content


def _shards(index: Path) -> list[Path]:
    content = read_json(index)
    names = content.get("weight_map") if isinstance(content, Mapping) else None
    if not isinstance(names, Mapping) or not names or not all(isinstance(name, str) for name in names.values()):
        raise InputError("the index names no files of weights", file=index, remedy="download the folder again")
    shards = [index.parent / name for name in sorted(set(names.values()))]
    for shard in shards:
        if shard.parent != index.parent or not shard.is_file():
            raise InputError(
                f"the index names {shard.name}, which is not in its folder", file=index, remedy="download it too"
            )
    return shards


def _file_sha256(file: Path) -> str:
    try:
        state = file.stat()
        return _sha256_of_unchanged(file, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise _unreadable(file, error) from error


@lru_cache(maxsize=256)
def _sha256_of_unchanged(file: Path, size: int, mtime_ns: int) -> str:
    return sha256_of_file(file)


def _read_file(file: Path) -> dict[str, Tensor]:
    head = _head(file)
    _refuse_stand_ins(head, file)
    if file.suffix == _SAFETENSORS:
        return _read_safetensors(file)
    return _unpack(_read_torch(file, head), file)


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(200)
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: OSError) -> InputError:
    return InputError(f"weights cannot be read ({error.strerror})", file=file, remedy="check the file's permissions")


def _refuse_stand_ins(head: bytes, file: Path) -> None:
    """Small text files that often lie where the weights should be."""
    if not head:
        raise InputError("the file is empty", file=file, remedy="download it again")
    if head.startswith(_LFS_POINTER):
        raise InputError(
            "a Git LFS pointer, not the weights it stands for",
            file=file,
            remedy="run `git lfs pull` where it was cloned, or download the file itself",
        )
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_WEB_PAGES):
        raise InputError(
            "a web page that was saved in place of the weights",
            file=file,
            remedy="download from the link to the file itself, not to the page that shows it",
        )


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError  # here because runs without pretrained weights need it not
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, ValueError) as error:
        raise InputError(
            "not readable as safetensors (cut short or damaged)", file=file, remedy="download it again"
        ) from error


def _read_torch(file: Path, head: bytes) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own message recommends the unsafe way out, so it is not passed on.
        raise InputError(
            "not a checkpoint of plain tensors (damaged, or it holds Python objects, which could run code)",
            file=file,
            remedy="download it again, or save the model's state_dict alone",
        ) from error
    except Exception as error:  # torch.load lets through whatever its parsers stumble over
        what = "cut short or damaged" if head.startswith(_ZIP) else "cut short or of another kind"
        raise InputError(
            f"not readable as a torch checkpoint ({what})", file=file, remedy="download it again"
        ) from error


def _unpack(content: Any, file: Path) -> dict[str, Tensor]:
    for key in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())
    ):
        raise InputError("holds no state dict of tensors", file=file, remedy="save the model's state_dict alone")
    prefix = "module." if all(key.startswith("module.") for key in content) else ""
    return {key.removeprefix(prefix): value for key, value in content.items()}
