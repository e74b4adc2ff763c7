"""``spd_inspect``: what to know of a dataset before training, and a contact sheet of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from spd_bench.cli.command import EXIT_INCOMPLETE, command_parser, run_command
from spd_bench.cli.options import require_folder_name
from spd_bench.datasets import resolve_dataset
from spd_bench.errors import InputError
from spd_bench.paths import DataFolders, data_folders

if TYPE_CHECKING:
    from spd_bench.inspection.survey import Survey
    from spd_bench.inspection.view import DatasetView
    from spd_bench.raw.dataset import RawCase


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``spd_inspect``."""
    parser = command_parser(
        name="spd_inspect",
        description="Tell what a person wants to know of a raw dataset before training (geometry, target, points, "
        "duplicates, warnings) and draw masks and points on a contact sheet. Exit status 1: a case is broken.",
        example="spd_inspect -d TI --cases 8 -o spd_inspect/Dataset501_TI.png",
    )
    parser.add_argument("-d", "--dataset", required=True, help="TI, SCAR, FUMPE, KiTS, or any nnU-Net id or folder")
    parser.add_argument(
        "--target-labels",
        type=int,
        nargs="+",
        metavar="LABEL",
        help="label values that form the target (the plan's, else 1)",
    )
    parser.add_argument("--cases", type=int, default=8, metavar="N", help="cases on the contact sheet (8)")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="PNG",
        help="the contact sheet (./spd_inspect/<dataset>.png); <dataset>.csv goes beside it",
    )
    return run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> int | None:
    from spd_bench.inspection.survey import survey

    if arguments.cases < 1:
        raise InputError(f"--cases {arguments.cases} is not a number of cases", remedy="give 1 or more")
    folders = data_folders()
    print(folders.describe())
    dataset = resolve_dataset(arguments.dataset, [folders.raw])
    sheet = _sheet_path(arguments.output, dataset)
    view = _view(dataset, folders, arguments.target_labels)
    found = survey(view, progress=_bar("inspecting"))
    _tell(view, found)
    written = _write(view, found, sheet=sheet, count=arguments.cases)
    print("written: " + ", ".join(map(str, written)))
    return EXIT_INCOMPLETE if found.faults else None


def _sheet_path(output: Path | None, dataset: str) -> Path:
    path = output or Path("spd_inspect") / f"{dataset}.png"
    if path.suffix.lower() != ".png":
        raise InputError(f"-o {path} is not a PNG file", remedy="give a name that ends in .png")
    if path.is_dir():
        raise InputError("a folder stands where the contact sheet should be", file=path, remedy="choose another -o")
    require_folder_name(path.parent)
    return path


def _view(dataset: str, folders: DataFolders, target_labels: Sequence[int] | None) -> DatasetView:
    from spd_bench.inspection.view import planned_view, unplanned_view
    from spd_bench.planning.plan import read_plan
    from spd_bench.raw.dataset import read_raw_dataset

    raw = read_raw_dataset(folders.raw / dataset)
    preprocessed = folders.preprocessed / dataset
    if not (preprocessed / "spd_complete.json").is_file():
        return unplanned_view(raw, target_labels=target_labels)
    return planned_view(raw, read_plan(preprocessed), target_labels=target_labels)


def _tell(view: DatasetView, found: Survey) -> None:
    from spd_bench.inspection import summary
    from spd_bench.inspection.cautions import cautions
    from spd_bench.inspection.duplicates import find_duplicates

    facts = summary.dataset_facts(view, found.cases)
    warnings: list[str] = []
    if found.cases:
        facts += summary.geometry_facts(view, found.cases)
        facts += summary.target_facts(found.cases) + summary.prompt_facts(found.cases)
        facts += summary.duplicate_facts(view, find_duplicates([case.hashes for case in found.cases]))
        warnings = cautions(view, found.cases)
    for line in summary.lines(facts):
        print(line)
    print("(a / b / c: minimum / median / maximum over the cases)")
    for warning in warnings:
        print(f"warning: {warning}")
    for case, fault in found.faults.items():
        print(f"fault: case {case}: {fault}")


def _write(view: DatasetView, found: Survey, *, sheet: Path, count: int) -> list[Path]:
    from spd_bench.inspection.contact_sheet import contact_sheet, save_sheet
    from spd_bench.inspection.sheet_cases import sheet_rows, sheet_text
    from spd_bench.inspection.table import case_table, write_table

    table = sheet.with_name(f"{view.dataset.name}.csv")
    write_table(table, case_table(view, found))
    if not found.cases:
        return [table]
    rows = sheet_rows(view, found.cases, count=count, progress=_bar("drawing"))
    save_sheet(sheet, contact_sheet(rows, sheet_text(view, found.cases, len(rows))))
    return [sheet, table]


def _bar(title: str) -> Callable[[Iterable[RawCase]], Iterable[RawCase]]:
    return lambda cases: tqdm(cases, title, unit="case", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
