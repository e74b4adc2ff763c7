"""What has been counted so far, in a file that outlives the process that counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

KINDS = ("accepted", "refused", "crash", "hang")
_NAMES = (*KINDS, "inputs", "slowest", "running")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The counts of one reader at one moment.

    Attributes:
        of_kind: how many inputs had each of :data:`KINDS` as their end.
        inputs: inputs begun.
        slowest: seconds of the slowest one.
        is_running: whether the last one has not ended.
    """

    of_kind: dict[str, int]
    inputs: int
    slowest: float
    is_running: bool


class Tally:
    """Counts in a file, shared by the process that reads inputs and the one that watches it.

    Args:
        file: where they are; made where it is missing.
    """

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            np.zeros(len(_NAMES)).tofile(file)
        self._values = np.memmap(file, dtype=np.float64, mode="r+", shape=(len(_NAMES),))

    def begin(self) -> None:
        """An input is about to be read."""
        self._values[_NAMES.index("inputs")] += 1
        self._values[_NAMES.index("running")] = 1

    def end(self, kind: str, seconds: float) -> None:
        """The input has been read, or was the end of the process that read it."""
        self._values[_NAMES.index(kind)] += 1
        slowest = _NAMES.index("slowest")
        self._values[slowest] = max(self._values[slowest], seconds)
        self._values[_NAMES.index("running")] = 0

    def counts(self) -> Counts:
        """The counts now."""
        values = dict(zip(_NAMES, self._values.tolist(), strict=True))
        return Counts(
            of_kind={kind: int(values[kind]) for kind in KINDS},
            inputs=int(values["inputs"]),
            slowest=values["slowest"],
            is_running=bool(values["running"]),
        )
