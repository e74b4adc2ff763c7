"""Sums of preprocessed files: a copy that broke off, or bytes that a disk lost, are noticed before training.

blosc2 keeps no sums of its own: it reads a changed byte as another image, or as a block of many gigabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from spd_bench.errors import InputError
from spd_bench.storage import read_json, write_json

_PIECE = 1 << 20
_REMEDY = "run spd_plan_and_preprocess again, or copy the dataset once more"

Progress = Callable[[Iterable[str]], Iterable[str]]


def sums_path(folder: Path) -> Path:
    """The list of a folder of preprocessed cases; beside it, as nnU-Net allows no other files in it."""
    return folder.with_name(f"{folder.name}_sums.json")


def sums_of_case(folder: Path, case: str) -> dict[str, int]:
    """CRC-32 of each file of a preprocessed case, by its ending."""
    return {ending: _sum(folder / f"{case}{ending}") for ending in (".b2nd", "_seg.b2nd", ".pkl")}


def write_sums(folder: Path, sums: Mapping[str, Mapping[str, int]]) -> None:
    """Write the sums of all cases of a folder, case -> :func:`sums_of_case`."""
    write_json(sums_path(folder), sums)


def check_sums(folder: Path, cases: Iterable[str], *, progress: Progress = iter) -> None:
    """Compare the files of some cases with their sums; a folder that has none is taken as it is.

    Args:
        folder: preprocessed cases.
        cases: which to check.
        progress: wraps the iteration over the cases, for example in a progress bar.

    Raises:
        InputError: a file is missing or not the one that was written.
    """
    path = sums_path(folder)
    if not path.exists():
        return
    known = read_json(path)
    for case in progress(cases):
        expected = known.get(case) if isinstance(known, dict) else None
        if not isinstance(expected, dict):
            raise InputError(f"no sums of the preprocessed case {case}", file=path, remedy=_REMEDY)
        for ending, value in expected.items():
            if _sum(folder / f"{case}{ending}") != value:
                raise InputError(
                    "preprocessed file is not as it was written", file=folder / f"{case}{ending}", remedy=_REMEDY
                )


def _sum(path: Path) -> int:
    value = 0
    try:
        with path.open("rb") as stream:
            while piece := stream.read(_PIECE):
                value = zlib.crc32(piece, value)
    except OSError as error:
        raise InputError(f"preprocessed file cannot be read ({error.strerror})", file=path, remedy=_REMEDY) from error
    return value
