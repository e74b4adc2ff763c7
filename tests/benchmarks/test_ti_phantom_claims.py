"""Claims are read off paired differences of the same cases."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.ti_phantom_claims import check_claims, row_means
from benchmarks.ti_phantom_prompts import SEVERITIES, THRESHOLDS

CASES = [f"TI_{number:03d}" for number in range(8)]
PATIENTS = {case: case for case in CASES}


def frame(level: dict[str, float], *, cost: dict[str, float], tau_slope: float = 0.0) -> pd.DataFrame:
    """Scores of every row: a level, noise shared by all rows of a case, what severity costs, what tau does."""
    shared = dict(zip(CASES, np.random.default_rng(0).normal(0, 0.1, len(CASES)), strict=True))
    rows = []

    def add(value: float, case: str, **facts: object) -> None:
        score = value + shared[case]
        scores = dict.fromkeys(("volumetric_dice", "foreground_dice", "average_dice"), score)
        rows.append({"case": case, **scores, **facts})

    for seed in range(2):
        for case in CASES:
            for method, value in level.items():
                add(value, case, method=method, weights="builtin", seed=seed)
                add(value - 0.1, case, method=method, weights="random", seed=seed)
            for method, slope in cost.items():
                for severity in SEVERITIES:
                    add(0.5 - slope * severity, case, method=method, weights="builtin", seed=seed, severity=severity)
            for tau in THRESHOLDS:
                add(0.5 + tau_slope * tau, case, method="spd", weights="builtin", seed=seed, tau=tau)
    return pd.DataFrame(rows)


LEVEL = {"spd": 0.6, "sam_tuning": 0.5, "unet": 0.4, "nnunet": 0.3, "sam": 0.2, "sam_consensus": 0.3}
COST = {"spd": 0.05, "sam_tuning": 0.15, "sam": 0.2}


def test_the_paper_s_order_is_found_where_it_is() -> None:
    claims = check_claims(frame(LEVEL, cost=COST), patients=PATIENTS)
    assert set(claims["holds"]) == {"yes"}
    row = claims[(claims["claim"] == "SPD above SAM-Tuning") & (claims["metric"] == "volumetric_dice")].iloc[0]
    assert row["difference"] == pytest.approx(0.1)
    assert row["ci_low"] == pytest.approx(0.1)
    cost = claims[claims["claim"] == "severity 0 to 2 costs SPD less than sam"].iloc[0]
    assert (cost["first"], cost["second"]) == (pytest.approx(0.4), pytest.approx(0.1))


def test_what_does_not_hold_is_said() -> None:
    turned = {**LEVEL, "spd": 0.4, "sam_consensus": 0.2}
    claims = check_claims(frame(turned, cost={**COST, "spd": 0.2}, tau_slope=0.2), patients=PATIENTS)
    found = claims[claims["metric"] == "volumetric_dice"].set_index("claim")["holds"]
    assert found["SPD above SAM-Tuning"] == "no"
    assert found["severity 0 to 2 costs SPD less than sam_tuning"] == "no"
    assert found["tau from 0.3 to 0.8 within 0.03"] == "no"
    assert found["consensus above raw points, frozen decoder"] == "open"


def test_runs_of_the_ordinary_comparison_are_not_mixed_with_those_of_other_points() -> None:
    whole = frame(LEVEL, cost=COST)
    moved = whole.assign(volumetric_dice=whole["volumetric_dice"] - whole["severity"].notna() * 0.3)
    for claim in ("SPD above SAM-Tuning", "SPD: builtin above scratch"):
        rows = [check_claims(each, patients=PATIENTS).set_index("claim").loc[claim] for each in (whole, moved)]
        pd.testing.assert_frame_equal(*rows)


def test_rows_are_averaged_over_seeds_of_the_ordinary_comparison_alone() -> None:
    scores = frame(LEVEL, cost=COST, tau_slope=0.5)
    scores.loc[scores["seed"] == 1, "volumetric_dice"] += 0.02
    means = row_means(scores, patients=PATIENTS).set_index(["method", "sam_rows_from", "metric"])
    ordinary = scores[scores["severity"].isna() & scores["tau"].isna()]
    for (method, start, metric), row in means.iterrows():
        values = ordinary[(ordinary["method"] == method) & (ordinary["weights"] == start)][metric]
        assert row["mean"] == pytest.approx(values.mean())
        assert row["ci_low"] < row["mean"] < row["ci_high"]
    spd = means.loc[("spd", "builtin", "volumetric_dice")]
    assert spd["highest_seed"] - spd["lowest_seed"] == pytest.approx(0.02)
    assert (spd["seeds"], spd["volumes"]) == (2, len(CASES))
