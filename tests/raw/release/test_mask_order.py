"""The HU self-check: how masks are placed, scored against brute force, and when it refuses."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from spd_bench.errors import InputError
from spd_bench.phantoms.registry import make_phantom
from spd_bench.raw.release.mask_order import Decision, clear_placement, place_mask, scored_placements
from spd_bench.raw.release.mask_placements import AXES, Placement, possible_placements

DATA = Path(os.environ.get("SPD_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
FILE = Path("PAT001.mat")
GENERATOR = np.random.default_rng(7)


def orders_of(count: int) -> dict[str, np.ndarray]:
    """A scan whose files run head first."""
    up = np.arange(count)
    return {"file": up[::-1], "position": up, "reversed": up[::-1]}


def brute_force_score(placed: np.ndarray, hu: np.ndarray) -> float:
    """Share of -50 to 180 HU in the mask less that within two pixels of it, pixel by pixel."""
    inside, shell = [], []
    for z, y, x in np.ndindex(placed.shape):
        near = [
            placed[z, v, u]
            for v in range(max(y - 2, 0), min(y + 3, placed.shape[1]))
            for u in range(max(x - 2, 0), min(x + 3, placed.shape[2]))
            if (v - y) ** 2 + (u - x) ** 2 <= 4
        ]
        if placed[z, y, x]:
            inside.append(-50 <= hu[z, y, x] <= 180)
        elif any(near):
            shell.append(-50 <= hu[z, y, x] <= 180)
    return np.mean(inside) - np.mean(shell)


def test_score_equals_brute_force_in_every_placement() -> None:
    mask = (GENERATOR.random((4, 9, 9)) > 0.9).astype(np.uint8)
    hu = GENERATOR.integers(-300, 400, mask.shape)
    placements = possible_placements(mask, size=(9, 9), orders=orders_of(4), axes=tuple(AXES))
    assert [one.name for one in placements] == ["file/yx", "file/xy", "position/yx", "position/xy"]
    scored = scored_placements(mask, hu, placements)
    assert [one.score for one in scored] == sorted((one.score for one in scored), reverse=True)
    for one in scored:
        assert one.score == pytest.approx(brute_force_score(one.placement.place(mask), hu), abs=1e-12)


def test_placing_moves_every_voxel_where_order_and_axes_say() -> None:
    mask = (GENERATOR.random((3, 4, 5)) > 0.5).astype(np.uint8)
    positions = np.array([2, 0, 1])
    placed = Placement(order="file", axes="xy", positions=positions).place(mask)
    assert placed.shape == (3, 5, 4)
    for k, x, y in np.ndindex(mask.shape):
        assert placed[positions[k], y, x] == mask[k, x, y]


def test_placements_that_put_the_mask_on_the_same_voxels_count_once() -> None:
    mask = np.zeros((4, 5, 5), dtype=np.uint8)
    mask[1:3, 1:3, 2:4] = 1
    placements = possible_placements(mask, size=(5, 5), orders=orders_of(4), axes=tuple(AXES))
    assert [one.name for one in placements] == ["file/yx", "file/xy"]


def test_axes_that_do_not_fit_the_slices_are_no_candidates() -> None:
    mask = np.ones((2, 4, 6), dtype=np.uint8)
    placements = possible_placements(mask, size=(6, 4), orders=orders_of(2), axes=tuple(AXES))
    assert {one.axes for one in placements} == {"xy"}


@pytest.mark.parametrize(
    ("scores", "voxels", "clear"),
    [
        ((0.7, 0.1), 500, True),
        ((0.31, 0.1), 500, True),
        ((0.29, 0.0), 500, False),
        ((0.7, 0.51), 500, False),
        ((0.7, 0.1), 20, True),
        ((0.7, 0.1), 19, False),
        ((0.7,), 500, True),
        ((0.2,), 500, False),
    ],
)
def test_only_a_good_score_with_a_lead_on_enough_voxels_is_clear(
    scores: tuple[float, ...], voxels: int, clear: bool
) -> None:
    # One row of voxels a slice, so that each slice holds its own share of clot.
    mask = np.zeros((2, 1, 2000), dtype=np.uint8)
    mask[0, 0, :1000] = 1
    hu = np.full(mask.shape, 400)
    for z, score in enumerate(scores):
        hu[z, 0, : round(1000 * score)] = 50
    orders = {"position": np.array([0, 1]), "reversed": np.array([1, 0])}
    placements = possible_placements(mask, size=(1, 2000), orders=orders, axes=("yx",))
    scored = scored_placements(mask, hu, placements[: len(scores)])
    assert [one.score for one in scored] == pytest.approx(list(scores))
    assert (clear_placement(scored, mask_voxels=voxels) is not None) == clear


def test_refusal_tells_the_scores_and_what_to_decide() -> None:
    mask = np.zeros((4, 8, 8), dtype=np.uint8)
    mask[1:3, 1:4, 2:7] = 1
    with pytest.raises(InputError, match=r"HU score file/yx 0\.00, file/xy 0\.00.*--order CASE=file\|position"):
        place_mask(mask, np.full(mask.shape, 50), orders=orders_of(4), decision=Decision(), file=FILE)


def overlapping() -> tuple[np.ndarray, np.ndarray]:
    """A mask of two slices far from the diagonal, and its clot: in the reverse order it still looks like one."""
    mask = np.zeros((2, 30, 30), dtype=np.uint8)
    mask[0, 15:25, 2:12] = 1
    mask[1, 15:25, 5:12] = 1
    return mask, np.where(mask > 0, 50, 400)


UP = np.arange(2)


@pytest.mark.parametrize(
    ("decision", "axes", "told"),
    [
        (
            Decision(),
            "yx",
            "mask slices taken in the order of the slices' positions, mask axes row before column:"
            " found by the HU under the mask",
        ),
        (
            Decision(order="position"),
            "xy",
            "mask slices taken in the order of the slices' positions: by the user's decision;"
            " mask axes column before row: found by the HU under the mask",
        ),
        (
            Decision(order="reversed"),
            "yx",
            "mask slices taken in the reverse order of the slices' positions: by the user's decision,"
            " against the HU under the mask; mask axes row before column: found by the HU under the mask",
        ),
        (
            Decision(axes="xy"),
            "xy",
            "mask axes column before row: by the user's decision;"
            " mask slices taken in the order of the slices' positions: found by the HU under the mask",
        ),
        (
            Decision(order="reversed", axes="yx"),
            "yx",
            "mask slices taken in the reverse order of the slices' positions, mask axes row before column:"
            " by the user's decision, against the HU under the mask",
        ),
    ],
)
def test_each_half_of_a_placement_is_told_as_whose_it_was(decision: Decision, axes: str, told: str) -> None:
    mask, hu = overlapping()
    given = mask if axes == "yx" else mask.transpose(0, 2, 1)
    orders = {"position": UP, "reversed": UP[::-1]}
    placed, sentences = place_mask(given, hu, orders=orders, decision=decision, file=FILE)
    np.testing.assert_array_equal(placed, mask[::-1] if decision.order == "reversed" else mask)
    assert sentences == (told,)


def test_order_of_the_user_is_told_by_the_name_that_was_given() -> None:
    mask, hu = overlapping()
    orders = {"file": UP, "position": UP, "reversed": UP[::-1]}
    _, told = place_mask(mask, hu, orders=orders, decision=Decision(order="position"), file=FILE)
    assert told[0].startswith("mask slices taken in the order of the slices' positions: by the user's decision")


def test_mask_that_fills_its_slices_is_refused() -> None:
    mask = np.ones((4, 5, 5), dtype=np.uint8)
    with pytest.raises(InputError, match="not clear"):
        place_mask(mask, np.full(mask.shape, 50), orders=orders_of(4), decision=Decision(), file=FILE)


def test_empty_mask_is_turned_to_the_volume_without_a_word() -> None:
    mask = np.zeros((4, 5, 6), dtype=np.uint8)
    placed, told = place_mask(mask, np.zeros((4, 6, 5)), orders=orders_of(4), decision=Decision(), file=FILE)
    assert placed.shape == (4, 6, 5)
    assert told == ()


@pytest.mark.parametrize("case_number", [0, 3, 5])
def test_phantoms_are_placed_right_in_every_order_and_axes(case_number: int) -> None:
    phantom = make_phantom("FUMPE", seed=4, case_number=case_number, size=128)
    assert phantom.label.any()
    orders = orders_of(len(phantom.label))
    for order, axes in product(orders, AXES):
        mask = np.empty_like(phantom.label)
        for k, position in enumerate(orders[order]):
            mask[k] = phantom.label[position] if axes == "yx" else phantom.label[position].T
        placed, _ = place_mask(mask, phantom.image, orders=orders, decision=Decision(), file=FILE)
        np.testing.assert_array_equal(placed, phantom.label)


@pytest.fixture(scope="module")
def real_ct() -> tuple[np.ndarray, np.ndarray]:
    """HU and organs of an abdominal CT (z, y, x)."""
    files = [DATA / "kidney_ct" / name for name in ("example_ct_sm.nii.gz", "example_seg.nii.gz")]
    if not all(file.is_file() for file in files):
        pytest.skip("no real data here")
    hu, labels = (sitk.GetArrayFromImage(sitk.ReadImage(str(file))) for file in files)
    return hu, labels


def test_clot_painted_into_the_aorta_of_a_real_scan_is_found(real_ct: tuple[np.ndarray, np.ndarray]) -> None:
    hu, labels = real_ct
    aorta = labels == 52
    z, y, x = np.indices(hu.shape)
    centre = np.argwhere(aorta)[aorta.sum() // 3]
    clot = aorta & ((z - centre[0]) ** 2 + (y - centre[1] - 1) ** 2 + (x - centre[2] - 1) ** 2 <= 9)
    dressed = np.where(clot, 55, np.where(aorta, 350, hu))
    for axes in AXES:
        mask = (clot if axes == "yx" else clot.transpose(0, 2, 1)).astype(np.uint8)[::-1]
        placed, told = place_mask(mask, dressed, orders=orders_of(len(hu)), decision=Decision(), file=FILE)
        np.testing.assert_array_equal(placed, clot)
        assert "file names" in told[0]


def test_organs_of_a_real_scan_without_contrast_are_refused_rather_than_misplaced(
    real_ct: tuple[np.ndarray, np.ndarray],
) -> None:
    hu, labels = real_ct
    refused = []
    for value in np.unique(labels[labels > 0]):
        organ = (labels == value).astype(np.uint8)
        try:
            placed, _ = place_mask(organ[::-1], hu, orders=orders_of(len(hu)), decision=Decision(), file=FILE)
        except InputError:
            refused.append(value)
        else:
            np.testing.assert_array_equal(placed, organ)
    # Lung is no clot.
    assert {10, 11, 14} <= set(refused)
