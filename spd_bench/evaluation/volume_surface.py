"""HD95, ASD and normalised surface Dice of whole volumes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spd_bench.evaluation.rules import DEFAULT_RULES, ScoringRules
from spd_bench.evaluation.surface import scores_of, surface_dice
from spd_bench.evaluation.surface_distances import surface_distances

NSD_TOLERANCES_MM = (1, 2)


def volume_surface_scores(
    reference: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    spacing: Sequence[float],
    *,
    rules: ScoringRules = DEFAULT_RULES,
) -> dict[str, float]:
    """Surface scores of a volume, under the names of their columns in ``volumes.csv``.

    A volume of a single slice is scored as the image that it is: as a body without neighbours above and below, all
    of its voxels would be surface.

    Args:
        reference: boolean mask (slices, rows, columns).
        prediction: boolean mask of the same shape.
        spacing: voxel size in mm along each axis.
        rules: convention of HD95, and what NSD is where a mask is empty; distances are NaN there.
    """
    if len(reference) == 1:
        reference, prediction, spacing = reference[0], prediction[0], spacing[1:]
    distances = surface_distances(reference, prediction, spacing)
    whole = scores_of(distances, hd95=rules.hd95)
    if distances is not None:
        shares = [surface_dice(distances, tolerance) for tolerance in NSD_TOLERANCES_MM]
    else:
        one_empty = reference.any() or prediction.any()
        shares = [0.0 if one_empty else rules.empty.both_empty] * len(NSD_TOLERANCES_MM)
    return {
        "volumetric_hd95_mm": whole.hd95_mm,
        "volumetric_asd_mm": whole.asd_mm,
        **{f"nsd_{tolerance}mm": share for tolerance, share in zip(NSD_TOLERANCES_MM, shares, strict=True)},
    }
