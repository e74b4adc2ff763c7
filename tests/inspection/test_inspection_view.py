from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spd_bench.errors import InputError
from spd_bench.inspection.view import coarsest_axis, planned_view, unplanned_view
from spd_bench.planning.plan import Plan
from spd_bench.raw.dataset import read_raw_dataset

TINY = "Dataset901_Tiny"


@pytest.mark.parametrize("seed", range(5))
def test_the_coarsest_axis_has_the_largest_median(seed: int) -> None:
    spacings = np.random.default_rng(seed).uniform(0.5, 5.0, (7, 3))
    medians = [statistics.median(column) for column in spacings.T.tolist()]
    assert coarsest_axis(spacings) == medians.index(max(medians))


def test_the_first_axis_is_taken_where_all_are_alike(tmp_path: Path, make_tiny_dataset: Callable[..., Path]) -> None:
    view = unplanned_view(read_raw_dataset(make_tiny_dataset(tmp_path, cases=2, spacing=(2.0, 2.0, 2.0))))
    assert view.slice_axis == 0
    assert view.axis_reason == "all axes have the median spacing 2 mm, so the first is taken"


def test_dataset_json_may_name_the_axis(tmp_path: Path, make_tiny_dataset: Callable[..., Path]) -> None:
    folder = make_tiny_dataset(tmp_path, cases=2)
    description = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**description, "slice_axis": 2}))
    view = unplanned_view(read_raw_dataset(folder))
    assert (view.slice_axis, view.axis_reason) == (2, "dataset.json says so")


def test_a_broken_header_does_not_decide_the_axis(tmp_path: Path, make_tiny_dataset: Callable[..., Path]) -> None:
    folder = make_tiny_dataset(tmp_path, cases=3, spacing=(1.0, 4.0, 1.0))
    (folder / "imagesTr" / "case_0_0000.nii.gz").write_bytes(b"nothing")
    assert unplanned_view(read_raw_dataset(folder)).slice_axis == 1


def test_a_planned_dataset_is_seen_as_its_plan_sees_it(planned: Plan, tiny_raw: Path) -> None:
    dataset = read_raw_dataset(tiny_raw / TINY)
    view = planned_view(dataset, planned)
    assert (view.slice_axis, view.target_labels, view.resolution, view.folds) == (planned.slice_axis, (1,), 32, 3)
    assert view.patients["case_0"] == view.patients["case_1"] == "patient_1"
    assert view.test_folds is not None
    assert all(case in planned.split(fold)["test"] for case, fold in view.test_folds.items())
    assert len(view.test_folds) == 6
    assert unplanned_view(dataset).slice_axis == planned.slice_axis


def test_other_target_labels_than_the_plan_s_are_refused(planned: Plan, tiny_raw: Path) -> None:
    dataset = read_raw_dataset(tiny_raw / TINY)
    assert planned_view(dataset, planned, target_labels=[1]).target_labels == (1,)
    with pytest.raises(InputError, match=r"target labels \[2\], but the dataset is planned for \[1\]"):
        planned_view(dataset, planned, target_labels=[2])


@pytest.mark.parametrize("labels", [[3], [0, 1], []])
def test_target_labels_that_do_not_exist_are_refused(tiny_raw: Path, labels: list[int]) -> None:
    with pytest.raises(InputError, match="are not all label values"):
        unplanned_view(read_raw_dataset(tiny_raw / TINY), target_labels=labels)


def test_several_labels_may_be_one_target(tiny_raw: Path) -> None:
    dataset = replace(read_raw_dataset(tiny_raw / TINY), labels={"background": 0, "a": 1, "b": 2})
    assert unplanned_view(dataset, target_labels=[1, 2]).target_labels == (1, 2)
