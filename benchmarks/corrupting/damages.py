"""Ways to damage a file."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

Damage = Callable[[Path, np.random.Generator], None]
_TAIL = 9


@contextmanager
def damaged(path: Path, damage: Damage, random: np.random.Generator) -> Iterator[None]:
    """Damage a file, and restore it afterwards."""
    content = path.read_bytes()
    try:
        damage(path, random)
        yield
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        path.write_bytes(content)


def _missing(path: Path, random: np.random.Generator) -> None:
    path.unlink()


def _a_folder(path: Path, random: np.random.Generator) -> None:
    path.unlink()
    path.mkdir()


def _replaced(content: Callable[[bytes, np.random.Generator], bytes]) -> Damage:
    def damage(path: Path, random: np.random.Generator) -> None:
        path.write_bytes(content(path.read_bytes(), random))

    return damage


def _one_byte(content: bytes, random: np.random.Generator) -> bytes:
    changed = bytearray(content)
    changed[int(random.integers(len(content)))] ^= int(random.integers(1, 256))
    return bytes(changed)


def _cut(content: bytes, random: np.random.Generator) -> bytes:
    return content[: int(random.integers(1, len(content)))]


REFUSED: Mapping[str, Damage] = {
    "missing": _missing,
    "a folder": _a_folder,
    "empty": _replaced(lambda content, random: b""),
    "half": _replaced(lambda content, random: content[: len(content) // 2]),
    "zeros": _replaced(lambda content, random: bytes(len(content))),
    "noise": _replaced(lambda content, random: random.bytes(len(content))),
    "a page of text": _replaced(lambda content, random: b"<html><body>502 Bad Gateway</body></html>\n"),
    "packed": _replaced(lambda content, random: gzip.compress(gzip.compress(content))),
}
"""Damages that nobody could take for the file."""

NOTICED_OR_HARMLESS: Mapping[str, Damage] = {
    "last bytes missing": _replaced(lambda content, random: content[:-_TAIL]),
    "cut anywhere": _replaced(_cut),
    "one byte changed": _replaced(_one_byte),
}
"""Damages that may leave another valid file: a digit changed, a line lost. They must not crash what reads it."""
