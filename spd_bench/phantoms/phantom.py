"""One procedural case: image, mask and prompts, and the random streams it is drawn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spd_bench.prompts.points import PointPrompts
from spd_bench.raw.geometry import VolumeGeometry


@dataclass(frozen=True, kw_only=True)
class Phantom:
    """A procedural case.

    Attributes:
        image: float32 (Z, Y, X); HU for CT, arbitrary units for MR.
        label: uint8 (Z, Y, X); 0 background, 1 target.
        look_alikes: bool (Z, Y, X); structures that resemble the target and are not it.
        geometry: the grid of the three.
        prompts: noisy point prompts, centres of voxels' slices.
        trace: points (N, 3: x y z, mm LPS) of the whole course a reader traced, where the prompts
            come from one; otherwise None.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    look_alikes: NDArray[np.bool_]
    geometry: VolumeGeometry
    prompts: PointPrompts
    trace: NDArray[np.float64] | None = None


@dataclass(frozen=True, kw_only=True)
class PhantomRequest:
    """Which case is wanted.

    Attributes:
        task: "TI", "SCAR", "FUMPE" or "KiTS".
        seed: seed of the whole set.
        case_number: number of the case in the set, from 0.
        size: pixels of the longer in-plane side; the field of view does not depend on it.
        severity: noise of the prompts; 0 is clean, 1 the default, 2 the drifting regime.
        slices: number of slices over the same extent; the task's own where None.
    """

    task: str
    seed: int
    case_number: int
    size: int
    severity: float = 1.0
    slices: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("case_number", 0), ("size", 32), ("severity", 0.0)):
            if not getattr(self, name) >= least:
                msg = f"{name} must be at least {least}, got {getattr(self, name)}"
                raise ValueError(msg)
        if not np.isfinite(self.severity):
            msg = f"severity must be finite, got {self.severity}"
            raise ValueError(msg)
        if self.slices is not None and self.slices < 2:
            msg = f"slices must be at least 2, got {self.slices}"
            raise ValueError(msg)

    @property
    def case(self) -> str:
        """Name of the case, such as ``TI_007``."""
        return f"{self.task}_{self.case_number:03d}"

    def provenance(self) -> dict[str, Any]:
        """What the file of the prompts says about where they come from."""
        return {"simulated": True, "seed": self.seed, "severity": self.severity, "case": self.case}

    def streams(self) -> Streams:
        """The case's own random generators; no case shares them with another."""
        key = [self.seed, self.case_number, *self.task.encode()]
        anatomy, acquisition, prompts = (np.random.default_rng(one) for one in np.random.SeedSequence(key).spawn(3))
        return Streams(anatomy=anatomy, acquisition=acquisition, prompts=prompts)


@dataclass(frozen=True, kw_only=True)
class Streams:
    """Independent generators, so that the noise of the prompts or of the image never moves the anatomy.

    Attributes:
        anatomy: for shapes and tissue.
        acquisition: for the scanner's noise.
        prompts: for the reader's points.
    """

    anatomy: np.random.Generator
    acquisition: np.random.Generator
    prompts: np.random.Generator


PhantomBuilder = Callable[[PhantomRequest], Phantom]
