"""Lesion-wise recall, precision and F1: how many of the many small things were found.

A lesion is a connected component of a volume's mask, voxels joined across faces, edges and corners (26 neighbours,
8 in a flat image). A reference lesion is found when the prediction covers at least one of its voxels; a predicted
lesion is right when it covers at least one voxel of the reference. One predicted lesion may thus find several.
Panoptic scores that match one to one at an overlap of half the union (panoptica) would call most emboli missed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label

from spd_bench.evaluation.empty_policy import PAPER, EmptyPolicy
from spd_bench.evaluation.surface_distances import bounding_box

MATCHING = (
    "Lesions are the 26-connected components of a volume; one counts as found, or as rightly predicted, when it"
    " shares a voxel with the other mask. F1 is the harmonic mean of lesion recall and precision."
)


class LesionScores(NamedTuple):
    """Lesion-wise scores of one volume.

    Attributes:
        reference_lesions: number of lesions in the reference.
        predicted_lesions: number of lesions in the prediction.
        lesion_recall: share of reference lesions that were found.
        lesion_precision: share of predicted lesions that are right.
        lesion_f1: harmonic mean of both; 0 where no lesion was found.
    """

    reference_lesions: int
    predicted_lesions: int
    lesion_recall: float
    lesion_precision: float
    lesion_f1: float


def lesion_scores(
    reference: NDArray[np.bool_], prediction: NDArray[np.bool_], policy: EmptyPolicy = PAPER
) -> LesionScores:
    """Compare the connected components of two masks.

    Args:
        reference: boolean mask, any number of dimensions.
        prediction: boolean mask of the same shape.
        policy: the scores of masks without a lesion.

    Example:
        >>> reference = np.array([[1, 1, 0, 1, 0, 1]], dtype=bool)
        >>> prediction = np.array([[0, 1, 0, 0, 0, 1]], dtype=bool)
        >>> lesion_scores(reference, prediction)[:4]
        (3, 2, 0.6666666666666666, 1.0)
    """
    either = reference | prediction
    if not either.any():
        return LesionScores(0, 0, *[policy.both_empty] * 3)
    box = bounding_box(either)
    overlap = reference[box] & prediction[box]
    of_reference, found = _count(reference[box], overlap)
    of_prediction, right = _count(prediction[box], overlap)
    if not of_reference:
        return LesionScores(0, of_prediction, policy.no_lesions, 0.0, 0.0)
    if not of_prediction:
        return LesionScores(of_reference, 0, 0.0, policy.no_lesions, 0.0)
    recall, precision = found / of_reference, right / of_prediction
    f1 = 2 * recall * precision / (recall + precision) if found else 0.0
    return LesionScores(of_reference, of_prediction, recall, precision, f1)


def _count(mask: NDArray[np.bool_], overlap: NDArray[np.bool_]) -> tuple[int, int]:
    """Number of components of a mask, and of those that the overlap touches."""
    components, number = label(mask, structure=generate_binary_structure(mask.ndim, mask.ndim))
    return number, len(np.unique(components[overlap]))
