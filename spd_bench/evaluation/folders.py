"""A folder of predictions against a folder of references."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from spd_bench.errors import InputError
from spd_bench.evaluation.case import CaseKey, CaseScores, evaluate_case
from spd_bench.evaluation.frames import SLICE_COLUMNS, VOLUME_COLUMNS
from spd_bench.evaluation.masks import find_volumes, read_predicted_mask, read_reference_mask
from spd_bench.evaluation.rules import DEFAULT_RULES, ScoringRules
from spd_bench.raw.volumes import read_geometry

CasePaths = tuple[CaseKey, Path, Path | None]


@dataclass(frozen=True, kw_only=True)
class FolderScores:
    """The scores of one method on one folder of references.

    Attributes:
        slices: frame with the columns of ``slices.csv``.
        volumes: frame with the columns of ``volumes.csv``.
        missing: cases without a prediction; they were scored as empty masks.
        extra: predicted cases without a reference; they were not scored.
        slice_axis: the axis (of z, y, x) along which slices were taken.
    """

    slices: pd.DataFrame
    volumes: pd.DataFrame
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    slice_axis: int


def evaluate_folders(
    *,
    reference: Path,
    prediction: Path,
    dataset: str,
    method: str,
    fold: int = 0,
    cases: Collection[str] | None = None,
    target_labels: Sequence[int] = (),
    slice_axis: int | None = None,
    rules: ScoringRules = DEFAULT_RULES,
    jobs: int = 1,
    progress: Callable[[Iterable[CaseScores]], Iterable[CaseScores]] = iter,
) -> FolderScores:
    """Score every reference volume of a folder against the prediction of the same case.

    Args:
        reference: folder of label maps, one file a case.
        prediction: folder of binary masks named as the references (the file format may differ).
        dataset: name for the rows.
        method: name for the rows.
        fold: number for the rows.
        cases: the cases to score where the folder holds more (one fold of ``labelsTr``); None means all of them.
        target_labels: labels that make up the target; none given means every label above 0.
        slice_axis: axis (of z, y, x) along which slices lie; None takes :func:`default_slice_axis`.
        rules: empty policy and HD95 convention.
        jobs: number of processes; 1 works in this process, more need the ``__main__`` guard in a script.
        progress: wraps the iterator over finished cases, for a progress bar that knows the total.

    Returns:
        The frames and what was missing or superfluous.

    Raises:
        InputError: a folder is absent or empty, a named case has no reference, or a file is unreadable, on
            another grid than its reference, or not a mask.
        ValueError: ``jobs`` is less than 1 or ``slice_axis`` no axis.
    """
    if jobs < 1 or slice_axis not in (None, 0, 1, 2):
        msg = f"jobs must be at least 1 and slice_axis 0, 1, 2 or None, got {jobs} and {slice_axis}"
        raise ValueError(msg)
    references, predictions = find_volumes(reference), find_volumes(prediction)
    wanted = _wanted_cases(references, cases, reference)
    axis = default_slice_axis(references.values()) if slice_axis is None else slice_axis
    work: list[CasePaths] = [
        (CaseKey(dataset=dataset, method=method, fold=fold, case=case), references[case], predictions.get(case))
        for case in wanted
    ]
    score = partial(_score_files, target_labels=tuple(target_labels), slice_axis=axis, rules=rules)
    scores = list(progress(_map(score, work, jobs)))
    return FolderScores(
        slices=pd.DataFrame([row for case in scores for row in case.slices], columns=list(SLICE_COLUMNS)),
        volumes=pd.DataFrame([case.volume for case in scores], columns=list(VOLUME_COLUMNS)),
        missing=tuple(case for case in wanted if case not in predictions),
        extra=tuple(case for case in predictions if case not in references),
        slice_axis=axis,
    )


def default_slice_axis(references: Iterable[Path]) -> int:
    """The axis (of z, y, x) with the largest median spacing over the volumes, the first one on a tie.

    This is nnU-Net's rule for the axis it slices along (its planner's transpose).
    """
    spacings = [read_geometry(path).spacing for path in references]
    return int(np.argmax(np.median(spacings, axis=0)))


def _wanted_cases(references: dict[str, Path], cases: Collection[str] | None, folder: Path) -> list[str]:
    if not references:
        raise InputError("no reference volumes", file=folder, remedy="give the folder that holds the label maps")
    if cases is None:
        return list(references)
    unknown = sorted(set(cases) - set(references))
    if unknown:
        raise InputError(f"no reference for case {unknown[0]}", file=folder, remedy="add it or leave the case out")
    return sorted(set(cases))


def _score_files(
    paths: CasePaths, *, target_labels: tuple[int, ...], slice_axis: int, rules: ScoringRules
) -> CaseScores:
    key, reference, prediction = paths
    target, geometry = read_reference_mask(reference, target_labels)
    mask = np.zeros_like(target) if prediction is None else read_predicted_mask(prediction, geometry)
    return evaluate_case(target, mask, key=key, spacing=geometry.spacing, slice_axis=slice_axis, rules=rules)


def _map(score: Callable[[CasePaths], CaseScores], work: list[CasePaths], jobs: int) -> Iterator[CaseScores]:
    """Apply ``score`` to each case in order."""
    if jobs == 1:
        yield from map(score, work)
        return
    # Forking a process that already runs threads (torch, ITK) can deadlock.
    with ProcessPoolExecutor(max_workers=min(jobs, len(work)), mp_context=get_context("spawn")) as pool:
        yield from pool.map(score, work)
