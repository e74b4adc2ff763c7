"""A volume to be segmented, and what a method answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.planning.grid import points_on_slices
from spd_bench.planning.plan import Plan
from spd_bench.planning.preprocessor import SPDPreprocessor
from spd_bench.prompts.points import PointPrompts, read_prompts
from spd_bench.raw.channels import read_channels
from spd_bench.raw.geometry import VolumeGeometry


@dataclass(frozen=True, kw_only=True)
class PromptedVolume:
    """A volume with its prompts, never with its label.

    Attributes:
        case: case id.
        channels: float array (C, z, y, x).
        geometry: the grid of the channels.
        prompts: points, None where the case has none.
        prompts_file: where the points were (or should have been) read from, for messages.
    """

    case: str
    channels: NDArray[np.float32]
    geometry: VolumeGeometry
    prompts: PointPrompts | None = None
    prompts_file: Path | None = None

    def points(self) -> PointPrompts:
        """The prompts; InputError where a promptable method meets a case without any file of them."""
        if self.prompts is None:
            raise InputError(
                f"case {self.case} has no prompts",
                file=self.prompts_file,
                remedy="give its points as <case>.mrk.json, or choose a method that needs none",
            )
        return self.prompts


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A method's answer on the volume's own grid.

    Attributes:
        mask: uint8 (z, y, x), 1 for target.
        saliency: float (z, y, x) in [0, 1], where it is asked for and the method has a saliency map.
        points: the points that were really decoded from, where asked for and the method changes them.
    """

    mask: NDArray[np.uint8]
    saliency: NDArray[np.float32] | None = None
    points: PointPrompts | None = None


@dataclass(frozen=True, kw_only=True)
class ExtraOutputs:
    """What is asked for beside the mask; a method gives what it has of it.

    Attributes:
        saliency: the saliency volume, for methods that have a saliency map.
        prompts: the points that were decoded from, for methods that change the prompts.
    """

    saliency: bool = False
    prompts: bool = False


MASK_ONLY = ExtraOutputs()


class VolumePredictor(Protocol):
    """What a method gives for prediction."""

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        """Segment one volume, with the extra outputs that are asked for where the method has them."""
        ...


def read_prompted_volume(case: str, images: Sequence[Path], prompts: Path | None) -> PromptedVolume:
    """Read a case's channels, and its prompts where their file exists.

    Raises:
        InputError: a file is missing or unreadable, an image holds NaN or infinity, or the channels lie on
            different grids.
    """
    channels, geometry = read_channels(images)
    return PromptedVolume(
        case=case,
        channels=channels,
        geometry=geometry,
        prompts=read_prompts(prompts) if prompts is not None and prompts.is_file() else None,
        prompts_file=prompts,
    )


def volume_slices(volume: PromptedVolume, plan: Plan) -> NDArray[np.float32]:
    """Preprocess a volume to the slices that networks see: (Z, 3, R, R) in [-1, 1].

    Where all three channels are one, they are a view of it (read-only) instead of three copies.
    """
    plans_manager, configuration = plan.managers(plan.configuration)
    properties: dict[str, Any] = {"spacing": list(volume.geometry.spacing)}
    data, _, _ = SPDPreprocessor(verbose=False).run_case_npy(
        volume.channels, None, properties, plans_manager, configuration, plan.dataset_json
    )
    channels = plan.slice_settings["channels"]
    if len(set(channels)) == 1:
        return np.broadcast_to(data[channels[0]][:, None], (data.shape[1], len(channels), *data.shape[2:]))
    return np.ascontiguousarray(data[channels].transpose(1, 0, 2, 3))


def slice_points(volume: PromptedVolume, plan: Plan) -> list[NDArray[np.int64]]:
    """The volume's points on its preprocessed slices, (N, 2) integer (x, y) each."""
    voxels = volume.points().voxels(volume.geometry, file=volume.prompts_file)
    return points_on_slices(voxels, shape=volume.geometry.shape, transpose=plan.transpose, resolution=plan.resolution)
