"""Every metric on 500 random pairs of masks against medpy, brute force and a flood fill."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from medpy.metric import assd, dc, hd95, jc
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from spd_bench.evaluation import surface_distances
from spd_bench.evaluation.case import CaseKey, evaluate_case
from spd_bench.evaluation.rules import ScoringRules
from spd_bench.evaluation.volume_surface import volume_surface_scores

KEY = CaseKey(dataset="TI", method="spd", fold=0, case="a")
PAIRS = 500
LARGER = ScoringRules(hd95="max")
SURFACE_SCORES = ("volumetric_hd95_mm", "volumetric_asd_mm", "nsd_1mm", "nsd_2mm")
Mask = NDArray[np.bool_]
EVERY_KIND = {
    *(f"empty: {one}, {other}" for one in (False, True) for other in (False, True)),
    *(f"{number} voxels or more" for number in (0, 1, 2)),
    *(f"borders of axis {axis}: {[one, True]}" for axis in range(3) for one in (False, True)),
    *(f"borders of axis {axis}: {[True, False]}" for axis in range(3)),
    "full: True",
    "overlap: False, same: False",
    "overlap: True, same: True",
}


def _pairs() -> Iterator[tuple[Mask, Mask, tuple[float, float, float]]]:
    """Masks of all densities, on all borders, with empty slices, one voxel, and every case of empty volumes."""
    rng = np.random.default_rng(11)
    for number in range(PAIRS):
        shape = tuple(rng.integers(2, 9, size=3))
        spacing = tuple(np.round(rng.uniform(0.3, 6.0, size=3), 3).tolist())
        reference, prediction = (rng.random(shape) < rng.uniform(0.02, 0.9) for _ in range(2))
        if number % 5 == 0:  # mostly the same mask
            prediction = reference ^ (rng.random(shape) < 0.05)
        reference[rng.random(shape[0]) < 0.3] = False
        prediction[rng.random(shape[0]) < 0.3] = False
        if number % 10 == 1:
            prediction[:] = False
        if number % 10 in (2, 3):
            reference[:] = False
        if number % 10 == 3:
            prediction[:] = False
        if number % 10 == 4:
            for mask in (reference, prediction):
                mask[:] = False
                mask[tuple(rng.integers(0, shape))] = True
        if number % 10 == 5:
            (reference, prediction)[number % 20 == 5][:] = True
        yield reference, prediction, spacing


def _kinds(reference: Mask, prediction: Mask) -> Iterator[str]:
    """What a pair of masks is a case of."""
    yield f"empty: {not reference.any()}, {not prediction.any()}"
    for mask in (reference, prediction):
        yield f"{min(int(mask.sum()), 2)} voxels or more"
        yield f"full: {mask.all()}"
        for axis in range(mask.ndim):
            touched = [bool(mask.take(end, axis=axis).any()) for end in (0, -1)]
            yield f"borders of axis {axis}: {touched}"
    yield f"overlap: {bool((reference & prediction).any())}, same: {np.array_equal(reference, prediction)}"


def _distances(reference: Mask, prediction: Mask, spacing: tuple[float, ...]) -> tuple[Any, Any]:
    """Directed distances between border voxels, each against each."""
    borders = [
        [at for at in zip(*np.nonzero(mask), strict=True) if _on_border(mask, at)] for mask in (reference, prediction)
    ]
    each = cdist(*(np.array(border, dtype=float) * spacing for border in borders))
    return each.min(axis=1), each.min(axis=0)


def _on_border(mask: Mask, at: tuple[int, ...]) -> bool:
    for axis in range(mask.ndim):
        for step in (-1, 1):
            near = [*at]
            near[axis] += step
            if not 0 <= near[axis] < mask.shape[axis] or not mask[tuple(near)]:
                return True
    return False


def _components(mask: Mask) -> list[set[tuple[int, ...]]]:
    """Components by flood fill over all neighbours that share a corner."""
    left, found = {tuple(int(i) for i in at) for at in np.argwhere(mask)}, []
    while left:
        queue, component = [left.pop()], set()
        while queue:
            at = queue.pop()
            component.add(at)
            steps = (tuple(a + s - 1 for a, s in zip(at, step, strict=True)) for step in np.ndindex(3, 3, 3))
            near = [voxel for voxel in steps if voxel in left]
            left.difference_update(near)
            queue.extend(near)
        found.append(component)
    return found


def _expected_overlap(reference: Mask, prediction: Mask) -> tuple[float, float]:
    if not reference.any() and not prediction.any():
        return 1.0, 1.0
    return dc(prediction, reference), jc(prediction, reference)


def _expected_surfaces(reference: Mask, prediction: Mask, spacing: tuple[float, ...]) -> tuple[float, float]:
    if not reference.any() or not prediction.any():
        return np.nan, np.nan
    return hd95(prediction, reference, spacing), assd(prediction, reference, spacing)


def _by_brute_force(reference: Mask, prediction: Mask, spacing: tuple[float, ...]) -> tuple[list[float], float]:
    """HD95, ASD and NSD at 1 and 2 mm, and HD95 in the other convention."""
    if not reference.any() or not prediction.any():
        return [np.nan, np.nan, *[float(reference.any() == prediction.any())] * 2], np.nan
    directed = _distances(reference, prediction, spacing)
    pooled = np.concatenate(directed)
    shares = [float(np.mean(pooled <= tolerance + 1e-6)) for tolerance in (1, 2)]
    larger = max(float(np.percentile(distances, 95)) for distances in directed)
    return [float(np.percentile(pooled, 95)), float(pooled.mean()), *shares], larger


def _expected_lesions(reference: Mask, prediction: Mask) -> list[float]:
    lesions, guesses = _components(reference), _components(prediction)
    if not lesions and not guesses:
        return [1.0, 1.0, 1.0]
    found = sum(any(prediction[at] for at in lesion) for lesion in lesions)
    right = sum(any(reference[at] for at in guess) for guess in guesses)
    recall, precision = found / max(len(lesions), 1), right / max(len(guesses), 1)
    return [recall, precision, 2 * recall * precision / (recall + precision) if found else 0.0]


@pytest.mark.parametrize("many", [surface_distances.MANY, 0], ids=["few look-ups", "many look-ups"])
def test_five_hundred_random_pairs_equal_independent_references(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small masks are scored in both ways that the number of look-ups decides between."""
    monkeypatch.setattr(surface_distances, "MANY", many)
    kinds = set()
    for reference, prediction, spacing in _pairs():
        kinds.update(_kinds(reference, prediction))
        scores = evaluate_case(reference, prediction, key=KEY, spacing=spacing)
        volume = scores.volume
        dices = []
        for row, mine, theirs in zip(scores.slices, reference, prediction, strict=True):
            expected = [*_expected_overlap(mine, theirs), *_expected_surfaces(mine, theirs, spacing[1:])]
            actual = [row[name] for name in ("dice", "iou", "hd95_mm", "asd_mm")]
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)
            _check_surface_scores(mine, theirs, spacing[1:])
            dices.append(expected[0])
        assert volume["average_dice"] == pytest.approx(np.mean(dices), abs=1e-12)
        assert volume["volumetric_dice"] == pytest.approx(_expected_overlap(reference, prediction)[0], abs=1e-12)
        np.testing.assert_allclose(
            [volume["volumetric_hd95_mm"], volume["volumetric_asd_mm"]],
            _expected_surfaces(reference, prediction, spacing),
            rtol=0,
            atol=1e-6,
        )
        _check_surface_scores(reference, prediction, spacing)
        lesions = [volume[f"lesion_{name}"] for name in ("recall", "precision", "f1")]
        assert lesions == pytest.approx(_expected_lesions(reference, prediction), abs=1e-12)
    assert kinds >= EVERY_KIND


def _check_surface_scores(reference: Mask, prediction: Mask, spacing: tuple[float, ...]) -> None:
    """A volume, or a slice as the volume that has no other."""
    expected, larger = _by_brute_force(reference, prediction, spacing)
    if reference.ndim == 2:
        reference, prediction, spacing = reference[None], prediction[None], (9.0, *spacing)
    scores = volume_surface_scores(reference, prediction, spacing)
    np.testing.assert_allclose([scores[name] for name in SURFACE_SCORES], expected, rtol=0, atol=1e-9)
    scores = volume_surface_scores(reference, prediction, spacing, rules=LARGER)
    np.testing.assert_allclose(scores["volumetric_hd95_mm"], larger, rtol=0, atol=1e-9)
