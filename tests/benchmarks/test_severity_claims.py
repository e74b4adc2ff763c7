"""Leads and savings at each severity are paired by case."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks.severity_claims import severity_claims

CASES = ("a", "b", "c", "d")


def scores(of: dict[tuple[str, float], float]) -> pd.DataFrame:
    """Scores that differ from case to case by as much in every row, so that differences are exact."""
    return pd.DataFrame(
        [
            {"case": case, "method": method, "severity": severity}
            | dict.fromkeys(("volumetric_dice", "foreground_dice", "average_dice"), dice + 0.01 * number)
            for (method, severity), dice in of.items()
            for number, case in enumerate(CASES)
        ]
    )


def test_leads_and_savings_are_those_of_the_same_cases() -> None:
    frame = scores({("spd", 0.0): 0.8, ("sam", 0.0): 0.8, ("spd", 2.0): 0.7, ("sam", 2.0): 0.4})
    claims = severity_claims(frame, leader="spd", patients={case: case for case in CASES})
    found = claims[claims["metric"] == "average_dice"].set_index("claim")
    assert found.loc["spd above sam at severity 0", "difference"] == pytest.approx(0)
    assert found.loc["spd above sam at severity 2", "difference"] == pytest.approx(0.3)
    saved = found.loc["severity 0 to 2 costs spd less than sam"]
    assert saved["difference"] == pytest.approx(0.3)
    assert (saved["ci_low"], saved["ci_high"]) == (pytest.approx(0.3), pytest.approx(0.3))
    assert list(found["holds"]) == ["open", "yes", "yes"]
    assert set(found["cases"]) == {4}


def test_a_lead_of_others_does_not_hold() -> None:
    frame = scores({("spd", 1.0): 0.2, ("sam", 1.0): 0.4})
    claims = severity_claims(frame, leader="spd", patients={case: case for case in CASES})
    assert set(claims["holds"]) == {"no"}
