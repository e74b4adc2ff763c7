"""Against brute force over all pairs of voxels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from spd_bench.prompts.medial import medial_paths


def _brute_force_depth(piece: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    padded = np.pad(piece, 1)
    outside = np.argwhere(~padded) * spacing
    depth = np.zeros(padded.shape)
    for voxel in np.argwhere(padded):
        depth[tuple(voxel)] = np.sqrt(((outside - voxel * np.asarray(spacing)) ** 2).sum(axis=1)).min()
    return depth[1:-1, 1:-1]


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.5, 0.6)])
def test_points_lie_deepest_in_their_piece_and_radii_are_the_depth(spacing: tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    mask = ndimage.gaussian_filter(rng.normal(size=(6, 24, 24)), (0.5, 2, 2)) > 0.05
    found = 0
    for path in medial_paths(mask, spacing):
        for index, (row, column), radius in zip(path.slices, path.positions, path.radii, strict=True):
            pieces, _ = ndimage.label(mask[index], structure=np.ones((3, 3)))
            depth = _brute_force_depth(pieces == pieces[row, column], spacing)
            assert mask[index, row, column]
            assert depth[row, column] == pytest.approx(depth.max())
            assert radius == pytest.approx(depth.max())
            found += 1
    assert found == sum(ndimage.label(image, structure=np.ones((3, 3)))[1] for image in mask)


def test_a_component_is_one_path_even_where_a_slice_cuts_it_in_two() -> None:
    mask = np.zeros((4, 5, 11), dtype=bool)
    mask[:3, 1:4, 1:4] = mask[:3, 1:4, 7:10] = True
    mask[3, 1:4, 1:10] = True
    (path,) = medial_paths(mask, (1.0, 1.0))
    assert path.slices.tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert path.positions.tolist() == [[2, 2], [2, 8]] * 3 + [[2, 5]]


def test_components_are_paths_of_their_own() -> None:
    mask = np.zeros((5, 9, 9), dtype=bool)
    mask[0, 1:4, 1:4] = mask[3:, 5:8, 5:8] = True
    first, second = medial_paths(mask, (1.0, 1.0))
    assert (len(first), len(second)) == (1, 2)
    assert second.slices.tolist() == [3, 4]


def test_the_border_of_the_volume_is_a_border() -> None:
    (path,) = medial_paths(np.ones((1, 5, 9), dtype=bool), (1.0, 1.0))
    assert path.positions.tolist() == [[2, 4]]
    assert path.radii.tolist() == [3.0]


def test_a_single_voxel_is_its_own_medial_point() -> None:
    mask = np.zeros((3, 4, 5), dtype=bool)
    mask[1, 3, 0] = True
    (path,) = medial_paths(mask, (2.0, 0.5))
    assert (path.slices.tolist(), path.positions.tolist(), path.radii.tolist()) == ([1], [[3, 0]], [0.5])


def test_an_empty_mask_has_no_paths() -> None:
    assert list(medial_paths(np.zeros((3, 4, 5), dtype=bool), (1.0, 1.0))) == []
