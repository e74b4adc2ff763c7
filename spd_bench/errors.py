"""The one error that a wrong input raises: what is wrong, in which file, what to do."""

from __future__ import annotations

import copyreg
from pathlib import Path
from typing import Any

_MOST_LETTERS = 1000


class InputError(ValueError):
    """A fault of the user's input, told in one line of printable letters.

    Command line tools print it as ``error: <text>`` and exit with status 2; everything else that
    escapes from them is a fault of this package and keeps its traceback.

    Args:
        what: what is wrong, with the offending value; the rest of a very long one is left out.
        file: the file or folder it was found in, if there is one.
        remedy: what the user can do about it.

    Example:
        >>> raise InputError("no label for case a", file="labelsTr/a.nii.gz", remedy="add the label")
        Traceback (most recent call last):
        ...
        spd_bench.errors.InputError: no label for case a, in labelsTr/a.nii.gz: add the label
    """

    def __init__(self, what: str, *, file: Path | str | None = None, remedy: str) -> None:
        place = f", in {file}" if file is not None else ""
        shown = what if len(what) <= _MOST_LETTERS else f"{what[:_MOST_LETTERS]} ..."
        line = " ".join(f"{shown}{place}: {remedy}".split())
        # A value from a broken file can hold what would steer the terminal, or cannot be written at all.
        super().__init__("".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line))

    def __reduce__(self) -> tuple[Any, ...]:
        # Unpickling calls the class with the finished text, which __init__ does not take: without this an
        # error raised in a process pool's worker would break the pool.
        return copyreg.__newobj__, (type(self), str(self))  # type: ignore[attr-defined]


class UnwritableError(InputError):
    """A file cannot be written: no space, no permission, something in its way."""
