"""Points distilled while slices come are those of the whole volume at once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from spd_bench.models.distillation import distill_prompts
from spd_bench.models.prompt_stream import PromptStream

NONE = np.empty((0, 2), dtype=np.int64)


def random_case(seed: int, depth: int) -> tuple[NDArray[np.float32], list[NDArray[np.int64]]]:
    """Few pixels, so that points coincide within and between slices; some slices have no point."""
    generator = np.random.default_rng(seed)
    saliency = generator.random((depth, 4, 5), dtype=np.float32)
    counts = generator.integers(0, 6, depth) * (generator.random(depth) > 0.3)
    return saliency, [generator.integers(0, (5, 4), (count, 2)) for count in counts]


def streamed(
    saliency: NDArray[np.float32], points: list[NDArray[np.int64]], *, threshold: float, context: int
) -> list[NDArray[np.int64]]:
    stream = PromptStream(points, shape=saliency.shape[1:], threshold=threshold, context=context)
    given = []
    for index, image in enumerate(saliency):
        x, y = stream.candidates(index).T
        given += stream.push(image[y, x])
        known = len(saliency) if index == len(saliency) - 1 else max(0, index + 1 - context)
        assert len(given) == known
    return given


@pytest.mark.parametrize("context", [0, 1, 2, 3])
@pytest.mark.parametrize("depth", [1, 2, 5, 12])
def test_gives_the_points_of_the_whole_volume_in_their_order(depth: int, context: int) -> None:
    kept = 0
    for seed in range(40):
        saliency, points = random_case(seed, depth)
        expected = distill_prompts(saliency, points, threshold=0.4, context=context)
        given = streamed(saliency, points, threshold=0.4, context=context)
        assert [array.tolist() for array in given] == [array.tolist() for array in expected]
        assert all(array.shape[1:] == (2,) and array.dtype == np.int64 for array in given)
        kept += sum(map(len, given))
    assert kept > 20


def test_order_by_hand() -> None:
    """Own points first, then those of t - 1 and of t + 1; of equal points the first that counts."""
    points = [np.array([[1, 0], [2, 0]]), np.array([[3, 0], [2, 0], [3, 0]]), np.array([[1, 0], [4, 0]])]
    saliency = np.full((3, 1, 5), 0.9, dtype=np.float32)
    saliency[0, 0, 1] = 0.1  # (1, 0) is invalid where it comes first, so that it comes from slice 2
    given = streamed(saliency, points, threshold=0.5, context=1)
    assert given[1].tolist() == [[3, 0], [2, 0], [1, 0], [4, 0]]


def test_the_threshold_is_exceeded_strictly_in_the_maps_own_precision() -> None:
    points = [np.array([[0, 0]])]
    for value, expected in ((np.float32(0.3), 0), (np.nextafter(np.float32(0.3), np.float32(1)), 1)):
        given = streamed(np.full((1, 1, 1), value, np.float32), points, threshold=0.3, context=2)
        assert len(given[0]) == expected


def test_slices_without_any_point_are_given_in_their_turn() -> None:
    given = streamed(np.ones((3, 2, 2), np.float32), [NONE, [], NONE], threshold=0.5, context=1)
    assert [array.shape for array in given] == [(0, 2)] * 3


def test_holds_no_more_than_a_window() -> None:
    saliency, points = random_case(0, 200)
    stream = PromptStream(points, shape=(4, 5), context=2)
    for index, image in enumerate(saliency):
        x, y = stream.candidates(index).T
        stream.push(image[y, x])
        assert len(stream._own) <= 5
        assert len(stream._confirmed) <= 3


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="got -1"):
        PromptStream([NONE], shape=(4, 4), context=-1)
    with pytest.raises(ValueError, match=r"got 1\.5"):
        PromptStream([NONE], shape=(4, 4), threshold=1.5)
    with pytest.raises(ValueError, match=r"inside the 4 x 3 slice.*\(4, 0\) in slice 1"):
        PromptStream([NONE, np.array([[4, 0]])], shape=(3, 4))
    stream = PromptStream([np.array([[0, 0]])], shape=(4, 4))
    with pytest.raises(ValueError, match="slice 0 of 1 has 1 candidates"):
        stream.push(np.zeros(2))
    stream.push(np.zeros(1))
    with pytest.raises(ValueError, match="slice 1 of 1"):
        stream.push(np.zeros(0))
