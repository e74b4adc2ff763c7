"""Emboli: eccentric plugs along the arteries, a third central and the others peripheral."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spd_bench.phantoms.vessels import VesselTree

_CLOT_FREE_SHARE = 0.06
_MEDIAN_VOLUME, _VOLUME_SPREAD, _VOLUME_RANGE = 4.8, 0.95, (0.4, 50.0)
_CENTRAL_SHARE = 1 / 3
_CENTRAL_RADIUS, _PERIPHERAL_RADIUS = (5.5, 11.0), (2.4, 5.5)
_CLUSTER_HEIGHT, _CLUSTER_SPREAD = (2.0, 20.0), 14.0
_MOST_CLOTS = 60


@dataclass(frozen=True, kw_only=True)
class Emboli:
    """Straight plugs (N): ends (N, 3: x y z) and radii (N,), all in mm; what leaves the lumen is cut off later."""

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    start_radii: NDArray[np.float64]
    end_radii: NDArray[np.float64]


@dataclass(frozen=True)
class _Pool:
    """Pieces of the arteries that may hold an embolus, and how likely each is."""

    pieces: NDArray[np.int64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, arteries: VesselTree, radii: tuple[float, float], *, height: float, spread: float) -> _Pool:
        """Pieces with a radius (mm) in a range; emboli crowd about a height with a spread, both in mm."""
        pieces = np.flatnonzero((arteries.start_radii >= radii[0]) & (arteries.start_radii < radii[1]))
        offset = (arteries.starts[pieces, 2] - height) / spread
        weights = np.exp(-0.5 * offset**2) + 1e-3
        return cls(pieces, weights / weights.sum())


def draw_emboli(rng: np.random.Generator, arteries: VesselTree) -> Emboli:
    """Draw the emboli of one patient: none in one of seventeen, else a lognormal clot load around 6.6 ml."""
    plugs: list[tuple[NDArray[np.float64], NDArray[np.float64], float, float]] = []
    load = 0.0
    if rng.random() >= _CLOT_FREE_SHARE:
        load = float(np.clip(_MEDIAN_VOLUME * np.exp(rng.normal(0, _VOLUME_SPREAD)), *_VOLUME_RANGE))
    central = _Pool.of(arteries, _CENTRAL_RADIUS, height=0.0, spread=np.inf)
    height = rng.normal(*_CLUSTER_HEIGHT)
    peripheral = _Pool.of(arteries, _PERIPHERAL_RADIUS, height=height, spread=_CLUSTER_SPREAD)
    for _ in range(_MOST_CLOTS):
        if load <= 0:
            break
        # A central plug holds about 2 ml, so a small load lies in the periphery.
        pool = central if load > 1.5 and rng.random() < _CENTRAL_SHARE else peripheral
        added = _clot(rng, arteries, int(rng.choice(pool.pieces, p=pool.weights)))
        plugs += added
        load -= float(sum(np.pi * start * end * np.linalg.norm(b - a) for a, b, start, end in added)) / 1000
    return _stack(plugs)


def _clot(
    rng: np.random.Generator, arteries: VesselTree, piece: int
) -> list[tuple[NDArray[np.float64], NDArray[np.float64], float, float]]:
    """One clot along an artery and on into its wider branches, pressed to one side of the lumen."""
    filling = rng.uniform(0.65, 1.0)
    sideways = rng.standard_normal(3)
    length = rng.uniform(12, 32)
    plugs = []
    for number, index in enumerate(arteries.path_from(piece, length)):
        start, end = arteries.starts[index], arteries.ends[index]
        along = (end - start) / np.linalg.norm(end - start)
        across = sideways - (sideways @ along) * along
        across /= np.linalg.norm(across)
        first, last = arteries.start_radii[index], arteries.end_radii[index]
        shift = (1 - filling) * across
        tail = rng.uniform(0, 0.5) if number == 0 else 0.0
        plugs.append(
            (start + tail * (end - start) + first * shift, end + last * shift, filling * first, filling * last)
        )
    return plugs


def _stack(plugs: list[tuple[NDArray[np.float64], NDArray[np.float64], float, float]]) -> Emboli:
    starts, ends, start_radii, end_radii = zip(*plugs, strict=True) if plugs else ([], [], [], [])
    return Emboli(
        starts=np.array(starts, dtype=np.float64).reshape(-1, 3),
        ends=np.array(ends, dtype=np.float64).reshape(-1, 3),
        start_radii=np.array(start_radii, dtype=np.float64),
        end_radii=np.array(end_radii, dtype=np.float64),
    )
