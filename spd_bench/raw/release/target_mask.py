"""The target's mask from a release's label values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.raw.release.source_volumes import SourceVolume

# Labels stored as scaled integers come back a little off.
_WHOLE_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class LabelValues:
    """Which values a release's labels hold; 0 is background everywhere.

    Attributes:
        target: the values that together are the target; None for a mask that holds 0 and one other value.
        others: the values that become background.
    """

    target: tuple[int, ...] | None
    others: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        target = self.target or ()
        if self.target is not None and (not target or 0 in target):
            msg = f"target values must be at least one value other than 0, got {self.target}"
            raise ValueError(msg)
        if set(target) & set(self.others):
            msg = f"value(s) {sorted(set(target) & set(self.others))} are target and background at once"
            raise ValueError(msg)
        if self.target is None and set(self.others) - {0}:
            msg = f"a mask of one value has no other values, got {self.others}"
            raise ValueError(msg)


def target_mask(label: SourceVolume, values: LabelValues) -> SourceVolume:
    """The label as uint8 with 0 background and 1 target.

    Raises:
        InputError: a value is not a whole number, or not one that the release has.
    """
    found = _whole_values(label)
    if values.target is None:
        return _single_value_mask(label, found)
    allowed = sorted({0, *values.target, *values.others})
    unknown = [value for value in found if value not in allowed]
    if unknown:
        raise InputError(
            f"label value(s) {_listed(unknown)} are not in the release's {allowed}",
            file=label.file,
            remedy="check that this is the right file of the right release",
        )
    mask = np.isin(np.rint(label.voxels) if _is_float(label.voxels) else label.voxels, values.target)
    return replace(label, voxels=mask.astype(np.uint8))


def _single_value_mask(label: SourceVolume, found: Sequence[int]) -> SourceVolume:
    target = [value for value in found if value != 0]
    if len(target) > 1 or (target and target[0] < 0):
        raise InputError(
            f"expected a mask of 0 and one other value, got label value(s) {_listed(target)}",
            file=label.file,
            remedy="give a file that holds the target alone, or name its values",
        )
    notes = (f"mask holds {target[0]} in place of 1",) if target and target[0] != 1 else ()
    mask = np.abs(label.voxels) > _WHOLE_TOLERANCE
    return replace(label, voxels=mask.astype(np.uint8), repairs=(*label.repairs, *notes))


def _whole_values(label: SourceVolume) -> list[int]:
    # Hashing is ten times as quick as numpy's sorting on a whole CT.
    found = np.sort(pd.unique(label.voxels.reshape(-1)))
    if not _is_float(found):
        return [int(value) for value in found]
    with np.errstate(invalid="ignore"):
        fractions = found[~(np.abs(found - np.rint(found)) <= _WHOLE_TOLERANCE)]
    if fractions.size:
        raise InputError(
            f"label value {fractions[0]:g} is not a whole number",
            file=label.file,
            remedy="save labels as integers, resampled with nearest neighbour only",
        )
    return sorted({int(value) for value in np.rint(found)})


def _is_float(voxels: NDArray[np.generic]) -> bool:
    return bool(np.issubdtype(voxels.dtype, np.floating))


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")
