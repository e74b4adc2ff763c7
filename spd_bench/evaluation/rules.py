"""The rules that scores were made by: what a number has to be read with."""

from __future__ import annotations

from dataclasses import dataclass

from spd_bench.evaluation.empty_policy import EMPTY_POLICIES, PAPER, EmptyPolicy
from spd_bench.evaluation.surface import HD95_CONVENTIONS

_HD95 = {
    "pooled": "HD95 is the 95th percentile of both directed sets of surface distances pooled (medpy's convention).",
    "max": "HD95 is the larger of the 95th percentiles of the two directed surface distances (MONAI's convention).",
}


@dataclass(frozen=True, kw_only=True)
class ScoringRules:
    """How masks are scored where conventions differ.

    Attributes:
        empty: what empty masks are worth.
        hd95: convention of HD95, a key of :data:`~spd_bench.evaluation.surface.HD95_CONVENTIONS`.

    Raises:
        ValueError: there is no such convention.
    """

    empty: EmptyPolicy = PAPER
    hd95: str = "pooled"

    def __post_init__(self) -> None:
        if self.hd95 not in HD95_CONVENTIONS:
            msg = f"hd95 must be one of {sorted(HD95_CONVENTIONS)}, got {self.hd95!r}"
            raise ValueError(msg)

    @classmethod
    def named(cls, *, empty_policy: str = "paper", hd95: str = "pooled") -> ScoringRules:
        """The rules of two names, as a command line or a record gives them.

        Raises:
            ValueError: a name is unknown.
        """
        if empty_policy not in EMPTY_POLICIES:
            msg = f"empty_policy must be one of {sorted(EMPTY_POLICIES)}, got {empty_policy!r}"
            raise ValueError(msg)
        return cls(empty=EMPTY_POLICIES[empty_policy], hd95=hd95)

    def record(self) -> dict[str, str]:
        """The names of the rules, for a run record; :meth:`named` takes them back."""
        return {"empty_policy": self.empty.name, "hd95": self.hd95}

    def statement(self) -> tuple[str, ...]:
        """The rules in sentences, for a table or a report."""
        return (self.empty.statement, self.empty.average, _HD95[self.hd95])


DEFAULT_RULES = ScoringRules()
