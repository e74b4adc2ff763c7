"""Time and memory of planning, preprocessing and conversion, with one process and with two.

    python -m benchmarks.preprocessing --slices 200 --side 512 --cases 20

Memory is what a fresh process takes at its peak beyond what it took before, in units of the largest volume: the bytes
of the raw or of the preprocessed volume in float32, whichever is larger. About 25 MB of it do not depend on the
volume. Several processes first pay for their start (``seconds_until_the_processes_work``), so that few small cases are
quicker with one. nnU-Net's own steps (its fingerprint, and preprocessing for its own row) are listed apart: they are
not ours to change. Volumes are made up: a CT-like image in int16 (``--dtype``) with one target, in KiTS23's layout,
its slices along the first axis of the NIfTI file.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Ratio, benchmark_parser, peak_memory_of, prepare, report
from dataset_conversion.kits import KitsRelease
from spd_bench.paths import DataFolders
from spd_bench.planning.fingerprint import TargetFingerprintExtractor
from spd_bench.planning.plan import NNUNET_CONFIGURATION, Plan, read_plan
from spd_bench.planning.prepare import plan_and_preprocess
from spd_bench.planning.preprocessing import CaseJob, preprocess_case, write_references
from spd_bench.planning.preprocessor import SPDPreprocessor, TargetPreprocessor
from spd_bench.planning.prompting import ensure_prompts
from spd_bench.planning.readers import reader_of
from spd_bench.planning.settings import PlanSettings
from spd_bench.processes import run_in_processes
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.raw.release.conversion import convert_release
from spd_bench.raw.verify import verify_raw_dataset

_CLAIM = "Conversion and preprocessing take less than 3 x the largest volume of memory for each process."
_DATASET = "Dataset904_KiTS"
_NNUNET = "nnU-Net: "
_FOLDS = 3


def main(argv: Sequence[str] | None = None) -> None:
    """Make a release, bring it through every step, measure each."""
    arguments = _arguments(argv)
    prepare(arguments)
    with tempfile.TemporaryDirectory() as root, contextlib.redirect_stdout(io.StringIO()):
        folders = _folders(Path(root))
        _write_release(folders, arguments)
        seconds = {
            "conversion": _seconds_with(
                arguments.jobs, partial(_convert, folders, folders.raw), repeats=arguments.repeats
            )
        }
        whole = partial(_plan_all, folders, arguments.resolution)
        seconds["planning and preprocessing"] = _seconds_with(arguments.jobs, whole, repeats=arguments.repeats)
        rows = _memory_rows(folders, arguments)
    starting = time.perf_counter()
    list(run_in_processes(abs, range(arguments.jobs), jobs=arguments.jobs))
    starting = time.perf_counter() - starting
    ours = [row["peak / volume"] for row in rows if not row["step"].startswith(_NNUNET)]
    report(
        "preprocessing",
        claim=_CLAIM,
        rows=rows,
        arguments=arguments,
        largest_peak_of_ours=max(ours),
        seconds_until_the_processes_work=round(starting, 2),
        **{
            f"seconds_a_case_of_{step.replace(' ', '_')}": {
                jobs: round(statistics.median(values) / arguments.cases, 2) for jobs, values in by_jobs.items()
            }
            for step, by_jobs in seconds.items()
        },
        **{
            f"speed_of_{arguments.jobs}_processes_{step.split()[0]}": _ratio(by_jobs)
            for step, by_jobs in seconds.items()
        },
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = benchmark_parser(__doc__, repeats=1)
    parser.add_argument("--slices", type=int, default=64, help="slices of a volume (64)")
    parser.add_argument("--side", type=int, default=512, help="rows and columns of a slice (512)")
    parser.add_argument("--cases", type=int, default=3, help="cases (3, the least there may be)")
    parser.add_argument("--dtype", default="int16", help="type of the stored images (int16)")
    parser.add_argument("--resolution", type=int, default=512, help="side of preprocessed slices (512)")
    parser.add_argument("--jobs", type=int, default=2, help="processes to compare with one (2)")
    return parser.parse_args(argv)


def _folders(root: Path) -> DataFolders:
    folders = DataFolders(raw=root / "raw", preprocessed=root / "preprocessed", results=root / "results")
    for name in ("raw", "preprocessed", "results"):
        getattr(folders, name).mkdir()
        os.environ[f"nnUNet_{name}"] = str(getattr(folders, name))
    return folders


def _write_release(folders: DataFolders, arguments: argparse.Namespace) -> None:
    affine = np.array([[0, 0, -0.8, 0], [0, -0.8, 0, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]])
    for number in range(arguments.cases):
        folder = _release(folders) / f"case_{number:05d}"
        folder.mkdir(parents=True)
        image, label = _volume(arguments.slices, arguments.side, seed=number)
        for name, voxels in (("imaging", image.astype(arguments.dtype)), ("segmentation", label)):
            nifti = nib.Nifti1Image(voxels, affine, dtype=voxels.dtype)
            nib.save(nifti, folder / f"{name}.nii.gz")


def _release(folders: DataFolders) -> Path:
    return folders.raw.parent / "release" / "dataset"


def _volume(slices: int, side: int, *, seed: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    generator = np.random.default_rng(seed)
    noise = generator.normal(0, 30, (side, side))
    waves = 100 * np.sin(np.arange(side) / 40)
    image = np.empty((slices, side, side), np.int16)
    for z in range(slices):
        image[z] = np.roll(noise, 7 * z, axis=1) + waves
    label = np.zeros(image.shape, np.uint8)
    label[slices // 4 : slices // 2, side // 3 : side // 2, side // 3 : side // 2] = 1
    image[label > 0] += 150
    return image, label


def _seconds_with(jobs: int, body: Callable[[int], object], *, repeats: int) -> dict[int, list[float]]:
    """Seconds with one process and with several, in turn; all of them write the same files anew."""
    seconds: dict[int, list[float]] = {1: [], jobs: []}
    for _ in range(repeats):
        for number in seconds:
            started = time.perf_counter()
            body(number)
            seconds[number].append(time.perf_counter() - started)
    return seconds


def _ratio(seconds: dict[int, list[float]]) -> Ratio:
    ratios = [one / several for one, several in zip(seconds[min(seconds)], seconds[max(seconds)], strict=True)]
    return Ratio(median=statistics.median(ratios), low=min(ratios), high=max(ratios))


def _convert(folders: DataFolders, raw: Path, jobs: int) -> None:
    shutil.rmtree(raw / _DATASET, ignore_errors=True)
    source = _release(folders).parent
    found = convert_release(KitsRelease(layout="kits23"), source=source, folder=raw / _DATASET, jobs=jobs)
    if found.faults:
        raise RuntimeError(found.faults[0].reason)


def _plan_all(folders: DataFolders, resolution: int, jobs: int) -> None:
    settings = PlanSettings(resolution=resolution, folds=_FOLDS)
    plan_and_preprocess(_DATASET, folders=folders, settings=settings, jobs=jobs)


def _memory_rows(folders: DataFolders, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    raw_mb = arguments.slices * arguments.side**2 * 4 / 2**20
    preprocessed_mb = arguments.slices * arguments.resolution**2 * 4 / 2**20
    steps: dict[str, tuple[Callable[..., object], float]] = {
        "conversion": (convert_once, raw_mb),
        "verification": (verify, raw_mb),
        "references": (references, raw_mb),
        "simulated prompts": (prompts, raw_mb),
        "preprocessing": (preprocess, max(raw_mb, preprocessed_mb)),
        f"{_NNUNET}fingerprint": (fingerprint, raw_mb),
        f"{_NNUNET}preprocessing": (preprocess_for_nnunet, raw_mb),
    }
    rows = []
    for name, (body, volume_mb) in steps.items():
        before, peak = peak_memory_of(body, folders)
        rows.append(
            {
                "step": name,
                "volume MB": round(volume_mb, 1),
                "peak MB": round(peak - before, 1),
                "peak / volume": round((peak - before) / volume_mb, 2),
            }
        )
    return rows


def convert_once(folders: DataFolders) -> None:
    """Convert all cases, one after the other."""
    _convert(folders, _elsewhere(folders).raw, 1)


def verify(folders: DataFolders) -> None:
    """Verify all cases."""
    verify_raw_dataset(read_raw_dataset(folders.raw / _DATASET), target_labels=[1])


def references(folders: DataFolders) -> None:
    """Write all references."""
    dataset = read_raw_dataset(folders.raw / _DATASET)
    folder = _elsewhere(folders).preprocessed / "references"
    write_references(dataset.cases, folder=folder, target_labels=[1], file_ending=dataset.file_ending)


def prompts(folders: DataFolders) -> None:
    """Simulate the prompts of all cases."""
    dataset = read_raw_dataset(folders.raw / _DATASET)
    for case in dataset.cases:
        case.prompts.unlink()
    ensure_prompts(dataset, settings=PlanSettings(), slice_axis=0)


def preprocess(folders: DataFolders) -> None:
    """Preprocess all cases to slices of a fixed size."""
    plan = read_plan(folders.preprocessed / _DATASET)
    _preprocess(folders, plan, plan.configuration, SPDPreprocessor)


def preprocess_for_nnunet(folders: DataFolders) -> None:
    """Preprocess all cases for nnU-Net's own row."""
    _preprocess(folders, read_plan(folders.preprocessed / _DATASET), NNUNET_CONFIGURATION, TargetPreprocessor)


def fingerprint(folders: DataFolders) -> None:
    """What nnU-Net's fingerprint does to each case, in this process."""
    labels = read_plan(folders.preprocessed / _DATASET).reference_folder
    extractor = TargetFingerprintExtractor(_DATASET, jobs=1, references=labels)
    for files in extractor.dataset.values():
        extractor.analyze_case(files["images"], files["label"], reader_of(extractor.dataset_json, extractor.dataset))


def _preprocess(
    folders: DataFolders, plan: Plan, configuration: str, preprocessor: type[SPDPreprocessor | TargetPreprocessor]
) -> None:
    output = _elsewhere(folders).preprocessed / configuration
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    for case in read_raw_dataset(folders.raw / _DATASET).cases:
        preprocess_case(
            CaseJob(
                case=case,
                folder=output,
                preprocessor=preprocessor,
                configuration=configuration,
                plans=plan.plans,
                dataset_json=plan.dataset_json,
            )
        )


def _elsewhere(folders: DataFolders) -> DataFolders:
    """Folders beside the real ones, for a step that is repeated to be measured."""
    other = folders.raw.parent / "again"
    return DataFolders(raw=other / "raw", preprocessed=other / "preprocessed", results=other / "results")


if __name__ == "__main__":
    main()
