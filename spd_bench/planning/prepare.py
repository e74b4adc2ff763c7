"""Verify, prompt, fingerprint, plan, preprocess and split a raw dataset, in this order."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from spd_bench.errors import InputError
from spd_bench.paths import DataFolders
from spd_bench.planning.fingerprint import TargetFingerprintExtractor
from spd_bench.planning.plan import NNUNET_CONFIGURATION, Plan, read_plan
from spd_bench.planning.planner import PLANS_NAME, TARGET_LABELS, SPDPlanner
from spd_bench.planning.preprocessing import (
    preprocess_configuration,
    slice_index_folder,
    write_references,
    write_slice_indices,
)
from spd_bench.planning.preprocessor import SPDPreprocessor, TargetPreprocessor
from spd_bench.planning.prompting import check_prompts, ensure_prompts
from spd_bench.planning.settings import PlanSettings
from spd_bench.planning.splits import patient_splits
from spd_bench.prompts.points import read_prompts
from spd_bench.raw.dataset import PROMPTS, RawDataset, read_raw_dataset
from spd_bench.raw.verify import verify_raw_dataset
from spd_bench.storage import read_json, sha256_of_file, sha256_of_files, write_json

logger = logging.getLogger(__name__)

# A process takes seconds to start, and all steps but preprocessing a second or two a case.
_CASES_THAT_REPAY_A_PROCESS = 4


def plan_and_preprocess(dataset_name: str, *, folders: DataFolders, settings: PlanSettings, jobs: int = 1) -> Plan:
    """Bring a raw dataset to the state that training needs.

    Args:
        dataset_name: folder name of the raw dataset, ``Dataset501_TI``.
        folders: nnU-Net's three root folders.
        settings: the user's choices.
        jobs: processes that work on cases side by side, each with one case in memory.

    Returns:
        The plan, also found by :func:`spd_bench.planning.plan.read_plan` from now on.

    Raises:
        InputError: the raw dataset has a fault, or has too few patients for the folds. An earlier plan then
            stays as it was.
    """
    if jobs < 1:
        raise InputError(f"{jobs} is not a number of processes", remedy="give --jobs 1 or more")
    dataset = read_raw_dataset(folders.raw / dataset_name)
    quick_jobs = max(1, min(jobs, len(dataset.cases) // _CASES_THAT_REPAY_A_PROCESS))
    verify_raw_dataset(
        dataset,
        target_labels=settings.target_labels,
        progress=lambda done: tqdm(done, "verifying", total=len(dataset.cases), unit="case"),
        jobs=quick_jobs,
    )
    check_prompts(dataset, settings)
    _check_channels(dataset, settings)
    patients = case_patients(dataset, pattern=settings.patient_pattern)
    splits = patient_splits(patients, folds=settings.folds, seed=settings.seed)

    folder = folders.preprocessed / dataset_name
    # The marker goes first and comes last: a run that was cut short never looks complete.
    (folder / "spd_complete.json").unlink(missing_ok=True)
    references = folder / "gt_segmentations"
    write_references(
        dataset.cases,
        folder=references,
        target_labels=list(settings.target_labels),
        file_ending=dataset.file_ending,
        jobs=quick_jobs,
    )
    plans = _plan(dataset_name, folders=folders, references=references, settings=settings, jobs=jobs)
    dataset_json = read_json(folder / "dataset.json")
    dataset_json["labels"] = dict(TARGET_LABELS)
    dataset_json.pop("regions_class_order", None)
    write_json(folder / "dataset.json", dataset_json)
    write_json(folder / "splits_final.json", splits)

    written = ensure_prompts(dataset, settings=settings, slice_axis=plans["transpose_forward"][0], jobs=quick_jobs)
    if written:
        logger.warning("simulated prompts for %d cases in %s", written, dataset.cases[0].prompts.parent)
    configurations = {plans["spd"]["configuration"]: SPDPreprocessor, NNUNET_CONFIGURATION: TargetPreprocessor}
    for configuration, preprocessor in configurations.items():
        preprocess_configuration(
            cases=dataset.cases,
            folder=folder / f"{PLANS_NAME}_{configuration}",
            preprocessor=preprocessor,
            configuration=configuration,
            plans=plans,
            dataset_json=dataset_json,
            jobs=jobs,
        )
    name = plans["spd"]["configuration"]
    preprocessed = folder / f"{PLANS_NAME}_{name}"
    write_slice_indices(
        dataset.cases,
        preprocessed=preprocessed,
        folder=slice_index_folder(preprocessed),
        plans=plans,
        resolution=settings.resolution,
        jobs=quick_jobs,
    )
    marker = {
        "patients": patients,
        "prompts_sha256": sha256_of_files([case.prompts for case in dataset.cases]),
        "prompts_provenance": prompts_provenance(dataset),
        "settings": _as_json(settings),
        "dataset_sha256": sha256_of_file(dataset.folder / "dataset.json"),
    }
    write_json(folder / "spd_complete.json", marker)
    return read_plan(folder)


def is_planned(dataset_name: str, *, folders: DataFolders, settings: PlanSettings) -> bool:
    """Whether this very dataset is planned with these very settings and prompts, so that planning may be left out.

    Images and labels are not read again for this: whoever replaces them under their old names plans anew.
    """
    marker = folders.preprocessed / dataset_name / "spd_complete.json"
    raw = folders.raw / dataset_name
    if not marker.is_file() or not (raw / "dataset.json").is_file():
        return False
    found = read_json(marker)
    prompts = sha256_of_files([path for path in (raw / PROMPTS).glob("*") if path.is_file()])
    wanted = (_as_json(settings), sha256_of_file(raw / "dataset.json"), prompts)
    return (found.get("settings"), found.get("dataset_sha256"), found.get("prompts_sha256")) == wanted


def case_patients(dataset: RawDataset, *, pattern: str | None) -> dict[str, str]:
    """The patient of each case; InputError where ``pattern`` does not match a case id."""
    if pattern is None:
        return {case.case: case.patient for case in dataset.cases}
    patients = {}
    for case in dataset.cases:
        match = re.search(pattern, case.case)
        if match is None or not match.group(1):
            raise InputError(
                f"case id {case.case!r} does not match the patient pattern {pattern!r}",
                file=dataset.folder,
                remedy="correct --patient-pattern",
            )
        patients[case.case] = match.group(1)
    return patients


def prompts_provenance(dataset: RawDataset) -> dict[str, Any]:
    """What all prompt files say alike of their origin (seed and severity of simulated ones)."""
    found = [read_prompts(case.prompts).provenance for case in dataset.cases]
    return {key: value for key, value in found[0].items() if all(other.get(key) == value for other in found)}


def _as_json(settings: PlanSettings) -> dict[str, Any]:
    # As it comes back from a file: JSON has no tuples.
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()}


def _check_channels(dataset: RawDataset, settings: PlanSettings) -> None:
    try:
        settings.sam_channels(len(dataset.channel_names))
    except ValueError as error:
        raise InputError(str(error), file=dataset.folder / "dataset.json", remedy="correct --channels") from error


def _plan(
    dataset_name: str, *, folders: DataFolders, references: Path, settings: PlanSettings, jobs: int
) -> dict[str, Any]:
    """Fingerprint and plan; nnU-Net prints its plans, which are in the file anyway."""
    # The planner insists that splits found here equal those of the raw dataset, if it has any.
    (folders.preprocessed / dataset_name / "splits_final.json").unlink(missing_ok=True)
    with _nnunet_environment(folders), contextlib.redirect_stdout(io.StringIO()):
        TargetFingerprintExtractor(dataset_name, jobs=jobs, references=references).run(overwrite_existing=True)
        return SPDPlanner(dataset_name, settings=settings).plan_experiment()


@contextlib.contextmanager
def _nnunet_environment(folders: DataFolders) -> Iterator[None]:
    """Point nnU-Net at our folders; it also asks torch for ``nnUNet_n_proc_DA`` threads, which 0 would break."""
    ours = {
        "nnUNet_raw": str(folders.raw),
        "nnUNet_preprocessed": str(folders.preprocessed),
        "nnUNet_n_proc_DA": "1",
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
