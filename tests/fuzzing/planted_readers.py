"""Readers with faults that are known, for the process that fuzzes (it finds them by the name of this module)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.fuzzing.mutation import text_mutator
from benchmarks.fuzzing.reader import FuzzedReader
from spd_bench.errors import InputError
from spd_bench.prompts.formats import read_points
from spd_bench.raw.geometry import VolumeGeometry

GEOMETRY = VolumeGeometry(shape=(2, 3, 4), spacing=(8.0, 1.5, 0.75))
GOOD, BAD = b"good", b"bad"


def _faulty(fault: Callable[[], object]) -> FuzzedReader:
    def read(path: Path) -> None:
        content = path.read_bytes()
        if content == BAD:
            fault()
        elif content != GOOD:
            raise InputError("neither", file=path, remedy="write one of them")

    return FuzzedReader(file_name="a.txt", read=read, seeds=(BAD, GOOD), mutate=lambda content, random: content)


def _raise() -> None:
    raise ValueError("planted")


def _hide() -> None:
    raise InputError("which file?", remedy="guess")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _stand_still() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(60)


READERS = {
    "raises": _faulty(_raise),
    "hides": _faulty(_hide),
    "sleeps": _faulty(lambda: time.sleep(60)),
    "stands_still": _faulty(_stand_still),
    "dies": _faulty(_die),
    "swallows": _faulty(lambda: bytearray(2**33)),
    "text": FuzzedReader(
        file_name="a.txt",
        read=lambda path: read_points(path, geometry=GEOMETRY),
        seeds=(b"# frame = voxel_zyx\n0 1 2\n1 2 3\n",),
        mutate=text_mutator(("frame", "voxel_zyx", "#")),
        tokens=(b"frame",),
    ),
}
