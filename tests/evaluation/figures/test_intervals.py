from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spd_bench.evaluation.bootstrap import BootstrapSettings
from spd_bench.evaluation.figures.intervals import mean_dice
from spd_bench.evaluation.summary import summarise

SETTINGS = BootstrapSettings(resamples=300, seed=7)
PATIENTS = {"c0": "a", "c1": "a"}


def _scores() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    rows = [(value, f"c{case}", seed, rng.uniform()) for value in (0, 1) for case in range(6) for seed in range(2)]
    return pd.DataFrame(rows, columns=["value", "case", "seed", "volumetric_dice"])


def test_means_and_intervals_equal_a_loop_over_drawn_patients() -> None:
    scores = _scores()
    found = mean_dice(scores, by=("value",), column="volumetric_dice", patients=PATIENTS, settings=SETTINGS)
    draws = np.random.default_rng(7).multinomial(5, [1 / 5] * 5, size=300)
    for value, rows in scores.groupby("value"):
        cases = rows.groupby("case")["volumetric_dice"].mean().to_numpy()
        people = [cases[:2], *(cases[[number]] for number in range(2, 6))]
        means = [np.concatenate([people[who] for who in np.repeat(np.arange(5), draw)]).mean() for draw in draws]
        point = found.loc[value]
        assert point["mean"] == pytest.approx(cases.mean())
        assert [point["ci_low"], point["ci_high"]] == pytest.approx(np.quantile(means, [0.025, 0.975]))
        assert (point["cases"], point["patients"]) == (6, 5)


def test_dice_of_slices_is_pooled_as_in_the_summary_where_the_slices_are_counted() -> None:
    rng = np.random.default_rng(1)
    rows = [
        (f"c{case}", number, rng.uniform(), number % 2) for case in range(6) for number in range(rng.integers(2, 9))
    ]
    slices = pd.DataFrame(rows, columns=["case", "slice", "dice", "reference_pixels"])
    slices = slices.assign(dataset="TI", method="spd", fold=0, iou=0.5, hd95_mm=1.0, asd_mm=1.0)
    by_case = slices.groupby("case")["dice"]
    foreground = slices[slices["reference_pixels"] > 0].groupby("case")["dice"]
    volumes = pd.DataFrame(
        {
            "average_dice": by_case.mean(),
            "slices": by_case.size(),
            "foreground_dice": foreground.mean(),
            "foreground_slices": foreground.size(),
        }
    ).reset_index()
    volumes = volumes.assign(dataset="TI", method="spd", fold=0, volumetric_dice=0.5)
    summary = summarise(slices, volumes, patients=PATIENTS, settings=SETTINGS).set_index("metric")
    for column in ("average_dice", "foreground_dice"):
        found = mean_dice(volumes, by=("method",), column=column, patients=PATIENTS, settings=SETTINGS).loc["spd"]
        names = ["mean", "ci_low", "ci_high"]
        assert found[names].to_list() == pytest.approx(summary.loc[column, names].to_list())


def test_missing_scores_are_left_out_and_a_single_patient_has_no_interval() -> None:
    scores = pd.DataFrame({"value": [0, 0, 1, 1], "case": ["a", "b"] * 2, "volumetric_dice": [0.2, np.nan, 0.4, 0.6]})
    found = mean_dice(scores, by=("value",), column="volumetric_dice", patients=None, settings=SETTINGS)
    assert found["mean"].to_list() == pytest.approx([0.2, 0.5])
    assert found["cases"].to_list() == [1, 2]
    assert found["ci_low"].isna().to_list() == [True, False]


def test_two_rows_of_a_case_are_refused() -> None:
    scores = _scores().drop(columns="seed")
    with pytest.raises(ValueError, match="two rows of value 0, case c0"):
        mean_dice(scores, by=("value",), column="volumetric_dice", patients=None, settings=SETTINGS)
