from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import rankdata, wilcoxon

from spd_bench.evaluation.holm import holm
from spd_bench.evaluation.signed_rank import signed_rank_test


def _all_signs(values: NDArray[np.float64]) -> float:
    """Two-sided p-value over every assignment of signs, Pratt's ranks."""
    ranks = rankdata(np.abs(values))
    observed = ranks[values > 0].sum()
    own = ranks[values != 0]
    sums = np.array([np.dot(signs, own) for signs in product((0, 1), repeat=len(own))])
    return min(1.0, 2 * min((sums <= observed + 1e-9).mean(), (sums >= observed - 1e-9).mean()))


@pytest.mark.parametrize("seed", range(10))
def test_ties_and_zeros_are_exact_for_few_pairs(seed: int) -> None:
    values = np.random.default_rng(seed).integers(-3, 5, size=11) / 10
    assert signed_rank_test(values).p == pytest.approx(_all_signs(values), abs=1e-12)


@pytest.mark.parametrize("count", [1, 6, 20, 50])
def test_without_ties_it_is_scipys_exact_test(count: int) -> None:
    values = np.random.default_rng(count).normal(0.3, 1, size=count)
    assert signed_rank_test(values).p == pytest.approx(wilcoxon(values, method="exact").pvalue, abs=1e-12)


def test_many_pairs_take_scipys_approximation_with_pratts_zeros() -> None:
    values = np.round(np.random.default_rng(0).normal(0.05, 1, size=400), 1)
    assert 0 in values
    assert signed_rank_test(values).p == pytest.approx(wilcoxon(values, zero_method="pratt").pvalue, abs=1e-12)


def test_the_approximation_carries_on_where_the_exact_test_ends() -> None:
    values = np.random.default_rng(3).normal(0.25, 1, size=51)
    assert signed_rank_test(values).p == pytest.approx(wilcoxon(values, method="exact").pvalue, abs=5e-3)


def test_few_differences_among_many_equal_pairs_stay_exact() -> None:
    values = np.zeros(1000)
    values[:3] = 0.5
    test = signed_rank_test(values)
    assert test.p == 0.25
    assert test.note == "too few pairs that differ: p cannot be less than 0.25"


def test_effect_size_is_the_share_of_ranks_for_minus_against() -> None:
    assert signed_rank_test(np.array([0.1, -0.2, 0.3, 0.4])).effect_size == pytest.approx((1 + 3 + 4 - 2) / 10)
    assert signed_rank_test(np.array([0.0, -0.2, 0.3, 0.3])).effect_size == pytest.approx((3.5 + 3.5 - 2) / 10)
    assert signed_rank_test(np.array([-1.0, -2.0])).effect_size == -1


def test_values_that_differ_in_the_last_digit_are_ties() -> None:
    assert signed_rank_test(np.array([0.1 + 0.2 - 0.3, 0.5, -0.5])).p == 1
    assert signed_rank_test(np.array([0.3 - (0.1 + 0.2)] * 8)).note == "no pair differs"


def test_nothing_to_test_is_told() -> None:
    none, same = signed_rank_test(np.array([])), signed_rank_test(np.zeros(9))
    assert np.isnan(none.p)
    assert np.isnan(none.effect_size)
    assert none.note == "no pair has a value in both methods"
    assert same == (1.0, 0.0, "no pair differs")
    assert signed_rank_test(np.array([0.2])).p == 1
    assert signed_rank_test(np.full(6, 0.2)) == (2**-5, 1.0, "")


def test_holm_equals_rs_p_adjust() -> None:
    # p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm") and p.adjust(c(0.04, 0.001, 0.03, 0.2), "holm") in R
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]).round(12).tolist() == [0.05, 0.08, 0.09, 0.09, 0.09]
    assert holm([0.04, 0.001, 0.03, 0.2]).round(12).tolist() == [0.09, 0.004, 0.09, 0.2]
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]


def test_holm_decides_as_the_step_down_procedure() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        p_values, level = rng.random(7) ** 3, 0.1
        rejected = set()
        for step, index in enumerate(np.argsort(p_values)):
            if p_values[index] > level / (7 - step):
                break
            rejected.add(int(index))
        assert set(np.flatnonzero(holm(p_values) <= level).tolist()) == rejected


def test_tests_that_could_not_be_made_count_for_nothing() -> None:
    np.testing.assert_allclose(holm([np.nan, 0.01, np.nan, 0.03]), [np.nan, 0.02, np.nan, 0.03])
    assert holm([]).tolist() == []
