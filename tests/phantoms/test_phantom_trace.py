from __future__ import annotations

import numpy as np
import pytest

from spd_bench.phantoms.grid import Grid
from spd_bench.phantoms.trace import TraceSettings, noisy_trace_points

GRID = Grid.centred(shape=(40, 100, 120), spacing=(5.0, 3.0, 3.0))
TARGET = np.stack([np.linspace(-60, 0, 50), np.zeros(50), np.linspace(-40, 10, 50)], axis=1)
ONWARD = np.stack([np.zeros(120), np.linspace(0, 40, 120), np.linspace(10, 95, 120)], axis=1)


def _points(seed: int, **settings: float | tuple[float, float]) -> np.ndarray:
    return noisy_trace_points(
        np.random.default_rng(seed),
        GRID,
        target=TARGET,
        onward=ONWARD,
        radius=10.0,
        settings=TraceSettings(**settings),
    )


def _distance(points: np.ndarray, course: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None, :2] - course[None, :, :2], axis=2).min(axis=1)


def test_clean_trace_covers_the_whole_target_and_nothing_else() -> None:
    points = _points(0, severity=0.0)
    assert _distance(points, TARGET).max() < 1.0
    wanted = set(np.rint((TARGET[:, 2] + 97.5) / 5).astype(int))
    assert set(np.rint((points[:, 2] + 97.5) / 5).astype(int)) == wanted


def test_points_lie_on_slices_inside_the_volume() -> None:
    points = _points(1, severity=2.0)
    slices = (points[:, 2] + 97.5) / 5
    np.testing.assert_allclose(slices, np.rint(slices), atol=1e-9)
    assert GRID.geometry.contains(GRID.geometry.lps_to_voxel(points)).all()


@pytest.mark.parametrize(("share", "outcome"), [(0.12, "over-run"), (0.32, "under-run")])
def test_reader_takes_a_fifth_of_the_points(share: float, outcome: str) -> None:
    clean = {"drift_radii": 0.0, "jitter_pixels": (0.0, 0.0), "slice_drift": 0.0, "slice_jitter": 0.0}
    points = _points(0, severity=1.0, target_share=(share, share), spacing_mm=(2.0, 2.0), **clean)
    length = np.linalg.norm(np.diff(TARGET, axis=0), axis=1).sum()
    assert len(points) == pytest.approx(length / 2 * 0.2 / share, abs=2)
    beyond = (points[:, 1] > 1).any()
    assert beyond == (outcome == "over-run")


def test_severity_scales_the_same_displacements() -> None:
    fixed = {"target_share": (0.2, 0.2), "slice_drift": 0.0, "slice_jitter": 0.0}
    clean, mild, strong = (_points(4, severity=severity, **fixed) for severity in (0.0, 0.5, 1.0))
    np.testing.assert_allclose((strong - clean)[:, :2], 2 * (mild - clean)[:, :2], atol=1e-9)
    assert np.abs(strong - clean).max() > 1


def test_settings_refuse_a_negative_severity() -> None:
    with pytest.raises(ValueError, match="severity must not be negative, got -1"):
        TraceSettings(severity=-1)
