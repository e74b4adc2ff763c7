"""Loading processes: their input errors arrive as they are, and they end when they are no longer needed.

torch raises what happened in a loading process again, with that process's traceback in its text. An InputError does
not survive that: it is made of more than a text. And the processes of a loader end when nothing refers to it any more,
which a traceback or a trainer may do for a long time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from torch.utils.data import DataLoader, Dataset

from spd_bench.errors import InputError

Item = TypeVar("Item")


class ErrorsAsItems(Dataset[Any]):
    """A dataset whose InputErrors are items, so that they can be passed on.

    Args:
        dataset: what is read.
    """

    def __init__(self, dataset: Dataset[Any]) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: Any) -> Any:
        try:
            return self._dataset[index]
        except InputError as error:
            return error


def collated(collate: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    """``collate`` for the items of :class:`ErrorsAsItems`: one error stands for the whole batch."""
    return partial(_collate, collate)


def _collate(collate: Callable[[list[Any]], Any], items: list[Any]) -> Any:
    error = next((item for item in items if isinstance(item, InputError)), None)
    return collate(items) if error is None else error


def checked(item: Item | InputError) -> Item:
    """An item of :class:`ErrorsAsItems`, or a batch of them; an error is raised."""
    if isinstance(item, InputError):
        raise item
    return item


def end_workers(iterator: object) -> None:
    """End the processes of a loader's iterator; one that has none, or has ended, is left alone."""
    # torch has no public way; Lightning uses this one as well.
    shut_down = getattr(iterator, "_shutdown_workers", None)
    if shut_down is not None:
        shut_down()


@contextmanager
def batches_of(loader: DataLoader[Any]) -> Iterator[Iterator[Any]]:
    """The batches of a loader over :class:`ErrorsAsItems`; its processes end with the block."""
    iterator = iter(loader)
    try:
        yield (checked(batch) for batch in iterator)
    finally:
        end_workers(iterator)
