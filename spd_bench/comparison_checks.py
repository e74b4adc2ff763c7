"""What a folder that is kept of a comparison must hold before tables are made of it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from spd_bench.errors import InputError
from spd_bench.evaluation.frames import require_one_row_each
from spd_bench.storage import read_json

_REMEDY = "copy the whole folder again"
_KEY = ["dataset", "method", "fold"]
_SHARES = ("dice", "iou", "volumetric_dice", "average_dice")


class Run(NamedTuple):
    """Which run a row of scores or a record is of."""

    dataset: str
    method: str
    fold: int

    def __str__(self) -> str:
        return f"{self.dataset} {self.method} fold {self.fold}"


def run_of(record: Mapping[str, Any]) -> Run:
    """The run that a record is of."""
    return Run(str(record["dataset"]), str(record["method"]), int(record.get("fold", 0)))


def runs_of(frame: pd.DataFrame) -> list[Run]:
    """The runs that a frame has rows of, in its order."""
    return [Run(str(dataset), str(method), int(fold)) for dataset, method, fold in _keys(frame)]


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Read the run records of a folder.

    Raises:
        InputError: a file is unreadable or no run record, or two are of one run.
    """
    owners: dict[Run, Path] = {}
    records = []
    for path in sorted(folder.glob("*.json")):
        record = read_json(path)
        if not _is_record(record):
            raise InputError("not a run record (dataset, method, fold, hashes)", file=path, remedy=_REMEDY)
        owner = owners.setdefault(run_of(record), path)
        if owner != path:
            raise InputError(
                f"{run_of(record)} has two run records, {owner.name} and {path.name}",
                file=folder,
                remedy="remove the one that is not of these scores, or give two runs two names",
            )
        records.append(record)
    return records


def check_scores(
    folder: Path, *, slices: pd.DataFrame, volumes: pd.DataFrame, severities: pd.DataFrame | None = None
) -> None:
    """Refuse frames that do not hold the same cases, or one case twice, or a score that is none.

    Args:
        folder: where they were read, for the message.
        slices: rows of ``slices.csv``.
        volumes: rows of ``volumes.csv``.
        severities: rows of ``severities.csv``, None where there is none.

    Raises:
        InputError: names the first fault and its file.
    """
    for name, frame in (("slices.csv", slices), ("volumes.csv", volumes)):
        require_one_row_each(frame, file=folder / name)
        _require_shares(frame, file=folder / name)
    if volumes.empty:
        raise InputError("no scores", file=folder / "volumes.csv", remedy=_REMEDY)
    case = [*_KEY, "case"]
    counted = slices.groupby(case).size()
    expected = volumes.set_index(case)["slices"]
    for key in sorted({*counted.index, *expected.index}):
        found, wanted = int(counted.get(key, 0)), int(expected.get(key, 0))
        if found != wanted:
            raise InputError(
                f"{Run(*key[:3])} case {key[3]} has {found} slices where volumes.csv counts {wanted}",
                file=folder / "slices.csv",
                remedy=_REMEDY,
            )
    unknown = [] if severities is None else [run for run in runs_of(severities) if run not in set(runs_of(volumes))]
    if unknown:
        raise InputError(f"{unknown[0]} has no row in volumes.csv", file=folder / "severities.csv", remedy=_REMEDY)


def check_same_runs(folder: Path, *, volumes: pd.DataFrame, records: Sequence[Mapping[str, Any]]) -> None:
    """Refuse scores without a run record, and a record without scores."""
    scored, recorded = set(runs_of(volumes)), {run_of(record) for record in records}
    for runs, lacking in ((scored - recorded, "run record"), (recorded - scored, "scores")):
        if runs:
            raise InputError(f"{min(runs)} has no {lacking}", file=folder, remedy=_REMEDY)


def check_facts(file: Path, *, volumes: pd.DataFrame, patients: Mapping[str, Any], titles: Mapping[str, str]) -> None:
    """Refuse facts of another comparison, and two methods of one title.

    Args:
        file: where the facts were read, for the message.
        volumes: rows of ``volumes.csv``.
        patients: dataset to case to patient.
        titles: method to title.

    Raises:
        InputError: names the dataset that is unknown, or the two methods.
    """
    for dataset in dict.fromkeys(volumes["dataset"]):
        if dataset not in patients:
            raise InputError(f"no patients of {dataset}, which has scores", file=file, remedy=_REMEDY)
    check_titles({method: titles.get(method, method) for method in dict.fromkeys(volumes["method"])}, file=file)


def check_titles(titles: Mapping[str, str], *, file: Path | None = None) -> None:
    """Refuse two methods of one title: a reader could not tell their columns apart.

    Args:
        titles: method to title.
        file: where they were read, for the message.

    Raises:
        InputError: names the two methods.
    """
    owners: dict[str, str] = {}
    for method, title in titles.items():
        owner = owners.setdefault(title, method)
        if owner != method:
            raise InputError(
                f'methods {owner} and {method} share the title "{title}"', file=file, remedy="give each its own title"
            )


def _require_shares(frame: pd.DataFrame, *, file: Path) -> None:
    """A mean passes over what is no number: a comparison scores every slice and volume, so each must have one."""
    for name in _SHARES:
        if name in frame.columns:
            wrong = frame[~frame[name].between(0, 1)]
            if len(wrong):
                value, case = wrong[name].iloc[0], wrong["case"].iloc[0]
                raise InputError(
                    f"{runs_of(wrong)[0]} case {case} has {name} {value:g}, not 0..1", file=file, remedy=_REMEDY
                )


def _keys(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(frame[_KEY].drop_duplicates().itertuples(index=False, name=None))


def _is_record(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("dataset"), str)
        and isinstance(value.get("method"), str)
        and type(value.get("fold", 0)) is int
        and isinstance(value.get("hashes", {}), dict)
        and isinstance(value.get("missing_predictions", []), list)
    )
