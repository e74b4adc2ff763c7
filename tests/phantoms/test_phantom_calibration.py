"""The sparsity, contrast and prompt noise that the phantoms were calibrated to, on a few cases each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from spd_bench.phantoms import Phantom, make_phantom

CASES = {"TI": 10, "SCAR": 20, "FUMPE": 7, "KiTS": 4}
SIZES = {"TI": 96, "SCAR": 128, "FUMPE": 96, "KiTS": 64}


@dataclass(frozen=True)
class Measured:
    """What is counted on a set of phantoms; shares of slices and points are over all cases together."""

    foreground_slices: float
    voxel_share: float
    median_ml: float
    empty_cases: int
    points_inside: float
    target_slices_without_point: float
    empty_slices_with_point: float
    contrast: np.ndarray


@cache
def _phantoms(task: str) -> tuple[Phantom, ...]:
    return tuple(make_phantom(task, seed=0, case_number=number, size=SIZES[task]) for number in range(CASES[task]))


@cache
def _measured(task: str) -> Measured:
    phantoms = _phantoms(task)
    target = [phantom.label.any(axis=(1, 2)) for phantom in phantoms]
    points = [phantom.prompts.voxels(phantom.geometry) for phantom in phantoms]
    pointed = [np.isin(np.arange(len(one)), voxels[:, 0]) for one, voxels in zip(target, points, strict=True)]
    inside = [phantom.label[tuple(voxels.T)] for phantom, voxels in zip(phantoms, points, strict=True)]
    filled = [phantom for phantom in phantoms if phantom.label.any()]
    has_target, has_point = np.concatenate(target), np.concatenate(pointed)
    return Measured(
        foreground_slices=float(has_target.mean()),
        voxel_share=float(np.mean([phantom.label.mean() for phantom in phantoms])),
        median_ml=float(np.median([one.label.sum() * np.prod(one.geometry.spacing) for one in filled]) / 1000),
        empty_cases=len(phantoms) - len(filled),
        points_inside=float(np.concatenate(inside).mean()),
        target_slices_without_point=float((~has_point[has_target]).mean()),
        empty_slices_with_point=float(has_point[~has_target].mean()),
        contrast=np.array([_contrast(phantom) for phantom in filled if phantom.look_alikes.any()]),
    )


def _contrast(phantom: Phantom) -> float:
    """Difference of the means of target and look-alikes in standard deviations of the look-alikes."""
    target, others = phantom.image[phantom.label > 0], phantom.image[phantom.look_alikes]
    return float((target.mean() - others.mean()) / others.std())


@pytest.mark.parametrize(
    ("task", "slices", "share", "millilitres"),
    [
        ("TI", (0.20, 0.35), (0.0009, 0.0037), (18, 60)),
        ("SCAR", (0.45, 0.70), (0.001, 0.004), (9, 35)),
        ("FUMPE", (0.15, 0.36), (0.0001, 0.0007), (2.5, 16)),
        ("KiTS", (0.33, 0.48), (0.006, 0.010), (300, 480)),
    ],
)
def test_target_is_as_sparse_as_in_the_real_data(
    task: str, slices: tuple[float, float], share: tuple[float, float], millilitres: tuple[float, float]
) -> None:
    measured = _measured(task)
    assert slices[0] <= measured.foreground_slices <= slices[1]
    assert share[0] <= measured.voxel_share <= share[1]
    assert millilitres[0] <= measured.median_ml <= millilitres[1]


def test_some_scar_cases_are_empty_and_no_bowel_or_kidney_case_is() -> None:
    assert 3 <= _measured("SCAR").empty_cases <= 11
    assert _measured("TI").empty_cases == _measured("KiTS").empty_cases == 0


def test_empty_cases_have_no_prompts() -> None:
    for phantom in _phantoms("SCAR"):
        assert phantom.label.any() or not len(phantom.prompts)


@pytest.mark.parametrize("task", ["TI", "SCAR", "FUMPE"])
def test_target_is_as_bright_as_its_look_alikes(task: str) -> None:
    assert abs(np.median(_measured(task).contrast)) < 0.8


def test_trace_prompts_drift_as_in_the_paper() -> None:
    measured = _measured("TI")
    assert 0.45 <= measured.points_inside <= 0.72
    assert 0.15 <= measured.target_slices_without_point <= 0.40
    assert measured.empty_slices_with_point <= 0.12


def test_clean_trace_lies_inside_the_terminal_ileum() -> None:
    inside = []
    for number in range(3):
        phantom = make_phantom("TI", seed=0, case_number=number, size=96, severity=0.0)
        inside.append(phantom.label[tuple(phantom.prompts.voxels(phantom.geometry).T)])
    assert np.concatenate(inside).mean() > 0.95


def test_trace_goes_on_from_the_terminal_ileum_into_the_colon() -> None:
    for phantom in _phantoms("TI")[:4]:
        assert phantom.trace is not None
        continuous = phantom.geometry.lps_to_voxel(phantom.trace)
        voxels = np.rint(continuous[phantom.geometry.contains(continuous)]).astype(int)
        inside = phantom.label[tuple(voxels.T)].astype(bool)
        first_beyond = int(np.flatnonzero(inside).max()) + 1
        assert inside[:first_beyond].mean() > 0.9
        assert 0.04 < inside.mean() < 0.4
        assert np.linalg.norm(np.diff(phantom.trace, axis=0), axis=1).max() < 15


def test_terminal_ileum_lies_in_the_right_lower_quadrant() -> None:
    centres = np.array([one.geometry.voxel_to_lps(np.argwhere(one.label)).mean(axis=0) for one in _phantoms("TI")])
    # LPS: the patient's right is negative x, and the lower half negative z.
    assert (centres[:, 0] < 0).all()
    assert (centres[:, 2] < 10).all()
    assert centres[:, 0].std() < 25


def test_emboli_are_dark_plugs_in_bright_arteries() -> None:
    for phantom in _phantoms("FUMPE")[:4]:
        if phantom.label.any():
            assert -200 < phantom.image[phantom.label > 0].mean() < 150
    assert np.percentile(_phantoms("FUMPE")[0].image, 99.5) > 200
