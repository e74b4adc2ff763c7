"""A reader under test: what reads, what it should be able to read, and how its files are spoiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

Mutator = Callable[[bytes, Random], bytes]


@dataclass(frozen=True, kw_only=True)
class FuzzedReader:
    """One format and its reader.

    Attributes:
        file_name: what the file is called; readers go by its ending.
        read: reads the file of that name; it may raise InputError and nothing else.
        seeds: whole files, as our own writers make them.
        mutate: one change of a file that leaves it much as it was, so that it comes past the parser.
        tokens: words of the format.
    """

    file_name: str
    read: Callable[[Path], Any]
    seeds: tuple[bytes, ...]
    mutate: Mutator
    tokens: tuple[bytes, ...] = ()
