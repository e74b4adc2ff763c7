"""What a conversion keeps of itself in the raw dataset's folder.

``conversion.json`` holds the release and the choices that were made, ``conversion/<case>.json`` what a case was
read from, what was repaired, and hashes of what was written. A conversion that is run again leaves a case alone
whose record still fits its source and its files, and the report is made of the records.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spd_bench.errors import InputError
from spd_bench.raw.release.cases import ConvertedCase, ReleaseCase
from spd_bench.storage import read_json, sha256_of_file, write_json

SETTINGS, RECORDS = "conversion.json", "conversion"
FILE_ENDING = ".nii.gz"
# The arrays that conversion writes have their slices along the first axis.
SLICE_AXIS = 0

Record = dict[str, Any]
_KEYS = {"case", "patient", "source", "choices", "written", "repairs", "statistics"}


def as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they come back from a file."""
    return dict(json.loads(json.dumps(dict(settings))))


def read_settings(folder: Path) -> dict[str, Any] | None:
    """The release and the choices that a raw dataset was converted with; None where no conversion made it."""
    file = folder / SETTINGS
    return dict(read_json(file)) if file.is_file() else None


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write what :func:`read_settings` reads."""
    write_json(folder / SETTINGS, settings)


def record_path(folder: Path, case: str) -> Path:
    """Where the record of a case lies in a raw dataset's folder."""
    return folder / RECORDS / f"{case}.json"


def read_records(folder: Path) -> dict[str, Record]:
    """The records of the cases whose files are all there, by case id; what is no record is passed over."""
    found = {path.stem: _read_record(path) for path in sorted((folder / RECORDS).glob("*.json"))}
    return {
        case: record
        for case, record in found.items()
        if record is not None and all((folder / name).is_file() for name in record["written"])
    }


def write_record(
    case: ReleaseCase,
    converted: ConvertedCase,
    *,
    source: Path,
    folder: Path,
    written: Sequence[Path],
) -> None:
    """Write a case's record; the files it was read from are told by name, size and time, those written by hash."""
    write_json(
        record_path(folder, case.case),
        {
            "case": case.case,
            "patient": case.patient,
            "source": _source_files(case, source),
            "choices": dict(case.choices),
            "written": {file.relative_to(folder).as_posix(): sha256_of_file(file) for file in written},
            "repairs": list(converted.repairs),
            "statistics": _statistics(converted),
        },
    )


def is_converted(case: ReleaseCase, *, source: Path, folder: Path) -> bool:
    """Whether a case is there already, unchanged, from these very files."""
    record = _read_record(record_path(folder, case.case))
    if record is None or record["source"] != _source_files(case, source) or record["choices"] != dict(case.choices):
        return False
    return all(
        (folder / name).is_file() and sha256_of_file(folder / name) == sha256
        for name, sha256 in record["written"].items()
    )


def _read_record(path: Path) -> Record | None:
    """A record, or None where there is none or it was damaged: its case is then converted again."""
    if path.name.startswith(".") or not path.is_file():
        return None
    try:
        record = read_json(path)
    except InputError:
        return None
    return record if isinstance(record, dict) and record.keys() >= _KEYS else None


def _statistics(converted: ConvertedCase) -> dict[str, Any]:
    label, geometry, prompts = converted.label, converted.geometry, converted.prompts
    voxels = int(np.count_nonzero(label))
    statistics: dict[str, Any] = {
        "shape": list(geometry.shape),
        "spacing_mm": [round(value, 6) for value in geometry.spacing],
        "slices": geometry.shape[SLICE_AXIS],
        "target_slices": int(np.count_nonzero(label.any(axis=(1, 2)))),
        "target_voxels": voxels,
        "target_ml": voxels * float(np.prod(geometry.spacing)) / 1000,
        "points": None,
        "points_inside": None,
    }
    if prompts is not None:
        at = prompts.voxels(geometry)
        statistics["points"] = len(prompts)
        statistics["points_inside"] = int(label[at[:, 0], at[:, 1], at[:, 2]].sum())
    return statistics


def _source_files(case: ReleaseCase, source: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        role: [
            {
                "name": file.relative_to(source).as_posix(),
                "bytes": file.stat().st_size,
                "modified_ns": file.stat().st_mtime_ns,
            }
            for file in files
        ]
        for role, files in case.files.items()
    }
