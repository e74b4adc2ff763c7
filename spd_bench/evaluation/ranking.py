"""How stable a ranking of methods is: patients drawn anew, methods ranked anew.

The data of challengeR's plots (Wiesenfarth et al., Scientific Reports 11, 2021): ranks under bootstrap (blob plot),
Kendall's tau between the drawn rankings and the one of all data, and the places that methods take on single cases
(podium plot). Methods are ranked by their mean, as in the table; equal means share the better rank. Only cases that
every method has been scored on are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from spd_bench.errors import InputError
from spd_bench.evaluation.bootstrap import DEFAULT_SETTINGS, BootstrapSettings, drawn_means
from spd_bench.evaluation.frames import require_one_row_each
from spd_bench.evaluation.metrics import METRICS, unit_values
from spd_bench.evaluation.patients import patient_of

_DECIMALS = 12


@dataclass(frozen=True, kw_only=True)
class RankingStability:
    """A ranking and what became of it under bootstrap.

    Attributes:
        metric: what methods are ranked by.
        ranks: frame indexed by method, best first: ``mean``, ``rank`` (1 is the best), and ``rank_low`` and
            ``rank_high``, the interval of the rank under bootstrap.
        frequencies: frame of methods x ranks 1..K, the share of the draws in which a method has that rank.
        tau: float array (resamples,), Kendall's tau-b between each drawn ranking and that of all data; NaN where a
            ranking is one single tie.
        podium: frame of methods x places 1..K, the share of the volumes on which a method takes that place.
    """

    metric: str
    ranks: pd.DataFrame
    frequencies: pd.DataFrame
    tau: NDArray[np.float64]
    podium: pd.DataFrame


def ranking_stability(
    slices: pd.DataFrame,
    volumes: pd.DataFrame,
    *,
    metric: str,
    patients: Mapping[str, str] | None = None,
    settings: BootstrapSettings = DEFAULT_SETTINGS,
) -> RankingStability:
    """Rank the methods of one dataset by one metric, again and again.

    Args:
        slices: rows of ``slices.csv`` of one dataset.
        volumes: rows of ``volumes.csv`` of one dataset.
        metric: key of :data:`~spd_bench.evaluation.metrics.METRICS`.
        patients: case to patient; a case not named is its own patient.
        settings: draws, level of the rank intervals, and seed.

    Raises:
        InputError: two rows are about one slice or volume, the frames lack the metric's column, or no case has been
            scored for every method.
        ValueError: the rows are of several datasets.
    """
    if volumes["dataset"].nunique() > 1 or slices["dataset"].nunique() > 1:
        msg = f"methods are ranked on one dataset, got {sorted(volumes['dataset'].unique())}"
        raise ValueError(msg)
    for frame in (slices, volumes):
        require_one_row_each(frame)
    slices, volumes = _common_cases(slices, volumes)
    chosen = METRICS[metric]
    values = chosen.values(slices, volumes)
    per_volume = unit_values(chosen, "volume", slices, volumes)
    if values is None or per_volume is None:
        raise InputError(f"no column {chosen.column} to rank by", remedy="score the predictions anew with spd_evaluate")
    methods = list(dict.fromkeys(volumes["method"]))
    sums, counts = _by_patient(values, methods, patients)
    with np.errstate(invalid="ignore"):
        means = sums.sum(axis=0) / counts.sum(axis=0)
    whole = _ranks(means, chosen.larger_is_better)
    drawn = _ranks(drawn_means(sums, counts, settings), chosen.larger_is_better)
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0, method="closest_observation")
    facts = {"mean": means, "rank": whole, "rank_low": low.astype(int), "rank_high": high.astype(int)}
    ranks = pd.DataFrame(facts, index=pd.Index(methods, name="method")).sort_values("rank", kind="stable")
    places = _ranks(per_volume.reindex(columns=methods).to_numpy(np.float64), chosen.larger_is_better)
    return RankingStability(
        metric=metric,
        ranks=ranks,
        frequencies=_shares(drawn, methods).loc[ranks.index],
        tau=_kendall(drawn, whole),
        podium=_shares(places, methods).loc[ranks.index],
    )


def _common_cases(slices: pd.DataFrame, volumes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of the folds' cases that every method has."""
    keys = ["fold", "case"]
    scored = volumes.groupby(keys)["method"].nunique()
    common = scored.index[scored == volumes["method"].nunique()]
    if common.empty:
        raise InputError("no case has been scored for every method", remedy="rank methods of the same folds")
    of_slices, of_volumes = (pd.MultiIndex.from_frame(frame[keys]).isin(common) for frame in (slices, volumes))
    return slices[of_slices], volumes[of_volumes]


def _by_patient(
    values: pd.DataFrame, methods: list[str], patients: Mapping[str, str] | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sums of values and their numbers, both (patients, methods)."""
    grouped = values["value"].groupby([patient_of(values["case"], patients), values["method"]])
    sums, counts = (table.unstack().reindex(columns=methods).fillna(0) for table in (grouped.sum(), grouped.count()))
    return sums.to_numpy(np.float64), counts.to_numpy(np.int64)


def _ranks(scores: NDArray[np.float64], larger_is_better: bool) -> NDArray[np.int64]:
    """Ranks along the last axis, 1 for the best; whoever has no score is last."""
    # Means of the same scores differ in their last digits, and are ties.
    rounded = np.round(scores, _DECIMALS)
    worst_last = np.where(np.isnan(scores), np.inf, -rounded if larger_is_better else rounded)
    return np.asarray(rankdata(worst_last, method="min", axis=-1), dtype=np.int64)


def _shares(ranks: NDArray[np.int64], methods: list[str]) -> pd.DataFrame:
    places = range(1, len(methods) + 1)
    shares = {place: (ranks == place).mean(axis=0) for place in places}
    return pd.DataFrame(shares, index=pd.Index(methods, name="method"))


def _kendall(drawn: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Kendall's tau-b of every drawn ranking with one ranking; scipy's takes one pair of rankings at a time."""
    first, second = np.triu_indices(len(whole), k=1)
    orders = np.sign(drawn[:, first] - drawn[:, second]).astype(np.float64)
    order = np.sign(whole[first] - whole[second]).astype(np.float64)
    untied = np.sqrt((orders**2).sum(axis=1) * (order**2).sum())
    return np.asarray((orders @ order) / np.where(untied == 0, np.nan, untied))
