"""Slices as JPEG files and masks as run lengths: what a 2D canvas can draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spd_bench.report.cases import CaseView
from spd_bench.report.coders import half_size, resize_greys
from spd_bench.report.encoding import jpeg_text, run_lengths
from spd_bench.report.turning import LONGEST_SIDE, reduce_mask, reduced_size


class _Rung(NamedTuple):
    """How fine a case is drawn: the longest side of its slices in pixels, and the quality of its JPEG files."""

    side: int
    quality: int


# From fine to coarse. A volume of 40 slices takes the first one, one of 400 slices the fourth.
_RUNGS = (
    _Rung(LONGEST_SIDE, 80),
    _Rung(LONGEST_SIDE, 60),
    _Rung(192, 60),
    _Rung(128, 50),
    _Rung(96, 40),
    _Rung(64, 35),
)


@dataclass(frozen=True, kw_only=True)
class JpegSlices:
    """One JPEG file in base64 a slice; masks as run lengths a slice.

    Attributes:
        size: rows and columns of images and masks.
        quality: of the JPEG files.
    """

    size: tuple[int, int]
    quality: int

    def image(self, stack: NDArray[np.uint8]) -> list[str]:
        """One JPEG file a slice."""
        return self._files(stack, self.size)

    def saliency(self, stack: NDArray[np.uint8]) -> list[str]:
        """One JPEG file of half the side a slice."""
        return self._files(stack, reduced_size(self.size, half_size(self.size)))

    def mask(self, mask: NDArray[np.bool_]) -> list[str]:
        """Run lengths a slice."""
        return [run_lengths(one) for one in reduce_mask(mask, self.size)]

    def facts(self) -> Mapping[str, Any]:
        """Nothing: slices lie as they are shown."""
        return {}

    def _files(self, stack: NDArray[np.uint8], size: tuple[int, int]) -> list[str]:
        return [jpeg_text(pixels, quality=self.quality) for pixels in resize_greys(stack, size)]


def jpeg_coders(view: CaseView) -> list[JpegSlices]:
    """The forms of a case, from fine to coarse."""
    shape = view.image.shape[1:]
    return [JpegSlices(size=reduced_size(shape, rung.side), quality=rung.quality) for rung in _RUNGS]
