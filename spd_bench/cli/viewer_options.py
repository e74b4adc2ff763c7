"""Options of the report: its viewer and its size."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spd_bench.errors import InputError

if TYPE_CHECKING:
    from spd_bench.report import ReportSettings

_OPTIONS = ("--viewer", "--niivue-bundle", "--report-cases", "--report-megabytes")


def add_viewer_options(parser: argparse.ArgumentParser) -> None:
    """The options of a comparison's report."""
    group = parser.add_argument_group("report")
    group.add_argument(
        "--viewer",
        metavar="NAME",
        help="what shows the cases in report.html: canvas, slices on a 2D canvas, or niivue, volumes (canvas)",
    )
    group.add_argument(
        "--niivue-bundle",
        type=Path,
        metavar="FILE",
        help="NiiVue's dist/niivue.umd.js, from the archive that `npm pack @niivue/niivue` fetches (the file that the "
        "environment variable SPD_NIIVUE names); it goes into the report, which needs no network",
    )
    group.add_argument(
        "--report-cases",
        type=int,
        metavar="N",
        help="most cases in report.html, the worst and the best ones (20)",
    )
    group.add_argument(
        "--report-megabytes",
        type=float,
        metavar="MB",
        help="largest size of report.html; cases are drawn coarser to keep to it (30)",
    )


def report_settings_of(arguments: argparse.Namespace) -> ReportSettings:
    """The report that the options describe; InputError where the viewer cannot be had or a size is out of range."""
    from spd_bench.report import ReportSettings
    from spd_bench.report.viewers import get_viewer

    sizes = {"cases": arguments.report_cases, "megabytes": arguments.report_megabytes}
    return ReportSettings(
        viewer=get_viewer(arguments.viewer or "canvas", bundle=arguments.niivue_bundle),
        **{name: value for name, value in sizes.items() if value is not None},
    )


def refuse_viewer_options(arguments: argparse.Namespace) -> None:
    """Raise InputError where a report is described for a call that makes none."""
    given = [option for option in _OPTIONS if getattr(arguments, option[2:].replace("-", "_")) is not None]
    if given:
        raise InputError(
            f"--rebuild makes no report, and {given[0]} is given",
            remedy=f"leave {' and '.join(given)} out, or give the datasets (-d) instead of --rebuild",
        )
