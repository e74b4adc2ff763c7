"""What noise in the prompts costs a method against the others: paired differences of a comparison, with intervals.

    python -m benchmarks.severity_claims results/hippocampus
    python -m benchmarks.severity_claims OUT --leader msa

FOLDER is of ``spd_compare_baselines --severities ...``, or a copy without predictions. It gets severity_claims.csv:
a row another method, metric and severity with the leader's lead, and what the leader saves of the cost between two
severities; means over cases, 95 % intervals from a bootstrap over patients.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from spd_bench.comparison_tables import FACTS, ComparisonFacts
from spd_bench.evaluation.frames import read_frame
from spd_bench.evaluation.volume_dice import patient_interval
from spd_bench.storage import atomic_path

_METRICS = ("volumetric_dice", "foreground_dice", "average_dice")


def severity_claims(scores: pd.DataFrame, *, leader: str, patients: Mapping[str, str]) -> pd.DataFrame:
    """The leader's lead at each severity, and what it saves between two of them.

    Args:
        scores: rows of one dataset's ``severities.csv``.
        leader: a method.
        patients: patient of each case.

    Returns:
        ``claim``, ``metric``, ``difference``, ``ci_low``, ``ci_high`` (in 0..1) and ``holds``: "yes" or "no" where the
        interval excludes 0, else "open".
    """
    return pd.DataFrame(_rows(scores, leader, patients))


def main(argv: Sequence[str] | None = None) -> None:
    """Work out, print and write."""
    arguments = _parser().parse_args(argv)
    scores = read_frame(arguments.folder / "severities.csv")
    patients = ComparisonFacts.read(arguments.folder / FACTS).patients
    frames = [
        severity_claims(rows, leader=arguments.leader, patients=patients[str(dataset)]).assign(dataset=dataset)
        for dataset, rows in scores.groupby("dataset", sort=False)
    ]
    table = pd.concat(frames, ignore_index=True)
    print(table.to_string(index=False, float_format=lambda value: f"{100 * value:.1f}"))
    with atomic_path(arguments.folder / "severity_claims.csv") as part:
        table.to_csv(part, index=False, float_format="%.6g")
    print(f"written: {arguments.folder / 'severity_claims.csv'}")


def _rows(scores: pd.DataFrame, leader: str, patients: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    severities = sorted(scores["severity"].unique())
    for metric in _METRICS:
        cases = scores.pivot_table(index="case", columns=["method", "severity"], values=metric)
        for other in [method for method in scores["method"].unique() if method != leader]:
            lead = cases[leader] - cases[other]
            for severity in severities:
                yield _row(f"{leader} above {other} at severity {severity:g}", metric, lead[severity], patients)
            for low, high in combinations(severities, 2):
                saved = lead[high] - lead[low]
                yield _row(f"severity {low:g} to {high:g} costs {leader} less than {other}", metric, saved, patients)


def _row(claim: str, metric: str, difference: pd.Series[float], patients: Mapping[str, str]) -> dict[str, Any]:
    known = difference.dropna()
    low, high = patient_interval(known, known.index.to_series().map(dict(patients)))
    holds = "yes" if low > 0 else "no" if high < 0 else "open"
    return {
        "claim": claim,
        "metric": metric,
        "difference": known.mean(),
        "ci_low": low,
        "ci_high": high,
        "cases": len(known),
        "holds": holds,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a comparison with severities.csv")
    parser.add_argument("--leader", default="spd", help="the method that the others are compared with (spd)")
    return parser


if __name__ == "__main__":
    main()
