from __future__ import annotations

import itertools

import numpy as np
import pytest

from spd_bench.inspection.duplicates import VoxelHashes, find_duplicates, voxel_hash


def _case(
    name: str, *, image: str, label: str | None = None, patient: str = "", fold: int | None = None
) -> VoxelHashes:
    return VoxelHashes(case=name, patient=patient or name, fold=fold, images=frozenset({image}), label=label)


def test_hashes_are_equal_exactly_where_arrays_are() -> None:
    first = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    other = first.copy()
    other[1, 2, 3] += 1
    arrays = [first, first.astype(np.float32), first.astype(np.uint8), other, first.reshape(3, 2, 4), first[:, ::-1]]
    for one, two in itertools.product(arrays, arrays):
        assert (voxel_hash(one) == voxel_hash(two)) == np.array_equal(one, two)


def test_minus_zero_is_zero() -> None:
    assert voxel_hash(np.array([[[-0.0]]])) == voxel_hash(np.array([[[0.0]]]))


def test_cases_without_anything_in_common_are_no_duplicates() -> None:
    assert find_duplicates([_case("a", image="1"), _case("b", image="2"), _case("c", image="3")]) == []


def test_empty_labels_are_no_duplicates() -> None:
    assert find_duplicates([_case("a", image="1", label=None), _case("b", image="2", label=None)]) == []


def test_a_copy_under_another_patient_is_severe() -> None:
    [found] = find_duplicates([_case("b", image="1", label="x"), _case("a", image="1", label="x")])
    assert (found.what, found.cases, found.severe) == ("image and label", ("a", "b"), True)
    assert found.reasons == ("under different patients",)


def test_a_copy_of_one_patient_in_one_fold_is_not_severe() -> None:
    [found] = find_duplicates([_case(name, image="1", patient="p", fold=2) for name in "ab"])
    assert (found.what, found.severe) == ("image", False)


def test_a_copy_in_two_test_sets_is_severe() -> None:
    [found] = find_duplicates([_case(name, image="1", patient="p", fold=fold) for name, fold in (("a", 0), ("b", 3))])
    assert found.reasons == ("in the test sets of folds 0, 3",)


def test_labels_are_compared_apart_from_images() -> None:
    cases = [_case("a", image="1", label="x"), _case("b", image="2", label="x"), _case("c", image="2", label="y")]
    found = {duplicate.cases: duplicate.what for duplicate in find_duplicates(cases)}
    assert found == {("a", "b"): "label", ("b", "c"): "image"}


def test_one_shared_channel_is_enough_and_is_told_once() -> None:
    cases = [
        VoxelHashes(case="a", patient="a", fold=None, images=frozenset("12"), label=None),
        VoxelHashes(case="b", patient="b", fold=None, images=frozenset("23"), label=None),
    ]
    assert [duplicate.cases for duplicate in find_duplicates(cases)] == [("a", "b")]
    both = [VoxelHashes(case=name, patient=name, fold=None, images=frozenset("12"), label=None) for name in "ab"]
    assert [duplicate.cases for duplicate in find_duplicates(both)] == [("a", "b")]


def test_severe_ones_come_first() -> None:
    mild = [_case(name, image="1", patient="p") for name in "ab"]
    severe = [_case(name, image="2") for name in "yz"]
    assert [duplicate.severe for duplicate in find_duplicates([*mild, *severe])] == [True, False]


@pytest.mark.parametrize("copies", [3, 4])
def test_many_copies_are_one_group(copies: int) -> None:
    [found] = find_duplicates([_case(str(number), image="1") for number in range(copies)])
    assert len(found.cases) == copies
