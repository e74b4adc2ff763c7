"""One process at a time on a folder, so that two that were started on the same grid share its work."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from spd_bench.errors import InputError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which lies beside it; wait while another process holds it, and say so.

    Who holds it may take it again. The system takes the lock back when its process ends, however that ends. The file
    stays, empty.

    Raises:
        InputError: the lock cannot be written there.
    """
    path = folder.with_name(f".{folder.name}.lock")
    lock = FileLock(path, is_singleton=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            tqdm.write(f"another process works on {folder}: waiting for it", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        raise InputError(
            f"cannot be locked ({error.strerror or error})",
            file=path,
            remedy="check the folder and its permissions, or choose another one",
        ) from error
    try:
        yield
    finally:
        lock.release()
