from __future__ import annotations

import numpy as np
import pytest

from spd_bench.phantoms.walks import WalkSettings, random_walk, resample_course, spline_course

REGION = WalkSettings(centre=(0, 0, 0), radii=(60, 50, 40), step=5.0, clearance=15.0)


def _walk(seed: int, obstacles: np.ndarray) -> np.ndarray:
    return random_walk(
        np.random.default_rng(seed),
        start=(0, 0, 0),
        heading=(1, 0, 0),
        length=150,
        settings=REGION,
        obstacles=obstacles,
    )


def test_walk_has_even_steps_and_the_asked_length() -> None:
    steps = np.linalg.norm(np.diff(_walk(0, np.zeros((0, 3))), axis=0), axis=1)
    np.testing.assert_allclose(steps, 5.0)
    assert steps.sum() == pytest.approx(150)


def test_walks_stay_in_their_region() -> None:
    for seed in range(5):
        level = np.linalg.norm(_walk(seed, np.zeros((0, 3))) / (60, 50, 40), axis=1)
        assert level.max() < 1.25


def test_walks_keep_away_from_obstacles_better_than_chance() -> None:
    wall = np.stack([np.full(200, 20.0), *np.random.default_rng(0).uniform(-40, 40, (2, 200))], axis=1)

    def near(walk: np.ndarray) -> float:
        return float((np.linalg.norm(walk[:, None] - wall, axis=2).min(axis=1) < 8).mean())

    avoiding = np.mean([near(_walk(seed, wall)) for seed in range(6)])
    unaware = np.mean([near(_walk(seed, np.zeros((0, 3)))) for seed in range(6)])
    assert avoiding < 0.6 * unaware


def test_spline_passes_through_its_landmarks() -> None:
    landmarks = np.array([[0.0, 0, 0], [30, 10, 0], [40, 50, 20], [0, 60, 40]])
    course = spline_course(landmarks, step=1.0)
    away = np.linalg.norm(course[:, None] - landmarks, axis=2).min(axis=0)
    assert away.max() < 1.0


def test_resampling_keeps_ends_and_spacing() -> None:
    course = np.array([[0.0, 0, 0], [10, 0, 0], [10, 20, 0]])
    points = resample_course(course, step=2.0)
    np.testing.assert_allclose(points[[0, -1]], course[[0, -1]])
    np.testing.assert_allclose(np.linalg.norm(np.diff(points, axis=0), axis=1), 2.0)


def test_settings_refuse_a_step_of_zero() -> None:
    with pytest.raises(ValueError, match="step must be positive, got 0"):
        WalkSettings(centre=(0, 0, 0), radii=(1, 1, 1), step=0)
