"""What may be chosen of a report."""

from __future__ import annotations

from dataclasses import dataclass

from spd_bench.errors import InputError
from spd_bench.report.canvas import CANVAS
from spd_bench.report.viewer import Viewer


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """How much a report shows, and with what.

    Attributes:
        cases: the number of cases in the slice viewer, at least 0.
        megabytes: the page stays below that many million bytes; cases are drawn coarser, or left out, to keep to it.
        viewer: what shows the cases.

    Raises:
        InputError: a value is out of range.
    """

    cases: int = 20
    megabytes: float = 30.0
    viewer: Viewer = CANVAS

    def __post_init__(self) -> None:
        if self.cases < 0:
            raise InputError(f"a report cannot show {self.cases} cases", remedy="give 0 or more")
        if not self.megabytes > 0:
            raise InputError(f"a report cannot have {self.megabytes:g} megabytes", remedy="give more than 0")

    @property
    def bytes(self) -> int:
        """The page's largest size in bytes."""
        return int(self.megabytes * 1e6)


DEFAULT_SETTINGS = ReportSettings()
