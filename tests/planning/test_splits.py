from __future__ import annotations

import numpy as np
import pytest

from spd_bench.errors import InputError
from spd_bench.planning.splits import Split, patient_splits

PATIENTS = {f"case_{number:02d}": f"patient_{number // 2}" for number in range(20)}


def _patients(cases: list[str]) -> set[str]:
    return {PATIENTS[case] for case in cases}


@pytest.mark.parametrize("folds", [3, 5, 10])
def test_no_patient_is_in_two_parts_of_a_fold(folds: int) -> None:
    for split in patient_splits(PATIENTS, folds=folds, seed=0):
        train, validation, test = (_patients(split[part]) for part in ("train", "val", "test"))
        assert train
        assert validation
        assert test
        assert not train & validation
        assert not train & test
        assert not validation & test


@pytest.mark.parametrize("part", ["test", "val"])
@pytest.mark.parametrize("folds", [3, 5, 7])
def test_test_and_validation_folds_partition_the_cases(folds: int, part: str) -> None:
    splits = patient_splits(PATIENTS, folds=folds, seed=1)
    assert len(splits) == folds
    assert sorted(case for split in splits for case in split[part]) == sorted(PATIENTS)
    sizes = [len(_patients(split[part])) for split in splits]
    assert max(sizes) - min(sizes) <= 1


def test_each_fold_uses_every_case_once() -> None:
    for split in patient_splits(PATIENTS, folds=5, seed=2):
        assert sorted(split["train"] + split["val"] + split["test"]) == sorted(PATIENTS)


def test_splits_depend_on_the_seed_and_not_on_the_order_of_the_cases() -> None:
    def splits(seed: int, patients: dict[str, str] = PATIENTS) -> list[Split]:
        return patient_splits(patients, folds=5, seed=seed)

    names = np.random.default_rng(0).permutation(list(PATIENTS)).tolist()
    assert splits(3) == splits(3, {name: PATIENTS[name] for name in names})
    assert splits(3) != splits(4)


def test_fewer_patients_than_folds_are_refused() -> None:
    with pytest.raises(InputError, match=r"10 patient\(s\) cannot be split into 11 folds"):
        patient_splits(PATIENTS, folds=11, seed=0)
