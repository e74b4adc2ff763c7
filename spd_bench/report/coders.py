"""The forms in which a viewer's script is given volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spd_bench.planning.grid import resize_images
from spd_bench.report.cases import CaseView


class Coder(Protocol):
    """Makes JSON values of the volumes of one case, at one size."""

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the slices of images and masks."""

    def image(self, stack: NDArray[np.uint8]) -> Any:
        """The image, grey levels (Z, rows, columns)."""

    def saliency(self, stack: NDArray[np.uint8]) -> Any:
        """The saliency map, grey levels (Z, rows, columns); it may be told coarser than the image."""

    def mask(self, mask: NDArray[np.bool_]) -> Any:
        """A mask (Z, rows, columns)."""

    def facts(self) -> Mapping[str, Any]:
        """What else the script needs to know of this form."""


Coders = Callable[[CaseView], Sequence[Coder]]
"""The coders of a case, from fine to coarse."""


def resize_greys(stack: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Grey levels (Z, rows, columns) at another size of the slices."""
    if stack.shape[1:] == size:
        return stack
    # Rounding of the resampling may leave the grey levels by a hair.
    return np.clip(np.rint(resize_images(stack.astype(np.float32), size)), 0, 255).astype(np.uint8)


def half_size(size: tuple[int, int]) -> int:
    """The longest side of a saliency map: it is smooth, so half the side of the image shows all of it."""
    return max(1, max(size) // 2)
