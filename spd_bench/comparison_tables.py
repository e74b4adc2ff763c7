"""Tables and figures of a comparison from what its folder holds, so that they can be made again anywhere.

``slices.csv``, ``volumes.csv``, the run records and ``comparison.json`` are enough; no data, network or plan is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from spd_bench.comparison_checks import check_facts, check_same_runs, check_scores, read_records, run_of, runs_of
from spd_bench.comparison_figures import write_figures
from spd_bench.datasets import DATASETS
from spd_bench.errors import InputError
from spd_bench.evaluation import summarise, write_frame
from spd_bench.evaluation.frames import read_frame
from spd_bench.evaluation.provenance import check_same_ground
from spd_bench.evaluation.significance import paired_comparisons
from spd_bench.evaluation.table_formats import PrintedTable
from spd_bench.evaluation.tables import DiceTable, build_table, print_table, write_tables
from spd_bench.storage import read_json, write_json

FACTS = "comparison.json"
RUNS = "runs"
SEVERITIES = "severities.csv"
_TABLE_METRICS = ("average_dice", "volumetric_dice")
_PAPER_NOTE = 'Rows "paper" hold the printed numbers of arXiv 2604.23314, on its own data, splits, weights and budget.'


@dataclass(frozen=True, kw_only=True)
class ComparisonFacts:
    """What tables and figures say beside scores and run records.

    Attributes:
        patients: dataset to case to patient.
        descriptions: dataset to what it is.
        titles: method to title.
        notes: method to what a reader must know of it.
        skipped: rows that were left out and why.
    """

    patients: Mapping[str, Mapping[str, str]]
    descriptions: Mapping[str, str]
    titles: Mapping[str, str]
    notes: Mapping[str, str]
    skipped: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> ComparisonFacts:
        """Read ``comparison.json``.

        Raises:
            InputError: the file is missing or unreadable, or is another one.
        """
        values = read_json(path)
        names = {field.name for field in fields(cls)}
        if (
            not isinstance(values, dict)
            or set(values) != names
            or not all(isinstance(v, dict) for v in values.values())
        ):
            raise InputError(
                f"not the facts of a comparison ({', '.join(sorted(names))})",
                file=path,
                remedy="give the folder that spd_compare_baselines wrote",
            )
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class WrittenResults:
    """What was made of the scores.

    Attributes:
        summary: rows of ``summary.csv``.
        tables: the tables as printed.
        files: what was written.
    """

    summary: pd.DataFrame
    tables: list[PrintedTable]
    files: list[Path]


def write_tables_and_figures(
    folder: Path,
    *,
    slices: pd.DataFrame,
    volumes: pd.DataFrame,
    severities: pd.DataFrame | None,
    records: Sequence[Mapping[str, Any]],
    facts: ComparisonFacts,
) -> WrittenResults:
    """Write frames, tables and figures.

    Args:
        folder: where they go.
        slices: rows of ``slices.csv``.
        volumes: rows of ``volumes.csv``.
        severities: rows of ``severities.csv``, None where other severities were not run.
        records: run records of the rows.
        facts: patients, titles and notes.

    Raises:
        InputError: rows of one dataset stand on different plans, splits, prompts or scoring rules.
    """
    check_same_ground(records)
    frames = {"slices.csv": slices, "volumes.csv": volumes, **_statistics(slices, volumes, facts.patients)}
    if severities is not None:
        frames[SEVERITIES] = severities
    for name, frame in frames.items():
        write_frame(folder / name, frame)
    tables = _tables(frames, records, facts)
    files = [folder / name for name in frames]
    files += write_tables(folder, tables, facts.titles)
    files += write_figures(folder / "figures", frames, patients=facts.patients, titles=facts.titles)
    printed = [print_table(table, facts.titles) for table in tables]
    return WrittenResults(summary=frames["summary.csv"], tables=printed, files=files)


def rebuild(source: Path, output: Path) -> WrittenResults:
    """Make tables and figures again from a comparison's folder, or from a copy without predictions.

    Args:
        source: folder with ``slices.csv``, ``volumes.csv``, ``comparison.json`` and ``runs/``.
        output: where they go; it may be the same folder.

    Raises:
        InputError: a file is missing or unreadable, or the files do not belong together: scores without a run record,
            a record without scores, a case or run twice, facts of another comparison, rows on different ground.
    """
    facts = ComparisonFacts.read(source / FACTS)
    slices, volumes = (read_frame(source / name) for name in ("slices.csv", "volumes.csv"))
    severities = read_frame(source / SEVERITIES) if (source / SEVERITIES).is_file() else None
    records = read_records(source / RUNS)
    check_scores(source, slices=slices, volumes=volumes, severities=severities)
    check_same_runs(source, volumes=volumes, records=records)
    check_facts(source / FACTS, volumes=volumes, patients=facts.patients, titles=facts.titles)
    order = {run: number for number, run in enumerate(runs_of(volumes))}
    records.sort(key=lambda record: order[run_of(record)])
    written = write_tables_and_figures(
        output, slices=slices, volumes=volumes, severities=severities, records=records, facts=facts
    )
    write_facts(output, facts=facts, records=records)
    return written


def write_facts(folder: Path, *, facts: ComparisonFacts, records: Iterable[Mapping[str, Any]]) -> None:
    """Write ``comparison.json`` and the run records."""
    write_json(folder / FACTS, facts.to_json())
    for record in records:
        dataset, method, fold = run_of(record)
        write_json(folder / RUNS / f"{dataset}_{method}_fold{fold}.json", dict(record))


def _statistics(
    slices: pd.DataFrame, volumes: pd.DataFrame, patients: Mapping[str, Mapping[str, str]]
) -> dict[str, pd.DataFrame]:
    # Case names are looked up in every dataset alike, so datasets are worked on one by one.
    datasets = list(dict.fromkeys(volumes["dataset"]))
    return {
        name: pd.concat(
            [
                work(
                    slices[slices["dataset"] == dataset],
                    volumes[volumes["dataset"] == dataset],
                    patients=patients.get(dataset),
                )
                for dataset in datasets
            ],
            ignore_index=True,
        )
        for name, work in (("summary.csv", summarise), ("significance.csv", paired_comparisons))
    }


def _tables(
    frames: Mapping[str, pd.DataFrame], records: Sequence[Mapping[str, Any]], facts: ComparisonFacts
) -> list[DiceTable]:
    names = set(frames["volumes.csv"]["dataset"])
    known = [info for info in DATASETS.values() if info.folder in names]
    paper = {
        "volumetric_dice": {info.folder: info.paper_volumetric_dice for info in known},
        "average_dice": {info.folder: info.paper_average["average_dice"].methods for info in known},
    }
    notes = [f"{name}: {text}" for name, text in sorted(facts.descriptions.items()) if text]
    notes += [_PAPER_NOTE] * bool(known)
    notes += [f"{facts.titles.get(method, method)}: {note}" for method, note in facts.notes.items()]
    notes += [f"Not run: {method}: {reason}" for method, reason in facts.skipped.items()]
    notes += [info.erratum for info in known if info.erratum]
    return [
        build_table(
            metric,
            summary=frames["summary.csv"],
            slices=frames["slices.csv"],
            volumes=frames["volumes.csv"],
            significance=frames["significance.csv"],
            records=records,
            paper=paper[metric],
            notes=notes,
        )
        for metric in _TABLE_METRICS
    ]
