"""Volumes as gzipped NIfTI files that lie in the patient: what a volume viewer can draw."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from spd_bench.report.cases import CaseView
from spd_bench.report.coders import half_size, resize_greys
from spd_bench.report.turning import LONGEST_SIDE, reduce_mask, reduced_size

# Higher levels take twice the time and save some percent.
_GZIP_LEVEL = 6


class _Rung(NamedTuple):
    """How fine a case is drawn: the longest side of its slices in voxels, and the number of its grey levels."""

    side: int
    greys: int


# From fine to coarse. Noise does not compress, so that grey levels are what a volume's bytes go into: an eye misses
# none of the first four steps. A volume of 40 slices takes the third rung, one of 400 slices the last but one.
_RUNGS = (
    _Rung(LONGEST_SIDE, 128),
    _Rung(LONGEST_SIDE, 64),
    _Rung(192, 64),
    _Rung(128, 64),
    _Rung(128, 32),
    _Rung(96, 32),
    _Rung(64, 32),
    _Rung(64, 16),
    _Rung(48, 16),
)


@dataclass(frozen=True, kw_only=True)
class NiftiVolumes:
    """Whole volumes of bytes as gzipped NIfTI files in base64, their axes running to the right, the front and the head.

    Attributes:
        size: rows and columns of the slices of images and masks.
        greys: number of grey levels that are kept.
        shape: rows and columns of the slices that ``affine`` belongs to.
        affine: 4x4, from (column, row, slice) of these slices to mm (RAS).
    """

    size: tuple[int, int]
    greys: int
    shape: tuple[int, int]
    affine: NDArray[np.float64]

    def image(self, stack: NDArray[np.uint8]) -> str:
        """One file."""
        return self._file(self._fewer_greys(resize_greys(stack, self.size)))

    def saliency(self, stack: NDArray[np.uint8]) -> str:
        """One file of half the side."""
        size = reduced_size(self.size, half_size(self.size))
        return self._file(self._fewer_greys(resize_greys(stack, size)))

    def mask(self, mask: NDArray[np.bool_]) -> str:
        """One file of zeros and ones; an empty mask is an empty text."""
        reduced = reduce_mask(mask, self.size)
        return self._file(reduced.astype(np.uint8)) if reduced.any() else ""

    def facts(self) -> Mapping[str, Any]:
        """``axes``: for column, row and slice the axis (0 to 2) of the file, and whether it runs backwards there."""
        orientation = nib.orientations.io_orientation(self.affine)
        return {"axes": [[int(axis), bool(direction < 0)] for axis, direction in orientation]}

    def _fewer_greys(self, stack: NDArray[np.uint8]) -> NDArray[np.uint8]:
        steps = self.greys - 1
        table = np.rint(np.rint(np.arange(256) / 255 * steps) / steps * 255)
        return table.astype(np.uint8)[stack]

    def _file(self, stack: NDArray[np.uint8]) -> str:
        image = nib.Nifti1Image(stack.transpose(2, 1, 0), self._affine_of(stack.shape[1:]))
        # No time of writing: the same volume is the same text.
        content = gzip.compress(nib.as_closest_canonical(image).to_bytes(), _GZIP_LEVEL, mtime=0)
        return base64.b64encode(content).decode("ascii")

    def _affine_of(self, size: tuple[int, ...]) -> NDArray[np.float64]:
        """The affine of slices of another size that cover the same place."""
        rows, columns = (old / new for old, new in zip(self.shape, size, strict=True))
        steps = np.diag([columns, rows, 1.0, 1.0])
        # The outer edges agree, not the centres of the outer pixels.
        steps[:2, 3] = (columns - 1) / 2, (rows - 1) / 2
        return np.asarray(self.affine @ steps)


def nifti_coders(view: CaseView) -> list[NiftiVolumes]:
    """The forms of a case, from fine to coarse."""
    shape = view.image.shape[1:]
    affine = _with_thin_slice(view.affine) if len(view.image) == 1 else view.affine
    return [
        NiftiVolumes(size=reduced_size(shape, rung.side), greys=rung.greys, shape=view.grid, affine=affine)
        for rung in _RUNGS
    ]


def _with_thin_slice(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """A single slice as thick as its pixels are wide: a 2D image's thickness is made up, and would fill the screen."""
    thin = affine.copy()
    thin[:3, 2] *= np.linalg.norm(affine[:3, 0]) / np.linalg.norm(affine[:3, 2])
    return thin
