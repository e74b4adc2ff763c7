"""A training command in a process of its own, and what kills it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from spd_bench.training.checkpoints import FINAL, LATEST, PREVIOUS, begun_checkpoint, read_checkpoint

_EVERY = 4
_MOST_EPOCHS = 3
_POLL = 0.0005
_PATIENCE = 600.0


@dataclass(frozen=True, kw_only=True)
class TrainingCommand:
    """``spd_train`` with its arguments.

    Attributes:
        arguments: without ``--continue``.
        folder: where the run is written.
    """

    arguments: tuple[str, ...]
    folder: Path

    @property
    def is_begun(self) -> bool:
        """Whether there is an epoch to go on from."""
        return (self.folder / LATEST).is_file() or (self.folder / PREVIOUS).is_file()

    def start(self) -> subprocess.Popen[str]:
        """Begin or continue, in a group of processes of its own, so that its loading processes are found."""
        call = [sys.executable, "-m", "spd_bench.cli.train", *self.arguments]
        return subprocess.Popen(
            [*call, "--continue"] if self.is_begun else call,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def run(self) -> float:
        """Begin or continue undisturbed; the seconds of training.

        Raises:
            RuntimeError: the command failed.
        """
        process = self.start()
        _wait(process, lambda: self.is_begun or self.is_finished)
        started = time.monotonic()
        self.finish(process)
        return time.monotonic() - started

    def finish(self, process: subprocess.Popen[str]) -> None:
        """Wait for the end.

        Raises:
            RuntimeError: the command failed.
        """
        _, errors = process.communicate()
        if process.returncode:
            msg = f"spd_train {' '.join(self.arguments)} failed:\n{errors[-2000:]}"
            raise RuntimeError(msg)

    @property
    def saved_at(self) -> int | None:
        """When the last whole epoch was saved, in nanoseconds; None before the first."""
        try:
            return (self.folder / LATEST).stat().st_mtime_ns
        except FileNotFoundError:
            return None

    @property
    def is_finished(self) -> bool:
        """Whether the run has written its end."""
        return (self.folder / FINAL).is_file()


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When a run was killed.

    Attributes:
        epochs: whole epochs that were on disk.
        writing: whether a checkpoint was half-written.
    """

    epochs: int
    writing: bool


class Killer:
    """Kills a training command and continues it.

    Args:
        command: what is killed.
        random: decides when.
        epoch_seconds: how long an epoch takes.
    """

    def __init__(self, command: TrainingCommand, *, random: np.random.Generator, epoch_seconds: float) -> None:
        self._command = command
        self._random = random
        self._epoch_seconds = epoch_seconds

    def run(self, kills: int) -> Sequence[Moment]:
        """Kill ``kills`` times, continue after each, and let the last one end.

        A run that ends before it is killed has ended: the moments tell how often it was.
        """
        moments: list[Moment] = []
        while len(moments) < kills and not self._command.is_finished:
            moment = self._kill_once(writing=len(moments) % _EVERY == _EVERY - 1)
            moments += [] if moment is None else [moment]
        if not (self._command.folder / "run.json").is_file():
            self._command.run()
        return moments

    def _kill_once(self, *, writing: bool) -> Moment | None:
        command = self._command
        logs = set(command.folder.glob("training_log_*"))
        process = command.start()
        _wait(process, lambda: bool(set(command.folder.glob("training_log_*")) - logs))
        for _ in range(int(self._random.integers(_MOST_EPOCHS))):
            begun = command.saved_at
            _wait(process, lambda: command.saved_at != begun)  # noqa: B023 - waited for before the loop goes on
        if writing:
            _wait(process, lambda: self._is_writing(process))
        else:
            deadline = time.monotonic() + self._random.uniform(0, self._epoch_seconds)
            _wait(process, lambda: time.monotonic() > deadline)
        if process.poll() is not None:
            command.finish(process)
            return None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        half = self._is_writing(process)
        path = begun_checkpoint(command.folder)
        epochs = 0 if path is None else read_checkpoint(path, torch.device("cpu"))["current_epoch"]
        return Moment(epochs=epochs, writing=half)

    def _is_writing(self, process: subprocess.Popen[str]) -> bool:
        """Whether a checkpoint is half-written, or was when the process was killed."""
        return any(self._command.folder.glob(f".part-{process.pid}-checkpoint*"))


def _wait(process: subprocess.Popen[str], until: Callable[[], bool]) -> None:
    """Look again and again, until it is so or the process has ended."""
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and not until():
        if time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            msg = f"nothing happened for {_PATIENCE:.0f} s"
            raise TimeoutError(msg)
        time.sleep(_POLL)
