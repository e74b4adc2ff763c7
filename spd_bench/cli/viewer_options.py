"""Options of the report's viewer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spd_bench.errors import InputError

if TYPE_CHECKING:
    from spd_bench.report import ReportSettings


def add_viewer_options(parser: argparse.ArgumentParser) -> None:
    """``--viewer`` and ``--niivue-bundle``."""
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


def report_settings_of(arguments: argparse.Namespace) -> ReportSettings:
    """The report that the options describe; InputError where the viewer cannot be had."""
    from spd_bench.report import ReportSettings
    from spd_bench.report.viewers import get_viewer

    return ReportSettings(viewer=get_viewer(arguments.viewer or "canvas", bundle=arguments.niivue_bundle))


def refuse_viewer_options(arguments: argparse.Namespace) -> None:
    """Raise InputError where a viewer is chosen for a call that makes no report."""
    if arguments.viewer is not None or arguments.niivue_bundle is not None:
        raise InputError(
            "--rebuild makes no report, and a viewer is chosen",
            remedy="leave --viewer and --niivue-bundle out, or give the datasets (-d) instead of --rebuild",
        )
