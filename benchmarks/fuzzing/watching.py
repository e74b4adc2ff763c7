"""A reader and an engine in a process of their own, begun again where an input was the end of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fuzzing.child import CURRENT, FINDINGS, TALLY
from benchmarks.fuzzing.findings import keep_finding
from benchmarks.fuzzing.tally import Counts, Tally

REGISTRY = "benchmarks.fuzzing.registry"
_POLL = 0.1
PATIENCE = 10.0
"""Seconds after which an input that does not even heed its deadline is ended with its process."""
_MOST_DEATHS = 20
_MEMORY_FOLDER = Path("/dev/shm")  # nosec B108 - folders in it are made with names of their own


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """Many inputs for one reader.

    Attributes:
        reader: its name.
        engine: "atheris" or "hypothesis".
        inputs: how many.
        seed: of the engine.
        findings: folder that the inputs of crashes and hangs are copied to.
        registry: module whose ``READERS`` holds the reader.
    """

    reader: str
    engine: str
    inputs: int
    seed: int
    findings: Path
    registry: str = REGISTRY

    def run(self, progress: Callable[[int], object] = lambda _: None) -> dict[str, Any]:
        """Read all inputs, at most 20 deaths of the process long, and tell what came of them.

        Args:
            progress: called with the number of inputs since its last call.

        Raises:
            RuntimeError: the process failed before it read anything.
        """
        started = time.monotonic()
        room = _MEMORY_FOLDER if _MEMORY_FOLDER.is_dir() else None
        with tempfile.TemporaryDirectory(prefix="spd_fuzz_", dir=room) as name:
            folder = Path(name)
            tally = Tally(folder / TALLY)
            for life in range(_MOST_DEATHS):
                begun = tally.counts().inputs
                code = self._live(folder, tally, self.inputs - begun, self.seed + life, progress)
                if code == 0:
                    break
                self._bury(folder, tally, code, begun)
                if tally.counts().inputs >= self.inputs:
                    break
            self._keep(folder)
            return self._row(tally.counts(), time.monotonic() - started)

    def _live(self, folder: Path, tally: Tally, inputs: int, seed: int, progress: Callable[[int], object]) -> int:
        call = [sys.executable, "-m", "benchmarks.fuzzing.child", self.registry, self.reader, self.engine]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*call, str(inputs), str(seed), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"},
            )
            try:
                _watch(process, tally, progress)
            finally:
                process.kill()
                process.wait()
        return process.returncode

    def _bury(self, folder: Path, tally: Tally, code: int, begun: int) -> None:
        """Count and keep the input that a process died of."""
        counts = tally.counts()
        log = (folder / "log").read_text(encoding="utf-8", errors="replace")[-4000:]
        if not counts.is_running:
            inputs = counts.inputs - begun
            msg = f"fuzzing {self.reader} with {self.engine} ended with {code} after {inputs} inputs:\n{log}"
            raise RuntimeError(msg)
        kind = "hang" if code == -signal.SIGKILL else "crash"
        tally.end(kind, PATIENCE if kind == "hang" else 0.0)
        (current,) = (folder / CURRENT).iterdir()
        keep_finding(
            folder / FINDINGS,
            name=f"{self.reader}-died-{signal.Signals(-code).name if code < 0 else code}",
            content=current.read_bytes(),
            details=log,
        )

    def _keep(self, folder: Path) -> None:
        if (folder / FINDINGS).is_dir():
            shutil.copytree(folder / FINDINGS, self.findings, dirs_exist_ok=True)

    def _row(self, counts: Counts, seconds: float) -> dict[str, Any]:
        return {
            "reader": self.reader,
            "engine": self.engine,
            "inputs": counts.inputs,
            "accepted": counts.of_kind["accepted"],
            "refused": counts.of_kind["refused"],
            "crashes": counts.of_kind["crash"],
            "hangs": counts.of_kind["hang"],
            "slowest input in seconds": round(counts.slowest, 3),
            "seconds": round(seconds, 1),
        }


def _watch(process: subprocess.Popen[bytes], tally: Tally, progress: Callable[[int], object]) -> None:
    """Tell the progress until the process has ended or stands still within an input."""
    counts, since = tally.counts(), time.monotonic()
    while True:
        ended = process.poll() is not None
        now = tally.counts()
        if now.inputs != counts.inputs or not now.is_running:
            progress(now.inputs - counts.inputs)
            counts, since = now, time.monotonic()
        if ended or time.monotonic() - since > PATIENCE:
            return
        time.sleep(_POLL)
