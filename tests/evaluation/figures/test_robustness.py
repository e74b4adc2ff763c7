from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spd_bench.evaluation.bootstrap import BootstrapSettings
from spd_bench.evaluation.figures import RobustnessSettings, caption_of, robustness_curves
from spd_bench.evaluation.figures.intervals import mean_dice

TITLES = {"spd": "SPD", "sam": "SAM"}
PATIENTS = {"c0": "a", "c1": "a"}
SETTINGS = RobustnessSettings(bootstrap=BootstrapSettings(resamples=200, seed=2))
DICE = ("volumetric_dice", "foreground_dice")


def _scores() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    rows = [
        (method, f"c{case}", severity, seed, rng.uniform(), rng.uniform())
        for method in ("sam", "spd")
        for case in range(5)
        for severity in range(4)
        for seed in range(2)
    ]
    return pd.DataFrame(rows, columns=["method", "case", "severity", "seed", *DICE])


def test_lines_are_means_over_cases_whose_seeds_are_averaged() -> None:
    scores = _scores()
    figure = robustness_curves(scores, titles=TITLES, patients=PATIENTS, settings=SETTINGS)
    assert [axes.get_gid() for axes in figure.axes] == list(DICE)
    for axes in figure.axes:
        assert axes.get_xlabel() == "severity of the prompts' noise"
        for line in axes.get_lines():
            own = scores[scores["method"] == line.get_gid()]
            cases = own.groupby(["severity", "case"])[axes.get_gid()].mean()
            assert list(line.get_ydata()) == pytest.approx(100 * cases.groupby("severity").mean().to_numpy())
            assert np.abs(np.asarray(line.get_xdata()) - np.arange(4)).max() < 0.5
        assert [line.get_label() for line in axes.get_lines()] == ["SAM", "SPD"]


def test_intervals_are_those_of_the_bootstrap_over_patients() -> None:
    figure = robustness_curves(_scores(), titles=TITLES, patients=PATIENTS, settings=SETTINGS)
    for axes in figure.axes:
        table = mean_dice(
            _scores(),
            by=("method", "severity"),
            column=axes.get_gid(),
            patients=PATIENTS,
            settings=SETTINGS.bootstrap,
        )
        drawn = np.concatenate([np.stack(lines.get_segments())[:, :, 1] for lines in axes.collections])
        np.testing.assert_allclose(drawn, 100 * table[["ci_low", "ci_high"]].to_numpy())


def test_scores_without_a_seed_and_with_text_for_numbers_are_taken() -> None:
    scores = _scores()[lambda rows: rows["seed"] == 0].drop(columns="seed")
    text = scores.assign(severity=scores["severity"].astype(str))
    for frame in (scores, text):
        line = robustness_curves(frame, titles=TITLES, settings=SETTINGS).axes[0].get_lines()[0]
        expected = scores[scores["method"] == "sam"].groupby("severity")["volumetric_dice"].mean()
        assert list(line.get_ydata()) == pytest.approx(100 * expected.to_numpy())


def test_what_is_missing_is_left_out_and_told() -> None:
    scores = _scores()
    scores.loc[scores["case"] == "c3", "foreground_dice"] = np.nan
    caption = caption_of(robustness_curves(scores, titles=TITLES, settings=SETTINGS))
    assert "16 of 80 for Foreground Dice" in caption
    assert "4 to 5 cases" in caption
    one = robustness_curves(_scores()[lambda rows: rows["case"] == "c0"], titles=TITLES, settings=SETTINGS)
    assert "1 case," in caption_of(one)
    assert "not two patients" in caption_of(one)


@pytest.mark.parametrize(
    ("scores", "match"),
    [
        (_scores()[:0], "no rows"),
        (_scores().drop(columns="foreground_dice"), "without the column foreground_dice"),
        (_scores().assign(volumetric_dice=50.0), "in 0..1"),
        (_scores().assign(severity="strong"), "severity 'strong'"),
        (_scores().drop(columns="seed"), "two rows of method sam"),
    ],
)
def test_bad_scores_are_refused_in_one_line(scores: pd.DataFrame, match: str) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        robustness_curves(scores, titles=TITLES, settings=SETTINGS)
    assert "\n" not in str(caught.value)
