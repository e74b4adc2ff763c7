"""Noisy point prompts simulated from a mask, for datasets whose readers left none.

The paper simulates prompts for SCAR, FUMPE and KiTS but publishes no recipe; this one is ours. Each
component's medial path (a point a slice) is disturbed as a hurried reader's centreline is: it drifts, it
jitters, points and runs of points are missing, it runs on beyond the target, it strays into the
neighbourhood, and it is stored one slice off. One dial, the severity, scales it all.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from spd_bench.prompts.medial import MedialPath, medial_paths
from spd_bench.prompts.points import PointPrompts
from spd_bench.raw.geometry import VolumeGeometry


@dataclass(frozen=True, kw_only=True)
class NoiseSettings:
    """How noisy simulated prompts are.

    Every length is in local radii (the distance from the medial point to the target's border), so that noise
    is alike for thin and thick targets; ``sd`` is the root mean square length of the in-plane displacement.
    Each amount below holds at severity 1. Drift grows as ``severity ** drift_exponent``, which takes its sd
    from 0.4 radii at severity 1 to 1.5 at severity 2; jitter, over-run and the probabilities (up to 1) grow in
    proportion to the severity.

    Attributes:
        severity: the dial: 0 clean medial points, 1 the default, 2 the paper's drifting regime.
        drift_sd: sd of the drift, a first-order autoregressive process over slices.
        drift_correlation: correlation of the drift between neighbouring slices.
        drift_exponent: power of the severity that scales the drift.
        jitter_sd: sd of the independent displacement of every point.
        drop_probability: probability that a single point is missing.
        gap_probability: probability that a run of slices without any point starts at a slice.
        gap_slices: mean length of such a run.
        overrun_share: mean number of slices that a path runs on beyond each of its ends, as a share of its
            own number of slices.
        distractor_probability: probability that a point is accompanied by one outside the target.
        distractor_reach: largest distance of a distractor from the target.
        off_by_one_probability: probability that a point is stored one slice too low or too high.
    """

    severity: float = 1.0
    drift_sd: float = 0.4
    drift_correlation: float = 0.85
    drift_exponent: float = 1.9
    jitter_sd: float = 0.35
    drop_probability: float = 0.02
    gap_probability: float = 0.045
    gap_slices: float = 3.0
    overrun_share: float = 0.03
    distractor_probability: float = 0.06
    distractor_reach: float = 2.0
    off_by_one_probability: float = 0.05

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if not np.isfinite(value) or value < 0:
                msg = f"{setting.name} must be a finite number of at least 0, got {value}"
                raise ValueError(msg)
            if setting.name.endswith("_probability") and value > 1:
                msg = f"{setting.name} must be at most 1, got {value}"
                raise ValueError(msg)
        if self.drift_correlation >= 1:
            msg = f"drift_correlation must be below 1, got {self.drift_correlation}"
            raise ValueError(msg)
        if self.gap_slices < 1:
            msg = f"gap_slices must be at least 1, got {self.gap_slices}"
            raise ValueError(msg)

    @property
    def drift_scale(self) -> float:
        """Sd of the drift at the chosen severity, in local radii."""
        return self.drift_sd * self.severity**self.drift_exponent

    def probability(self, at_severity_one: float) -> float:
        """A probability at the chosen severity."""
        return min(1.0, at_severity_one * self.severity)


def simulate_prompts(
    mask: NDArray[np.bool_],
    geometry: VolumeGeometry,
    *,
    settings: NoiseSettings,
    seed: int,
    case: str,
    slice_axis: int = 0,
) -> PointPrompts:
    """Noisy points for a mask, on voxel centres inside the volume.

    Args:
        mask: the target, shape (z, y, x).
        geometry: the mask's grid.
        settings: how noisy the points are.
        seed: non-negative seed; together with ``case`` it decides every draw, so no case depends on another.
        case: the case's id.
        slice_axis: the axis of (z, y, x) across which slices are counted.

    Returns:
        The points with provenance ``simulated``, ``seed``, ``severity``, ``case`` and, to repeat them, the
        whole ``noise``; no points for an empty mask. The same seed at another severity disturbs the same
        path in the same directions.

    Raises:
        ValueError: the mask does not fit the geometry, or the seed or the axis is out of range.
    """
    if mask.shape != geometry.shape:
        msg = f"mask has shape {mask.shape} but the geometry says {geometry.shape}"
        raise ValueError(msg)
    if slice_axis not in (0, 1, 2):
        msg = f"slice_axis must be 0, 1 or 2, got {slice_axis}"
        raise ValueError(msg)
    if seed < 0:
        msg = f"seed must not be negative, got {seed}"
        raise ValueError(msg)
    stack = np.moveaxis(np.asarray(mask, dtype=bool), slice_axis, 0)
    spacing = np.delete(np.asarray(geometry.spacing), slice_axis)
    generator = _generator(seed, case)
    gaps = _gaps(len(stack), settings, generator.spawn(1)[0])
    noisy = [_disturb(path, stack, spacing, settings, generator) for path in medial_paths(stack, tuple(spacing))]
    points = np.concatenate([np.zeros((0, 3), dtype=np.int64), *noisy])
    points = points[~gaps[points[:, 0]]]
    provenance = {
        "simulated": True,
        "seed": seed,
        "severity": settings.severity,
        "case": case,
        "noise": asdict(settings),
    }
    voxels = np.insert(points[:, 1:], slice_axis, points[:, 0], axis=1)
    return PointPrompts.from_voxels(voxels, geometry, provenance=provenance)


def _generator(seed: int, case: str) -> np.random.Generator:
    digest = hashlib.sha256(case.encode()).digest()
    return np.random.default_rng([seed, *digest[:16]])


def _disturb(
    path: MedialPath,
    stack: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    settings: NoiseSettings,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Noisy points (slice, row, column) of one component's path."""
    # A stream for each effect: turning the dial up must not reshuffle the draws of the other effects.
    drift, jitter, drops, overrun, distractors, shifts = generator.spawn(6)
    depth = len(stack)
    extended = _overrun(path, depth, settings, overrun)
    kept = drops.random(len(extended)) >= settings.probability(settings.drop_probability)
    moved = _displacement(extended.slices, depth, settings, drift, jitter)
    positions = np.rint(extended.positions + moved * extended.radii[:, None] / spacing).astype(np.int64)
    slices = extended.slices + _slice_shift(len(extended), settings, shifts)
    noisy = np.concatenate(
        [
            np.column_stack([slices, positions])[kept],
            _distractors(path, stack, spacing, settings, distractors),
        ]
    )
    return np.clip(noisy, 0, np.asarray(stack.shape) - 1)


def _overrun(path: MedialPath, depth: int, settings: NoiseSettings, generator: np.random.Generator) -> MedialPath:
    """The path with its end points repeated on slices beyond the target; the original points come first."""
    first, last = path.slices[0], path.slices[-1]
    mean = settings.overrun_share * settings.severity * (last - first + 1)
    # Adding a uniform draw before truncating keeps the mean of the exponential draw.
    before, after = np.floor(mean * generator.exponential(size=2) + generator.random(2)).astype(np.int64)
    lower = np.arange(first - 1, max(first - before, 0) - 1, -1)
    upper = np.arange(last + 1, min(last + after, depth - 1) + 1)
    ends = np.repeat([_widest(path, first), _widest(path, last)], [len(lower), len(upper)])
    return MedialPath(
        slices=np.concatenate([path.slices, lower, upper]),
        positions=np.concatenate([path.positions, path.positions[ends]]),
        radii=np.concatenate([path.radii, path.radii[ends]]),
    )


def _widest(path: MedialPath, index: int) -> int:
    """The point of a slice's widest piece."""
    here = np.flatnonzero(path.slices == index)
    return int(here[np.argmax(path.radii[here])])


def _gaps(depth: int, settings: NoiseSettings, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Which slices the reader passed over, in runs."""
    # Runs may have begun before the first slice, else thin volumes would have fewer gaps.
    lead = int(np.ceil(5 * settings.gap_slices))
    starts = generator.random(lead + depth) < settings.probability(settings.gap_probability)
    lengths = generator.geometric(1 / settings.gap_slices, size=lead + depth)
    gaps = np.zeros(lead + depth, dtype=bool)
    for start in np.flatnonzero(starts):
        gaps[start : start + lengths[start]] = True
    return gaps[lead:]


def _displacement(
    slices: NDArray[np.int64],
    depth: int,
    settings: NoiseSettings,
    drift: np.random.Generator,
    jitter: np.random.Generator,
) -> NDArray[np.float64]:
    """In-plane displacement (N, 2) in local radii: a drift that neighbouring slices share, and jitter."""
    correlation = settings.drift_correlation
    innovation = np.sqrt(1 - correlation**2)
    steps = drift.normal(size=(depth, 2))
    steps[0] /= innovation  # the first slice already has the stationary sd
    walk = signal.lfilter([innovation], [1, -correlation], steps, axis=0)
    # Two independent coordinates of sd 1 have a root mean square length of sqrt(2).
    shake = jitter.normal(size=(len(slices), 2)) * settings.jitter_sd * settings.severity
    return np.asarray((walk[slices] * settings.drift_scale + shake) / np.sqrt(2))


def _slice_shift(count: int, settings: NoiseSettings, generator: np.random.Generator) -> NDArray[np.int64]:
    shifted = generator.random(count) < settings.probability(settings.off_by_one_probability)
    return np.asarray(np.where(shifted, generator.choice([-1, 1], size=count), 0))


def _distractors(
    path: MedialPath,
    stack: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    settings: NoiseSettings,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Points (slice, row, column) near the target but outside it."""
    chosen = generator.random(len(path)) < settings.probability(settings.distractor_probability)
    where = generator.random(len(path))
    points = []
    for number in np.flatnonzero(chosen):
        index = path.slices[number]
        distance = ndimage.distance_transform_edt(~stack[index], sampling=spacing)
        reach = settings.distractor_reach * path.radii[number]
        around = np.argwhere((distance > 0) & (distance <= reach))
        if len(around):
            points.append((index, *around[int(where[number] * len(around))]))
    return np.array(points, dtype=np.int64).reshape(-1, 3)
