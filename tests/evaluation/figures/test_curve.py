from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spd_bench.evaluation.bootstrap import BootstrapSettings
from spd_bench.evaluation.figures import (
    CONTEXT_CURVE,
    PAPER_CONTEXT,
    THRESHOLD_CURVE,
    caption_of,
    context_curve,
    threshold_curve,
)
from spd_bench.evaluation.figures.intervals import mean_dice

FAST = BootstrapSettings(resamples=200, seed=1)


def _scores(values: tuple[float, ...] = (0, 1, 2, 3)) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    rows = [(value, f"c{case}", rng.uniform(), rng.uniform()) for value in values for case in range(5)]
    return pd.DataFrame(rows, columns=["value", "case", "volumetric_dice", "average_dice"])


def _lines(axes: Axes) -> dict[str, Line2D]:
    return {line.get_gid(): line for line in axes.get_lines() if line.get_gid()}


def test_lines_and_intervals_are_means_over_cases_at_each_value() -> None:
    scores = _scores()
    axes = context_curve(scores, patients={"c0": "p", "c1": "p"}, settings=replace(CONTEXT_CURVE, bootstrap=FAST)).axes[
        0
    ]
    assert set(_lines(axes)) == {"volumetric_dice", "average_dice"}
    intervals = np.concatenate([np.stack(lines.get_segments())[:, :, 1] for lines in axes.collections])
    expected = []
    for column in ("average_dice", "volumetric_dice"):
        means = 100 * scores.groupby("value")[column].mean().to_numpy()
        assert list(_lines(axes)[column].get_ydata()) == pytest.approx(means)
        table = mean_dice(scores, by=("value",), column=column, patients={"c0": "p", "c1": "p"}, settings=FAST)
        expected.append(100 * table[["ci_low", "ci_high"]].to_numpy())
    np.testing.assert_allclose(intervals, np.concatenate(expected))


@pytest.mark.parametrize(
    ("draw", "values", "default"), [(context_curve, (0, 1, 2, 3), 2), (threshold_curve, (0.3, 0.5, 0.7), 0.5)]
)
def test_the_default_of_the_paper_is_marked(
    draw: Callable[[pd.DataFrame], Figure], values: tuple[float, ...], default: float
) -> None:
    axes = draw(_scores(values)).axes[0]
    assert [text.get_text() for text in axes.texts] == [f"the paper's default, {default:g}"]
    marks = [line for line in axes.get_lines() if list(line.get_xdata()) == [default, default]]
    assert len(marks) == 1
    assert list(axes.get_xticks()) == list(values)


def test_the_numbers_of_the_paper_are_drawn_where_asked_for() -> None:
    assert "paper" not in _lines(context_curve(_scores()).axes[0])
    line = _lines(context_curve(_scores(), settings=replace(CONTEXT_CURVE, paper=PAPER_CONTEXT)).axes[0])["paper"]
    assert dict(zip(line.get_xdata(), line.get_ydata(), strict=True)) == {0: 66.95, 1: 73.78, 2: 73.58, 3: 71.53}


def test_seeds_are_averaged_and_what_is_missing_is_told() -> None:
    scores = pd.concat([_scores().assign(seed=0), _scores().assign(seed=1, volumetric_dice=0.5)])
    scores.loc[scores["case"] == "c1", "average_dice"] = np.nan
    figure = threshold_curve(scores, settings=replace(THRESHOLD_CURVE, bootstrap=FAST))
    expected = scores.groupby(["value", "case"])["volumetric_dice"].mean().groupby("value").mean()
    assert list(_lines(figure.axes[0])["volumetric_dice"].get_ydata()) == pytest.approx(100 * expected.to_numpy())
    assert "8 of 40 for Average Dice" in caption_of(figure)
    assert "Seeds are averaged" in caption_of(figure)
    assert "Each case counts alike" in caption_of(figure)
    pooled = threshold_curve(scores.assign(slices=3), settings=replace(THRESHOLD_CURVE, bootstrap=FAST))
    assert "pooled over slices" in caption_of(pooled)


@pytest.mark.parametrize(
    ("scores", "match"),
    [
        (_scores()[:0], "no rows"),
        (_scores()[["value", "case"]], "without the column volumetric_dice"),
        (_scores().assign(value=None), "value None in the scores is no number"),
        (_scores().assign(average_dice=-0.1), "average_dice -0.1"),
        (pd.concat([_scores(), _scores()]), "two rows of value"),
    ],
)
def test_bad_scores_are_refused_in_one_line(scores: pd.DataFrame, match: str) -> None:
    for draw in (context_curve, threshold_curve):
        with pytest.raises(ValueError, match=match) as caught:
            draw(scores)
        assert "\n" not in str(caught.value)
