"""Scars on late gadolinium enhancement MR: EMIDEC, MyoPS 2020, LAScarQS 2022, or a layout of your own."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from spd_bench.cli.command import run_command
from spd_bench.cli.convert import conversion_parser, convert, left_out
from spd_bench.datasets import DATASETS
from spd_bench.errors import InputError
from spd_bench.raw.release.cases import check_source
from spd_bench.raw.release.conversion import Conversion
from spd_bench.raw.release.pattern_release import FileMatches, PatternRelease
from spd_bench.raw.release.pattern_settings import TEXT, PatternSettings, read_pattern_settings
from spd_bench.raw.release.text_fields import write_text_table

LAYOUTS: Mapping[str, PatternSettings] = MappingProxyType(
    {
        "emidec": PatternSettings(
            name="emidec",
            images={"LGE": "Case_*/Images/*"},
            label="Case_*/Contours/*",
            text="Case*.txt",
            case=r"Case[_ ][NP]?\d+",
            # Only the test set has ids without N (healthy) or P (pathological).
            test_case=r"Case_\d+",
            # 1 cavity, 2 normal myocardium, 3 infarct, 4 no-reflow
            target_values=(3, 4),
            other_values=(1, 2),
            description="EMIDEC (emidec.com, Lalande et al. 2020, CC BY-NC-SA 4.0), scar = infarct and no-reflow",
        ),
        "myops2020": PatternSettings(
            name="myops2020",
            images={name: f"myops_*_{name}.nii*" for name in ("C0", "DE", "T2")},
            channels=("DE",),
            label="myops_*_gd.nii*",
            case=r"myops_(?:training|test)_\d+",
            test_case=r"myops_test_\d+",
            # 200 myocardium, 500 left and 600 right ventricle, 1220 oedema, 2221 scar
            target_values=(2221,),
            other_values=(200, 500, 600, 1220),
            description="MyoPS 2020 (Zhuang 2019 and Li et al. 2022, on request), scar",
        ),
        "lascarqs2022": PatternSettings(
            name="lascarqs2022",
            images={"LGE": "enhanced.nii*"},
            label="scarSegImgM.nii*",
            case=r"(?:train|val|test)_\d+",
            test_case=r"(?:val|test)_\d+",
            target_values=None,
            target_name="left_atrial_scar",
            description="LAScarQS 2022 task 1 (Li et al. 2022, by agreement), scar of the left atrium's wall",
        ),
    }
)

_KEYS = """
A layout of your own is a JSON file, given with --config. EMIDEC's would be:

{example}

  name            the release's name
  images          channel name -> file pattern (glob), matched at any depth below SOURCE
  label           file pattern of the labels
  case            regular expression: the case id in a file's path; the last match counts
  target_values   label values that become 1; null for masks that hold 0 and one other value
  other_values    label values that become 0; any value besides these is refused
  The others are optional:
  target_name     name of label 1 (scar)
  channels        channels to take, in this order; [] for all
  patient         regular expression: the patient in a case id (all of it)
  test_case       regular expression: ids of cases that have no label on purpose (null: none)
  text            file pattern of texts with lines "key: value", which go into conversion/texts.csv (null: none)
  slices          "thickest": the acquired stack's slices; "axial": by the header's orientation
  description     where the data come from, and their licence"""


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m dataset_conversion.scar SOURCE``; returns the exit status."""
    parser = conversion_parser(
        dataset=DATASETS["SCAR"],
        description="Convert EMIDEC, MyoPS 2020, LAScarQS 2022 or a layout of your own into an nnU-Net raw dataset.",
    )
    example = json.dumps(LAYOUTS["emidec"].as_json(), indent=2)
    parser.epilog = f"{parser.epilog}\n{_KEYS.format(example=example)}"
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--layout", choices=LAYOUTS, help="the release (recognised)")
    choice.add_argument("--config", type=Path, metavar="FILE", help="JSON file that describes a layout of your own")
    parser.add_argument(
        "--channels", nargs="+", metavar="NAME", help="channels to take, in this order (MyoPS: DE; others: all)"
    )

    def body(arguments: argparse.Namespace) -> int:
        check_source(arguments.source)
        matches = FileMatches(arguments.source)
        release = PatternRelease(pattern=_settings(arguments, matches), matches=matches)
        return convert(release, arguments, remarks=lambda done: _remarks(release, arguments.source, done))

    return run_command(body, parser, argv)


def recognised_layout(matches: FileMatches) -> PatternSettings:
    """The ready layout whose patterns match files of a folder.

    Raises:
        InputError: none of them does, or several do.
    """
    fitting = [
        settings
        for settings in LAYOUTS.values()
        if PatternRelease(pattern=settings, matches=matches).find(matches.source).cases
    ]
    if len(fitting) != 1:
        found = " and ".join(settings.name for settings in fitting) or f"none of {', '.join(LAYOUTS)}"
        raise InputError(
            f"found {found}", file=matches.source, remedy="give one release's folder, --layout or --config"
        )
    return fitting[0]


def _settings(arguments: argparse.Namespace, matches: FileMatches) -> PatternSettings:
    if arguments.config is not None:
        settings = read_pattern_settings(arguments.config)
    elif arguments.layout is not None:
        settings = LAYOUTS[arguments.layout]
    else:
        settings = recognised_layout(matches)
    if arguments.channels is None:
        return settings
    try:
        return replace(settings, channels=tuple(arguments.channels))
    except ValueError as error:
        raise InputError(str(error), remedy="correct --channels") from error


def _remarks(release: PatternRelease, source: Path, conversion: Conversion) -> list[str]:
    remarks = []
    tests = release.test_cases(source)
    if tests:
        remarks.append(left_out(tests))
    table = write_text_table(conversion.records, source=source, folder=conversion.folder, role=TEXT)
    if table is not None:
        remarks.append(f"texts of the release: {table}")
    return remarks


if __name__ == "__main__":
    sys.exit(main())
