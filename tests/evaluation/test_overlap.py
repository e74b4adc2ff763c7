from __future__ import annotations

import numpy as np
import pytest
from medpy.metric import dc, jc

from spd_bench.evaluation.overlap import dice_score, iou_score


def test_empty_rule_both_empty_is_one_exactly_one_empty_is_zero() -> None:
    counts = {"reference": [0, 5, 0], "prediction": [0, 0, 7], "overlap": [0, 0, 0]}
    assert dice_score(**counts).tolist() == [1.0, 0.0, 0.0]
    assert iou_score(**counts).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("seed", range(5))
def test_dice_and_iou_of_counts_equal_medpy_on_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference, prediction = rng.random((2, 9, 13)) < 0.3
    counts = {
        "reference": reference.sum(),
        "prediction": prediction.sum(),
        "overlap": (reference & prediction).sum(),
    }
    assert float(dice_score(**counts)) == pytest.approx(dc(prediction, reference), abs=1e-12)
    assert float(iou_score(**counts)) == pytest.approx(jc(prediction, reference), abs=1e-12)
