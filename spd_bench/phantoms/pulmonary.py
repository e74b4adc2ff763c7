"""Pulmonary arteries and veins: trunks at fixed places, branches grown into the lungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spd_bench.phantoms.ct_chest import Thorax
from spd_bench.phantoms.vessels import Bud, GrowthSettings, VesselTree, grow_tree, join_trees, trunk

_BIFURCATION = (4.0, -12.0, 22.0)
_LOBES = ((0.6, -0.15, 0.8), (0.4, 0.15, -0.9), (0.75, -0.6, -0.25), (0.7, 0.6, -0.35))


@dataclass(frozen=True)
class PulmonaryVessels:
    """The two trees of the lungs; they interleave and touch."""

    arteries: VesselTree
    veins: VesselTree


def draw_pulmonary_vessels(rng: np.random.Generator, thorax: Thorax) -> PulmonaryVessels:
    """Grow the arteries from the pulmonary trunk (radius 12 mm) down to 1.1 mm, the veins from the left atrium."""
    main = trunk([(6, -40, -20), (5, -28, 6), _BIFURCATION], 12.0)
    right = trunk([_BIFURCATION, (-20, -2, 20), (-44, 3, 13)], 10.0)
    left = trunk([_BIFURCATION, (22, 2, 27), (43, 14, 21)], 9.5)
    arteries = [main, right, left]
    for stem, side in ((right, -1), (left, 1)):
        headings = [(side * one[0], *one[1:]) for one in _LOBES]
        arteries.append(_branches(rng, thorax, stem, headings, radius=7.6))
    veins = []
    for side in (-1, 1):
        for start, heading in (((38, 0, -4), (0.8, -0.3, 0.5)), ((36, 18, -18), (0.8, 0.35, -0.5))):
            stem = trunk([(side * 14, 12, -12), (side * start[0], start[1], start[2])], 6.0)
            veins += [stem, _branches(rng, thorax, stem, [(side * heading[0], *heading[1:])], radius=5.6)]
    return PulmonaryVessels(arteries=join_trees(arteries), veins=join_trees(veins))


def _branches(
    rng: np.random.Generator,
    thorax: Thorax,
    stem: VesselTree,
    headings: list[tuple[float, float, float]],
    *,
    radius: float,
) -> VesselTree:
    """The branches that leave the far end of a stem in the given directions."""
    buds = [Bud(stem.ends[-1], np.array(heading), radius * rng.uniform(0.85, 1.1), -1) for heading in headings]
    return grow_tree(rng, buds=buds, inside=thorax.in_lung, settings=GrowthSettings())
