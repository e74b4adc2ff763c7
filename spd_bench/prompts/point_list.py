"""What a reader finds in a point file, before it is turned to LPS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class PointList:
    """The points of one file.

    Attributes:
        paths: one array (N, 3) for each curve, trace or list of the file, in the order of ``frame``.
        frame: a name of :data:`spd_bench.prompts.frames.FRAMES`.
        notes: what the user should know about the reading, one sentence each.
        provenance: what the file itself says about where its points come from.
    """

    paths: tuple[NDArray[np.float64], ...]
    frame: str
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
