"""Whose folder a raw dataset is: one conversion's, and nobody else's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from spd_bench.errors import InputError
from spd_bench.raw.dataset import IMAGES, LABELS, PROMPTS
from spd_bench.raw.release.records import FILE_ENDING, RECORDS, as_json, read_settings, write_settings
from spd_bench.storage import remove_leftovers

_MOVE_AWAY = "move the folder away, or choose another dataset with -d"


def claim_folder(folder: Path, settings: Mapping[str, Any], expected: Collection[str]) -> None:
    """Note whose folder it is; refuse to mix what is converted with phantoms, another release, other choices.

    What killed runs left half-written is removed.

    Args:
        folder: the raw dataset's folder, which may not exist yet.
        settings: the release's name and the choices made.
        expected: ids of the cases that the release holds, sound or not.

    Raises:
        InputError: the folder holds something else, or cannot be written to.
    """
    _check_folders(folder)
    remove_leftovers(folder)
    present = {path.name.removesuffix(FILE_ENDING) for path in (folder / LABELS).glob(f"[!.]*{FILE_ENDING}")}
    foreign = sorted(present.difference(expected))
    if foreign:
        remedy = f"remove that case's files, {_MOVE_AWAY}"
        raise InputError(f"case {foreign[0]} there is not of this release", file=folder, remedy=remedy)
    found, wanted = read_settings(folder), as_json(settings)
    if found is None and present:
        raise InputError("the cases there were not converted from a release", file=folder, remedy=_MOVE_AWAY)
    if found is not None and present and found != wanted:
        told = ", ".join(
            f"{name} {found.get(name)!r} instead of {wanted.get(name)!r}"
            for name in sorted({*found, *wanted})
            if found.get(name) != wanted.get(name)
        )
        raise InputError(f"the cases there were converted with {told}", file=folder, remedy=_MOVE_AWAY)
    write_settings(folder, wanted)


def _check_folders(folder: Path) -> None:
    """A file that stands where a folder belongs would make every single case fail."""
    for path in (folder, *(folder / name for name in (IMAGES, LABELS, PROMPTS, RECORDS))):
        if path.exists() and not path.is_dir():
            raise InputError("a file stands where a folder belongs", file=path, remedy="move it away")
