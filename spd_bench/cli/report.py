"""What a comparison prints: one line a method, then where the files are."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from spd_bench.comparison import Comparison

_COLUMNS = {
    "volumetric_dice": ("Volumetric Dice %", 100.0),
    "average_dice": ("Average Dice %", 100.0),
    "foreground_dice": ("Foreground Dice %", 100.0),
    "average_iou": ("Average IoU %", 100.0),
    "hd95_mm": ("HD95 mm", 1.0),
    "asd_mm": ("ASD mm", 1.0),
}


def summary_text(summary: pd.DataFrame) -> str:
    """The summary as a text table: a row for each dataset and method, a column for each metric."""
    means = summary.pivot_table(index=["dataset", "method"], columns="metric", values="mean", sort=False)
    shown = means.reindex(columns=list(_COLUMNS)).mul([scale for _, scale in _COLUMNS.values()])
    shown.columns = [title for title, _ in _COLUMNS.values()]
    return shown.reset_index().to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.2f}")


def note_lines(notes: Mapping[str, Any]) -> list[str]:
    """What a run noted of itself, in words: how good the prompts are, raw against distilled."""
    return [
        f"{kind} prompts on validation cases: {_percent(shares['purity'])} of the points inside the target, "
        f"{_percent(shares['coverage'])} of the target slices and "
        f"{_percent(shares['empty_slices_with_point'])} of the empty slices with a point"
        for kind, shares in notes.get("prompt_quality", {}).items()
    ]


def print_files(files: Iterable[Path]) -> None:
    """Print where files went."""
    print("written:")
    for file in files:
        print(f"  {file}")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def print_comparison(comparison: Comparison) -> None:
    """Print the summary, the files and, on standard error, what failed."""
    print(summary_text(comparison.summary))
    for record in comparison.records:
        for line in note_lines(record["notes"]):
            print(f"{record['dataset']} {record['method']} fold {record['fold']}: {line}")
    print_files(comparison.files)
    for method, reason in comparison.skipped.items():
        print(f"not run: {method}: {reason}", file=sys.stderr)
    for cell, reason in comparison.failures.items():
        print(f"failed: {cell}: {reason}", file=sys.stderr)
