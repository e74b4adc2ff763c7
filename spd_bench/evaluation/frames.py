"""The result files as data frames: slices, volumes, summary, significance and severities, each in its CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from spd_bench.errors import InputError
from spd_bench.storage import atomic_path

SLICE_COLUMNS = (
    "dataset",
    "method",
    "fold",
    "case",
    "slice",
    "dice",
    "iou",
    "hd95_mm",
    "asd_mm",
    "reference_pixels",
    "prediction_pixels",
)
VOLUME_COLUMNS = (
    "dataset",
    "method",
    "fold",
    "case",
    "volumetric_dice",
    "average_dice",
    "slices",
    "foreground_slices",
    "volumetric_hd95_mm",
    "volumetric_asd_mm",
    "nsd_1mm",
    "nsd_2mm",
    "reference_lesions",
    "predicted_lesions",
    "lesion_recall",
    "lesion_precision",
    "lesion_f1",
)
SUMMARY_COLUMNS = ("dataset", "method", "metric", "mean", "std", "ci_low", "ci_high", "n")
SIGNIFICANCE_COLUMNS = (
    "dataset",
    "metric",
    "unit",
    "method_a",
    "method_b",
    "n",
    "difference",
    "ci_low",
    "ci_high",
    "p",
    "p_holm",
    "effect_size",
    "median_difference",
    "patients",
    "note",
)
SEVERITY_COLUMNS = (
    "dataset",
    "method",
    "fold",
    "case",
    "severity",
    "volumetric_dice",
    "average_dice",
    "foreground_dice",
)

_REMEDY = "write it again with spd_evaluate"
_FILE_COLUMNS = {
    "slices.csv": SLICE_COLUMNS,
    "volumes.csv": VOLUME_COLUMNS,
    "summary.csv": SUMMARY_COLUMNS,
    "significance.csv": SIGNIFICANCE_COLUMNS,
    "severities.csv": SEVERITY_COLUMNS,
}
_FIRST_VOLUME_COLUMNS = VOLUME_COLUMNS[: VOLUME_COLUMNS.index("volumetric_hd95_mm")]
"""What ``volumes.csv`` held before whole volumes had surface and lesion scores; such files are still taken."""
_TEXT_COLUMNS = ("dataset", "method", "case", "metric", "unit", "method_a", "method_b", "note")
_COUNT_COLUMNS = (
    *("fold", "slice", "reference_pixels", "prediction_pixels", "slices", "foreground_slices", "n", "patients"),
)
_LESION_COUNTS = ("reference_lesions", "predicted_lesions")
_ROW_KEYS = ("dataset", "method", "fold", "case", "slice")


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as CSV, atomically, with full precision and empty cells for NaN.

    Raises:
        ValueError: the file is one of the result files and the frame does not have its columns.
    """
    columns = tuple(frame.columns)
    if path.name in _FILE_COLUMNS and not _fits(columns, path.name):
        msg = f"{path.name} has the columns {_FILE_COLUMNS[path.name]}, got {columns}"
        raise ValueError(msg)
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False)


def read_frame(path: Path) -> pd.DataFrame:
    """Read one of the result files; the file's name says which.

    Names stay text: a case called ``007`` or ``NA`` is neither a number nor a missing value. A ``volumes.csv`` without
    the later columns is read as it is.

    Raises:
        InputError: the file is missing, not CSV, or does not have the columns of its name.
    """
    text = _read_text_table(path)
    if not _fits(tuple(text.columns), path.name):
        expected = list(_FILE_COLUMNS[path.name])
        raise InputError(f"columns {list(text.columns)}, expected {expected}", file=path, remedy=_REMEDY)
    numbers = [name for name in text.columns if name not in _TEXT_COLUMNS]
    whole = {name: int for name in numbers if name in _COUNT_COLUMNS}
    # Rows of older files stand beside newer ones without a number of lesions.
    lesions = {name: "Int64" for name in numbers if name in _LESION_COUNTS}
    try:
        text[numbers] = text[numbers].replace("", "nan").astype(float)
        return text.astype({**whole, **lesions})
    except (ValueError, TypeError) as error:
        raise InputError(f"not a table of results ({error})", file=path, remedy=_REMEDY) from error


def require_one_row_each(frame: pd.DataFrame, *, file: Path | None = None) -> None:
    """Refuse a frame in which a slice or volume of a run has two rows: two methods of one name would be mixed up.

    Args:
        frame: rows of ``slices.csv`` or ``volumes.csv``.
        file: where they were read, for the message.

    Raises:
        InputError: names the first such row.
    """
    keys = [name for name in _ROW_KEYS if name in frame.columns]
    twice = frame[frame.duplicated(keys)]
    if len(twice):
        row = ", ".join(f"{name} {twice[name].iloc[0]}" for name in keys)
        raise InputError(f"two rows of {row}", file=file, remedy="give two methods or runs two names")


def _fits(columns: tuple[str, ...], name: str) -> bool:
    return columns == _FILE_COLUMNS[name] or (name == "volumes.csv" and columns == _FIRST_VOLUME_COLUMNS)


def _read_text_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False)
    except FileNotFoundError as error:
        raise InputError("file not found", file=path, remedy="run spd_evaluate first") from error
    except (OSError, ValueError) as error:
        raise InputError(f"not readable as CSV ({error})", file=path, remedy=_REMEDY) from error
