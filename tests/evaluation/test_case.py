from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from medpy.metric import assd, dc, hd95, jc
from numpy.typing import NDArray

from spd_bench.evaluation.case import CaseKey, evaluate_case
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import write_volume

KEY = CaseKey(dataset="TI", method="spd", fold=2, case="a_0000_b")
SPACING = (5.0, 0.7, 1.3)


def _masks(seed: int = 0) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """A pair of masks (z, y, x) with slices of each kind: both empty, one empty, none empty."""
    rng = np.random.default_rng(seed)
    reference, prediction = rng.random((2, 6, 9, 11)) < 0.4
    reference[[0, 1]] = False
    prediction[[0, 2]] = False
    return reference, prediction


def _expected_slice(
    reference: NDArray[np.bool_], prediction: NDArray[np.bool_], spacing: tuple[float, ...]
) -> list[float]:
    if not reference.any() and not prediction.any():
        return [1.0, 1.0, np.nan, np.nan]
    if not reference.any() or not prediction.any():
        return [0.0, 0.0, np.nan, np.nan]
    return [
        dc(prediction, reference),
        jc(prediction, reference),
        hd95(prediction, reference, voxelspacing=spacing),
        assd(prediction, reference, voxelspacing=spacing),
    ]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_slice_equals_medpy_along_every_axis(axis: int) -> None:
    reference, prediction = _masks()
    in_plane = tuple(np.delete(SPACING, axis))
    rows = evaluate_case(reference, prediction, key=KEY, spacing=SPACING, slice_axis=axis).slices
    assert [row["slice"] for row in rows] == list(range(reference.shape[axis]))
    for index, row in enumerate(rows):
        mine, theirs = reference.take(index, axis), prediction.take(index, axis)
        scores = [row[name] for name in ("dice", "iou", "hd95_mm", "asd_mm")]
        np.testing.assert_allclose(scores, _expected_slice(mine, theirs, in_plane), atol=1e-6)
        assert (row["reference_pixels"], row["prediction_pixels"]) == (mine.sum(), theirs.sum())


def test_volume_row_holds_dice_of_all_voxels_and_mean_of_all_slices() -> None:
    reference, prediction = _masks()
    volume = evaluate_case(reference, prediction, key=KEY, spacing=SPACING).volume
    dices = [_expected_slice(*pair, (1.0, 1.0))[0] for pair in zip(reference, prediction, strict=True)]
    assert volume["volumetric_dice"] == pytest.approx(dc(prediction, reference), abs=1e-12)
    assert volume["average_dice"] == pytest.approx(sum(dices) / 6, abs=1e-12)
    assert (volume["slices"], volume["foreground_slices"]) == (6, 4)
    assert list(volume)[:4] == ["dataset", "method", "fold", "case"]
    assert list(volume.values())[:4] == ["TI", "spd", 2, "a_0000_b"]


@pytest.mark.parametrize(("reference_filled", "prediction_filled", "score"), [(0, 0, 1.0), (1, 0, 0.0), (0, 1, 0.0)])
def test_empty_volumes_follow_the_rule(reference_filled: int, prediction_filled: int, score: float) -> None:
    shape = (3, 4, 5)
    volume = evaluate_case(
        np.full(shape, bool(reference_filled)), np.full(shape, bool(prediction_filled)), key=KEY, spacing=SPACING
    ).volume
    assert volume["volumetric_dice"] == volume["average_dice"] == score


def test_spacing_scales_distances_in_plane_only() -> None:
    reference, prediction = _masks()
    once = evaluate_case(reference, prediction, key=KEY, spacing=(5.0, 1.0, 1.0)).slices
    doubled = evaluate_case(reference, prediction, key=KEY, spacing=(50.0, 2.0, 2.0)).slices
    np.testing.assert_allclose([row["hd95_mm"] for row in doubled], [2 * row["hd95_mm"] for row in once])


def test_unfitting_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot score"):
        evaluate_case(np.ones((2, 3, 4), bool), np.ones((2, 3, 5), bool), key=KEY, spacing=SPACING)
    with pytest.raises(ValueError, match="axis 3"):
        evaluate_case(np.ones((2, 3, 4), bool), np.ones((2, 3, 4), bool), key=KEY, spacing=SPACING, slice_axis=3)


def test_volumetric_dice_equals_nnunet_compute_metrics(tmp_path: Path) -> None:
    from nnunetv2.evaluation.evaluate_predictions import compute_metrics
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    for seed in range(3):
        reference, prediction = _masks(seed)
        geometry = VolumeGeometry(shape=(6, 9, 11), spacing=SPACING)
        files = [tmp_path / f"{name}{seed}.nii.gz" for name in ("reference", "prediction")]
        for file, mask in zip(files, (reference, prediction), strict=True):
            write_volume(file, mask.astype(np.uint8), geometry)
        theirs = compute_metrics(str(files[0]), str(files[1]), SimpleITKIO(), [1])["metrics"][1]
        ours = evaluate_case(reference, prediction, key=KEY, spacing=SPACING)
        assert ours.volume["volumetric_dice"] == pytest.approx(theirs["Dice"], abs=1e-12)
        assert sum(row["reference_pixels"] for row in ours.slices) == theirs["n_ref"]
