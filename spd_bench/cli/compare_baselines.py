"""``spd_compare_baselines``: run what is missing of the grid and write its tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spd_bench.cli.command import command_parser, run_command
from spd_bench.cli.executor_options import add_executor_options, executor_of, refuse_executor_options, runs_elsewhere
from spd_bench.cli.options import add_training_options, best_device, budget_of, device_of, options_of
from spd_bench.cli.report import print_comparison, print_files, summary_text
from spd_bench.cli.viewer_options import add_viewer_options, refuse_viewer_options, report_settings_of
from spd_bench.datasets import resolve_dataset
from spd_bench.errors import InputError
from spd_bench.paths import data_folders

if TYPE_CHECKING:
    from spd_bench.comparison import Comparison
    from spd_bench.paths import DataFolders
    from spd_bench.severity_settings import SeveritySettings


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``spd_compare_baselines``."""
    parser = command_parser(
        name="spd_compare_baselines",
        description="Train, predict and score every method on every fold, and write the tables. "
        "What is complete already is kept.",
        example="spd_compare_baselines -d TI SCAR FUMPE KiTS -m all -f 0 1 2 3 4 -o comparison",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("-d", "--datasets", nargs="+", help="planned datasets")
    what.add_argument(
        "--rebuild",
        type=Path,
        metavar="FOLDER",
        help="run nothing: make tables and figures again from the scores and run records of a comparison's folder",
    )
    parser.add_argument(
        "-m", "--methods", nargs="+", default=["all"], help="rows of the table, or the groups all and ablation (all)"
    )
    parser.add_argument("-f", "--folds", type=int, nargs="+", default=[0], help="folds (0)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the comparison")
    parser.add_argument(
        "--severities",
        type=float,
        nargs="+",
        default=[],
        metavar="S",
        help="also predict the test cases from points that are simulated from the references at these severities of "
        "noise (0 clean, 1 default, 2 drifting, 3 worse): severities.csv and the robustness curves",
    )
    add_viewer_options(parser)
    add_training_options(parser)
    add_executor_options(parser)
    return run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    if arguments.rebuild is not None:
        refuse_viewer_options(arguments)
        refuse_executor_options(arguments)
        _rebuild(arguments.rebuild, arguments.output)
        return
    folders = data_folders()
    print(folders.describe())
    comparison = compare_datasets(arguments, folders)
    print_comparison(comparison)
    if comparison.failures:
        # Not a mistake in the call: the tables stand, but they are not whole.
        sys.exit(1)


def _rebuild(source: Path, output: Path) -> None:
    from spd_bench.comparison_tables import rebuild

    written = rebuild(source, output)
    print(summary_text(written.summary))
    print_files(written.files)


def compare_datasets(arguments: argparse.Namespace, folders: DataFolders) -> Comparison:
    """Run the grid that the arguments describe."""
    from spd_bench.cells import Cell, Grid
    from spd_bench.comparison import check_cells, compare
    from spd_bench.methods.registry import get_methods, without_weights
    from spd_bench.planning.plan import read_plan

    report = report_settings_of(arguments)
    executor = executor_of(arguments)
    options = partial(options_of, arguments)
    methods = get_methods(arguments.methods)
    skipped = without_weights(methods, named=arguments.methods, options=options)
    names = [resolve_dataset(name, folders.all) for name in arguments.datasets]
    plans = [read_plan(folders.preprocessed / name) for name in dict.fromkeys(names)]
    cells = [
        Cell(plan=plan, method=method, fold=fold)
        for plan in plans
        for method in methods
        if method.name not in skipped
        for fold in dict.fromkeys(arguments.folds)
    ]
    grid = Grid(
        raw=folders.raw,
        results=folders.results,
        output=arguments.output,
        budget=budget_of(arguments),
        options=options,
        device=best_device() if runs_elsewhere(arguments) else device_of(arguments),
        skipped=skipped,
        severities=_severities(arguments.severities),
    )
    check_cells(cells, grid)
    return compare(cells, grid, report=report, executor=executor)


def _severities(values: Sequence[float]) -> SeveritySettings | None:
    from spd_bench.severity_settings import SeveritySettings

    try:
        return SeveritySettings(severities=tuple(sorted(values))) if values else None
    except ValueError as error:
        raise InputError(f"--severities: {error}", remedy="give each severity once, none below 0") from error


if __name__ == "__main__":
    raise SystemExit(main())
