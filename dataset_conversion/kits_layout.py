"""Where the cases of a KiTS release lie, and which year's release it is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
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


@dataclass(frozen=True, kw_only=True)
class KitsFiles:
    """What lies below a folder that holds a release.

    Attributes:
        source: the folder.
        folders: the folders ``case_XXXXX``, at least one, sorted.
        gathered: case -> its imaging in a folder ``images``, as Hugging Face has it.
    """

    source: Path
    folders: tuple[Path, ...]
    gathered: Mapping[str, tuple[Path, ...]]

    def imaging(self, folder: Path) -> list[Path]:
        """Every file that may be the imaging of a case's folder; a link and what it leads to are one."""
        files = [*volume_files(folder, "imaging"), *self.gathered.get(folder.name, ())]
        distinct: dict[Path, Path] = {}
        for file in files:
            distinct.setdefault(file.resolve(), file)
        return list(distinct.values())


def find_files(source: Path) -> KitsFiles:
    """Walk through a folder, once, for the cases and the imaging of one release.

    Raises:
        InputError: there is no case, or several folders hold cases or imaging.
    """
    folders: list[Path] = []
    images: list[Path] = []
    for folder, names, files in _walk(source):
        folders += [folder / name for name in names if _CASE.fullmatch(name)]
        images += [folder / name for name in files if folder.name == "images" and _CASE.fullmatch(_stem(name) or "")]
    if not folders:
        raise InputError(
            "no folder case_XXXXX", file=source, remedy="give the clone of kits19, kits21 or kits23 with its imaging"
        )
    _check_one_parent(folders, what="cases", source=source, remedy="give one release")
    _check_one_parent(images, what="imaging", source=source, remedy="keep one of them")
    gathered: dict[str, tuple[Path, ...]] = {}
    for file in images:
        case = file.name.partition(".")[0]
        gathered[case] = (*gathered.get(case, ()), file)
    return KitsFiles(source=source, folders=tuple(sorted(folders)), gathered=gathered)


def recognised_layout(folders: Sequence[Path]) -> str:
    """The year of a release, from what lies in the folders of its cases.

    Raises:
        InputError: nothing tells KiTS19 from KiTS23.
    """
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


def volume_files(folder: Path, stem: str) -> list[Path]:
    """The NIfTI files of a case's folder with this name before their suffix; more than one is a fault."""
    return [folder / f"{stem}{suffix}" for suffix in _SUFFIXES if (folder / f"{stem}{suffix}").is_file()]


def _stem(name: str) -> str | None:
    """A NIfTI file's name without its suffix, None for other files."""
    return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), None)


def _check_one_parent(found: Sequence[Path], *, what: str, source: Path, remedy: str) -> None:
    parents = sorted({path.parent for path in found})
    if len(parents) > 1:
        names = ", ".join(str(parent.relative_to(source)) for parent in parents)
        raise InputError(f"several folders hold {what}: {names}", file=source, remedy=remedy)


def _walk(source: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """``os.walk`` down to where a release's cases may lie, without going into the cases."""
    for place, names, files in os.walk(source):
        folder = Path(place)
        yield folder, sorted(names), sorted(files)
        deep = len(folder.relative_to(source).parts) >= _DEPTH
        names[:] = [] if deep else [name for name in names if not (_CASE.fullmatch(name) or name.startswith("."))]
