"""What is known of an image file before its voxels are read."""

from __future__ import annotations

from dataclasses import dataclass

from spd_bench.raw.geometry import VolumeGeometry


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """Channels and grid of an image file.

    Attributes:
        channels: number of channels in the file.
        geometry: the grid that they share; a 2D image is a volume of one slice.
    """

    channels: int
    geometry: VolumeGeometry
