"""What scores are worth where a mask is empty: the benchmark's rule, and nnU-Net's beside it.

Libraries differ here (nnU-Net and torchmetrics return NaN for empty against empty, panoptica 0, KiTS23 1), so no
library's overlap score is used and every table names its policy. Whatever the policy:

* exactly one mask empty: Dice, IoU, NSD and lesion F1 are 0;
* HD95 and ASD exist only where both masks are non-empty, and are NaN (left out of means) elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EmptyPolicy:
    """The scores that masks without a voxel get; NaN is left out of every mean.

    Attributes:
        name: its name in options and records.
        both_empty: Dice, IoU, NSD, lesion recall, precision and F1 where both masks are empty.
        no_lesions: lesion recall where only the prediction holds lesions, and lesion precision where only the
            reference does: shares of none.
        statement: the policy in a sentence, for tables.
        average: what average Dice is made of under the policy, in a sentence, for tables.
    """

    name: str
    both_empty: float
    no_lesions: float
    statement: str
    average: str


PAPER = EmptyPolicy(
    name="paper",
    both_empty=1.0,
    no_lesions=0.0,
    statement=(
        "Two empty masks score 1, exactly one empty mask scores 0, slices and volumes alike;"
        " a missing prediction is an empty mask."
    ),
    average=(
        "f is the share of slices with target. Average Dice = (1 - f) x specificity + f x foreground-slice Dice,"
        " where specificity is the share of empty slices left empty."
    ),
)
NNUNET = EmptyPolicy(
    name="nnunet",
    both_empty=float("nan"),
    no_lesions=float("nan"),
    statement=(
        "nnU-Net's rule for empty masks: two empty masks have no score and are left out of the mean, exactly one"
        " empty mask scores 0, slices and volumes alike; a missing prediction is an empty mask."
    ),
    average=(
        "f is the share of slices with target. Average Dice is the mean over the slices where the reference or the"
        " prediction is not empty, so methods are averaged over different slices; specificity is the share of empty"
        " slices left empty."
    ),
)
EMPTY_POLICIES: Mapping[str, EmptyPolicy] = {policy.name: policy for policy in (PAPER, NNUNET)}
