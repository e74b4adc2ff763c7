"""Augmentation turns images, masks and points alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from spd_bench.training.augmentation import Augmentation, augment_slices, draw_augmentation, move_points
from spd_bench.training.settings import TrainingSettings

SIZE = 33


def dark(count: int = 1, size: int = SIZE) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (count, 3, size, size) of -1 and empty masks."""
    return torch.full((count, 3, size, size), -1.0), torch.zeros(count, size, size)


def blobs(size: int = SIZE) -> torch.Tensor:
    """A smooth image (1, 1, size, size) in [-1, 1] without symmetry, dark towards its border."""
    y, x = np.mgrid[:size, :size]
    image = np.zeros((size, size))
    for cx, cy, width, height in ((0.35, 0.4, 3.0, 1.0), (0.6, 0.35, 2.0, 0.7), (0.55, 0.65, 2.5, 0.4)):
        image += height * np.exp(-((x - cx * size) ** 2 + (y - cy * size) ** 2) / (2 * width**2))
    return torch.from_numpy(2 * image / image.max() - 1).float()[None, None]


@pytest.mark.parametrize("size", [32, 33])
def test_a_bright_pixel_and_the_point_on_it_move_together(size: int) -> None:
    generator = np.random.default_rng(0)
    settings = TrainingSettings(rotation_degrees=180.0)
    for _ in range(200):
        x, y = generator.integers(size // 4, size - size // 4, 2)
        images, masks = dark(size=size)
        images[:, :, y - 1 : y + 2, x - 1 : x + 2] = -0.9
        images[:, :, y, x] = 1.0
        masks[:, y - 1 : y + 2, x - 1 : x + 2] = 1.0
        augmentation = draw_augmentation(generator, settings)
        turned, mask, (moved,) = augment_slices(images, masks, [np.array([[x, y]])], augmentation)
        assert moved.shape == (1, 2)
        brightest = divmod(int(turned[0, 0].argmax()), size)
        assert max(abs(moved[0, 0] - brightest[1]), abs(moved[0, 1] - brightest[0])) <= 1
        assert mask[0, moved[0, 1], moved[0, 0]] == 1


def test_the_centre_of_mass_of_a_disc_moves_as_its_point_does() -> None:
    generator = np.random.default_rng(1)
    y, x = np.mgrid[:65, :65]
    settings = TrainingSettings(rotation_degrees=90.0)
    for _ in range(50):
        cx, cy = generator.integers(20, 45, 2)
        images, masks = dark(size=65)
        masks[0] = torch.from_numpy(((x - cx) ** 2 + (y - cy) ** 2 <= 25).astype(np.float32))
        augmentation = draw_augmentation(generator, settings)
        _, mask, (moved,) = augment_slices(images, masks, [np.array([[cx, cy]])], augmentation)
        rows, columns = np.nonzero(mask[0].numpy())
        np.testing.assert_allclose([columns.mean(), rows.mean()], moved[0], atol=0.75)


def test_identity_changes_nothing() -> None:
    image, mask = blobs(), (blobs()[:, 0] > 0).float()
    points = np.array([[0, 0], [5, 7], [32, 32]])
    turned, moved_mask, (moved,) = augment_slices(image, mask, [points], Augmentation())
    torch.testing.assert_close(turned, image, atol=1e-5, rtol=0)
    assert torch.equal(moved_mask, mask)
    assert moved.tolist() == points.tolist()


def test_a_flip_mirrors_columns_and_twice_is_the_identity() -> None:
    image, mask = blobs(), (blobs()[:, 0] > 0).float()
    points = np.array([[3, 20], [30, 1]])
    flip = Augmentation(flip=True)
    once, once_mask, once_points = augment_slices(image, mask, [points], flip)
    torch.testing.assert_close(once, torch.flip(image, dims=(-1,)), atol=1e-5, rtol=0)
    assert torch.equal(once_mask, torch.flip(mask, dims=(-1,)))
    assert once_points[0].tolist() == [[2, 1], [29, 20]]
    twice, twice_mask, twice_points = augment_slices(once, once_mask, once_points, flip)
    torch.testing.assert_close(twice, image, atol=1e-5, rtol=0)
    assert torch.equal(twice_mask, mask)
    assert twice_points[0].tolist() == points.tolist()


@pytest.mark.parametrize("degrees", [-140.0, -15.0, 7.5, 90.0])
def test_rotation_is_simpleitks(degrees: float) -> None:
    image = blobs()
    reference = sitk.GetImageFromArray(image[0, 0].numpy())
    centre = ((SIZE - 1) / 2, (SIZE - 1) / 2)
    transform = sitk.Euler2DTransform(centre, math.radians(degrees))
    expected = sitk.GetArrayFromImage(sitk.Resample(reference, reference, transform, sitk.sitkLinear, -1.0))
    turned, _, _ = augment_slices(image, torch.zeros(1, SIZE, SIZE), [np.zeros((0, 2))], Augmentation(degrees=degrees))
    # At the very border SimpleITK stops at the last pixel's centre, torch blends into the fill value.
    inner = slice(2, -2)
    np.testing.assert_allclose(turned[0, 0, inner, inner].numpy(), expected[inner, inner], atol=2e-3)


def test_the_flip_comes_before_the_rotation() -> None:
    image = blobs()
    mask, none = torch.zeros(1, SIZE, SIZE), [np.zeros((0, 2), np.int64)]
    both, _, _ = augment_slices(image, mask, none, Augmentation(degrees=30.0, flip=True))
    flipped = torch.flip(image, dims=(-1,))
    then_turned, _, _ = augment_slices(flipped, mask, none, Augmentation(degrees=30.0))
    torch.testing.assert_close(both, then_turned, atol=1e-5, rtol=0)


def test_what_turns_in_from_outside_is_the_darkest_value_and_no_target() -> None:
    images, masks = torch.ones(1, 3, SIZE, SIZE), torch.ones(1, SIZE, SIZE)
    turned, mask, _ = augment_slices(images, masks, [np.zeros((0, 2))], Augmentation(degrees=45.0))
    assert turned[0, :, 0, 0].tolist() == [-1.0, -1.0, -1.0]
    assert mask[0, 0, 0] == 0
    assert turned.min() >= -1 - 1e-6
    assert turned.max() <= 1 + 1e-6
    assert set(mask.unique().tolist()) <= {0.0, 1.0}


def test_points_that_turn_out_of_the_slice_are_dropped() -> None:
    corners = np.array([[0, 0], [32, 0], [16, 16], [16, 0]])
    moved = move_points(corners, Augmentation(degrees=45.0), SIZE)
    assert len(moved) == 2
    assert [16, 16] in moved.tolist()
    assert ((moved >= 0) & (moved < SIZE)).all()


def test_no_points_stay_no_points() -> None:
    assert move_points(np.zeros((0, 2), np.int64), Augmentation(degrees=10.0), SIZE).shape == (0, 2)


def test_points_that_fall_together_become_one() -> None:
    points = np.array([[x, y] for x in range(10, 20) for y in range(10, 20)])
    moved = move_points(points, Augmentation(degrees=45.0), SIZE)
    assert len(np.unique(moved, axis=0)) == len(moved) < len(points)


def test_slices_of_a_window_share_one_transform() -> None:
    image = blobs()[0]
    window = torch.stack([image, image, image])
    masks = (window[:, 0] > 0).float()
    points = [np.array([[12, 9]])] * 3
    turned, mask, moved = augment_slices(window, masks, points, Augmentation(degrees=11.0, flip=True))
    assert torch.equal(turned[0], turned[1])
    assert torch.equal(turned[1], turned[2])
    assert torch.equal(mask[0], mask[2])
    assert moved[0].tolist() == moved[1].tolist() == moved[2].tolist()


def test_draws_follow_the_settings() -> None:
    generator = np.random.default_rng(0)
    settings = TrainingSettings(rotation_degrees=20.0, flip_probability=0.25)
    drawn = [draw_augmentation(generator, settings) for _ in range(2000)]
    degrees = np.array([one.degrees for one in drawn])
    assert np.abs(degrees).max() <= 20
    assert np.abs(degrees).max() > 19
    assert abs(degrees.mean()) < 1
    assert np.mean([one.flip for one in drawn]) == pytest.approx(0.25, abs=0.04)
    off = TrainingSettings(rotation_degrees=0.0, flip_probability=0.0)
    assert draw_augmentation(generator, off) == Augmentation()
