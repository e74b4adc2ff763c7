"""What runs must share before their numbers may stand in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spd_bench.errors import InputError

_SHARED = ("plan", "splits", "prompts")


def check_same_ground(records: Sequence[Mapping[str, Any]]) -> None:
    """Refuse run records of one dataset that stand on different plans, splits, prompts or scoring rules.

    A row without prompts has no hash of them, which is no difference. What a record does not say is none either:
    tables call it "not recorded".

    Args:
        records: run records; ``dataset``, ``method``, ``fold``, ``hashes`` and ``scoring`` are read.

    Raises:
        InputError: two of them differ; it names both and what differs.
    """
    first: dict[tuple[str, str], tuple[Any, Mapping[str, Any]]] = {}
    for record in records:
        hashes = record.get("hashes", {})
        facts = {**{name: hashes.get(name) for name in _SHARED}, "scoring rules": record.get("scoring")}
        for name, value in facts.items():
            if value is None:
                continue
            known, owner = first.setdefault((str(record["dataset"]), name), (value, record))
            if known != value:
                raise InputError(
                    f"{_named(owner)} and {_named(record)} stand on different {name}",
                    remedy="run both on the same planned dataset, or make a table of each",
                )


def _named(record: Mapping[str, Any]) -> str:
    return f"{record['dataset']} {record['method']} fold {record.get('fold', 0)}"
