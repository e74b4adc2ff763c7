"""Which severities of noise a comparison's trained rows are tried on."""

from __future__ import annotations

from dataclasses import dataclass

from spd_bench.prompts.simulation import NoiseSettings


@dataclass(frozen=True, kw_only=True)
class SeveritySettings:
    """Which severities are run.

    Attributes:
        severities: values of the dial, each at least 0.
        seed: of the simulated points.
    """

    severities: tuple[float, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        for severity in self.severities:
            NoiseSettings(severity=severity)
        if len(set(self.severities)) < len(self.severities):
            msg = f"a severity is given twice: {', '.join(f'{severity:g}' for severity in self.severities)}"
            raise ValueError(msg)
