"""A set of phantoms as an nnU-Net raw dataset with prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from spd_bench.datasets import DATASETS
from spd_bench.errors import InputError
from spd_bench.phantoms.phantom import PhantomRequest
from spd_bench.phantoms.registry import PHANTOMS
from spd_bench.raw.writer import RawDatasetWriter
from spd_bench.storage import atomic_folder, read_json

GENERATOR_VERSION = 1
"""Raised whenever the same request gives other voxels or prompts."""


@dataclass(frozen=True, kw_only=True)
class PhantomSet:
    """Which cases are wanted; see :class:`PhantomRequest` for the single ones.

    Attributes:
        task: "TI", "SCAR", "FUMPE" or "KiTS".
        count: number of cases.
        seed: seed of the set.
        size: pixels of the longer in-plane side.
        severity: noise of the prompts.
        slices: number of slices; the task's own where None.
    """

    task: str
    count: int
    seed: int = 0
    size: int = 256
    severity: float = 1.0
    slices: int | None = None

    def __post_init__(self) -> None:
        if self.task not in PHANTOMS:
            msg = f"task must be one of {', '.join(PHANTOMS)}, got {self.task!r}"
            raise ValueError(msg)
        if self.count < 1:
            msg = f"count must be at least 1, got {self.count}"
            raise ValueError(msg)
        self.request(0)

    def request(self, case_number: int) -> PhantomRequest:
        """One case of the set."""
        return PhantomRequest(
            task=self.task,
            seed=self.seed,
            case_number=case_number,
            size=self.size,
            severity=self.severity,
            slices=self.slices,
        )

    @property
    def description(self) -> str:
        """What the set is, in words that tell any two different sets apart."""
        slices = "the task's own number of" if self.slices is None else self.slices
        return (
            f"procedural phantoms of {DATASETS[self.task].target}, no patient data: {self.count} cases,"
            f" seed {self.seed}, size {self.size}, {slices} slices, prompt severity {self.severity!r},"
            f" generator version {GENERATOR_VERSION}"
        )


def write_phantom_set(
    phantoms: PhantomSet, *, folder: Path, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> bool:
    """Write a set as a raw dataset: all of it or nothing.

    Args:
        phantoms: the set.
        folder: the dataset's folder, such as ``Dataset501_TI``.
        progress: wraps the case numbers, for a progress bar.

    Returns:
        True where the set was written, False where the very same set was there already.

    Raises:
        InputError: the folder holds something else.
    """
    if _holds_the_same(folder, phantoms.description):
        return False
    info = DATASETS[phantoms.task]
    with atomic_folder(folder) as unfinished:
        writer = RawDatasetWriter(
            folder=unfinished,
            channel_names=[info.channel_name],
            description=phantoms.description,
            target_name=info.target.replace(" ", "_"),
        )
        for number in progress(range(phantoms.count)):
            request = phantoms.request(number)
            phantom = PHANTOMS[phantoms.task](request)
            writer.add_case(
                case=request.case,
                images=[phantom.image],
                label=phantom.label,
                geometry=phantom.geometry,
                prompts=phantom.prompts,
            )
        writer.finish()
    return True


def write_phantom_dataset(
    task: str,
    *,
    folder: Path,
    count: int,
    seed: int,
    size: int,
    severity: float = 1.0,
    slices: int | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> bool:
    """:func:`write_phantom_set` for a set given by its parts; ValueError where one is out of range."""
    phantoms = PhantomSet(task=task, count=count, seed=seed, size=size, severity=severity, slices=slices)
    return write_phantom_set(phantoms, folder=folder, progress=progress)


def _holds_the_same(folder: Path, description: str) -> bool:
    """Whether the folder holds the set already; a folder with anything else in it is refused."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    file = folder / "dataset.json"
    found = read_json(file) if file.is_file() else None
    if isinstance(found, dict) and found.get("description") == description:
        return True
    raise InputError(
        "the dataset folder holds something else than these phantoms",
        file=folder,
        remedy="move or remove it, or set nnUNet_raw to another folder",
    )
