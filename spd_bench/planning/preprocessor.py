"""Preprocessing: one for fixed-size slices, and nnU-Net's own with the target labels merged."""

from __future__ import annotations

from typing import Any

import numpy as np
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from numpy.typing import NDArray

from spd_bench.planning.grid import resize_images, resize_masks

# nnU-Net's percentiles for CT; the same ones of each volume serve where intensities have no common unit.
_LOW, _HIGH = 0.5, 99.5


def merge_target_labels(labels: NDArray[Any], target_labels: list[int]) -> NDArray[np.int16]:
    """1 where ``labels`` holds one of ``target_labels``, else 0."""
    return np.isin(labels, target_labels).astype(np.int16)


class TargetPreprocessor(DefaultPreprocessor):
    """nnU-Net's preprocessing on the merged target, for the row that runs nnU-Net's own plan."""

    def run_case_npy(
        self,
        data: NDArray[Any],
        seg: NDArray[Any] | None,
        properties: dict[str, Any],
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        dataset_json: dict[str, Any] | str,
    ) -> tuple[NDArray[np.float32], NDArray[Any], dict[str, Any]]:
        """Merge the target labels, then preprocess as nnU-Net does."""
        if seg is not None:
            seg = merge_target_labels(seg, plans_manager.plans["spd"]["target_labels"])
        result: tuple[NDArray[np.float32], NDArray[Any], dict[str, Any]] = super().run_case_npy(
            data, seg, properties, plans_manager, configuration_manager, dataset_json
        )
        return result


class SPDPreprocessor(DefaultPreprocessor):
    """Square slices of a fixed size with intensities in [-1, 1]; every slice of the volume is kept.

    Nothing is cropped (prompts and context slices refer to the whole volume) and nothing is resampled
    between slices. ``run_case_npy`` returns data (C, Z, R, R) and the target mask (1, Z, R, R); properties
    hold the shape before resizing, which is all that export needs.
    """

    def run_case_npy(
        self,
        data: NDArray[Any],
        seg: NDArray[Any] | None,
        properties: dict[str, Any],
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        dataset_json: dict[str, Any] | str,
    ) -> tuple[NDArray[np.float32], NDArray[np.int16], dict[str, Any]]:
        """Transpose to slices first, normalise, resize; ``seg`` may be None for new cases."""
        order = [0, *(axis + 1 for axis in plans_manager.transpose_forward)]
        data = np.transpose(data, order).astype(np.float32)
        shape = data.shape[1:]
        properties["shape_before_cropping"] = shape
        properties["shape_after_cropping_and_before_resampling"] = shape
        properties["bbox_used_for_cropping"] = [[0, length] for length in shape]
        labels = np.zeros((1, *shape), np.int16)
        if seg is not None:
            labels = merge_target_labels(np.transpose(seg, order), plans_manager.plans["spd"]["target_labels"])

        data = self._normalize(
            data, labels, configuration_manager, plans_manager.foreground_intensity_properties_per_channel
        )
        resolution = configuration_manager.configuration["spd"]["resolution"]
        data = resize_images(data, (resolution, resolution))
        labels = resize_masks(labels, (resolution, resolution))
        if seg is not None:
            properties["class_locations"] = self._sample_foreground_locations(labels, [1])
        return data, labels, properties

    def _normalize(
        self,
        data: NDArray[np.float32],
        seg: NDArray[Any],
        configuration_manager: ConfigurationManager,
        foreground_intensity_properties_per_channel: dict[str, dict[str, float]],
    ) -> NDArray[np.float32]:
        """Clip each channel (C, Z, Y, X) to its percentiles and scale it to [-1, 1].

        CT has a common unit, so the percentiles are those of the target over the dataset, as in nnU-Net;
        other channels take the percentiles of the volume itself.
        """
        low_target, high_target = configuration_manager.configuration["spd"]["intensity_range"]
        for channel, scheme in enumerate(configuration_manager.normalization_schemes):
            if scheme == "CTNormalization":
                statistics = foreground_intensity_properties_per_channel[str(channel)]
                low, high = statistics["percentile_00_5"], statistics["percentile_99_5"]
            else:
                low, high = np.percentile(data[channel], [_LOW, _HIGH])
            scale = (high_target - low_target) / max(float(high) - float(low), 1e-8)
            data[channel] = (np.clip(data[channel], low, high) - low) * scale + low_target
        return data
