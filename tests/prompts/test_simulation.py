"""What the noise does to points, measured on the points; nothing here looks inside the simulation."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from spd_bench.prompts.simulation import NoiseSettings, simulate_prompts
from spd_bench.raw.geometry import VolumeGeometry

DATA = Path(os.environ.get("SPD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
SILENT = {
    setting.name: 0.0
    for setting in fields(NoiseSettings)
    if setting.name.endswith(("_probability", "_share")) or setting.name in ("drift_sd", "jitter_sd")
}


def _ellipsoid(shape: tuple[int, int, int], radii: tuple[float, float, float]) -> np.ndarray:
    grid = np.indices(shape)
    return sum(((grid[i] - (shape[i] - 1) / 2) / radii[i]) ** 2 for i in range(3)) <= 1


def _tube(radius: float) -> np.ndarray:
    mask = np.zeros((50, 56, 56), dtype=bool)
    row, column = np.indices(mask.shape[1:])
    for index in range(5, 45):
        centre = 28 + 10 * np.sin(index / 6), 28 + 10 * np.cos(index / 8)
        mask[index] = (row - centre[0]) ** 2 + (column - centre[1]) ** 2 <= radius**2
    return mask


def _hippocampi() -> list[np.ndarray]:
    files = sorted((DATA / "hippocampus" / "labelsTr").glob("*.nii.gz"))
    return [sitk.GetArrayFromImage(sitk.ReadImage(str(file))) > 0 for file in files]


SHAPES = {
    "ball": lambda: [_ellipsoid((32, 40, 40), (12, 10, 10))],
    "small ball": lambda: [_ellipsoid((20, 24, 24), (7, 4, 4))],
    "flat ellipsoid": lambda: [_ellipsoid((32, 64, 48), (12, 20, 8))],
    "thin tube": lambda: [_tube(4)],
    "thick tube": lambda: [_tube(9)],
    "two balls": lambda: [np.concatenate([_ellipsoid((20, 32, 32), (8, 9, 9))] * 2, axis=2)],
    "hippocampus": _hippocampi,
}


def _grid(mask: np.ndarray, **changes: object) -> VolumeGeometry:
    return VolumeGeometry(**({"shape": mask.shape, "spacing": (1.0, 1.0, 1.0)} | changes))


def _voxels(mask: np.ndarray, *, seed: int = 0, case: str = "a", slice_axis: int = 0, **settings: float) -> np.ndarray:
    geometry = _grid(mask)
    prompts = simulate_prompts(
        mask, geometry, settings=NoiseSettings(**settings), seed=seed, case=case, slice_axis=slice_axis
    )
    return prompts.voxels(geometry)


class _Quality(NamedTuple):
    """Share of points inside, share of target slices with a point, share of empty slices with a point."""

    purity: float
    coverage: float
    stray: float


def _quality(masks: list[np.ndarray], severity: float, seeds: int) -> _Quality:
    counts = np.zeros(6)
    for number, mask in enumerate(masks):
        target = mask.any(axis=(1, 2))
        for seed in range(seeds):
            voxels = _voxels(mask, seed=seed, case=str(number), severity=severity)
            reached = np.isin(np.arange(len(mask)), voxels[:, 0])
            inside = mask[tuple(voxels.T)]
            counts += [
                *(inside.sum(), len(voxels)),
                *((reached & target).sum(), target.sum()),
                *((reached & ~target).sum(), (~target).sum()),
            ]
    return _Quality(*(counts[::2] / np.maximum(counts[1::2], 1)))


@pytest.fixture(params=SHAPES)
def masks(request: pytest.FixtureRequest) -> list[np.ndarray]:
    masks = SHAPES[request.param]()
    if not masks:
        pytest.skip("scanner data absent")
    return masks


def test_the_dial_goes_from_clean_through_usable_to_drifting(masks: list[np.ndarray]) -> None:
    seeds = max(1, 40 // len(masks))
    clean = _quality(masks, 0, 1)
    half, default, more, drifting = (_quality(masks, severity, seeds) for severity in (0.5, 1, 1.5, 2))
    assert clean == (1, 1, 0)
    assert 0.80 <= default.purity <= 0.90
    assert 0.80 <= default.coverage <= 0.90
    assert clean.purity > half.purity > default.purity > more.purity > drifting.purity
    assert clean.coverage > half.coverage > default.coverage > more.coverage > drifting.coverage
    assert clean.stray < half.stray < default.stray < drifting.stray
    assert drifting.purity < default.purity - 0.3


def test_without_noise_every_piece_of_every_slice_has_its_medial_point(masks: list[np.ndarray]) -> None:
    mask = masks[0]
    voxels = _voxels(mask, severity=0)
    for index, image in enumerate(mask):
        pieces, count = ndimage.label(image, structure=np.ones((3, 3)))
        here = voxels[voxels[:, 0] == index]
        assert sorted(pieces[tuple(here[:, 1:].T)]) == list(range(1, count + 1))
        depth = ndimage.distance_transform_edt(np.pad(image, 1))[1:-1, 1:-1]
        deepest = ndimage.maximum(depth, pieces, pieces[tuple(here[:, 1:].T)])
        np.testing.assert_allclose(depth[tuple(here[:, 1:].T)], deepest)


def test_seed_and_case_decide_the_points_and_nothing_else() -> None:
    mask = _tube(5)
    first = _voxels(mask, seed=4, case="a")
    np.random.default_rng(0).normal()
    np.testing.assert_array_equal(first, _voxels(mask, seed=4, case="a"))
    assert not np.array_equal(first, _voxels(mask, seed=5, case="a"))
    assert not np.array_equal(first, _voxels(mask, seed=4, case="b"))


@pytest.mark.parametrize("axis", [1, 2])
def test_points_turn_with_the_volume(axis: int) -> None:
    mask, spacing = _tube(6), (4.0, 0.8, 1.1)
    upright = simulate_prompts(mask, _grid(mask, spacing=spacing), settings=NoiseSettings(), seed=1, case="a")
    turned_mask = np.moveaxis(mask, 0, axis)
    geometry = _grid(turned_mask, spacing=tuple(np.insert(spacing[1:], axis, spacing[0])))
    turned = simulate_prompts(turned_mask, geometry, settings=NoiseSettings(), seed=1, case="a", slice_axis=axis)
    expected = upright.voxels(_grid(mask, spacing=spacing))
    np.testing.assert_array_equal(turned.voxels(geometry), np.insert(expected[:, 1:], axis, expected[:, 0], axis=1))


def test_points_stay_in_a_volume_that_the_target_fills() -> None:
    mask = np.ones((6, 10, 12), dtype=bool)
    for seed in range(20):
        voxels = _voxels(mask, seed=seed, severity=4)
        assert (voxels >= 0).all()
        assert (voxels < mask.shape).all()


def test_an_empty_mask_has_no_points() -> None:
    assert _voxels(np.zeros((4, 5, 6), dtype=bool), severity=2).shape == (0, 3)


def test_a_single_voxel_target_is_no_trouble() -> None:
    mask = np.zeros((4, 5, 6), dtype=bool)
    mask[0, 0, 5] = True
    for seed in range(20):
        assert (_voxels(mask, seed=seed, severity=2) < mask.shape).all()


@pytest.mark.parametrize(("severity", "sd"), [(1.0, 0.4), (2.0, 1.5)])
def test_drift_has_its_sd_in_radii_and_hangs_together_over_slices(severity: float, sd: float) -> None:
    mask, radius = np.zeros((60, 120, 120), dtype=bool), 10
    row, column = np.indices(mask.shape[1:])
    mask[:] = (row - 60) ** 2 + (column - 60) ** 2 < radius**2
    drift = np.stack(
        [_voxels(mask, seed=seed, severity=severity, **(SILENT | {"drift_sd": 0.4})) for seed in range(25)]
    )
    offset = (drift[:, :, 1:] - 60) / radius
    assert np.sqrt((offset**2).sum(axis=2).mean()) == pytest.approx(sd, rel=0.1)
    neighbours = np.corrcoef(offset[:, 1:].ravel(), offset[:, :-1].ravel())[0, 1]
    assert neighbours == pytest.approx(0.85, abs=0.05)
    assert np.sqrt((offset[:, 0] ** 2).sum(axis=1).mean()) == pytest.approx(sd, rel=0.35)


def test_jitter_is_independent_and_grows_with_the_severity() -> None:
    mask, radius = np.zeros((60, 60, 60), dtype=bool), 12
    row, column = np.indices(mask.shape[1:])
    mask[:] = (row - 30) ** 2 + (column - 30) ** 2 < radius**2
    for severity in (1.0, 2.0):
        points = [_voxels(mask, seed=seed, severity=severity, **(SILENT | {"jitter_sd": 0.35})) for seed in range(20)]
        offset = (np.stack(points)[:, :, 1:] - 30) / radius
        assert np.sqrt((offset**2).sum(axis=2).mean()) == pytest.approx(0.35 * severity, rel=0.1)
        assert abs(np.corrcoef(offset[:, 1:].ravel(), offset[:, :-1].ravel())[0, 1]) < 0.08


def test_noise_is_isotropic_in_mm_where_pixels_are_not_square() -> None:
    mask = np.zeros((40, 60, 240), dtype=bool)
    row, column = np.indices(mask.shape[1:])
    mask[:] = ((row - 30) * 2.0) ** 2 + ((column - 120) * 0.5) ** 2 < 16**2
    geometry = _grid(mask, spacing=(5.0, 2.0, 0.5))
    settings = NoiseSettings(**(SILENT | {"jitter_sd": 0.35}))
    voxels = np.concatenate(
        [simulate_prompts(mask, geometry, settings=settings, seed=s, case="a").voxels(geometry) for s in range(20)]
    )
    assert (voxels[:, 1].std() * 2.0) == pytest.approx(voxels[:, 2].std() * 0.5, rel=0.1)


def _long_tube() -> np.ndarray:
    mask = np.zeros((220, 24, 24), dtype=bool)
    mask[10:210, 8:15, 8:15] = True
    return mask


def test_dropped_points_are_single_and_gaps_are_runs() -> None:
    mask = _long_tube()
    runs = {}
    for name in ("drop_probability", "gap_probability"):
        lengths: list[int] = []
        for seed in range(10):
            voxels = _voxels(mask, seed=seed, **(SILENT | {name: 0.05}))
            missing, count = ndimage.label(~np.isin(np.arange(10, 210), voxels[:, 0]))
            lengths += np.bincount(missing, minlength=count + 1)[1:].tolist()
            assert mask[tuple(voxels.T)].all()
        runs[name] = lengths
    assert np.mean(runs["drop_probability"]) == pytest.approx(1.05, abs=0.15)
    assert sum(runs["drop_probability"]) / 2000 == pytest.approx(0.05, abs=0.02)
    assert np.mean(runs["gap_probability"]) == pytest.approx(3.3, abs=0.7)


def test_overrun_continues_the_path_beyond_its_ends_in_proportion_to_its_length() -> None:
    mask = np.pad(_long_tube()[:, 7:16, 7:16], ((40, 40), (0, 0), (0, 0)))
    beyond = []
    for seed in range(40):
        voxels = _voxels(mask, seed=seed, **(SILENT | {"overrun_share": 0.03}))
        slices = np.sort(voxels[:, 0])
        np.testing.assert_array_equal(slices, np.arange(slices[0], slices[-1] + 1))
        assert {tuple(point) for point in voxels[:, 1:]} == {(4, 4)}
        beyond += [50 - slices[0], slices[-1] - 249]
    assert min(beyond) >= 0
    assert np.mean(beyond) == pytest.approx(0.03 * 200, rel=0.3)


def test_overrun_ends_at_the_volume() -> None:
    mask = np.zeros((12, 9, 9), dtype=bool)
    mask[1:11, 3:6, 3:6] = True
    for seed in range(10):
        voxels = _voxels(mask, seed=seed, **(SILENT | {"overrun_share": 3.0}))
        assert len(voxels) == len(np.unique(voxels[:, 0])) <= 12


def test_distractors_come_on_top_and_lie_near_the_target_but_outside() -> None:
    mask = _long_tube()
    clean = {tuple(point) for point in _voxels(mask, severity=0)}
    points = {tuple(point) for point in _voxels(mask, **(SILENT | {"distractor_probability": 0.3}))}
    extra = np.array(sorted(points - clean))
    assert clean <= points
    assert len(extra) == pytest.approx(60, abs=25)
    assert not mask[tuple(extra.T)].any()
    depth = ndimage.distance_transform_edt(mask[100]).max()
    distance = ndimage.distance_transform_edt(~mask[100])
    assert distance[tuple(extra[:, 1:].T)].max() <= 2 * depth


def test_points_off_by_one_slice_keep_their_place_in_the_plane() -> None:
    mask = np.zeros((41, 30, 30), dtype=bool)
    for index in range(1, 40, 3):
        mask[index, 10:13, index // 2 : index // 2 + 5] = True
    clean = _voxels(mask, severity=0)
    moved = _voxels(mask, **(SILENT | {"off_by_one_probability": 1.0}))
    np.testing.assert_array_equal(moved[:, 1:], clean[:, 1:])
    assert set(np.abs(moved[:, 0] - clean[:, 0])) == {1}
    assert set(moved[:, 0] - clean[:, 0]) == {-1, 1}


def test_the_file_says_how_the_points_were_made() -> None:
    mask = _tube(5)
    prompts = simulate_prompts(mask, _grid(mask), settings=NoiseSettings(severity=1.5), seed=7, case="x")
    provenance = prompts.provenance
    assert (provenance["simulated"], provenance["seed"], provenance["severity"], provenance["case"]) == (
        True,
        7,
        1.5,
        "x",
    )
    assert provenance["noise"] == {setting.name: setting.default for setting in fields(NoiseSettings)} | {
        "severity": 1.5
    }


def test_another_severity_disturbs_the_same_path_in_the_same_directions() -> None:
    mask = _ellipsoid((20, 120, 120), (12, 20, 20))
    centre = _voxels(mask, severity=0)[:, 1:]
    mild, strong = (
        _voxels(mask, severity=severity, **(SILENT | {"drift_sd": 0.4}))[:, 1:] - centre for severity in (1, 2)
    )
    assert np.corrcoef(mild.ravel(), strong.ravel())[0, 1] > 0.98


@pytest.mark.parametrize(
    "change",
    [
        {"severity": -1},
        {"severity": float("nan")},
        {"drift_sd": float("inf")},
        {"drift_correlation": 1.0},
        {"drop_probability": 1.5},
        {"jitter_sd": -0.1},
        {"gap_slices": 0.5},
    ],
)
def test_impossible_settings_are_refused_with_their_value(change: dict[str, float]) -> None:
    ((name, value),) = change.items()
    with pytest.raises(ValueError, match=rf"{name} must .*{value}"):
        NoiseSettings(**change)


def test_arguments_that_do_not_fit_are_refused() -> None:
    mask = np.zeros((4, 5, 6), dtype=bool)
    with pytest.raises(ValueError, match="shape"):
        simulate_prompts(mask[1:], _grid(mask), settings=NoiseSettings(), seed=0, case="a")
    with pytest.raises(ValueError, match="slice_axis"):
        _voxels(mask, slice_axis=3)
    with pytest.raises(ValueError, match="seed"):
        _voxels(mask, seed=-1)
