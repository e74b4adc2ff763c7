"""Figures of a comparison from its frames."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spd_bench.comparison_figures import write_figures
from spd_bench.evaluation import summarise
from spd_bench.evaluation.significance import paired_comparisons

CASES = [f"case_{number}" for number in range(6)]


def frames(methods: tuple[str, ...]) -> dict[str, pd.DataFrame]:
    random = np.random.default_rng(0)
    rows, slice_rows = [], []
    for method in methods:
        for case in CASES:
            key = {"dataset": "Dataset501_TI", "method": method, "fold": 0, "case": case}
            dice = float(random.uniform(0.2, 0.9))
            rows.append({**key, "volumetric_dice": dice, "average_dice": dice, "slices": 1, "foreground_slices": 1})
            measures = {"dice": dice, "iou": dice, "hd95_mm": 1.0, "asd_mm": 1.0}
            slice_rows.append({**key, "slice": 0, **measures, "reference_pixels": 4, "prediction_pixels": 4})
    slices, volumes = pd.DataFrame(slice_rows), pd.DataFrame(rows)
    return {
        "slices.csv": slices,
        "volumes.csv": volumes,
        "summary.csv": summarise(slices, volumes),
        "significance.csv": paired_comparisons(slices, volumes),
    }


def test_each_figure_is_written_as_png_and_svg(tmp_path: Path) -> None:
    patients = {"Dataset501_TI": {case: case for case in CASES}}
    written = write_figures(tmp_path, frames(("unet", "spd")), patients=patients, titles={"spd": "SPD"})
    names = {"dice", "patients_Dataset501_TI", "ranking_Dataset501_TI", "significance_Dataset501_TI"}
    assert {path.name for path in written} == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert all(path.stat().st_size > 1000 for path in written)


def test_one_method_has_no_ranking(tmp_path: Path) -> None:
    patients = {"Dataset501_TI": {case: case for case in CASES}}
    written = write_figures(tmp_path, frames(("unet",)), patients=patients, titles={})
    assert {path.stem for path in written} == {"dice", "patients_Dataset501_TI"}


def test_a_figure_without_data_is_left_out_and_the_others_stand(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = frames(("unet", "spd"))
    given["significance.csv"] = given["significance.csv"].iloc[:0]
    patients = {"Dataset501_TI": {case: case for case in CASES}}
    with caplog.at_level(logging.WARNING):
        written = write_figures(tmp_path, given, patients=patients, titles={})
    assert "significance_Dataset501_TI" not in {path.stem for path in written}
    assert "dice" in {path.stem for path in written}
    assert "no figure significance_Dataset501_TI" in caplog.text
