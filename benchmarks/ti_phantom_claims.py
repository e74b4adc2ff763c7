"""The paper's claims as paired differences of Dice between runs on the same test volumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.ti_phantom_prompts import THRESHOLDS
from spd_bench.evaluation.volume_dice import patient_interval
from spd_bench.models.builtin_weights import BUILTIN, RANDOM

_METRICS = ("volumetric_dice", "foreground_dice", "average_dice")
_NEARLY = 0.03
_INDIFFERENT = tuple(threshold for threshold in THRESHOLDS if 0.3 <= threshold <= 0.8)


@dataclass(frozen=True, kw_only=True)
class _Runs:
    """Which rows of the volumes' frame are meant; None: those of the ordinary comparison."""

    method: str
    weights: str = BUILTIN
    severity: float | None = None
    tau: float | None = None

    def of(self, frame: pd.DataFrame, metric: str) -> pd.Series[float]:
        """A metric of each case, seeds averaged."""
        chosen = (frame["method"] == self.method) & (frame["weights"] == self.weights)
        for name in ("severity", "tau"):
            wanted = getattr(self, name)
            chosen &= frame[name].isna() if wanted is None else np.isclose(frame[name], wanted)
        return frame[chosen].groupby("case")[metric].mean()


_PAIRS = (
    ("SPD above SAM-Tuning", _Runs(method="spd"), _Runs(method="sam_tuning")),
    *(
        (
            f"SPD above SAM-Tuning at severity {severity:.0f}",
            _Runs(method="spd", severity=severity),
            _Runs(method="sam_tuning", severity=severity),
        )
        for severity in (2.0, 3.0)
    ),
    ("SAM-Tuning above U-Net", _Runs(method="sam_tuning"), _Runs(method="unet")),
    ("SAM-Tuning above nnU-Net", _Runs(method="sam_tuning"), _Runs(method="nnunet")),
    ("consensus above raw points, frozen decoder", _Runs(method="sam_consensus"), _Runs(method="sam")),
    ("SPD: builtin above scratch", _Runs(method="spd"), _Runs(method="spd", weights=RANDOM)),
    ("SAM-Tuning: builtin above scratch", _Runs(method="sam_tuning"), _Runs(method="sam_tuning", weights=RANDOM)),
)


def check_claims(frame: pd.DataFrame, *, patients: Mapping[str, str]) -> pd.DataFrame:
    """Each claim's difference with its interval, and whether it holds.

    Args:
        frame: ``volumes.csv`` of the benchmark: method, weights, seed, case, severity, tau and the metrics.
        patients: patient of each case.

    Returns:
        A row a claim and metric: ``first``, ``second`` (means in 0..1), ``difference``, ``ci_low``, ``ci_high``,
        ``holds``: "yes" or "no" where the interval excludes 0, else "open".
    """
    frame = frame.reindex(columns=[*frame.columns.union(["severity", "tau"], sort=False)])
    rows = []
    for metric in _METRICS:
        for claim, first, second in _PAIRS:
            rows.append(_row(claim, metric, first.of(frame, metric), second.of(frame, metric), patients))
        for method in ("sam", "sam_tuning"):
            rows.append(
                _row(
                    f"severity 0 to 2 costs SPD less than {method}",
                    metric,
                    _cost(frame, method, metric),
                    _cost(frame, "spd", metric),
                    patients,
                )
            )
        rows.append(_indifference(frame, metric))
    return pd.DataFrame(rows)


def row_means(frame: pd.DataFrame, *, patients: Mapping[str, str]) -> pd.DataFrame:
    """The mean of every row in the ordinary comparison with its 95 % interval over patients, seeds averaged first.

    Args:
        frame: as for :func:`check_claims`.
        patients: patient of each case.

    Returns:
        A row a method, metric and start of the SAM family's rows: ``mean``, ``ci_low``, ``ci_high``, ``lowest_seed``,
        ``highest_seed``.
    """
    ordinary = frame[frame["severity"].isna() & frame["tau"].isna()]
    rows = []
    for (weights, method), runs in ordinary.groupby(["weights", "method"], sort=False):
        for metric in _METRICS:
            cases = runs.groupby("case")[metric].mean().dropna()
            low, high = patient_interval(cases, cases.index.to_series().map(dict(patients)))
            seeds = runs.groupby("seed")[metric].mean()
            facts = {
                "lowest_seed": seeds.min(),
                "highest_seed": seeds.max(),
                "seeds": len(seeds),
                "volumes": len(cases),
            }
            found = {"mean": cases.mean(), "ci_low": low, "ci_high": high}
            rows.append({"method": method, "sam_rows_from": weights, "metric": metric, **found, **facts})
    return pd.DataFrame(rows)


def _cost(frame: pd.DataFrame, method: str, metric: str) -> pd.Series[float]:
    """What severity 2 takes from each case's score at severity 0."""
    return _Runs(method=method, severity=0.0).of(frame, metric) - _Runs(method=method, severity=2.0).of(frame, metric)


def _row(
    claim: str, metric: str, first: pd.Series[float], second: pd.Series[float], patients: Mapping[str, str]
) -> dict[str, object]:
    difference = (first - second).dropna()
    low, high = patient_interval(difference, difference.index.to_series().map(dict(patients)))
    return {
        "claim": claim,
        "metric": metric,
        "first": first.mean(),
        "second": second.mean(),
        "difference": difference.mean(),
        "ci_low": low,
        "ci_high": high,
        "holds": "yes" if low > 0 else "no" if high < 0 else "open",
    }


def _indifference(frame: pd.DataFrame, metric: str) -> dict[str, object]:
    """The best and the worst of the thresholds that the paper calls alike."""
    means = [_Runs(method="spd", tau=threshold).of(frame, metric).mean() for threshold in _INDIFFERENT]
    return {
        "claim": f"tau from {_INDIFFERENT[0]} to {_INDIFFERENT[-1]} within {_NEARLY}",
        "metric": metric,
        "first": max(means),
        "second": min(means),
        "difference": max(means) - min(means),
        "ci_low": np.nan,
        "ci_high": np.nan,
        "holds": "yes" if max(means) - min(means) <= _NEARLY else "no",
    }
