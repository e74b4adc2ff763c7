from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from spd_bench.evaluation.figures import caption_of, dice_bars

TITLES = {"spd": "SPD", "unet": "U-Net"}


def _summary() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("TI", "unet", "average_dice", 0.5, 0.4, 0.6),
            ("TI", "unet", "volumetric_dice", 0.25, 0.2, 0.3),
            ("TI", "unet", "hd95_mm", 12.0, 10.0, 14.0),
            ("TI", "spd", "average_dice", 0.73581, 0.7, 0.8),
            ("TI", "spd", "volumetric_dice", 0.4642, 0.4, 0.5),
            ("SCAR", "spd", "volumetric_dice", 0.5674, 0.5, 0.6),
        ],
        columns=["dataset", "method", "metric", "mean", "ci_low", "ci_high"],
    )


def _bars(axes: Axes, label: str) -> dict[float, float]:
    """Heights of one metric by place."""
    bars = next(container for container in axes.containers if container.get_label() == label)
    return {round(bar.get_x() + bar.get_width() / 2, 6): bar.get_height() for bar in bars}


def _intervals(axes: Axes) -> list[tuple[float, float]]:
    segments = [segment for lines in axes.collections for segment in lines.get_segments()]
    return sorted((round(low, 6), round(high, 6)) for low, high in (segment[:, 1] for segment in segments))


def test_bars_intervals_and_numbers_are_those_of_the_summary() -> None:
    figure = dice_bars(_summary(), titles=TITLES)
    ti, scar = figure.axes
    assert (ti.get_gid(), scar.get_gid()) == ("TI", "SCAR")
    assert _bars(ti, "Average Dice") == pytest.approx({-0.2: 50.0, 0.8: 73.581})
    assert _bars(ti, "Volumetric Dice") == pytest.approx({0.2: 25.0, 1.2: 46.42})
    assert _bars(scar, "Volumetric Dice") == pytest.approx({1.2: 56.74})
    assert _intervals(ti) == [(20, 30), (40, 50), (40, 60), (70, 80)]
    assert sorted(text.get_text() for text in ti.texts) == ["25.00", "46.42", "50.00", "73.58"]
    assert [label.get_text() for label in scar.get_xticklabels()] == ["U-Net", "SPD"]
    assert "Not in the results: 3 of 8 bars" in caption_of(figure)


def test_the_highlighted_method_is_bold_on_a_band() -> None:
    axes = dice_bars(_summary(), titles=TITLES).axes[-1]
    assert [label.get_fontweight() for label in axes.get_xticklabels()] == ["normal", "bold"]


def test_metrics_differ_in_hatch_as_well() -> None:
    axes = dice_bars(_summary(), titles=TITLES).axes[0]
    assert len({container[0].get_hatch() for container in axes.containers}) == 2


def test_a_method_without_a_title_keeps_its_name() -> None:
    axes = dice_bars(_summary(), titles={}).axes[-1]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["unet", "spd"]


def test_missing_means_and_intervals_are_left_out_and_told() -> None:
    summary = _summary()
    summary.loc[0, ["mean", "ci_low", "ci_high"]] = np.nan
    summary.loc[3, ["ci_low", "ci_high"]] = np.nan
    figure = dice_bars(summary, titles=TITLES)
    assert _bars(figure.axes[0], "Average Dice") == pytest.approx({0.8: 73.581})
    assert _intervals(figure.axes[0]) == [(20, 30), (40, 50)]
    assert "1 of 5 for the mean" in caption_of(figure)
    assert "takes two patients: 1 of 5 bars" in caption_of(figure)


@pytest.mark.parametrize(
    ("summary", "match"),
    [
        (_summary()[:0], "no rows of summary.csv"),
        (_summary()[2:3], "no rows of Average and Volumetric Dice"),
        (_summary().drop(columns="ci_low"), "without the column ci_low"),
        (_summary().assign(mean=50.0), "in 0..1"),
        (_summary().assign(mean=np.nan), "has no value"),
        (pd.concat([_summary(), _summary()[:1]]), "two rows of dataset TI, method unet"),
    ],
)
def test_bad_summaries_are_refused_in_one_line(summary: pd.DataFrame, match: str) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        dice_bars(summary, titles=TITLES)
    assert "\n" not in str(caught.value)
