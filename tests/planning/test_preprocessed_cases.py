"""Preprocessed cases are read without running what a pickle asks for."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from spd_bench.errors import InputError
from spd_bench.planning.preprocessed_cases import PreprocessedCases, read_properties

PROPERTIES = {
    "spacing": [np.float64(1.5), 1.0, 1.0],
    "class_locations": {1: np.arange(12).reshape(3, 4), (1, 2): np.empty((0, 4), np.int64)},
    "sitk_stuff": {"origin": (0.0, 1.0), "direction": np.eye(3).ravel()},
    "bbox_used_for_cropping": [(0, 4), (0, 5), (0, 6)],
    "name": "case",
}


class Runs:
    """An object whose pickle runs a command when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return subprocess.call, (["touch", str(self.marker)],)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = np.random.default_rng(0).normal(size=(1, 4, 5, 6)).astype(np.float32)
    labels = (data > 0).astype(np.int8)
    shape = {"chunks": (1, 1, 5, 6), "blocks": (1, 1, 5, 6)}
    nnUNetDatasetBlosc2.save_case(
        data, labels, PROPERTIES, str(tmp_path / "case"), **shape, chunks_seg=(1, 1, 5, 6), blocks_seg=(1, 1, 5, 6)
    )
    return tmp_path


def test_a_case_is_what_nnunet_reads(folder: Path) -> None:
    ours, theirs = (kind(str(folder), ["case"]).load_case("case") for kind in (PreprocessedCases, nnUNetDatasetBlosc2))
    for array, expected in zip(ours[:2], theirs[:2], strict=True):
        np.testing.assert_array_equal(array[:], expected[:])
    assert ours[2] is theirs[2] is None
    np.testing.assert_equal(ours[3], theirs[3])


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_values_and_arrays_are_read_in_every_protocol_of_python_3(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "case.pkl"
    path.write_bytes(pickle.dumps(PROPERTIES, protocol=protocol))
    np.testing.assert_equal(read_properties(path), PROPERTIES)


def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(folder: Path) -> None:
    marker = folder / "was_run"
    (folder / "case.pkl").write_bytes(pickle.dumps({**PROPERTIES, "extra": Runs(marker)}))
    with pytest.raises(InputError, match=r"asks for subprocess\.call.*case\.pkl.*spd_plan_and_preprocess again"):
        PreprocessedCases(str(folder), ["case"]).load_case("case")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["case.pkl", "case.b2nd", "case_seg.b2nd"])
@pytest.mark.parametrize("kept", [None, 0, 0.5])
def test_a_missing_empty_or_torn_file_is_named(folder: Path, name: str, kept: float | None) -> None:
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    if kept is not None:
        (folder / name).write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=name):
        PreprocessedCases(str(folder), ["case"]).load_case("case")


def test_slices_are_those_of_the_arrays(folder: Path) -> None:
    cases = PreprocessedCases(str(folder), ["case"])
    images, labels, *_ = cases.load_case("case")
    chosen = cases.read_slices("case", (1, 3))
    np.testing.assert_array_equal(chosen[0], images[:][:, [1, 3]])
    np.testing.assert_array_equal(chosen[1], labels[:][0, [1, 3]])
    for ours, expected in zip(cases.read_slices("case"), (images[:], labels[0]), strict=True):
        np.testing.assert_array_equal(ours, expected)
