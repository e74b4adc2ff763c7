"""What a figure asks of its frame before anything is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from spd_bench.errors import InputError
from spd_bench.evaluation.figures.style import DICE_TITLES


def check_rows(frame: pd.DataFrame, *, what: str, columns: Sequence[str]) -> None:
    """Refuse a frame that lacks a column or has no row.

    Args:
        frame: any frame.
        what: what its rows are, for the message.
        columns: the columns that the figure reads.

    Raises:
        InputError: names what is missing.
    """
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise InputError(f"{what} without the column {', '.join(missing)}", remedy="give a frame that has it")
    if frame.empty:
        raise InputError(f"no rows of {what}", remedy="there is nothing to draw without them")


def check_dice(frame: pd.DataFrame, columns: Sequence[str], *, what: str) -> None:
    """Refuse Dice that is no number in 0..1, as in the result files; NaN passes while there is something else.

    Raises:
        InputError: names the first value that is out of range, or the column in which no value is left.
    """
    for name in columns:
        values = pd.to_numeric(frame[name], errors="coerce")
        no_number = frame[name].notna() & values.isna()
        wrong = no_number | ~(values.isna() | values.between(0, 1))
        if wrong.any():
            found = frame[name][wrong].iloc[0]
            raise InputError(f"{name} {found} in {what}", remedy="Dice is a number in 0..1 here, not in %")
        if values.isna().all():
            raise InputError(f"{name} has no value in {what}", remedy="there is nothing to draw without them")


def check_one_each(frame: pd.DataFrame, keys: Sequence[str], *, what: str) -> None:
    """Refuse two rows about one thing: one of them would be drawn and nobody would know which.

    Raises:
        InputError: names the first row that is there twice.
    """
    twice = frame[frame.duplicated(list(keys))]
    if len(twice):
        row = ", ".join(f"{name} {twice[name].iloc[0]}" for name in keys)
        raise InputError(f"two rows of {row} in {what}", remedy="keep one, or tell them apart")


def numbers_of(frame: pd.DataFrame, column: str, *, what: str) -> pd.Series[float]:
    """The values of a column as floats, also where a file gave them as text.

    Raises:
        InputError: names the first one that is no number; NaN is none.
    """
    values = pd.to_numeric(frame[column], errors="coerce").astype(float)
    if values.isna().any():
        found = frame[column][values.isna()].iloc[0]
        raise InputError(f"{column} {found!r} in {what} is no number", remedy="leave the row out, or correct it")
    return values


def left_out(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """A sentence on rows without a value, empty where every row has one."""
    counts = {name: int(frame[name].isna().sum()) for name in columns}
    parts = [f"{count} of {len(frame)} for {DICE_TITLES.get(name, name)}" for name, count in counts.items() if count]
    return f"Rows without a value are left out: {', '.join(parts)}." if parts else ""


def counted(number: int, singular: str) -> str:
    """A number with its noun: "1 case", "2 cases"."""
    return f"{number} {singular}" if number == 1 else f"{number} {singular}s"
