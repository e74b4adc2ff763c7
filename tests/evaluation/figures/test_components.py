from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from spd_bench.evaluation.figures import PAPER_COMPONENTS, ComponentSettings, caption_of, component_bars

OURS = {"spd": 0.75, "spd_local": 0.65, "sam_tuning": 0.6, "spd_cpd": 0.64}
PAPER = ComponentSettings(paper=PAPER_COMPONENTS)


def _summary() -> pd.DataFrame:
    rows = [
        ("TI", method, metric, mean, mean - 0.1, mean + 0.1)
        for method, mean in {**OURS, "unet": 0.5}.items()
        for metric in ("average_dice", "hd95_mm")
    ]
    return pd.DataFrame(rows, columns=["dataset", "method", "metric", "mean", "ci_low", "ci_high"])


def _bars(axes: Axes, label: str) -> list[float]:
    (bars,) = (container for container in axes.containers if container.get_label() == label)
    return [bar.get_width() for bar in sorted(bars, key=lambda bar: bar.get_y())]


def test_steps_stand_in_their_order_beside_the_numbers_of_the_paper() -> None:
    axes = component_bars(_summary(), settings=PAPER).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        *("raw points", "+ local validation", "+ CPD", "+ PSC"),
    ]
    assert _bars(axes, "ours") == pytest.approx([60, 65, 64, 75])
    assert _bars(axes, "the paper's, on TI") == [62.50, 66.95, 70.32, 73.58]
    assert axes.yaxis_inverted()
    texts = {text.get_text() for text in axes.texts}
    assert texts == {
        *("60.00", "65.00 (+5.00)", "64.00 (-1.00)", "75.00 (+11.00)"),
        *("62.50", "66.95 (+4.45)", "70.32 (+3.37)", "73.58 (+3.26)"),
    }


def test_intervals_are_those_of_the_summary() -> None:
    axes = component_bars(_summary()).axes[0]
    drawn = np.concatenate([np.stack(lines.get_segments())[:, :, 0] for lines in axes.collections])
    np.testing.assert_allclose(drawn, [[50, 70], [55, 75], [54, 74], [65, 85]])
    assert len(axes.containers) == 1


def test_a_missing_step_is_told_and_no_gain_is_made_up() -> None:
    figure = component_bars(_summary()[lambda rows: rows["method"] != "spd_cpd"], settings=PAPER)
    assert "Without a value of ours: + CPD." in caption_of(figure)
    assert "75.00" in {text.get_text() for text in figure.axes[0].texts}


@pytest.mark.parametrize(
    ("summary", "match"),
    [
        (_summary()[:0], "no rows of summary.csv"),
        (_summary()[lambda rows: rows["method"] == "unet"], "no rows of average_dice"),
        (_summary().drop(columns="mean"), "without the column mean"),
        (_summary().assign(mean=60.0), "in 0..1"),
        (pd.concat([_summary(), _summary()]), "two rows of method spd"),
        (pd.concat([_summary(), _summary().assign(dataset="SCAR")]), "one dataset"),
    ],
)
def test_bad_summaries_are_refused_in_one_line(summary: pd.DataFrame, match: str) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        component_bars(summary)
    assert "\n" not in str(caught.value)


def test_another_metric_cannot_stand_beside_the_paper() -> None:
    with pytest.raises(ValueError, match="cannot stand beside volumetric_dice"):
        ComponentSettings(metric="volumetric_dice", paper=PAPER_COMPONENTS)
    with pytest.raises(ValueError, match="metric must be one of"):
        ComponentSettings(metric="hd95_mm")
