"""Label values against ``dataset.json``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spd_bench.errors import InputError
from spd_bench.raw.label_values import are_consecutive, check_label_values

FILE = Path("labelsTr/a.nii.gz")


@pytest.mark.parametrize(
    ("values", "consecutive"),
    [((0, 1), True), ((0, 1, 2, 3), True), ((0,), True), ((0, 255), False), ((0, 2), False), ((1, 2), False)],
)
def test_consecutive_values_start_at_zero_without_a_gap(values: tuple[int, ...], consecutive: bool) -> None:
    assert are_consecutive(values) == consecutive


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_announced_values_pass_in_any_type(dtype: type) -> None:
    check_label_values(FILE, np.array([[0, 1], [3, 1]], dtype=dtype), (0, 1, 3))


@pytest.mark.parametrize(
    ("stored", "announced", "message"),
    [
        ([0, 255], (0, 1), "[255] are not in dataset.json, in {file}: a label holds values, not grey levels"),
        ([0, 1, 2], (0, 1), "[2] are not in dataset.json, in {file}: map them to [0, 1], or declare them"),
        ([0, 2, 3], (0, 1), "[2, 3] are not in dataset.json, in {file}: map them to [0, 1], or declare them"),
        ([-1, 0], (0, 1), "[-1] are not in dataset.json, in {file}: map them to [0, 1]"),
        ([0, 7], (0, 1), "[7] are not in dataset.json, in {file}: map them to [0, 1]"),
        (list(range(9)), (0, 1), "[2, 3, 4, 5, 6] are not in"),
        ([0, 0.5], (0, 1), "0.5 is not a whole number, in {file}: save labels as integers"),
        ([0, np.nan], (0, 1), "nan is not a whole number"),
        ([0, np.inf], (0, 1), "inf is not a whole number"),
    ],
)
def test_other_values_are_refused_with_what_to_do(
    stored: list[float], announced: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        check_label_values(FILE, np.array(stored), announced)
    assert message.format(file=FILE) in str(caught.value)


@pytest.mark.parametrize("stored", [[0, 7], [0, 1, 2, 4], [-1, 0], [0, 255]])
def test_values_that_planning_would_refuse_are_not_to_be_declared(stored: list[int]) -> None:
    with pytest.raises(InputError) as caught:
        check_label_values(FILE, np.array(stored), (0, 1))
    assert "declare" not in str(caught.value)
