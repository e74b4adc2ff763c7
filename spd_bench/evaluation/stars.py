"""The marks of significance in a table: ``*`` per volume and corrected, and the paper's own per slice, a dagger."""

from __future__ import annotations

import pandas as pd

from spd_bench.evaluation.better import LEVEL, better_method

STAR, DAGGER = "*", "†"
EXPLANATIONS = {
    STAR: f'The mark "{STAR}": better than every other method by Wilcoxon\'s signed-rank test per volume, p < {LEVEL:g}'
    " after Holm's correction over all pairs of methods.",
    DAGGER: f'The mark "{DAGGER}": better than every other method by the paper\'s test, per slice and uncorrected,'
    f" p < {LEVEL:g}. Slices of one volume are not independent, so it claims too much.",
}
_TESTS = {STAR: ("volume", "p_holm"), DAGGER: ("slice", "p")}


def stars(significance: pd.DataFrame, level: float = LEVEL) -> dict[tuple[str, str, str], str]:
    """The marks that methods have earned.

    A method earns a mark where it is better, in the mean and in ranks, and significantly so, than every other method
    with which it shares a value; a method without any value (distances of empty masks) is no competitor.

    Args:
        significance: rows of ``significance.csv``.
        level: p-values below it are significant.

    Returns:
        (dataset, metric, method) -> "*", "†" or "*†"; without a mark there is no entry.
    """
    marks: dict[tuple[str, str, str], str] = {}
    for mark, (unit, column) in _TESTS.items():
        compared = significance[(significance["unit"] == unit) & (significance["n"] > 0)]
        for (dataset, metric), rows in compared.groupby(["dataset", "metric"], sort=False):
            winner = _beats_all(rows, column, level)
            if winner is not None:
                key = (str(dataset), str(metric), winner)
                marks[key] = marks.get(key, "") + mark
    return marks


def _beats_all(rows: pd.DataFrame, column: str, level: float) -> str | None:
    """The one method that wins all of its rows significantly."""
    wins = [better_method(row) if row[column] < level else None for row in rows.to_dict("records")]
    for method in dict.fromkeys([*rows["method_a"], *rows["method_b"]]):
        own = ((rows["method_a"] == method) | (rows["method_b"] == method)).tolist()
        if all(win == method for win, is_own in zip(wins, own, strict=True) if is_own):
            return str(method)
    return None
