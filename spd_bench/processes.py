"""Work spread over processes, which stops soon when it is interrupted."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_in_processes(function: Callable[[Item], Result], items: Sequence[Item], *, jobs: int) -> Iterator[Result]:
    """Results of ``function`` for all items, in the order in which they come to an end.

    With one job or one item nothing is started. An interruption or an error waits for the items that are being
    worked on and drops those that are still waiting.

    Args:
        function: picklable, a function of a module.
        items: picklable.
        jobs: processes, at least 1.
    """
    if jobs == 1 or len(items) < 2:
        yield from map(function, items)
        return
    # Libraries below (nnU-Net, torch, ITK) hold threads, so workers are spawned, never forked.
    pool = ProcessPoolExecutor(
        max_workers=min(jobs, len(items)), mp_context=get_context("spawn"), initializer=_leave_interrupts_to_the_parent
    )
    try:
        for future in as_completed([pool.submit(function, item) for item in items]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts_to_the_parent() -> None:
    # A terminal sends Ctrl-C to the whole group; a worker that dies of it leaves half an item and breaks the pool.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
