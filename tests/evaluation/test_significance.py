from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from spd_bench.errors import InputError
from spd_bench.evaluation.bootstrap import BootstrapSettings
from spd_bench.evaluation.frames import SIGNIFICANCE_COLUMNS, VOLUME_COLUMNS, read_frame, write_frame
from spd_bench.evaluation.metrics import METRICS
from spd_bench.evaluation.significance import paired_comparisons, significance_map
from spd_bench.evaluation.stars import stars

Frames = tuple[pd.DataFrame, pd.DataFrame]
CASES, SLICES = 9, 4


def _frames(
    quality: dict[str, float], *, cases: int = CASES, folds: tuple[int, ...] = (0,), dataset: str = "TI"
) -> Frames:
    """Frames of methods whose Dice is a case's own plus the method's quality and noise."""
    rng = np.random.default_rng(5)
    slices, volumes = [], []
    for fold in folds:
        for case in range(cases):
            base = rng.uniform(0.3, 0.5)
            for method, gain in quality.items():
                key = {"dataset": dataset, "method": method, "fold": fold, "case": f"c{case}"}
                dices = base + gain + rng.normal(0, 0.02, size=SLICES)
                distances = 10 - 10 * dices
                slices += [
                    {**key, "slice": z, "dice": dices[z], "iou": dices[z] / 2, "hd95_mm": distances[z]}
                    | {"asd_mm": distances[z] / 2, "reference_pixels": z, "prediction_pixels": 3}
                    for z in range(SLICES)
                ]
                rest = {name: (distances if "_mm" in name else dices).mean() for name in VOLUME_COLUMNS[4:]}
                volumes.append({**key, **rest, "slices": SLICES, "foreground_slices": SLICES - 1})
    return pd.DataFrame(slices), pd.DataFrame(volumes)[list(VOLUME_COLUMNS)]


QUALITY = {"unet": 0.0, "spd": 0.2, "sam": 0.05}


def _one(significance: pd.DataFrame, metric: str, unit: str, a: str, b: str) -> pd.Series:
    rows = significance.query("metric == @metric and unit == @unit and method_a == @a and method_b == @b")
    assert len(rows) == 1
    return rows.iloc[0]


def test_rows_equal_scipy_on_the_paired_values() -> None:
    slices, volumes = _frames(QUALITY)
    significance = paired_comparisons(slices, volumes)
    assert tuple(significance.columns) == SIGNIFICANCE_COLUMNS
    dice = slices.pivot_table(index=["case", "slice"], columns="method", values="dice")
    per_slice = (dice["unet"] - dice["spd"]).to_numpy()
    row = _one(significance, "average_dice", "slice", "unet", "spd")
    assert row["p"] == pytest.approx(wilcoxon(per_slice).pvalue, abs=1e-12)
    assert (row["n"], row["patients"], row["note"]) == (36, CASES, "pairs of one patient are not independent")
    assert row["difference"] == pytest.approx(per_slice.mean())
    assert row["median_difference"] == pytest.approx(np.median(per_slice))
    per_volume = dice.groupby("case").mean()
    row = _one(significance, "average_dice", "volume", "unet", "sam")
    assert row["p"] == pytest.approx(wilcoxon(per_volume["unet"], per_volume["sam"]).pvalue, abs=1e-12)
    assert (row["n"], row["note"]) == (CASES, "")
    filled = slices[slices["reference_pixels"] > 0].groupby(["case", "method"])["dice"].mean().unstack()
    row = _one(significance, "foreground_dice", "volume", "unet", "sam")
    assert row["difference"] == pytest.approx((filled["unet"] - filled["sam"]).mean())


def test_p_values_are_corrected_within_dataset_metric_and_unit() -> None:
    slices, volumes = _frames(QUALITY)
    significance = paired_comparisons(slices, volumes)
    assert set(significance["unit"][significance["metric"] == "volumetric_dice"]) == {"volume"}
    for _, rows in significance.groupby(["dataset", "metric", "unit"]):
        assert len(rows) == 3
        smallest = rows.sort_values("p").iloc[0]
        assert smallest["p_holm"] == pytest.approx(min(1, 3 * smallest["p"]))
        assert rows.sort_values("p").iloc[-1]["p_holm"] >= rows["p"].max()


def test_interval_of_the_difference_is_drawn_over_patients() -> None:
    slices, volumes = _frames({"unet": 0.0, "spd": 0.2})
    patients = {f"c{case}": f"p{case // 3}" for case in range(CASES)}
    settings = BootstrapSettings(resamples=300, seed=2)
    row = _one(
        paired_comparisons(slices, volumes, patients=patients, settings=settings),
        "volumetric_dice",
        "volume",
        "unet",
        "spd",
    )
    wide = volumes.pivot_table(index="case", columns="method", values="volumetric_dice")
    differences = (wide["unet"] - wide["spd"]).to_numpy().reshape(3, 3)
    draws = np.random.default_rng(2).multinomial(3, [1 / 3] * 3, size=300)
    means = [np.repeat(differences, draw, axis=0).mean() for draw in draws]
    assert [row["ci_low"], row["ci_high"]] == pytest.approx(np.percentile(means, [2.5, 97.5]).tolist(), abs=1e-12)
    assert row["patients"] == 3
    assert row["note"] == "pairs of one patient are not independent"


def test_pairs_without_a_value_are_left_out_and_told() -> None:
    slices, volumes = _frames({"unet": 0.0, "spd": 0.2})
    slices.loc[(slices["method"] == "unet") & (slices["slice"] == 0), "hd95_mm"] = np.nan
    volumes.loc[volumes["method"] == "spd", "lesion_f1"] = np.nan
    significance = paired_comparisons(slices, volumes)
    row = _one(significance, "hd95_mm", "slice", "unet", "spd")
    assert row["n"] == 27
    assert "9 of 36 left out: not both methods have a value there" in row["note"]
    nothing = _one(significance, "lesion_f1", "volume", "unet", "spd")
    assert nothing["n"] == 0
    assert np.isnan(nothing[["p", "p_holm", "difference", "effect_size"]].astype(float)).all()
    assert "no pair has a value in both methods" in nothing["note"]


def test_a_case_scored_in_several_folds_counts_once() -> None:
    slices, volumes = _frames({"unet": 0.0, "spd": 0.2}, folds=(0, 1))
    row = _one(paired_comparisons(slices, volumes), "volumetric_dice", "volume", "unet", "spd")
    assert (row["n"], row["patients"]) == (CASES, CASES)
    mean = volumes.groupby("method")["volumetric_dice"].mean()
    assert row["difference"] == pytest.approx(mean["unet"] - mean["spd"])


def test_single_methods_and_cases_do_not_crash() -> None:
    alone = paired_comparisons(*_frames({"spd": 0.2}))
    assert tuple(alone.columns) == SIGNIFICANCE_COLUMNS
    assert alone.empty
    assert stars(alone) == {}
    row = _one(paired_comparisons(*_frames(QUALITY, cases=1)), "volumetric_dice", "volume", "unet", "spd")
    assert (row["n"], row["p"], row["p_holm"]) == (1, 1, 1)
    assert np.isnan(row["ci_low"])
    assert "too few pairs" in row["note"]


def test_two_methods_with_one_name_are_refused() -> None:
    slices, volumes = _frames(QUALITY)
    with pytest.raises(InputError, match="two rows of"):
        paired_comparisons(*(frame.replace({"method": {"sam": "spd"}}) for frame in (slices, volumes)))


def test_significance_survives_its_file(tmp_path: Path) -> None:
    significance = paired_comparisons(*_frames(QUALITY))
    write_frame(tmp_path / "significance.csv", significance)
    pd.testing.assert_frame_equal(read_frame(tmp_path / "significance.csv"), significance, check_dtype=False)


def test_star_needs_every_other_method_per_volume_after_holm() -> None:
    clear = stars(paired_comparisons(*_frames(QUALITY)))
    assert clear["TI", "volumetric_dice", "spd"] == "*"
    assert clear["TI", "average_dice", "spd"] == "*†"
    assert clear["TI", "hd95_mm", "spd"] == "*†"  # the smaller distance wins
    assert {method for _, _, method in clear} == {"spd"}
    assert len(clear) == len(METRICS)
    close = stars(paired_comparisons(*_frames({**QUALITY, "msa": 0.199})))
    assert ("TI", "volumetric_dice", "spd") not in close
    few = stars(paired_comparisons(*_frames(QUALITY, cases=5)))
    assert few["TI", "average_dice", "spd"] == "†"  # five volumes cannot reach it, twenty slices do
    assert ("TI", "volumetric_dice", "spd") not in few


def test_a_method_without_any_value_is_no_competitor() -> None:
    slices, volumes = _frames({**QUALITY, "empty": -0.3})
    slices.loc[slices["method"] == "empty", ["hd95_mm", "asd_mm"]] = np.nan
    assert stars(paired_comparisons(slices, volumes))["TI", "hd95_mm", "spd"] == "*†"


def test_no_star_where_mean_and_ranks_disagree() -> None:
    slices, volumes = _frames({"unet": 0.0, "spd": 0.001}, cases=30)
    values = np.where(np.arange(30) < 3, -5.0, 0.1)
    volumes.loc[volumes["method"] == "unet", "volumetric_dice"] = 0.5
    volumes.loc[volumes["method"] == "spd", "volumetric_dice"] = 0.5 + values
    significance = paired_comparisons(slices, volumes)
    row = _one(significance, "volumetric_dice", "volume", "unet", "spd")
    assert row["p_holm"] < 0.05
    assert row["difference"] > 0 > row["effect_size"]
    assert ("TI", "volumetric_dice", "spd") not in stars(significance)


def test_significance_map_holds_the_winners_rows() -> None:
    significance = paired_comparisons(*_frames(QUALITY))
    square = significance_map(significance, dataset="TI", metric="volumetric_dice")
    assert square.index.tolist() == square.columns.tolist() == ["unet", "spd", "sam"]
    assert square.loc["spd", ["unet", "sam"]].notna().all()
    assert square.loc[["unet", "sam"], "spd"].isna().all()
    row = _one(significance, "volumetric_dice", "volume", "unet", "spd")
    assert square.loc["spd", "unet"] == row["p_holm"]
    assert np.isnan(np.diag(square)).all()
