from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, map_coordinates

from spd_bench.phantoms import PHANTOMS, Phantom, PhantomRequest, make_phantom

TASKS = tuple(PHANTOMS)


def _small(task: str, **changes: float | int | None) -> Phantom:
    options = {"seed": 5, "case_number": 2, "size": 64, "slices": 12} | changes
    return make_phantom(task, **options)


@pytest.fixture(scope="module", params=TASKS)
def pair(request: pytest.FixtureRequest) -> tuple[str, Phantom]:
    return request.param, _small(request.param)


def test_same_request_gives_the_same_case(pair: tuple[str, Phantom]) -> None:
    task, phantom = pair
    again = _small(task)
    np.testing.assert_array_equal(again.image, phantom.image)
    np.testing.assert_array_equal(again.label, phantom.label)
    np.testing.assert_array_equal(again.prompts.positions, phantom.prompts.positions)


def test_cases_and_seeds_differ(pair: tuple[str, Phantom]) -> None:
    task, phantom = pair
    for change in ({"case_number": 3}, {"seed": 6}):
        other = _small(task, **change)
        assert other.image.shape != phantom.image.shape or not np.array_equal(other.image, phantom.image)


def test_severity_moves_the_prompts_only(pair: tuple[str, Phantom]) -> None:
    task, phantom = pair
    noisy = _small(task, severity=2.0)
    np.testing.assert_array_equal(noisy.image, phantom.image)
    np.testing.assert_array_equal(noisy.label, phantom.label)
    if phantom.label.any():
        assert not np.array_equal(noisy.prompts.positions, phantom.prompts.positions)
    assert noisy.prompts.provenance["severity"] == 2.0


def test_arrays_share_the_grid_and_hold_the_agreed_types(pair: tuple[str, Phantom]) -> None:
    _, phantom = pair
    for array, kind in ((phantom.image, np.float32), (phantom.label, np.uint8), (phantom.look_alikes, np.bool_)):
        assert array.shape == phantom.geometry.shape
        assert array.dtype == kind
    assert np.isfinite(phantom.image).all()
    assert set(np.unique(phantom.label)) <= {0, 1}
    assert not (phantom.label.astype(bool) & phantom.look_alikes).any()
    assert len(phantom.prompts.voxels(phantom.geometry)) == len(phantom.prompts)


def test_slices_and_size_change_the_grid_but_not_the_field_of_view(pair: tuple[str, Phantom]) -> None:
    task, phantom = pair
    other = _small(task, size=96, slices=20)
    extent, other_extent = (np.multiply(one.geometry.shape, one.geometry.spacing) for one in (phantom, other))
    np.testing.assert_allclose(other_extent, extent, rtol=0.02)
    assert other.geometry.shape[0] == 20
    assert other.geometry.shape[2] == 96


@pytest.mark.parametrize("task", TASKS)
def test_anatomy_is_the_same_at_twice_the_resolution(task: str) -> None:
    number = next(number for number in range(9) if _small(task, case_number=number).label.any())
    coarse, fine = (_small(task, case_number=number, size=size, slices=24) for size in (80, 160))
    # A voxel of the coarse target holds fine target, but for a pixel at the border.
    grown = binary_dilation(fine.label, structure=np.ones((1, 5, 5)))
    positions = coarse.geometry.voxel_to_lps(np.argwhere(coarse.label))
    found = map_coordinates(grown.astype(np.uint8), fine.geometry.lps_to_voxel(positions).T, order=0)
    assert found.mean() > 0.95
    volumes = [one.label.sum() * np.prod(one.geometry.spacing) for one in (coarse, fine)]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.25)


@pytest.mark.parametrize("task", TASKS)
def test_full_size_is_the_papers_512_pixels(task: str) -> None:
    phantom = make_phantom(task, seed=0, case_number=0, size=512, slices=2)
    assert phantom.geometry.shape[2] == 512
    assert phantom.geometry.shape[1] == (419 if task == "TI" else 512)
    assert phantom.geometry.spacing[2] == pytest.approx(
        {"TI": 0.742, "SCAR": 0.7, "FUMPE": 0.635, "KiTS": 0.781}[task], abs=1e-3
    )


def test_case_names_count_from_zero() -> None:
    request = PhantomRequest(task="TI", seed=0, case_number=7, size=64)
    assert request.case == "TI_007"
    assert dataclasses.replace(request, case_number=1234).case == "TI_1234"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 8}, "size must be at least 32, got 8"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"severity": float("nan")}, "severity must be at least"),
        ({"severity": float("inf")}, "severity must be finite"),
        ({"slices": 1}, "slices must be at least 2, got 1"),
    ],
)
def test_requests_out_of_range_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _small("SCAR", **change)


def test_unknown_task_is_refused() -> None:
    with pytest.raises(ValueError, match="task must be one of TI, SCAR, FUMPE, KiTS, got 'LIVER'"):
        make_phantom("LIVER", seed=0, case_number=0, size=64)
