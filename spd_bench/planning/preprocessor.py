"""Preprocessing: one for fixed-size slices, and nnU-Net's own with the target labels merged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from numpy.typing import NDArray

from spd_bench.planning.grid import resize_images, resize_masks, slice_runs
from spd_bench.planning.readers import read_properties
from spd_bench.raw.channels import read_channels
from spd_bench.raw.volumes import read_volume

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

    Slices are transposed, normalised and resized a few at a time, so that beside the volume as it was read and its
    result no copy of either is ever held: the peak stays under three times the larger of the two.
    """

    def run_case(
        self,
        image_files: list[str],
        seg_file: str | None,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        dataset_json: dict[str, Any] | str,
    ) -> tuple[NDArray[np.float32], NDArray[np.int16], dict[str, Any]]:
        """Read a case and preprocess it; the label is done with before the images are read.

        Raises:
            InputError: a file is missing or unreadable.
        """
        labels, locations = None, None
        if seg_file is not None:
            labels = _resized_labels(read_volume(Path(seg_file))[0][None], plans_manager, configuration_manager)
            locations = self._sample_foreground_locations(labels, [1])
        data, geometry = read_channels([Path(file) for file in image_files])
        properties = read_properties(plans_manager.image_reader_writer_class, image_files, geometry)
        _note_shape(properties, data.shape[1:], plans_manager)
        images = _resized_images(data, plans_manager, configuration_manager)
        del data
        if labels is None:
            return images, np.zeros((1, *images.shape[1:]), np.int16), properties
        properties["class_locations"] = locations
        return images, labels.astype(np.int16), properties

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
        _note_shape(properties, data.shape[1:], plans_manager)
        images = _resized_images(data, plans_manager, configuration_manager)
        if seg is None:
            return images, np.zeros((1, *images.shape[1:]), np.int16), properties
        labels = _resized_labels(seg, plans_manager, configuration_manager)
        properties["class_locations"] = self._sample_foreground_locations(labels, [1])
        return images, labels.astype(np.int16), properties


def _note_shape(properties: dict[str, Any], stored: Sequence[int], plans_manager: PlansManager) -> None:
    shape = tuple(stored[axis] for axis in plans_manager.transpose_forward)
    properties["shape_before_cropping"] = shape
    properties["shape_after_cropping_and_before_resampling"] = shape
    properties["bbox_used_for_cropping"] = [[0, length] for length in shape]


def _resized_images(
    data: NDArray[Any], plans_manager: PlansManager, configuration_manager: ConfigurationManager
) -> NDArray[np.float32]:
    """Slices (C, Z, R, R) of channels (C, z, y, x) in stored order, each channel clipped and scaled to [-1, 1].

    CT has a common unit, so it is clipped to the percentiles of the target over the dataset, as in nnU-Net; other
    channels to the percentiles of the volume itself.
    """
    settings = configuration_manager.configuration["spd"]
    low_target, high_target = settings["intensity_range"]
    size = (settings["resolution"], settings["resolution"])
    depth = data.shape[1 + plans_manager.transpose_forward[0]]
    resized = np.empty((len(data), depth, *size), np.float32)
    for channel, scheme in enumerate(configuration_manager.normalization_schemes):
        if scheme == "CTNormalization":
            statistics = plans_manager.foreground_intensity_properties_per_channel[str(channel)]
            low, high = statistics["percentile_00_5"], statistics["percentile_99_5"]
        else:
            low, high = np.percentile(data[channel].astype(np.float32, copy=False), [_LOW, _HIGH])
        scale = (high_target - low_target) / max(float(high) - float(low), 1e-8)
        slices = data[channel].transpose(plans_manager.transpose_forward)
        for part in slice_runs(slices.shape):
            clipped = np.clip(slices[part].astype(np.float32), low, high)
            resized[channel, part] = resize_images((clipped - low) * scale + low_target, size)
    return resized


def _resized_labels(
    seg: NDArray[Any], plans_manager: PlansManager, configuration_manager: ConfigurationManager
) -> NDArray[np.uint8]:
    """The target (1, Z, R, R) of a label map (1, z, y, x) in stored order."""
    resolution = configuration_manager.configuration["spd"]["resolution"]
    slices = seg[0].transpose(plans_manager.transpose_forward)
    resized = np.empty((1, len(slices), resolution, resolution), np.uint8)
    for part in slice_runs(slices.shape):
        merged = merge_target_labels(slices[part], plans_manager.plans["spd"]["target_labels"])
        resized[0, part] = resize_masks(merged, (resolution, resolution))
    return resized
