from __future__ import annotations

from typing import Any

import pytest

from spd_bench.planning.settings import PlanSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("resolution", 100),
        ("resolution", 0),
        ("resolution", 4096),
        ("context", -1),
        ("context", 17),
        ("target_labels", ()),
        ("target_labels", (0, 1)),
        ("seed", -1),
        ("folds", 2),
        ("severity", -0.5),
        ("severity", float("nan")),
        ("gpu_memory_gb", 0.0),
        ("gpu_memory_gb", float("nan")),
        ("gpu_memory_gb", float("inf")),
        ("patient_pattern", "case_.*"),
        ("patient_pattern", "("),
    ],
)
def test_a_choice_out_of_range_is_refused_with_its_value(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name) as refused:
        PlanSettings(**{name: value})
    assert repr(value) in str(refused.value)
    assert "PlanSettings(" not in str(refused.value)


def test_the_defaults_are_the_papers() -> None:
    settings = PlanSettings()
    assert (settings.resolution, settings.context, settings.target_labels) == (512, 2, (1,))
