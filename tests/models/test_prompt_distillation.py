from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

import spd_bench
from spd_bench.models.distillation import distill_prompts, slices_with_candidates

NONE = np.empty((0, 2), dtype=np.int64)


def _consensus_by_definition(
    saliency: NDArray[np.float64], points: list[NDArray[np.int64]], tau: float, n: int
) -> list[tuple[set[tuple[int, int]], set[tuple[int, int]]]]:
    """P_loc and P_ctx of each slice, as sets, formula by formula."""

    def survivors(own: int, at: int) -> set[tuple[int, int]]:
        return {(int(x), int(y)) for x, y in points[own] if saliency[own, y, x] > tau and saliency[at, y, x] > tau}

    result = []
    for t in range(len(saliency)):
        local = survivors(t, t)
        context = set()
        for j in range(t - n, t + n + 1):
            if j != t and 0 <= j < len(saliency):
                context |= survivors(j, t)
        result.append((local, context))
    return result


@pytest.mark.parametrize("n", [0, 1, 2, 3, 20])
@pytest.mark.parametrize("tau", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_equals_the_paper_s_sets_on_random_volumes(n: int, tau: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # A coarse scale of values, so that many lie exactly on the threshold.
    saliency = rng.integers(0, 11, size=(9, 6, 4)) / 10
    points = [rng.integers(0, (4, 6), size=(rng.integers(0, 12), 2)) for _ in range(9)]
    result = distill_prompts(saliency, points, threshold=tau, context=n)
    assert len(result) == 9
    for prompts, (local, context) in zip(result, _consensus_by_definition(saliency, points, tau, n), strict=True):
        rows = [(int(x), int(y)) for x, y in prompts]
        assert set(rows) == local | context
        assert len(rows) == len(set(rows))
        assert set(rows[: len(local)]) == local
        assert prompts.dtype == np.int64
        assert prompts.shape == (len(rows), 2)


def test_points_are_copied_n_slices_each_way_and_no_further() -> None:
    points = [NONE, NONE, NONE, np.array([[1, 2]]), NONE, NONE, NONE]
    result = distill_prompts(np.ones((7, 4, 4)), points)
    assert [len(prompts) for prompts in result] == [0, 1, 1, 1, 1, 1, 0]


def test_nothing_wraps_around_at_the_volume_s_ends() -> None:
    first = [np.array([[0, 0]]), NONE, NONE, NONE]
    assert [len(p) for p in distill_prompts(np.ones((4, 2, 2)), first, context=1)] == [1, 1, 0, 0]
    last = [NONE, NONE, NONE, np.array([[0, 0]])]
    assert [len(p) for p in distill_prompts(np.ones((4, 2, 2)), last, context=1)] == [0, 0, 1, 1]


def test_a_point_must_be_salient_in_its_own_slice_and_in_the_target_slice() -> None:
    saliency = np.full((2, 1, 1), 0.9)
    points = [np.array([[0, 0]]), NONE]
    assert [len(p) for p in distill_prompts(saliency, points)] == [1, 1]
    saliency[0] = 0.1
    assert [len(p) for p in distill_prompts(saliency, points)] == [0, 0]
    saliency[:] = [[[0.9]], [[0.1]]]
    assert [len(p) for p in distill_prompts(saliency, points)] == [1, 0]


def test_a_point_exactly_on_the_threshold_is_dropped() -> None:
    points = [np.array([[0, 0]])]
    assert len(distill_prompts(np.full((1, 1, 1), 0.5), points)[0]) == 0
    assert len(distill_prompts(np.full((1, 1, 1), np.nextafter(0.5, 1)), points)[0]) == 1
    assert len(distill_prompts(np.full((1, 1, 1), 0.3, dtype=np.float32), points, threshold=0.3)[0]) == 0


def test_order_is_own_points_then_neighbours_by_slice() -> None:
    points = [np.array([[p, 0], [9, 0]]) for p in range(5)]
    points[2] = np.array([[2, 0], [5, 0], [2, 0]])
    result = distill_prompts(np.ones((5, 1, 10)), points)
    assert result[2].tolist() == [[2, 0], [5, 0], [0, 0], [9, 0], [1, 0], [3, 0], [4, 0]]


def test_points_are_columns_then_rows() -> None:
    saliency = np.zeros((1, 3, 5))
    saliency[0, 1, 4] = 1
    assert distill_prompts(saliency, [np.array([[4, 1]])])[0].tolist() == [[4, 1]]


def test_arguments_are_left_as_they_were() -> None:
    saliency, points = np.ones((2, 3, 3)), [np.array([[1, 1], [1, 1]], dtype=np.uint8), NONE]
    distill_prompts(saliency, points)
    assert saliency.min() == 1
    assert points[0].tolist() == [[1, 1], [1, 1]]


def test_no_points_and_empty_lists_give_empty_arrays() -> None:
    assert [p.shape for p in distill_prompts(np.ones((2, 3, 3)), [NONE, NONE])] == [(0, 2), (0, 2)]
    assert [p.shape for p in distill_prompts(np.ones((2, 3, 3)), [[], np.empty((0, 2))])] == [(0, 2), (0, 2)]


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ([[[3, 0]], []], r"\(3, 0\) in slice 0"),
        ([[], [[0, 4]]], r"\(0, 4\) in slice 1"),
        ([[], [[0, 0], [-1, 0]]], r"\(-1, 0\) in slice 1"),
        ([[[0, 0, 0]], []], r"\(1, 3\) in slice 0"),
        ([[0, 0], []], r"\(2,\) in slice 0"),
        ([[[0.5, 0]], []], "float64"),
        ([[]], "2 slices, got 1"),
    ],
)
def test_wrong_points_are_refused_with_their_value(points: list[list[list[float]]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        distill_prompts(np.ones((2, 4, 3)), points)


def test_wrong_settings_are_refused_with_their_value() -> None:
    with pytest.raises(ValueError, match=r"\(4, 3\)"):
        distill_prompts(np.ones((4, 3)), [NONE] * 4)
    with pytest.raises(ValueError, match="-1"):
        distill_prompts(np.ones((1, 4, 3)), [NONE], context=-1)
    with pytest.raises(ValueError, match=r"1\.5"):
        distill_prompts(np.ones((1, 4, 3)), [NONE], threshold=1.5)
    with pytest.raises(ValueError, match="nan"):
        distill_prompts(np.ones((1, 4, 3)), [NONE], threshold=float("nan"))


def test_the_package_offers_it_without_importing_torch() -> None:
    assert spd_bench.distill_prompts is distill_prompts
    code = "import sys, spd_bench; spd_bench.distill_prompts; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("context", [0, 1, 3])
def test_saliency_counts_only_on_slices_with_candidates(context: int) -> None:
    generator = np.random.default_rng(context)
    for _ in range(20):
        saliency = generator.random((12, 6, 5))
        points = [generator.integers(0, 5, (int(count), 2)) for count in generator.integers(0, 2, 12)]
        asked = slices_with_candidates(points, context=context)
        blind = np.where(asked[:, None, None], saliency, 1.0)
        for threshold in (0.0, 0.5):
            whole, seen = (
                distill_prompts(values, points, threshold=threshold, context=context) for values in (saliency, blind)
            )
            assert [one.tolist() for one in whole] == [one.tolist() for one in seen]
        near = [any(len(points[j]) for j in range(max(0, t - context), min(12, t + context + 1))) for t in range(12)]
        assert asked.tolist() == near


def test_a_volume_without_slices_or_points_has_no_candidates() -> None:
    assert slices_with_candidates([], context=2).tolist() == []
    assert not slices_with_candidates([[], []], context=2).any()
