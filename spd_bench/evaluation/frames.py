"""The three result files of an evaluation, ``slices.csv``, ``volumes.csv`` and ``summary.csv``, as data frames."""

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
)
SUMMARY_COLUMNS = ("dataset", "method", "metric", "mean", "std", "ci_low", "ci_high", "n")

_REMEDY = "write it again with spd_evaluate"
_FILE_COLUMNS = {"slices.csv": SLICE_COLUMNS, "volumes.csv": VOLUME_COLUMNS, "summary.csv": SUMMARY_COLUMNS}
_TEXT_COLUMNS = ("dataset", "method", "case", "metric")
_COUNT_COLUMNS = ("fold", "slice", "reference_pixels", "prediction_pixels", "slices", "foreground_slices", "n")


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as CSV, atomically, with full precision and empty cells for NaN.

    Raises:
        ValueError: the file is one of the three result files and the frame does not have its columns.
    """
    expected = _FILE_COLUMNS.get(path.name, tuple(frame.columns))
    if tuple(frame.columns) != expected:
        msg = f"{path.name} has the columns {expected}, got {tuple(frame.columns)}"
        raise ValueError(msg)
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False)


def read_frame(path: Path) -> pd.DataFrame:
    """Read ``slices.csv``, ``volumes.csv`` or ``summary.csv``; the file's name says which.

    Names stay text: a case called ``007`` or ``NA`` is neither a number nor a missing value.

    Raises:
        InputError: the file is missing, not CSV, or does not have the columns of its name.
    """
    columns = _FILE_COLUMNS[path.name]
    text = _read_text_table(path)
    if tuple(text.columns) != columns:
        raise InputError(f"columns {list(text.columns)}, expected {list(columns)}", file=path, remedy=_REMEDY)
    numbers = [name for name in columns if name not in _TEXT_COLUMNS]
    try:
        text[numbers] = text[numbers].replace("", "nan").astype(float)
        return text.astype({name: int for name in numbers if name in _COUNT_COLUMNS})
    except ValueError as error:
        raise InputError(f"not a table of results ({error})", file=path, remedy=_REMEDY) from error


def _read_text_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False)
    except FileNotFoundError as error:
        raise InputError("file not found", file=path, remedy="run spd_evaluate first") from error
    except (OSError, ValueError) as error:
        raise InputError(f"not readable as CSV ({error})", file=path, remedy=_REMEDY) from error
