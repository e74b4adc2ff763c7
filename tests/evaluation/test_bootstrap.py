from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from spd_bench.evaluation.bootstrap import BootstrapSettings, bootstrap_intervals


def _patients() -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts (12 patients, 1 metric) of between 3 and 20 values each."""
    rng = np.random.default_rng(0)
    counts = rng.integers(3, 20, size=(12, 1))
    sums = np.array([[rng.beta(2, 3, size=count).sum()] for count in counts[:, 0]])
    return sums, counts


def test_interval_agrees_with_scipy_on_the_pooled_mean() -> None:
    sums, counts = _patients()
    reference = stats.bootstrap(
        (sums[:, 0], counts[:, 0]),
        lambda total, count, axis: total.sum(axis=axis) / count.sum(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=40_000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    ours = bootstrap_intervals(sums, counts, BootstrapSettings(resamples=40_000))[0]
    np.testing.assert_allclose(ours, [reference.low, reference.high], atol=1e-3)


def test_interval_equals_a_loop_over_the_same_draws() -> None:
    sums, counts = _patients()
    draws = np.random.default_rng(7).multinomial(12, [1 / 12] * 12, size=300)
    means = []
    for draw in draws:
        total = sum(times * value for times, value in zip(draw, sums[:, 0], strict=True))
        number = sum(times * count for times, count in zip(draw, counts[:, 0], strict=True))
        means.append(total / number)
    settings = BootstrapSettings(resamples=300, confidence=0.9, seed=7)
    ours = bootstrap_intervals(sums, counts, settings)[0]
    np.testing.assert_allclose(ours, np.percentile(means, [5, 95]), atol=1e-12)


def test_same_seed_same_interval_other_seed_another() -> None:
    sums, counts = _patients()
    first, again, other = (bootstrap_intervals(sums, counts, BootstrapSettings(seed=seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_fewer_than_two_patients_with_a_value_give_nan() -> None:
    sums, counts = np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([[1, 4], [2, 0]])
    bounds = bootstrap_intervals(sums, counts, BootstrapSettings(resamples=50))
    assert np.isfinite(bounds[0]).all()
    assert np.isnan(bounds[1]).all()
    assert np.isnan(bootstrap_intervals(sums[:1], counts[:1], BootstrapSettings())).all()


def test_draws_without_any_value_are_left_out() -> None:
    sums, counts = np.array([[1.0], [3.0], [0.0], [0.0]]), np.array([[1], [1], [0], [0]])
    bounds = bootstrap_intervals(sums, counts, BootstrapSettings(resamples=2000))
    assert bounds.tolist() == [[1.0, 3.0]]


@pytest.mark.parametrize("fault", [{"resamples": 0}, {"confidence": 1.0}, {"confidence": 0.0}])
def test_bad_settings_are_refused(fault: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(fault))):
        BootstrapSettings(**fault)  # type: ignore[arg-type]
