"""The threshold of CPD chosen on validation cases."""

from __future__ import annotations

import numpy as np
import pytest

from spd_bench.models.distillation import distill_prompts
from spd_bench.models.prompt_quality import NO_PROMPTS, prompt_quality
from spd_bench.training.distilling import CANDIDATE_THRESHOLDS, SalientCase, best_threshold, distill_cases

SIDE, DEPTH = 16, 6


def case(seed: int, *, low: float, high: float) -> SalientCase:
    """Target on the left half with saliency ``high``, elsewhere ``low``; points fall on both halves."""
    generator = np.random.default_rng(seed)
    masks = np.zeros((DEPTH, SIDE, SIDE), dtype=np.uint8)
    masks[:, :, : SIDE // 2] = 1
    points = [generator.integers(0, SIDE, (4, 2)) for _ in range(DEPTH)]
    return SalientCase(saliency=np.where(masks, high, low).astype(np.float32), points=points, masks=masks)


@pytest.mark.parametrize(("low", "high"), [(0.004, 0.02), (0.1, 0.9), (0.97, 0.995)])
def test_the_chosen_threshold_parts_target_from_the_rest_whatever_the_scale(low: float, high: float) -> None:
    cases = {name: case(number, low=low, high=high) for number, name in enumerate("abcd")}
    found = distill_cases(cases.__getitem__, training="ab", validation="cd", threshold=None, context=1)
    assert low <= found.threshold < high
    assert found.distilled.purity == 1
    assert found.distilled.coverage == 1
    assert found.raw.purity is not None
    assert found.raw.purity < 0.8
    assert set(found.points) == set("abcd")
    for name, points in found.points.items():
        expected = distill_prompts(cases[name].saliency, cases[name].points, threshold=found.threshold, context=1)
        assert [array.tolist() for array in points] == [array.tolist() for array in expected]


def test_training_cases_have_no_say() -> None:
    cases = {"train": case(0, low=0.97, high=0.995), "val": case(1, low=0.004, high=0.02)}
    found = distill_cases(cases.__getitem__, training=["train"], validation=["val"], threshold=None, context=0)
    assert found.threshold < 0.02


def test_of_equally_good_thresholds_it_is_the_paper_s() -> None:
    cases = {"a": case(0, low=0.1, high=0.9)}
    found = distill_cases(cases.__getitem__, training=(), validation="a", threshold=None, context=0)
    assert found.threshold == 0.5


def test_where_saliency_rejects_what_is_right_all_points_are_kept() -> None:
    wrong = case(0, low=0.02, high=0.0001)
    found = distill_cases({"a": wrong}.__getitem__, training=(), validation="a", threshold=None, context=0)
    assert found.threshold == 0
    assert found.distilled.points == found.raw.points


def test_a_given_threshold_is_not_questioned() -> None:
    found = distill_cases(
        {"a": case(0, low=0.1, high=0.2)}.__getitem__, training=(), validation="a", threshold=0.7, context=0
    )
    assert (found.threshold, found.distilled.points) == (0.7, 0)


def test_without_a_validation_point_it_is_the_paper_s() -> None:
    nothing = SalientCase(
        saliency=np.zeros((2, 4, 4), np.float32), points=[np.empty((0, 2), int)] * 2, masks=np.ones((2, 4, 4))
    )
    found = distill_cases({"a": nothing}.__getitem__, training=(), validation="a", threshold=None, context=0)
    assert found.threshold == 0.5


def test_candidates_differ_and_are_probabilities() -> None:
    assert len(set(CANDIDATE_THRESHOLDS)) == len(CANDIDATE_THRESHOLDS)
    assert all(0 <= threshold < 1 for threshold in CANDIDATE_THRESHOLDS)


def test_the_first_of_the_best_is_taken() -> None:
    good = prompt_quality([np.array([[0, 0]])], np.ones((1, 2, 2)))
    assert best_threshold({0.9: NO_PROMPTS, 0.5: good, 0.1: good}) == 0.5
