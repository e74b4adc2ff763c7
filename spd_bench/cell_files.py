"""The files of a finished cell, and whether they are still what was written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from spd_bench.errors import InputError
from spd_bench.storage import read_json, sha256_of_file, write_json

PREDICTIONS = "predictions"
"""Folder of a cell's masks."""
_LIST = "files.json"
_SCORES = ("slices.csv", "volumes.csv")


def list_files(folder: Path) -> None:
    """Write down a cell's scores and masks with their hashes."""
    write_json(folder / _LIST, _hashes(folder))


def are_whole(folder: Path) -> bool:
    """Whether a cell has the scores and masks that were written down, and no others."""
    try:
        return bool(read_json(folder / _LIST) == _hashes(folder))
    except (InputError, OSError):
        return False


def hashes_of(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    """The hashes of files by their names in a folder."""
    return {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in files}


def _hashes(folder: Path) -> dict[str, str]:
    return hashes_of(folder, [*(folder / name for name in _SCORES), *sorted((folder / PREDICTIONS).glob("*"))])
