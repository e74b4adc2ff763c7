from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from spd_bench.errors import InputError
from spd_bench.evaluation.bootstrap import BootstrapSettings
from spd_bench.evaluation.ranking import ranking_stability

SETTINGS = BootstrapSettings(resamples=200, seed=4)


def _volumes(scores: dict[str, list[float]], column: str = "volumetric_dice") -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"dataset": "TI", "method": method, "fold": 0, "case": f"c{case}", column: value}
            for method, values in scores.items()
            for case, value in enumerate(values)
        ]
    )


def _slices(volumes: pd.DataFrame) -> pd.DataFrame:
    return volumes[["dataset", "method", "fold", "case"]].assign(slice=0, dice=0.5, reference_pixels=1)


def _random() -> dict[str, list[float]]:
    rng = np.random.default_rng(2)
    return {
        name: rng.uniform(0.2 + gain, 0.8 + gain, size=8).tolist()
        for name, gain in zip("abcd", (0, 0.1, 0.12, 0), strict=True)
    }


def test_ranks_and_taus_equal_a_loop_over_the_draws() -> None:
    scores = _random()
    volumes = _volumes(scores)
    stability = ranking_stability(_slices(volumes), volumes, metric="volumetric_dice", settings=SETTINGS)
    table = pd.DataFrame(scores)
    whole = table.mean().rank(ascending=False, method="min")
    assert stability.ranks["rank"].to_dict() == whole.to_dict()
    assert stability.ranks["rank"].is_monotonic_increasing
    assert stability.ranks["mean"].to_dict() == pytest.approx(table.mean().to_dict())
    draws = np.random.default_rng(4).multinomial(8, [1 / 8] * 8, size=200)
    ranks = pd.DataFrame(
        [table.loc[np.repeat(np.arange(8), draw)].mean().rank(ascending=False, method="min") for draw in draws]
    )
    taus = [kendalltau(row, whole).statistic for row in ranks.to_numpy()]
    np.testing.assert_allclose(stability.tau, taus, atol=1e-12)
    for name in scores:
        for rank in range(1, 5):
            assert stability.frequencies.loc[name, rank] == pytest.approx((ranks[name] == rank).mean())
        assert stability.ranks.loc[name, "rank_low"] <= whole[name] <= stability.ranks.loc[name, "rank_high"]


def test_podium_counts_places_on_single_volumes() -> None:
    volumes = _volumes({"a": [0.9, 0.5, 0.5], "b": [0.1, 0.5, 0.7]})
    podium = ranking_stability(_slices(volumes), volumes, metric="volumetric_dice", settings=SETTINGS).podium
    assert podium.loc["a"].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert podium.loc["b"].tolist() == pytest.approx([2 / 3, 1 / 3])


def test_small_distances_rank_first_and_methods_without_values_last() -> None:
    volumes = _volumes({"far": [9.0, 8.0, 9.0], "none": [np.nan] * 3, "near": [1.0, 2.0, 1.0]}, "volumetric_hd95_mm")
    stability = ranking_stability(_slices(volumes), volumes, metric="volumetric_hd95_mm", settings=SETTINGS)
    assert stability.ranks["rank"].to_dict() == {"near": 1, "far": 2, "none": 3}
    assert np.isnan(stability.ranks.loc["none", "mean"])
    assert stability.frequencies.loc["near", 1] == 1
    assert (stability.tau == 1).all()


def test_patients_are_drawn_whole() -> None:
    volumes = _volumes({"a": [1.0, 0.0, 0.6, 0.6], "b": [0.5] * 4})
    slices = _slices(volumes)
    own = ranking_stability(slices, volumes, metric="volumetric_dice", settings=SETTINGS)
    pairs = {"c0": "p", "c1": "p", "c2": "q", "c3": "q"}
    paired = ranking_stability(slices, volumes, metric="volumetric_dice", patients=pairs, settings=SETTINGS)
    assert own.frequencies.loc["a", 2] > 0
    assert paired.frequencies.loc["a", 2] == 0  # c1 never comes without c0


def test_only_cases_of_every_method_are_used() -> None:
    volumes = _volumes({"a": [0.9, 0.1], "b": [0.5]})
    ranks = ranking_stability(_slices(volumes), volumes, metric="volumetric_dice", settings=SETTINGS).ranks
    assert ranks["mean"].to_dict() == {"a": 0.9, "b": 0.5}
    volumes["case"] += volumes["method"]
    with pytest.raises(InputError, match="no case has been scored for every method"):
        ranking_stability(_slices(volumes), volumes, metric="volumetric_dice")


def test_what_cannot_be_ranked_is_refused() -> None:
    volumes = _volumes({"a": [0.9], "b": [0.5]})
    with pytest.raises(InputError, match="no column nsd_1mm"):
        ranking_stability(_slices(volumes), volumes, metric="nsd_1mm")
    both = pd.concat([volumes, volumes.assign(dataset="SCAR")])
    with pytest.raises(ValueError, match="one dataset"):
        ranking_stability(_slices(both), both, metric="volumetric_dice")
