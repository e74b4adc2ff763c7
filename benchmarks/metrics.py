"""HD95 and ASD of slices and volumes, against medpy on the same masks in the same run.

    python -m benchmarks.metrics --shape 64 256 256

Kinds of masks: one organ that is found well or badly, many small things (emboli), and a prediction at the other end
of the image. Every pair of values is compared before it is timed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from medpy.metric import assd, hd95
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmarks.measuring import benchmark_parser, prepare, report, seconds_in_turn, speed_ratio
from spd_bench.evaluation.surface import SurfaceScores, surface_scores

Mask = NDArray[np.bool_]
SPACING = (5.0, 0.8, 0.8)
TOLERANCE = 1e-6


def main(argv: Sequence[str] | None = None) -> None:
    """Print both times and their ratio for every kind of mask, and write them."""
    parser = benchmark_parser(__doc__, repeats=3)
    parser.add_argument("--shape", type=int, nargs=3, default=(64, 256, 256), help="z, y, x (64 256 256)")
    arguments = parser.parse_args(argv)
    prepare(arguments)
    rows = [
        _measure(kind, pair, arguments)
        for shape in (tuple(arguments.shape[1:]), tuple(arguments.shape))
        for kind, pair in mask_pairs(shape).items()
    ]
    of_volumes = [row["ratio"].median for row in rows if row["dimensions"] == 3]
    report(
        "metrics",
        claim="HD95 and ASD equal medpy's (1e-6 mm); on volumes both are 30 times as fast and more.",
        rows=[{**row, "ratio": str(row["ratio"])} for row in rows],
        arguments=arguments,
        smallest_ratio_of_volumes=min(of_volumes),
    )


def mask_pairs(shape: tuple[int, ...]) -> Mapping[str, tuple[Mask, Mask]]:
    """Reference and prediction of each kind, on a grid of the given shape."""
    generator = np.random.default_rng(0)
    organ = _noise(generator, shape, relative=0.08)
    fine = _noise(generator, shape, relative=0.012)
    # The middle of the image is more likely to be organ, so that it is one piece and does not fill the image.
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij", sparse=True)
    organ = organ - 6 * sum(axis**2 for axis in axes)
    disturbance = _noise(generator, shape, relative=0.03) * organ.std()
    start, end = np.zeros(shape, bool), np.zeros(shape, bool)
    start[tuple(slice(size // 16, size // 4) for size in shape)] = True
    end[tuple(slice(size // 2, size - size // 16) for size in shape)] = True
    return {
        "organ": (_top(organ, 0.05), _top(organ + 0.05 * disturbance, 0.05)),
        "organ, poor": (_top(organ, 0.05), _top(organ + 0.3 * disturbance, 0.06)),
        "emboli": (_top(fine, 0.003), _top(np.roll(fine, 2, axis=-1), 0.004)),
        "apart": (start, end),
    }


def _noise(generator: np.random.Generator, shape: tuple[int, ...], *, relative: float) -> NDArray[np.float64]:
    smooth = gaussian_filter(generator.normal(size=shape), [relative * size for size in shape])
    return np.asarray(smooth / smooth.std())


def _top(values: NDArray[np.float64], share: float) -> Mask:
    return np.asarray(values > np.quantile(values, 1 - share))


def by_medpy(reference: Mask, prediction: Mask, spacing: tuple[float, ...]) -> SurfaceScores:
    """The same two numbers by medpy."""
    return SurfaceScores(hd95(prediction, reference, spacing), assd(prediction, reference, spacing))


def _measure(kind: str, pair: tuple[Mask, Mask], arguments: argparse.Namespace) -> dict[str, Any]:
    spacing = SPACING[-pair[0].ndim :]
    variants = {"ours": partial(surface_scores, *pair, spacing), "medpy": partial(by_medpy, *pair, spacing)}
    values = [np.asarray(body()) for body in variants.values()]
    difference = float(np.abs(values[0] - values[1]).max())
    if difference > TOLERANCE:
        msg = f"HD95 and ASD of {kind} differ by {difference} mm from medpy's"
        raise RuntimeError(msg)
    seconds = seconds_in_turn(variants, repeats=arguments.repeats, device=arguments.device)
    return {
        "dimensions": pair[0].ndim,
        "masks": kind,
        "voxels": int(pair[0].sum()),
        "dice": float(2 * (pair[0] & pair[1]).sum() / (pair[0].sum() + pair[1].sum())),
        "hd95 mm": float(values[0][0]),
        **{f"{name} ms": 1000 * float(np.median(times)) for name, times in seconds.items()},
        "ratio": speed_ratio(seconds, "ours", "medpy"),
        "difference mm": difference,
    }


if __name__ == "__main__":
    main()
