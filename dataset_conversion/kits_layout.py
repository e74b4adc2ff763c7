"""Where the cases of a KiTS release lie, and which year's release it is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from spd_bench.errors import InputError

_CASE = re.compile(r"case_\d{5}")
_SUFFIXES = (".nii.gz", ".nii")
_DEPTH = 4


@dataclass(frozen=True, kw_only=True)
class KitsLayout:
    """What sets one year's release apart.

    Attributes:
        label: name of the label file without its suffix; ``{rater}`` stands for how annotations were aggregated.
        values: the label values it has.
        test_cases: numbers of the cases whose labels were never published.
    """

    label: str
    values: tuple[int, ...]
    test_cases: range = range(0)


LAYOUTS: Mapping[str, KitsLayout] = MappingProxyType(
    {
        "kits19": KitsLayout(label="segmentation", values=(1, 2), test_cases=range(210, 300)),
        "kits21": KitsLayout(label="aggregated_{rater}_seg", values=(1, 2, 3)),
        "kits23": KitsLayout(label="segmentation", values=(1, 2, 3)),
    }
)


def case_folders(source: Path) -> list[Path]:
    """The folders ``case_XXXXX`` of the one release below a folder.

    Raises:
        InputError: there is none, or several folders hold cases.
    """
    found = sorted(folder / name for folder, names, _ in _walk(source) for name in names if _CASE.fullmatch(name))
    parents = sorted({folder.parent for folder in found})
    if not found:
        raise InputError(
            "no folder case_XXXXX", file=source, remedy="give the clone of kits19, kits21 or kits23 with its imaging"
        )
    if len(parents) > 1:
        raise InputError(
            f"several folders hold cases: {', '.join(str(parent.relative_to(source)) for parent in parents)}",
            file=source,
            remedy="give one release",
        )
    return found


def recognised_layout(source: Path) -> str:
    """The year of a release, from what lies in its folders.

    Raises:
        InputError: there are no cases, or nothing tells KiTS19 from KiTS23.
    """
    folders = case_folders(source)
    data = folders[0].parent.resolve()
    if data.parent.name == "kits21" or any(any(folder.glob("aggregated_*")) for folder in folders):
        return "kits21"
    if (
        data.name == "dataset"
        or (data / "kits23.json").is_file()
        or any((folder / "instances").is_dir() for folder in folders)
        or int(folders[-1].name.removeprefix("case_")) >= LAYOUTS["kits19"].test_cases.stop
    ):
        return "kits23"
    if data.name == "data" or (data / "kits.json").is_file():
        return "kits19"
    raise InputError("nothing tells KiTS19 from KiTS23", file=data, remedy="add --layout kits19 or --layout kits23")


def gathered_images(source: Path) -> dict[str, Path]:
    """Imaging as Hugging Face has it: ``images/case_XXXXX.nii.gz``."""
    found = [
        folder / name
        for folder, _, names in _walk(source)
        if folder.name == "images"
        for name in names
        if name.endswith(_SUFFIXES) and _CASE.fullmatch(name.split(".")[0])
    ]
    folders = {file.parent for file in found}
    if len(folders) > 1:
        raise InputError(
            f"several folders hold imaging: {', '.join(sorted(str(f.relative_to(source)) for f in folders))}",
            file=source,
            remedy="keep one of them",
        )
    return {file.name.split(".")[0]: file for file in found}


def volume_file(folder: Path, stem: str) -> Path | None:
    """The NIfTI file of a case's folder with this name before its suffix, or None."""
    return next((folder / f"{stem}{suffix}" for suffix in _SUFFIXES if (folder / f"{stem}{suffix}").is_file()), None)


def _walk(source: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """``os.walk`` down to where a release's cases may lie, without going into the cases."""
    for place, names, files in os.walk(source):
        folder = Path(place)
        yield folder, sorted(names), sorted(files)
        deep = len(folder.relative_to(source).parts) >= _DEPTH
        names[:] = [] if deep else [name for name in names if not (_CASE.fullmatch(name) or name.startswith("."))]
