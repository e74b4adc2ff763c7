from __future__ import annotations

import numpy as np
import pytest

from spd_bench.models.prompt_quality import PromptQuality, prompt_quality

NONE = np.empty((0, 2), dtype=np.int64)


def test_equals_counting_by_hand_on_random_volumes() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((12, 5, 7)) > 0.7
    masks[::3] = False
    points = [rng.integers(0, (7, 5), size=(rng.integers(0, 3), 2)) for _ in range(12)]
    quality = prompt_quality(points, masks)
    inside = [bool(masks[z, y, x]) for z, slice_points in enumerate(points) for x, y in slice_points]
    reached = [len(points[z]) > 0 for z in range(12) if masks[z].any()]
    empty = [len(points[z]) > 0 for z in range(12) if not masks[z].any()]
    assert quality.purity == pytest.approx(np.mean(inside))
    assert quality.coverage == pytest.approx(np.mean(reached))
    assert quality.prompted_empty_share == pytest.approx(np.mean(empty))


def test_shares_of_nothing_are_none() -> None:
    empty = prompt_quality([NONE, NONE], np.zeros((2, 3, 3)))
    assert (empty.purity, empty.coverage, empty.prompted_empty_share) == (None, None, 0.0)
    full = prompt_quality([NONE, NONE], np.ones((2, 3, 3)))
    assert (full.purity, full.coverage, full.prompted_empty_share) == (None, 0.0, None)


def test_volumes_are_pooled_by_their_counts() -> None:
    one = prompt_quality([np.array([[0, 0]])], np.ones((1, 2, 2)))
    other = prompt_quality([np.array([[0, 0], [1, 0], [1, 1]])], np.zeros((1, 2, 2)))
    assert (one + other).purity == 0.25
    assert one + other == PromptQuality(
        points=4,
        points_inside=1,
        target_slices=1,
        target_slices_with_point=1,
        empty_slices=1,
        empty_slices_with_point=1,
    )


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        prompt_quality([NONE] * 3, np.zeros((3, 3)))
    with pytest.raises(ValueError, match="slice 0"):
        prompt_quality([np.array([[5, 0]])], np.zeros((1, 3, 3)))


def test_the_score_is_the_harmonic_mean_of_purity_and_coverage() -> None:
    quality = prompt_quality(
        [np.array([[0, 0], [1, 0]]), NONE], np.stack([np.array([[1, 0], [1, 1]]), np.ones((2, 2))])
    )
    assert (quality.purity, quality.coverage) == (0.5, 0.5)
    assert quality.score == pytest.approx(0.5)
    pure = prompt_quality([np.array([[0, 0]]), NONE, NONE, NONE], np.ones((4, 2, 2)))
    assert pure.score == pytest.approx(2 / (1 / 1.0 + 1 / 0.25))


@pytest.mark.parametrize("points", [[NONE, NONE], [np.array([[0, 0]]), NONE]])
def test_nothing_inside_scores_nothing(points: list[np.ndarray]) -> None:
    assert prompt_quality(points, np.zeros((2, 3, 3))).score == 0
