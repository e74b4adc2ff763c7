"""One input given to a reader, with a deadline."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from benchmarks.fuzzing.reader import FuzzedReader
from spd_bench.errors import InputError

DEADLINE = 1.0
_LONGEST_LINE = 3000


class _Late(BaseException):
    """No exception that a reader could catch."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a reader made of one input.

    Attributes:
        kind: one of :data:`benchmarks.fuzzing.tally.KINDS`.
        seconds: how long it took.
        place: type and place of the error, by which equal crashes are told; empty where there was none.
        details: the traceback, likewise.
    """

    kind: str
    seconds: float
    place: str = ""
    details: str = ""


def try_input(reader: FuzzedReader, path: Path, content: bytes) -> Trial:
    """Write ``content`` to ``path`` and have it read.

    A late input gets a second try, for a busy machine may be late itself.
    """
    path.write_bytes(content)
    first = _try_once(reader, path)
    if first.kind != "hang":
        return first
    second = _try_once(reader, path)
    return second if second.seconds < first.seconds else first


def _try_once(reader: FuzzedReader, path: Path) -> Trial:
    started = time.perf_counter()
    kind, error = _outcome(reader, path)
    seconds = time.perf_counter() - started
    # C code does not stop at the deadline, and what is raised in a destructor is lost.
    if seconds > DEADLINE and kind != "crash":
        kind = "hang"
    if error is None or kind == "refused":
        return Trial(kind=kind, seconds=seconds, place=kind if kind == "hang" else "")
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{type(error).__name__.strip('_')}-{Path(frame.filename).name}-{frame.lineno}"
    return Trial(kind=kind, seconds=seconds, place=place, details="".join(traceback.format_exception(error)))


def _outcome(reader: FuzzedReader, path: Path) -> tuple[str, BaseException | None]:
    try:
        with _deadline():
            reader.read(path)
    except InputError as error:
        return ("refused" if _tells(error, path) else "crash"), error
    except _Late as error:
        return "hang", error
    except Exception as error:
        return "crash", error
    return "accepted", None


def _tells(error: InputError, path: Path) -> bool:
    """Whether an error names the file in one line that can be read."""
    text = str(error)
    return str(path) in text and len(text.splitlines()) == 1 and text.isprintable() and len(text) < _LONGEST_LINE


@contextmanager
def _deadline() -> Iterator[None]:
    def raise_late(number: int, frame: FrameType | None) -> None:
        raise _Late

    signal.signal(signal.SIGALRM, raise_late)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
