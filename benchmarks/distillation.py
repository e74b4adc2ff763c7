"""Prompt distillation of a volume, against its formulas point by point.

    python -m benchmarks.distillation --slices 40 --points 20

Both give the same points; the ratio tells what working on arrays is worth.
"""

from __future__ import annotations

import argparse
import statistics
import timeit
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from spd_bench import distill_prompts

_REPEATS = 20

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
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=40, help="slices of the volume (40)")
    parser.add_argument("--points", type=int, default=20, help="points on each slice (20)")
    parser.add_argument("--resolution", type=int, default=512, help="side of the slices in pixels (512)")
    parser.add_argument("--context", type=int, default=2, help="neighbours on each side (2)")
    arguments = parser.parse_args(argv)
    generator = np.random.default_rng(0)
    saliency = generator.random((arguments.slices, arguments.resolution, arguments.resolution))
    points = [generator.integers(0, arguments.resolution, (arguments.points, 2)) for _ in range(arguments.slices)]

    def run(distil: Callable[..., Points]) -> Points:
        return distil(saliency, points, threshold=0.5, context=arguments.context)

    for ours, theirs in zip(run(distill_prompts), run(by_formula), strict=True):
        if set(map(tuple, ours.tolist())) != set(map(tuple, theirs.tolist())):
            msg = "distill_prompts and its formulas disagree"
            raise RuntimeError(msg)
    seconds = {name: _median(partial(run, chosen)) for name, chosen in _VARIANTS.items()}
    for name, value in seconds.items():
        print(f"{name}: {1000 * value:.2f} ms")
    print(f"ratio: {seconds['by formula'] / seconds['distill_prompts']:.2f}")


_VARIANTS: dict[str, Callable[..., Points]] = {"distill_prompts": distill_prompts, "by formula": by_formula}


def _median(body: Callable[[], Points]) -> float:
    return statistics.median(timeit.repeat(body, number=1, repeat=_REPEATS))


if __name__ == "__main__":
    main()
