from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from medpy.metric import dc
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from scipy.ndimage import map_coordinates

from spd_bench.planning.plan import Plan
from spd_bench.planning.preprocessor import SPDPreprocessor, TargetPreprocessor, merge_target_labels

SHAPE = (6, 24, 20)


def _plans(plan: Plan, *, transpose: tuple[int, ...] = (0, 1, 2), scheme: str = "ZScoreNormalization") -> Any:
    plans = copy.deepcopy(plan.plans)
    plans["transpose_forward"] = list(transpose)
    plans["transpose_backward"] = np.argsort(transpose).tolist()
    plans["configurations"]["2d"]["normalization_schemes"] = [scheme]
    return plans


def _run(plans: Any, data: np.ndarray, labels: np.ndarray | None = None, *, plan: Plan) -> Any:
    manager = PlansManager(plans)
    properties: dict[str, Any] = {"spacing": [5.0, 1.0, 1.5]}
    configuration = manager.get_configuration(plan.configuration)
    return SPDPreprocessor(verbose=False).run_case_npy(
        data, labels, properties, manager, configuration, plan.dataset_json
    )


def _image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, 50.0, (1, *SHAPE)).astype(np.float32)


def _resized(slices: np.ndarray) -> np.ndarray:
    rows = (np.arange(32) + 0.5) * slices.shape[1] / 32 - 0.5
    columns = (np.arange(32) + 0.5) * slices.shape[2] / 32 - 0.5
    grid = np.meshgrid(rows, columns, indexing="ij")
    return np.stack([map_coordinates(image, grid, order=1, mode="nearest") for image in slices])


@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_mr_is_clipped_to_the_volumes_own_percentiles(planned: Plan, transpose: tuple[int, ...]) -> None:
    image = _image()
    low, high = np.percentile(image, [0.5, 99.5])
    scaled = 2 * (image[0].clip(low, high).astype(np.float64) - low) / (high - low) - 1
    data, _, _ = _run(_plans(planned, transpose=transpose), image, plan=planned)
    assert data.shape == (1, SHAPE[transpose[0]], 32, 32)
    np.testing.assert_allclose(data[0], _resized(scaled.transpose(transpose)), atol=1e-5)


def test_ct_is_clipped_to_the_datasets_percentiles(planned: Plan) -> None:
    plans = _plans(planned, scheme="CTNormalization")
    statistics = plans["foreground_intensity_properties_per_channel"]["0"]
    statistics["percentile_00_5"], statistics["percentile_99_5"] = 40.0, 160.0
    image = _image()
    data, _, _ = _run(plans, image, plan=planned)
    np.testing.assert_allclose(data[0], _resized((image[0].clip(40, 160) - 40.0) / 60 - 1), atol=1e-5)


@pytest.mark.parametrize("scheme", ["ZScoreNormalization", "CTNormalization"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_intensities_fill_the_range_from_minus_one_to_one(planned: Plan, scheme: str, scale: float) -> None:
    plans = _plans(planned, scheme=scheme)
    image = _image() * scale
    statistics = plans["foreground_intensity_properties_per_channel"]["0"]
    statistics["percentile_00_5"], statistics["percentile_99_5"] = (float(v) for v in np.percentile(image, [5, 90]))
    data, _, _ = _run(plans, image, plan=planned)
    assert data.dtype == np.float32
    assert -1 - 1e-5 <= data.min() < -0.9
    assert 0.9 < data.max() <= 1 + 1e-5


def test_a_constant_volume_stays_finite(planned: Plan) -> None:
    data, _, _ = _run(_plans(planned), np.full((1, *SHAPE), 7.0, np.float32), plan=planned)
    np.testing.assert_allclose(data, -1.0)


def test_the_input_is_left_as_it_was(planned: Plan) -> None:
    image = _image()
    before = image.copy()
    labels = np.zeros((1, *SHAPE), np.uint8)
    labels[0, 2, 5:9, 5:9] = 1
    _run(_plans(planned), image, labels, plan=planned)
    np.testing.assert_array_equal(image, before)
    assert labels.sum() == 16


@pytest.mark.parametrize("preprocessor", [SPDPreprocessor, TargetPreprocessor])
def test_target_labels_become_one(planned: Plan, preprocessor: type[SPDPreprocessor | TargetPreprocessor]) -> None:
    plans = _plans(planned)
    plans["spd"]["target_labels"] = [2, 3]
    labels = np.zeros((1, *SHAPE), np.uint8)
    labels[0, :, :, :10], labels[0, :, :, 10:15], labels[0, :, :, 15:] = 1, 2, 3
    manager = PlansManager(plans)
    name = planned.configuration if preprocessor is SPDPreprocessor else "2d"
    _, merged, properties = preprocessor(verbose=False).run_case_npy(
        _image(), labels, {"spacing": [5.0, 1.0, 1.5]}, manager, manager.get_configuration(name), planned.dataset_json
    )
    half = merged.shape[-1] // 2
    assert not merged[..., :half].any()
    assert (merged[..., half:] == 1).all()
    assert list(properties["class_locations"]) == [1]
    assert all(merged[tuple(place)] == 1 for place in properties["class_locations"][1][:50])


def test_merging_keeps_only_the_target() -> None:
    assert merge_target_labels(np.array([0, 1, 2, 3, 2]), [1, 3]).tolist() == [0, 1, 0, 1, 0]


def test_mask_and_image_stay_on_each_other(planned: Plan) -> None:
    labels = np.zeros((1, *SHAPE), np.uint8)
    labels[0, 1:4, 6:15, 3:12] = 1
    image = 100.0 * labels.astype(np.float32)
    data, mask, _ = _run(_plans(planned, transpose=(2, 1, 0)), image, labels, plan=planned)
    assert mask.shape == (1, 20, 32, 32)
    assert dc(data > 0, mask) > 0.95


def test_a_new_case_needs_no_label(planned: Plan) -> None:
    data, mask, properties = _run(_plans(planned), _image(), plan=planned)
    assert data.shape[1:] == mask.shape[1:]
    assert not mask.any()
    assert "class_locations" not in properties
