from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spd_bench.errors import InputError
from spd_bench.evaluation.bootstrap import BootstrapSettings
from spd_bench.evaluation.case import CaseKey, evaluate_case
from spd_bench.evaluation.frames import SUMMARY_COLUMNS, VOLUME_COLUMNS
from spd_bench.evaluation.summary import METRICS, describe_runs, summarise

RUNS = (("TI", "spd"), ("TI", "unet"), ("SCAR", "spd"))
Frames = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture
def frames() -> Frames:
    """Random masks of three runs, five cases each over two folds: empty slices, an empty case, empty predictions."""
    rng = np.random.default_rng(3)
    scores = []
    for dataset, method in RUNS:
        for case in range(5):
            reference, prediction = rng.random((2, 4 + case, 6, 7)) < 0.3
            reference[rng.random(len(reference)) < 0.5] = False
            prediction[rng.random(len(prediction)) < 0.4] = False
            if case == 4:
                reference[:] = False
            key = CaseKey(dataset=dataset, method=method, fold=case % 2, case=f"case_{case}")
            scores.append(evaluate_case(reference, prediction, key=key, spacing=(5.0, 1.0, 0.5)))
    slices = pd.DataFrame([row for score in scores for row in score.slices])
    return slices, pd.DataFrame([score.volume for score in scores])


OF_VOLUMES = ("volumetric_", "nsd_", "lesion_")


def _values(frames: Frames, dataset: str, method: str, metric: str) -> list[float]:
    """The values of a metric, gathered row by row."""
    column = {"average_dice": "dice", "foreground_dice": "dice", "average_iou": "iou"}.get(metric, metric)
    gathered = []
    for row in frames[metric.startswith(OF_VOLUMES)].to_dict("records"):
        if (row["dataset"], row["method"]) != (dataset, method) or np.isnan(row[column]):
            continue
        if metric == "foreground_dice" and row["reference_pixels"] == 0:
            continue
        gathered.append(row[column])
    return gathered


def test_summary_equals_a_loop_over_the_rows(frames: Frames) -> None:
    summary = summarise(*frames)
    assert tuple(summary.columns) == SUMMARY_COLUMNS
    assert len(summary) == len(RUNS) * len(METRICS)
    for row in summary.to_dict("records"):
        values = _values(frames, row["dataset"], row["method"], row["metric"])
        assert row["n"] == len(values)
        assert row["mean"] == pytest.approx(np.mean(values), abs=1e-12)
        assert row["std"] == pytest.approx(np.std(values, ddof=1), abs=1e-12)
        assert row["ci_low"] <= row["mean"] <= row["ci_high"]


def test_frames_of_older_files_are_summarised_without_the_later_metrics(frames: Frames) -> None:
    slices, volumes = frames
    summary = summarise(slices, volumes[list(VOLUME_COLUMNS[:8])])
    pd.testing.assert_frame_equal(
        summary, summarise(*frames).query("metric in @summary.metric").reset_index(drop=True), check_exact=True
    )
    assert list(dict.fromkeys(summary["metric"])) == list(METRICS)[:6]


def test_two_methods_with_one_name_are_refused(frames: Frames) -> None:
    slices, volumes = frames
    renamed = [frame.replace({"method": {"unet": "spd"}}) for frame in frames]
    with pytest.raises(InputError, match="two rows of dataset TI, method spd, fold 0, case case_0, slice 0"):
        summarise(*renamed)
    with pytest.raises(InputError, match="two rows of dataset TI, method spd, fold 1, case case_3: "):
        summarise(slices, pd.concat([volumes, volumes.iloc[[3]]]))


def test_average_dice_is_specificity_on_empty_slices_and_dice_on_the_others(frames: Frames) -> None:
    slices, volumes = frames
    summary = summarise(slices, volumes).set_index(["dataset", "method", "metric"])["mean"]
    described = describe_runs(slices, volumes)
    for dataset, method in RUNS:
        rows = [r for r in slices.to_dict("records") if (r["dataset"], r["method"]) == (dataset, method)]
        filled = [row for row in rows if row["reference_pixels"] > 0]
        empty = [row for row in rows if row["reference_pixels"] == 0]
        facts = described.loc[(dataset, method)]
        assert facts["foreground_share"] == pytest.approx(len(filled) / len(rows), abs=1e-12)
        silent = sum(row["prediction_pixels"] == 0 for row in empty) / len(empty)
        assert facts["specificity"] == pytest.approx(silent, abs=1e-12)
        assert (facts["slices"], facts["volumes"]) == (len(rows), 5)
        f, specificity = facts["foreground_share"], facts["specificity"]
        identity = (1 - f) * specificity + f * summary[dataset, method, "foreground_dice"]
        assert abs(summary[dataset, method, "average_dice"] - identity) < 1e-12
        assert facts["foreground_dice"] == pytest.approx(summary[dataset, method, "foreground_dice"], abs=1e-12)


def test_interval_is_drawn_over_patients_not_slices() -> None:
    # Two patients, each without any spread: drawing slices would give a narrow interval around 0.5.
    rows = [
        {"dataset": "TI", "method": "spd", "fold": 0, "case": case, "slice": index, "dice": value, "iou": value}
        | {"hd95_mm": np.nan, "asd_mm": np.nan, "reference_pixels": 1, "prediction_pixels": 1}
        for case, value in (("a", 0.0), ("b", 1.0))
        for index in range(50)
    ]
    volumes = pd.DataFrame(
        [
            {"dataset": "TI", "method": "spd", "case": case, "volumetric_dice": value}
            for case, value in (("a", 0), ("b", 1))
        ]
    )
    summary = summarise(pd.DataFrame(rows), volumes).set_index("metric")
    assert summary.loc["average_dice", ["mean", "ci_low", "ci_high"]].tolist() == [0.5, 0.0, 1.0]
    same = summarise(pd.DataFrame(rows), volumes, patients={"a": "p", "b": "p"}).set_index("metric")
    assert same.loc["average_dice", ["ci_low", "ci_high"]].isna().all()
    assert summary.loc["hd95_mm", "n"] == 0
    assert np.isnan(summary.loc["hd95_mm", "mean"])


def test_cases_of_one_patient_are_drawn_together(frames: Frames) -> None:
    slices, volumes = (frame[(frame["dataset"] == "TI") & (frame["method"] == "spd")] for frame in frames)
    patients = {"case_0": "p", "case_1": "p", "case_2": "q"}
    settings = BootstrapSettings(resamples=200, seed=5)
    summary = summarise(slices, volumes, patients=patients, settings=settings).set_index("metric")
    groups = [["case_3"], ["case_4"], ["case_0", "case_1"], ["case_2"]]  # patients sorted by name
    draws = np.random.default_rng(5).multinomial(4, [0.25] * 4, size=200)
    means = []
    for draw in draws:
        drawn = [case for group, times in zip(groups, draw, strict=True) for case in group * times]
        means.append(np.concatenate([slices.loc[slices["case"] == case, "dice"] for case in drawn]).mean())
    expected = np.percentile(means, [2.5, 97.5])
    np.testing.assert_allclose(summary.loc["average_dice", ["ci_low", "ci_high"]].tolist(), expected, atol=1e-12)


def test_missing_predictions_are_counted_where_known(frames: Frames) -> None:
    described = describe_runs(*frames, missing={("TI", "unet"): 2})
    assert described.loc[("TI", "unet"), "missing_predictions"] == 2
    assert described.loc[("TI", "spd"), "missing_predictions"] is pd.NA


def test_specificity_is_nan_where_no_slice_is_empty(frames: Frames) -> None:
    slices, volumes = frames
    described = describe_runs(slices[slices["reference_pixels"] > 0], volumes)
    assert described["specificity"].isna().all()
    assert (described["foreground_share"] == 1).all()
