"""Every metric on 500 random pairs of masks against medpy, brute force and a flood fill."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from medpy.metric import assd, dc, hd95, jc
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from spd_bench.evaluation.case import CaseKey, evaluate_case
from spd_bench.evaluation.rules import ScoringRules

KEY = CaseKey(dataset="TI", method="spd", fold=0, case="a")
PAIRS = 500
Mask = NDArray[np.bool_]


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
        yield reference, prediction, spacing


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


def _expected_lesions(reference: Mask, prediction: Mask) -> list[float]:
    lesions, guesses = _components(reference), _components(prediction)
    if not lesions and not guesses:
        return [1.0, 1.0, 1.0]
    found = sum(any(prediction[at] for at in lesion) for lesion in lesions)
    right = sum(any(reference[at] for at in guess) for guess in guesses)
    recall, precision = found / max(len(lesions), 1), right / max(len(guesses), 1)
    return [recall, precision, 2 * recall * precision / (recall + precision) if found else 0.0]


def test_five_hundred_random_pairs_equal_independent_references() -> None:
    kinds = set()
    for reference, prediction, spacing in _pairs():
        kinds.add((bool(reference.any()), bool(prediction.any())))
        scores = evaluate_case(reference, prediction, key=KEY, spacing=spacing)
        volume = scores.volume
        dices = []
        for row, mine, theirs in zip(scores.slices, reference, prediction, strict=True):
            expected = [*_expected_overlap(mine, theirs), *_expected_surfaces(mine, theirs, spacing[1:])]
            actual = [row[name] for name in ("dice", "iou", "hd95_mm", "asd_mm")]
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)
            dices.append(expected[0])
        assert volume["average_dice"] == pytest.approx(np.mean(dices), abs=1e-12)
        assert volume["volumetric_dice"] == pytest.approx(_expected_overlap(reference, prediction)[0], abs=1e-12)
        np.testing.assert_allclose(
            [volume["volumetric_hd95_mm"], volume["volumetric_asd_mm"]],
            _expected_surfaces(reference, prediction, spacing),
            rtol=0,
            atol=1e-6,
        )
        lesions = [volume[f"lesion_{name}"] for name in ("recall", "precision", "f1")]
        assert lesions == pytest.approx(_expected_lesions(reference, prediction), abs=1e-12)
        _check_surface_shares(reference, prediction, spacing, volume)
    assert len(kinds) == 4


def _check_surface_shares(
    reference: Mask, prediction: Mask, spacing: tuple[float, ...], volume: dict[str, Any]
) -> None:
    shares = [volume["nsd_1mm"], volume["nsd_2mm"]]
    if not reference.any() or not prediction.any():
        assert shares == [float(reference.any() == prediction.any())] * 2
        return
    directed = _distances(reference, prediction, spacing)
    pooled = np.concatenate(directed)
    assert shares == pytest.approx([np.mean(pooled <= 1 + 1e-6), np.mean(pooled <= 2 + 1e-6)], abs=1e-12)
    larger = evaluate_case(reference, prediction, key=KEY, spacing=spacing, rules=ScoringRules(hd95="max")).volume
    expected = max(np.percentile(distances, 95) for distances in directed)
    assert larger["volumetric_hd95_mm"] == pytest.approx(expected, abs=1e-9)
