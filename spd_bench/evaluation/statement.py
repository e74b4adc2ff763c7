"""The plain-text statement under a table: what its numbers stand on.

Read from a run record: ``dataset`` and ``method`` (as in the frames), ``fold``, ``seed``, ``epochs``,
``images_seen``, ``status``, ``weights`` (name, "random" for training from scratch, and sha256),
``hashes["prompts"]`` (None for a method without prompts), ``prompts["severity"]``, and ``missing_predictions``, the
cases scored as empty masks for want of a prediction. What no record says is called "not recorded", never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from spd_bench.evaluation.rules import DEFAULT_RULES, ScoringRules

NOT_RECORDED = "not recorded"
_HASH_DIGITS = 12


class Line(NamedTuple):
    """A line of the statement and how deep it stands."""

    level: int
    text: str


Statement = tuple[Line, ...]


def state_runs(
    described: pd.DataFrame,
    records: Sequence[Mapping[str, Any]],
    notes: Sequence[str] = (),
    rules: ScoringRules = DEFAULT_RULES,
) -> Statement:
    """State for every dataset and method what its Dice stands on.

    Args:
        described: frame of :func:`spd_bench.evaluation.summary.describe_runs`.
        records: run records, one per dataset, method and fold.
        notes: sentences to add at the end.
        rules: that the scores were made by.

    Returns:
        The rules, then a line per dataset with a line per method under it, then the notes. Where methods were scored
        on different slices, each method's line says on which, and the dataset's line says that they differ.
    """
    lines = [Line(0, sentence) for sentence in rules.statement()]
    for dataset in dict.fromkeys(described.index.get_level_values("dataset")):
        of_dataset = described.loc[dataset]
        scored_on = {method: _scored_on(facts) for method, facts in of_dataset.iterrows()}
        same = len(set(scored_on.values())) == 1
        common = next(iter(scored_on.values())) if same else "methods were scored on different slices"
        lines.append(Line(0, f"{dataset}: {common}"))
        for method, facts in of_dataset.iterrows():
            own = [record for record in records if (record["dataset"], record["method"]) == (dataset, method)]
            parts = [*([] if same else [scored_on[method]]), *_results(facts), *_making(own)]
            lines.append(Line(1, f"{method}: {'; '.join(parts)}"))
    return (*lines, *(Line(0, " ".join(note.split())) for note in notes))


def _scored_on(facts: pd.Series[Any]) -> str:
    return f"f = {facts['foreground_share']:.4f}, {facts['volumes']} volumes, {facts['slices']} slices"


def _results(facts: pd.Series[Any]) -> list[str]:
    missing = facts["missing_predictions"]
    return [
        f"foreground-slice Dice {_percent(facts['foreground_dice'])}",
        f"specificity {_percent(facts['specificity'])}",
        f"missing predictions {NOT_RECORDED if pd.isna(missing) else missing}",
    ]


def _making(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """How the runs of one method on one dataset were made; values that differ between folds are all named."""
    if not records:
        return ["no run record"]
    return [
        f"weights {_each(_weights(record.get('weights')) for record in records)}",
        f"prompts {_each(_prompts(record) for record in records)}",
        *(
            f"{title} {_each(str(record.get(name, NOT_RECORDED)) for record in records)}"
            for title, name in (
                ("images seen a run", "images_seen"),
                ("epochs", "epochs"),
                ("seed", "seed"),
                ("folds", "fold"),
                ("status", "status"),
            )
        ),
    ]


def _weights(weights: Mapping[str, Any] | str | None) -> str:
    if weights is None:
        return NOT_RECORDED
    named: Mapping[str, Any] = {"name": weights} if isinstance(weights, str) else weights
    if named.get("name") == "none":
        return "none"
    if named.get("name") in (None, "random"):
        return "random, from scratch"
    return f"{named['name']} (sha256 {_short(named.get('sha256'))})"


def _prompts(record: Mapping[str, Any]) -> str:
    hashes = record.get("hashes", {})
    if "prompts" not in hashes:
        return NOT_RECORDED
    if not hashes["prompts"]:
        return "none"
    severity = record.get("prompts", {}).get("severity", NOT_RECORDED)
    return f"sha256 {_short(hashes['prompts'])} (severity {severity})"


def _short(sha256: str | None) -> str:
    return NOT_RECORDED if sha256 is None else sha256[:_HASH_DIGITS]


def _percent(share: float) -> str:
    return "-" if pd.isna(share) else f"{100 * share:.2f} %"


def _each(values: Any) -> str:
    return ", ".join(dict.fromkeys(values))
