"""What the conversion scripts share as commands: arguments, progress bar, report, exit status."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from spd_bench.cli.command import EXIT_INCOMPLETE, command_parser
from spd_bench.datasets import DatasetInfo
from spd_bench.errors import InputError
from spd_bench.paths import data_folders
from spd_bench.raw.release.cases import Release
from spd_bench.raw.release.conversion import Conversion, convert_release
from spd_bench.raw.release.report import report_lines, write_case_table


def conversion_parser(*, dataset: DatasetInfo, description: str) -> argparse.ArgumentParser:
    """The parser of a conversion script, to which the script adds the choices of its own release."""
    name = dataset.name.lower()
    parser = command_parser(
        name=f"python -m dataset_conversion.{name}",
        description=description,
        example=f"python -m dataset_conversion.{name} /data/{dataset.name}_release --jobs 2",
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder that the release was unpacked to")
    parser.add_argument(
        "-d", "--dataset", default=dataset.folder, help=f"raw dataset to write, DatasetXXX_Name ({dataset.folder})"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes that convert side by side (1)")
    return parser


def convert(
    release: Release,
    arguments: argparse.Namespace,
    *,
    remarks: Callable[[Conversion], Sequence[str]] = lambda _: (),
) -> int:
    """Convert, print the report and, on standard error, every case that could not be converted.

    Args:
        release: how the release is laid out and read.
        arguments: what :func:`conversion_parser` parsed.
        remarks: the release's own lines for the end of the report, such as what is left out on purpose.

    Returns:
        The exit status: 0, or 1 where a case failed.
    """
    folders = data_folders()
    print(folders.describe())
    folder = folders.raw / _folder_name(arguments.dataset)
    conversion = convert_release(release, source=arguments.source, folder=folder, jobs=arguments.jobs, progress=_bar)
    print("\n".join([*report_lines(conversion), *remarks(conversion)]))
    if conversion.records:
        print(f"written: {conversion.folder}\n  one row a case: {write_case_table(conversion)}")
    for fault in conversion.faults:
        print(f"failed: {fault.case}: {fault.reason}", file=sys.stderr)
    if conversion.faults:
        print(f"{len(conversion.faults)} case(s) failed; correct them and run the same command again", file=sys.stderr)
        return EXIT_INCOMPLETE
    return 0


def left_out(test_cases: Sequence[str]) -> str:
    """The remark on cases that have no labels on purpose."""
    shown = ", ".join(test_cases) if len(test_cases) < 4 else f"{test_cases[0]} to {test_cases[-1]}"
    return f"left out: {len(test_cases)} test case(s) without published labels ({shown})"


def _folder_name(dataset: str) -> str:
    if re.fullmatch(r"Dataset\d{3}_[\w-]+", dataset) is None:
        raise InputError(f"{dataset!r} is not a name that nnU-Net takes", remedy="write it like Dataset512_MyoPS")
    return dataset


def _bar(items: Iterable[Any], total: int) -> Iterable[Any]:
    return tqdm(items, desc="converting", unit="case", total=total, file=sys.stderr)
