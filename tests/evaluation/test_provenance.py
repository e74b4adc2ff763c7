"""Runs that do not stand on the same ground never share a table."""

from __future__ import annotations

from typing import Any

import pytest

from spd_bench.errors import InputError
from spd_bench.evaluation.provenance import check_same_ground


def record(method: str, *, dataset: str = "Dataset501_TI", fold: int = 0, **hashes: str | None) -> dict[str, Any]:
    own = {"plan": "p", "splits": "s", "prompts": "q", **hashes}
    return {"dataset": dataset, "method": method, "fold": fold, "hashes": own, "scoring": {"hd95": "pooled"}}


def test_runs_on_the_same_ground_pass() -> None:
    check_same_ground([record("unet", prompts=None), record("spd"), record("sam", fold=1)])
    check_same_ground([record("spd"), record("spd", dataset="Dataset502_SCAR", plan="other", splits="t", prompts="r")])
    check_same_ground([])


@pytest.mark.parametrize("name", ["plan", "splits", "prompts"])
def test_another_plan_split_or_prompt_set_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match=rf"Dataset501_TI \w+ fold 0 and Dataset501_TI sam fold 2 .* {name}: run both"):
        check_same_ground([record("unet", prompts=None), record("spd"), record("sam", fold=2, **{name: "other"})])


def test_other_scoring_rules_are_refused() -> None:
    other = {**record("sam"), "scoring": {"hd95": "max"}}
    with pytest.raises(InputError, match="different scoring rules"):
        check_same_ground([record("spd"), other])


def test_what_a_record_does_not_say_is_no_difference() -> None:
    check_same_ground([record("spd"), {"dataset": "Dataset501_TI", "method": "theirs"}])
