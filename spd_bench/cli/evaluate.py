"""``spd_evaluate``: a folder of predicted masks against a folder of references."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from spd_bench.cli.command import command_parser, run_command
from spd_bench.cli.options import require_folder_name
from spd_bench.errors import InputError
from spd_bench.evaluation import FolderScores, evaluate_folders, summarise, write_frame
from spd_bench.evaluation.case import CaseScores
from spd_bench.evaluation.empty_policy import EMPTY_POLICIES
from spd_bench.evaluation.lesions import MATCHING
from spd_bench.evaluation.masks import find_volumes, other_files
from spd_bench.evaluation.rules import ScoringRules
from spd_bench.evaluation.surface import HD95_CONVENTIONS
from spd_bench.storage import read_json, write_json

_RULES_FILE = "evaluation.json"
_SHOWN_NAMES = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``spd_evaluate``; returns the exit status."""
    return run_command(_evaluate, _parser(), argv)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        name="spd_evaluate",
        description="Score predicted masks slice by slice and as volumes: slices.csv, volumes.csv and summary.csv, "
        "and the rules they were scored by in evaluation.json.",
        example="spd_evaluate --reference labelsTs --prediction predictions/spd -o scores --method spd",
    )
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR", help="folder of reference label maps")
    parser.add_argument("--prediction", type=Path, required=True, metavar="DIR", help="folder of masks of 0 and 1")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder for the files")
    parser.add_argument("--dataset", metavar="NAME", help="name in the files (default: the reference folder's)")
    parser.add_argument("--method", metavar="NAME", help="name in the files (default: the prediction folder's)")
    parser.add_argument("--fold", type=int, default=0, metavar="N", help="number in the files (default: 0)")
    parser.add_argument(
        "--target-labels",
        type=int,
        nargs="+",
        default=[],
        metavar="LABEL",
        help="labels of the reference that make up the target (default: all above 0)",
    )
    parser.add_argument(
        "--slice-axis",
        type=int,
        choices=(0, 1, 2),
        help="axis of (z, y, x) along which slices lie (default: the one with the largest median spacing)",
    )
    parser.add_argument(
        "--empty-policy",
        choices=tuple(EMPTY_POLICIES),
        default="paper",
        help="two empty masks score 1 (paper, default), or are left out of the mean (nnunet)",
    )
    parser.add_argument(
        "--hd95",
        choices=tuple(HD95_CONVENTIONS),
        default="pooled",
        help="95th percentile of both directions pooled, as medpy (pooled, default), or the larger of the two"
        " directed ones, as MONAI (max)",
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="number of processes (default: 1)")
    return parser


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.jobs < 1:
        raise InputError(f"--jobs {arguments.jobs} is not a number of processes", remedy="give 1 or more")
    if any(label < 1 for label in arguments.target_labels):
        raise InputError(
            f"--target-labels {arguments.target_labels} names the background", remedy="give labels above 0"
        )
    require_folder_name(arguments.output)
    references = find_volumes(arguments.reference)
    _require_predictions(arguments.prediction, references, reference_folder=arguments.reference)

    def progress(cases: Iterable[CaseScores]) -> Iterable[CaseScores]:
        return tqdm(cases, total=len(references), desc="evaluating", unit="volume", file=sys.stderr, delay=1)

    rules = ScoringRules.named(empty_policy=arguments.empty_policy, hd95=arguments.hd95)
    scores = evaluate_folders(
        reference=arguments.reference,
        prediction=arguments.prediction,
        dataset=arguments.dataset or arguments.reference.resolve().name,
        method=arguments.method or arguments.prediction.resolve().name,
        fold=arguments.fold,
        target_labels=arguments.target_labels,
        slice_axis=arguments.slice_axis,
        rules=rules,
        jobs=arguments.jobs,
        progress=progress,
    )
    patients = _patients_beside(arguments.reference)
    summary = summarise(scores.slices, scores.volumes, patients=patients)
    files = {"slices.csv": scores.slices, "volumes.csv": scores.volumes, "summary.csv": summary}
    for name, frame in files.items():
        write_frame(arguments.output / name, frame)
    others = {name: other_files(getattr(arguments, name)) for name in ("reference", "prediction")}
    write_json(arguments.output / _RULES_FILE, {**_how_scored(scores, rules), "files_not_read": others})
    _report_unmatched(scores)
    _report_others(others)
    _show(summary, scores, patients)
    for sentence in rules.statement():
        print(sentence)
    print("written: " + ", ".join(str(arguments.output / name) for name in (*files, _RULES_FILE)))


def _require_predictions(folder: Path, references: dict[str, Path], *, reference_folder: Path) -> None:
    predictions = find_volumes(folder)
    if folder.resolve() == reference_folder.resolve():
        raise InputError(
            "one folder is given as both reference and prediction",
            file=folder,
            remedy="give --prediction the predicted masks",
        )
    if not predictions:
        raise InputError("no masks to score", file=folder, remedy="give the folder that holds the predicted masks")
    if references and references.keys().isdisjoint(predictions):
        raise InputError(
            f"none of the {len(references)} references has a prediction of its name",
            file=folder,
            remedy=f"name the predictions as the references, {next(iter(references.values())).name} and so on",
        )


def _how_scored(scores: FolderScores, rules: ScoringRules) -> dict[str, Any]:
    """What the three tables of numbers cannot say of themselves."""
    return {
        **rules.record(),
        "rules": [*rules.statement(), MATCHING],
        "slice_axis": scores.slice_axis,
        "missing_predictions": list(scores.missing),
        "extra_predictions": list(scores.extra),
    }


def _patients_beside(reference: Path) -> dict[str, str]:
    """Case to patient from a raw dataset's ``dataset.json`` beside the folder of references; empty without one."""
    description = reference.resolve().parent / "dataset.json"
    if not description.is_file():
        return {}
    content = read_json(description)
    patients = content.get("patients", {}) if isinstance(content, dict) else None
    if not isinstance(patients, dict):
        raise InputError('"patients" is not a map of case to patient', file=description, remedy="correct it")
    return {case: str(patient) for case, patient in patients.items()}


def _report_unmatched(scores: FolderScores) -> None:
    if scores.missing:
        print(
            f"{len(scores.missing)} missing predictions, scored as empty masks: {', '.join(scores.missing)}",
            file=sys.stderr,
        )
    if scores.extra:
        print(
            f"{len(scores.extra)} predictions without a reference, not scored: {', '.join(scores.extra)}",
            file=sys.stderr,
        )


def _report_others(others: Mapping[str, Sequence[str]]) -> None:
    for folder, names in others.items():
        if names:
            shown = ", ".join(names[:_SHOWN_NAMES]) + ", ..." * (len(names) > _SHOWN_NAMES)
            print(f"{len(names)} files in the {folder} folder are no volumes, not read: {shown}", file=sys.stderr)


def _show(summary: pd.DataFrame, scores: FolderScores, patients: dict[str, str]) -> None:
    people = {patients.get(case, case) for case in scores.volumes["case"]}
    print(
        f"{scores.volumes['dataset'].iloc[0]}, {scores.volumes['method'].iloc[0]}: {len(scores.volumes)} volumes of"
        f" {len(people)} patients, {len(scores.slices)} slices along axis {scores.slice_axis} of (z, y, x)"
    )
    shown = summary[["metric", "mean", "std", "ci_low", "ci_high", "n"]]
    print(shown.to_string(index=False, float_format=lambda value: f"{value:.4f}", na_rep="-"))
