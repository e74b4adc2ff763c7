"""Prompt distillation of a volume, against its formulas point by point.

    python -m benchmarks.distillation --slices 40 --points 20

Both give the same points; the ratio tells what working on arrays is worth.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import benchmark_parser, prepare, report, seconds_in_turn, speed_ratio
from spd_bench import distill_prompts

_CLAIM = "Prompt distillation costs next to nothing: hundredths of a millisecond a slice."
_OURS, _FORMULA = "distill_prompts", "by formula"

Points = list[NDArray[np.int64]]


def by_formula(saliency: NDArray[np.float64], points: Points, *, threshold: float, context: int) -> Points:
    """CPD as the paper writes it: sets of points, looked up one by one."""
    confirmed = [
        {(int(x), int(y)) for x, y in slice_points if saliency[z, y, x] > threshold}
        for z, slice_points in enumerate(points)
    ]
    consensus = []
    for z in range(len(points)):
        near = range(max(0, z - context), min(len(points), z + context + 1))
        candidates = set().union(*(confirmed[other] for other in near if other != z))
        kept = confirmed[z] | {(x, y) for x, y in candidates if saliency[z, y, x] > threshold}
        consensus.append(np.asarray(sorted(kept), dtype=np.int64).reshape(-1, 2))
    return consensus


def main(argv: Sequence[str] | None = None) -> None:
    """Measure both on the same volume."""
    arguments = _arguments(argv)
    prepare(arguments)
    generator = np.random.default_rng(0)
    saliency = generator.random((arguments.slices, arguments.resolution, arguments.resolution))
    points = [generator.integers(0, arguments.resolution, (arguments.points, 2)) for _ in range(arguments.slices)]
    settings = {"threshold": 0.5, "context": arguments.context}
    variants: dict[str, Callable[[], Points]] = {
        _OURS: partial(distill_prompts, saliency, points, **settings),
        _FORMULA: partial(by_formula, saliency, points, **settings),
    }
    for ours, theirs in zip(variants[_OURS](), variants[_FORMULA](), strict=True):
        if set(map(tuple, ours.tolist())) != set(map(tuple, theirs.tolist())):
            msg = "distill_prompts and its formulas disagree"
            raise RuntimeError(msg)
    seconds = seconds_in_turn(variants, repeats=arguments.repeats, device=arguments.device)
    report(
        "distillation",
        claim=_CLAIM,
        rows=[
            {"variant": name, "ms a volume": 1000 * median, "ms a slice": 1000 * median / arguments.slices}
            for name, median in ((name, statistics.median(values)) for name, values in seconds.items())
        ],
        arguments=arguments,
        speed_of_distill_prompts=speed_ratio(seconds, _OURS, _FORMULA),
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = benchmark_parser(__doc__, repeats=20)
    parser.add_argument("--slices", type=int, default=40, help="slices of the volume (40)")
    parser.add_argument("--points", type=int, default=20, help="points on each slice (20)")
    parser.add_argument("--resolution", type=int, default=512, help="side of the slices in pixels (512)")
    parser.add_argument("--context", type=int, default=2, help="neighbours on each side (2)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
