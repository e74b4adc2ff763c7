"""Convert a release into an nnU-Net raw dataset, case by case, so that it can be stopped and taken up again.

A case's record (:mod:`spd_bench.raw.release.records`) is written last, so that a case that has one is whole.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.processes import run_in_processes
from spd_bench.raw.dataset import check_case_name, image_path, label_path, prompt_path
from spd_bench.raw.release.cases import CaseFault, ConvertedCase, Release, ReleaseCase, check_source
from spd_bench.raw.release.narrow_types import narrow
from spd_bench.raw.release.ownership import claim_folder
from spd_bench.raw.release.records import (
    FILE_ENDING,
    SLICE_AXIS,
    Record,
    is_converted,
    read_records,
    record_path,
    write_record,
)
from spd_bench.raw.writer import RawDatasetWriter

Progress = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What a conversion came to.

    Attributes:
        folder: the raw dataset.
        records: the record of every case that lies there now, by case id.
        skipped: cases that an earlier run had converted, verified and left as they are.
        faults: cases that could not be converted.
    """

    folder: Path
    records: dict[str, Record]
    skipped: tuple[str, ...]
    faults: tuple[CaseFault, ...]


def convert_release(
    release: Release, *, source: Path, folder: Path, jobs: int = 1, progress: Progress = lambda items, _: items
) -> Conversion:
    """Convert every case of a release that can be converted, and write ``dataset.json``.

    Args:
        release: how the release is laid out and read.
        source: the release's folder.
        folder: the raw dataset, ``DatasetXXX_Name``.
        jobs: processes that convert side by side.
        progress: wraps the finished cases, for a bar; gets the number of cases as well.

    Raises:
        InputError: there is nothing to convert, or ``folder`` holds cases of another origin. Faults of single
            cases are in the result instead.
    """
    if jobs < 1:
        raise InputError(f"{jobs} is not a number of processes", remedy="give --jobs 1 or more")
    check_source(source)
    found = release.find(source)
    cases, faults = _sound_cases(found.cases, source)
    faults = [*found.faults, *faults]
    if not cases and not faults:
        raise InputError("no case found", file=source, remedy="give the folder that the release was unpacked to")
    claim_folder(folder, release.settings, {case.case for case in found.cases} | {fault.case for fault in faults})
    work = [_Job(release=release, case=case, source=source, folder=folder) for case in cases]
    skipped: list[str] = []
    for result in progress(run_in_processes(_convert, work, jobs=jobs), len(work)):
        if isinstance(result, CaseFault):
            faults.append(result)
        elif result.kept:
            skipped.append(result.case)
    records = read_records(folder)
    if records:
        _writer(release, folder).finish(patients={case: record["patient"] for case, record in records.items()})
    return Conversion(
        folder=folder,
        records=records,
        skipped=tuple(sorted(skipped)),
        faults=tuple(_told(fault, records) for fault in sorted(faults, key=lambda fault: fault.case)),
    )


def _told(fault: CaseFault, records: Mapping[str, Record]) -> CaseFault:
    """A case that fails now but did not before is still in the dataset: nothing that was good is thrown away."""
    if fault.case not in records:
        return fault
    return replace(fault, reason=f"{fault.reason} (the dataset keeps the case as an earlier run converted it)")


@dataclass(frozen=True, kw_only=True)
class _Job:
    release: Release
    case: ReleaseCase
    source: Path
    folder: Path


@dataclass(frozen=True, kw_only=True)
class _Done:
    case: str
    kept: bool


def _sound_cases(cases: Iterable[ReleaseCase], source: Path) -> tuple[list[ReleaseCase], list[CaseFault]]:
    """Cases whose id is a plain name, is there once, and whose files lie inside the release."""
    cases = tuple(cases)
    # File systems that ignore case would let one case overwrite the other.
    times = Counter(case.case.casefold() for case in cases)
    sound: list[ReleaseCase] = []
    faults: dict[str, CaseFault] = {}
    for case in cases:
        try:
            check_case_name(case.case, file=case.all_files[0])
            _check_inside(case, source)
            _check_single(case, times[case.case.casefold()])
            sound.append(case)
        except InputError as error:
            faults[case.case] = CaseFault(case=case.case, reason=str(error))
    return sound, list(faults.values())


def _check_inside(case: ReleaseCase, source: Path) -> None:
    root = source.resolve()
    for file in case.all_files:
        if not file.resolve().is_relative_to(root):
            raise InputError(
                "path leaves the release's folder",
                file=file,
                remedy="copy the file to where the link stands, or give the folder that holds both",
            )


def _check_single(case: ReleaseCase, times: int) -> None:
    if times > 1:
        raise InputError(
            f"{times} cases would be named {case.case}", file=case.all_files[0], remedy="keep the right one of them"
        )


def _convert(job: _Job) -> _Done | CaseFault:
    """Convert one case, or leave it where it is there already; whatever goes wrong concerns this case alone."""
    case = job.case.case
    try:
        if is_converted(job.case, source=job.source, folder=job.folder):
            return _Done(case=case, kept=True)
        _write(job, _settled(job.release.read(job.case)))
    except InputError as error:
        return CaseFault(case=case, reason=str(error))
    # A library that stumbles over one patient's file must not cost the others their conversion.
    except Exception as error:
        first_line = (str(error).strip() or "no message").splitlines()[0]
        return CaseFault(case=case, reason=f"unexpected {type(error).__name__}: {first_line} ({_first_file(job)})")
    return _Done(case=case, kept=False)


def _first_file(job: _Job) -> str:
    return str(job.case.all_files[0])


def _write(job: _Job, converted: ConvertedCase) -> None:
    case = job.case.case
    record_path(job.folder, case).unlink(missing_ok=True)
    files = [image_path(job.folder, case, channel, FILE_ENDING) for channel in range(len(converted.images))]
    files.append(label_path(job.folder, case, FILE_ENDING))
    if converted.prompts is not None:
        files.append(prompt_path(job.folder, case))
    try:
        _writer(job.release, job.folder).add_case(
            case=case,
            images=converted.images,
            label=converted.label,
            geometry=converted.geometry,
            prompts=converted.prompts,
            patient=job.case.patient,
        )
    except BaseException:
        # An image without its label would make the whole dataset invalid.
        for file in files:
            with contextlib.suppress(OSError):
                file.unlink()
        raise
    write_record(
        job.case,
        converted,
        source=job.source,
        folder=job.folder,
        written=files,
    )


def _writer(release: Release, folder: Path) -> RawDatasetWriter:
    return RawDatasetWriter(
        folder=folder,
        channel_names=release.channel_names,
        description=release.description,
        target_name=release.target_name,
        file_ending=FILE_ENDING,
        slice_axis=SLICE_AXIS,
    )


def _settled(converted: ConvertedCase) -> ConvertedCase:
    """The case with images that are written as they lie in memory, so that what they were made from can go."""
    return replace(converted, images=tuple(_compact(image) for image in converted.images))


def _compact(image: NDArray[Any]) -> NDArray[Any]:
    if image.dtype == np.float64:
        return narrow((image[index : index + 1] for index in range(len(image))), image.shape)
    return np.ascontiguousarray(image)
