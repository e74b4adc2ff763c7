from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.pretraining_batches import BatchSettings, SceneBatches, prompts_for
from benchmarks.pretraining_prompts import (
    PromptPlan,
    clean_plan,
    draw_box,
    draw_plan,
    draw_points,
    draw_rough_mask,
)


def square(side: int = 64) -> np.ndarray:
    mask = np.zeros((side, side), dtype=bool)
    mask[20:36, 10:30] = True
    return mask


def settings(**changes: object) -> BatchSettings:
    base = {"seed": 1, "batch_size": 2, "prompts": 3, "sides": ((32, 0.5), (64, 0.5)), "steps": 10}
    return BatchSettings(**{**base, **changes})  # type: ignore[arg-type]


def inside(points: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return mask[points[:, 1], points[:, 0]]


@pytest.mark.parametrize("count", [1, 3, 8, 16])
def test_clean_points_lie_inside(count: int) -> None:
    points = draw_points(np.random.default_rng(0), square(), clean_plan("points", count))
    assert points.shape == (count, 2)
    assert inside(points, square()).all()


def test_clean_points_may_be_more_than_the_target_has_pixels() -> None:
    mask = np.zeros((16, 16), dtype=bool)
    mask[4, 7] = True
    points = draw_points(np.random.default_rng(0), mask, clean_plan("points", 5))
    np.testing.assert_array_equal(points, [[7, 4]] * 5)


def test_as_many_points_as_asked_for_lie_outside() -> None:
    random = np.random.default_rng(0)
    plan = PromptPlan(kind="points", points=16, outside=0.4, jitter=0.0)
    shares = [1 - inside(draw_points(random, square(), plan), square()).mean() for _ in range(100)]
    assert np.mean(shares) == pytest.approx(0.4, abs=0.04)


def test_noisy_points_stay_in_the_image() -> None:
    mask = np.zeros((32, 32), dtype=bool)
    mask[:6, 26:] = True
    plan = PromptPlan(kind="points", points=200, outside=0.4, jitter=3.0)
    points = draw_points(np.random.default_rng(0), mask, plan)
    assert points.min() >= 0
    assert points.max() <= 31


def test_plans_cover_one_to_sixteen_points_boxes_and_masks_clean_and_noisy() -> None:
    random = np.random.default_rng(0)
    plans = [draw_plan(random) for _ in range(1500)]
    points = [plan for plan in plans if plan.kind == "points"]
    assert {plan.points for plan in points} == set(range(1, 17))
    assert {plan.kind for plan in plans} == {"points", "box", "mask"}
    assert 0.3 < np.mean([plan.jitter == 0 for plan in points]) < 0.7
    assert max(plan.outside for plan in points) <= 0.4
    assert all(plan.outside == 0 for plan in points if plan.points == 1)


def test_a_clean_box_is_the_tight_one_and_a_noisy_one_is_near_it() -> None:
    random = np.random.default_rng(0)
    np.testing.assert_array_equal(draw_box(random, square(), clean_plan("box", 0)), [10, 20, 29, 35])
    plan = PromptPlan(kind="box", points=0, outside=0.0, jitter=0.3)
    boxes = np.stack([draw_box(random, square(), plan) for _ in range(50)])
    assert np.abs(boxes - [10, 20, 29, 35]).max() <= 0.3 * 20
    assert boxes.std(axis=0).min() > 0.5


def test_a_rough_mask_has_the_decoder_s_size_and_covers_the_target() -> None:
    rough = draw_rough_mask(np.random.default_rng(0), square(), 32)
    assert rough.shape == (32, 32)
    assert rough[14, 10] > 0
    assert rough[30, 30] < 0


def test_prompts_of_a_batch_answer_their_own_targets() -> None:
    masks = [square(), np.roll(square(), 12, axis=1)]
    prompts = prompts_for(np.random.default_rng(0), masks, clean_plan("points", 4))
    assert prompts.points is not None
    assert prompts.masks.tolist() == np.stack(masks).astype(float).tolist()
    for points, mask in zip(prompts.points.numpy().astype(int), masks, strict=True):
        assert inside(points, mask).all()


def test_a_batch_is_the_same_however_often_and_wherever_it_is_asked_for() -> None:
    one, two = SceneBatches(settings())[6], SceneBatches(settings())[6]
    torch.testing.assert_close(one.images, two.images, rtol=0, atol=0)
    for first, second in zip(one.prompts, two.prompts, strict=True):
        torch.testing.assert_close(first.masks, second.masks, rtol=0, atol=0)
        assert (first.points is None) == (second.points is None)
        if first.points is not None:
            torch.testing.assert_close(first.points, second.points, rtol=0, atol=0)
    assert not torch.equal(one.images, SceneBatches(settings(seed=2))[6].images)
    assert not torch.equal(one.images, SceneBatches(settings())[7].images)


def test_sides_follow_their_shares_of_the_steps() -> None:
    assert [settings().side_at(step) for step in (0, 4, 5, 9)] == [32, 32, 64, 64]
    batch = SceneBatches(settings())[5]
    assert batch.images.shape == (2, 3, 64, 64)
    assert len(batch.prompts) == 3
    assert torch.equal(batch.images[:, 0], batch.images[:, 2])
