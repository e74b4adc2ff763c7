"""Checkpoints on disk: whole or absent, checked when read, the last two kept.

A checkpoint is a zip archive, as ``torch.save`` writes it, with a CRC-32 of each of its parts. torch does not look at
these sums when it loads; :func:`read_checkpoint` does, so that bytes that a disk has lost or changed are noticed and
not trained on. nnU-Net keeps one checkpoint, every 50 epochs, as a pickle.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from spd_bench.errors import InputError
from spd_bench.storage import atomic_path

LATEST = "checkpoint_latest.pth"
"""The last whole epoch of an unfinished run."""
PREVIOUS = "checkpoint_previous.pth"
"""The epoch before that: what a run goes on from where the newer file is torn."""
FINAL = "checkpoint_final.pth"
"""The end of a finished run."""

_NEEDED_KEYS = {"network_weights", "init_args", "current_epoch"}


def write_checkpoint(path: Path, checkpoint: dict[str, Any]) -> None:
    """Write a checkpoint atomically; one that stood at ``LATEST`` becomes ``PREVIOUS``.

    Raises:
        InputError: the folder cannot be written to, or there is no space left.
    """
    with atomic_path(path) as temporary:
        torch.save(checkpoint, temporary)
        if path.name == LATEST and path.is_file():
            # Two renames: a process that is killed between them leaves PREVIOUS, which is whole.
            path.replace(path.with_name(PREVIOUS))


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint that :func:`write_checkpoint` wrote.

    Raises:
        InputError: the file is missing, torn or damaged, or holds anything but plain values and tensors.
    """
    if not path.is_file():
        raise InputError("checkpoint not found", file=path, remedy="train the method first")
    try:
        _check_sums(path)
        checkpoint: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many types on torn or unsafe files
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"checkpoint cannot be read ({reason})", file=path, remedy="train the method again") from error
    if not isinstance(checkpoint, dict) or not checkpoint.keys() >= _NEEDED_KEYS:
        raise InputError("not a checkpoint of this package", file=path, remedy="train the method again")
    return checkpoint


def begun_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of an unfinished run; None where there is none, whole or torn.

    A torn newer one is replaced by the older: the run loses an epoch, not its life.

    Raises:
        InputError: there are checkpoints, and none of them can be read.
    """
    present = [path for path in (folder / LATEST, folder / PREVIOUS) if path.is_file()]
    for number, path in enumerate(present):
        try:
            read_checkpoint(path, torch.device("cpu"))
        except InputError:
            if number == len(present) - 1:
                raise
            continue
        if path.name == PREVIOUS:
            path.replace(folder / LATEST)
        return folder / LATEST
    return None


def _check_sums(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        msg = f"its part {damaged} is damaged"
        raise ValueError(msg)
