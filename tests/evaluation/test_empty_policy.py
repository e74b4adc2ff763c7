from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spd_bench.evaluation.case import CaseKey, evaluate_case
from spd_bench.evaluation.lesions import lesion_scores
from spd_bench.evaluation.overlap import dice_score, iou_score
from spd_bench.evaluation.rules import ScoringRules
from spd_bench.evaluation.summary import summarise
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import write_volume

SPACING = (4.0, 1.0, 1.0)
NNUNET = ScoringRules.named(empty_policy="nnunet")
SHAPE = (3, 5, 6)
KINDS = [("filled", "filled"), ("filled", "empty"), ("empty", "filled"), ("empty", "empty")]


def _mask(kind: str, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(SHAPE) < (0.4 if kind == "filled" else 0)


def test_nnunet_policy_equals_nnunet_on_every_kind_of_empty_mask(tmp_path: Path) -> None:
    from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    slices, volumes = [], []
    geometry = VolumeGeometry(shape=SHAPE, spacing=SPACING)
    for number, kinds in enumerate(KINDS * 2):
        masks = [_mask(kind, 10 * number + which) for which, kind in enumerate(kinds)]
        for folder, mask in zip(("reference", "prediction"), masks, strict=True):
            write_volume(tmp_path / folder / f"case{number}.nii.gz", mask.astype(np.uint8), geometry)
        key = CaseKey(dataset="TI", method="spd", fold=0, case=f"case{number}")
        scores = evaluate_case(masks[0], masks[1], key=key, spacing=SPACING, rules=NNUNET)
        slices.extend(scores.slices)
        volumes.append(scores.volume)
    theirs = compute_metrics_on_folder(
        str(tmp_path / "reference"),
        str(tmp_path / "prediction"),
        None,
        SimpleITKIO(),
        ".nii.gz",
        [1],
        num_processes=1,
    )
    expected = [case["metrics"][1]["Dice"] for case in theirs["metric_per_case"]]
    np.testing.assert_allclose([volume["volumetric_dice"] for volume in volumes], expected, atol=1e-12)
    summary = summarise(pd.DataFrame(slices), pd.DataFrame(volumes)).set_index("metric")
    assert summary.loc["volumetric_dice", "mean"] == pytest.approx(theirs["mean"][1]["Dice"], abs=1e-12)
    assert summary.loc["volumetric_dice", "n"] == 6


@pytest.mark.parametrize("policy", ["paper", "nnunet"])
@pytest.mark.parametrize("kinds", KINDS[1:])
def test_every_score_of_empty_volumes(kinds: tuple[str, str], policy: str) -> None:
    rules = ScoringRules.named(empty_policy=policy)
    reference, prediction = (_mask(kind, number) for number, kind in enumerate(kinds))
    volume = evaluate_case(
        reference, prediction, key=CaseKey(dataset="d", method="m", fold=0, case="c"), spacing=SPACING, rules=rules
    ).volume
    both = kinds == ("empty", "empty")
    score = 0.0 if not both else 1.0 if policy == "paper" else np.nan
    for name in ("volumetric_dice", "average_dice", "nsd_1mm", "nsd_2mm", "lesion_f1"):
        np.testing.assert_equal(volume[name], score, err_msg=name)
    for name in ("volumetric_hd95_mm", "volumetric_asd_mm"):
        assert np.isnan(volume[name])
    none = 0.0 if policy == "paper" else np.nan  # a share of no lesions, where the other mask has some
    expected = {
        ("empty", "empty"): (score, score),
        ("empty", "filled"): (none, 0.0),
        ("filled", "empty"): (0.0, none),
    }[kinds]
    np.testing.assert_equal((volume["lesion_recall"], volume["lesion_precision"]), expected)


def test_nnunet_average_leaves_only_doubly_empty_slices_out() -> None:
    counts = {"reference": [0, 4, 0, 4], "prediction": [0, 0, 3, 4], "overlap": [0, 0, 0, 2]}
    np.testing.assert_equal(dice_score(**counts, policy=NNUNET.empty), [np.nan, 0, 0, 0.5])
    np.testing.assert_equal(iou_score(**counts, policy=NNUNET.empty), [np.nan, 0, 0, 2 / 6])


def test_lesions_touch_over_corners_and_one_prediction_finds_several() -> None:
    reference = np.zeros((3, 3, 5), bool)
    reference[0, 0, 0] = reference[1, 1, 1] = reference[2, 2, 4] = True
    prediction = np.zeros_like(reference)
    prediction[1, 1, 1:] = prediction[2, 2, 4] = True
    assert lesion_scores(reference, prediction) == (2, 1, 1.0, 1.0, 1.0)


def test_rules_survive_a_record() -> None:
    rules = ScoringRules.named(empty_policy="nnunet", hd95="max")
    assert ScoringRules.named(**rules.record()) == rules
    assert rules.record() == {"empty_policy": "nnunet", "hd95": "max"}


@pytest.mark.parametrize("names", [{"empty_policy": "skip"}, {"hd95": "mean"}])
def test_unknown_rules_are_refused(names: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(names))} must be one of"):
        ScoringRules.named(**names)


def test_a_flat_volume_is_scored_as_the_image_that_it_is() -> None:
    rng = np.random.default_rng(4)
    reference, prediction = rng.random((2, 1, 12, 12)) < 0.7
    scores = evaluate_case(
        reference, prediction, key=CaseKey(dataset="d", method="m", fold=0, case="c"), spacing=(1.0, 0.5, 2.0)
    )
    for name in ("hd95_mm", "asd_mm"):
        assert scores.volume[f"volumetric_{name}"] == scores.slices[0][name]
