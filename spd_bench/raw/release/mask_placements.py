"""The ways in which a bare mask may lie on its volume: which slice is which, and which axis is which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

ORDERS: Mapping[str, str] = MappingProxyType(
    {
        "file": "in the order of the DICOM file names",
        "position": "in the order of the slices' positions",
        "reversed": "in the reverse order of the slices' positions",
        "instance": "in the order of InstanceNumber",
    }
)
"""What the slices of a mask may follow; where two come to the same, the first is named."""

AXES: Mapping[str, str] = MappingProxyType({"yx": "row before column", "xy": "column before row"})
"""What the axes of a mask's slice may be."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One way in which a mask may lie on its volume.

    Attributes:
        order: one of :data:`ORDERS`.
        axes: one of :data:`AXES`.
        positions: mask slice k lies on slice ``positions[k]`` of the volume.
    """

    order: str
    axes: str
    positions: NDArray[np.intp]

    @property
    def name(self) -> str:
        """Order and axes as they are given on the command line."""
        return f"{self.order}/{self.axes}"

    def turned(self, one_slice: NDArray[Any]) -> NDArray[Any]:
        """A slice of the mask with the axes of the volume's slices; and back, for it undoes itself."""
        return one_slice if self.axes == "yx" else one_slice.T

    def place(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The mask on the volume's grid (z, y, x)."""
        placed = np.empty((len(mask), *self.turned(mask[0]).shape), dtype=np.uint8)
        for position, one_slice in zip(self.positions, mask, strict=True):
            placed[position] = self.turned(one_slice)
        return placed

    def footprint(self, mask: NDArray[np.uint8]) -> tuple[tuple[int, bytes], ...]:
        """What is equal for two placements that put a mask on the same voxels; quicker than placing it."""
        return tuple(
            sorted(
                (int(self.positions[number]), np.flatnonzero(self.turned(mask[number])).tobytes())
                for number in slices_with_target(mask)
            )
        )


def slices_with_target(mask: NDArray[np.uint8]) -> list[int]:
    """The slices along the first axis that are not empty."""
    return [int(number) for number in np.flatnonzero(mask.any(axis=(1, 2)))]


def possible_placements(
    mask: NDArray[np.uint8], *, size: tuple[int, int], orders: Mapping[str, NDArray[np.intp]], axes: Sequence[str]
) -> list[Placement]:
    """Every combination of orders and axes that fits the volume; those that come to the same count once.

    Args:
        mask: (slice, its own two axes), 0 and 1.
        size: rows and columns of the volume.
        orders: names of :data:`ORDERS` -> positions of the mask's slices.
        axes: names of :data:`AXES`.
    """
    placements = [
        Placement(order=order, axes=name, positions=positions)
        for (order, positions), name in product(orders.items(), axes)
        if (mask.shape[1:] if name == "yx" else mask.shape[:0:-1]) == size
    ]
    distinct: dict[Any, Placement] = {}
    for placement in placements:
        distinct.setdefault(placement.footprint(mask), placement)
    return list(distinct.values())
