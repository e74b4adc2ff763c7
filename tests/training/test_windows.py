"""Windows of slices: what is drawn, from which volume, and that (seed, epoch) alone decides it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.planning.preprocessing import slice_index_folder
from spd_bench.storage import write_json
from spd_bench.training.batch_stream import BatchStream
from spd_bench.training.settings import TrainingSettings
from spd_bench.training.windows import (
    SliceIndex,
    Window,
    WindowBatch,
    WindowDataset,
    WindowSampler,
    join_windows,
    read_slice_index,
)

SIZE = 16
DEPTHS = {"case_a": 5, "case_b": 3, "case_c": 1}
WITH_TARGET = {"case_a": (1, 2, 3), "case_b": (1,), "case_c": ()}


def pixel_value(case: str, z: int) -> float:
    """The value that every pixel of a slice holds, so that a slice tells where it is from."""
    return sorted(DEPTHS).index(case) * 0.1 + z * 0.01


def points_of_slice(case: str, z: int) -> list[list[int]]:
    return [[z, 2 * number] for number in range(z)] if case != "case_c" else [[3, 4]]


@pytest.fixture(scope="module")
def preprocessed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three volumes as the preprocessor writes them, 5, 3 and 1 slices deep."""
    folder = tmp_path_factory.mktemp("windows") / "volumes"
    folder.mkdir()
    index = slice_index_folder(folder)
    index.mkdir()
    for case, depth in DEPTHS.items():
        data = np.empty((1, depth, SIZE, SIZE), np.float32)
        labels = np.zeros((1, depth, SIZE, SIZE), np.int16)
        for z in range(depth):
            data[:, z] = pixel_value(case, z)
            labels[:, z, 4:9, 5:7] = z in WITH_TARGET[case]
        chunks = (1, 1, SIZE, SIZE)
        nnUNetDatasetBlosc2.save_case(data, labels, {}, str(folder / case), chunks=chunks, blocks=chunks)
        points = [points_of_slice(case, z) for z in range(depth)]
        pixels = [int(labels[0, z].sum()) for z in range(depth)]
        write_json(index / f"{case}.json", {"points": points, "target_pixels": pixels})
    return folder


@pytest.fixture(scope="module")
def indices(preprocessed: Path) -> dict[str, SliceIndex]:
    return {case: read_slice_index(preprocessed, case) for case in DEPTHS}


def all_slices(indices: dict[str, SliceIndex]) -> dict[str, NDArray[np.int64]]:
    return {case: np.arange(len(index.has_target)) for case, index in indices.items()}


def make_sampler(indices: dict[str, SliceIndex], **changes: Any) -> WindowSampler:
    settings = TrainingSettings(batch_size=changes.pop("batch_size", 8), seed=changes.pop("seed", 0))
    arguments = {
        "candidates": all_slices(indices),
        "indices": indices,
        "neighbours": "none",
        "batches": 4,
        "settings": settings,
        "augment": True,
        **changes,
    }
    return WindowSampler(**arguments)


def make_dataset(preprocessed: Path, indices: dict[str, SliceIndex]) -> WindowDataset:
    points = {case: index.points for case, index in indices.items()}
    return WindowDataset(folder=preprocessed, channels=[0, 0, 0], points=points, settings=TrainingSettings())


def read_epoch(preprocessed: Path, sampler: WindowSampler, indices: Any, *, workers: int, epoch: int) -> list[Any]:
    stream = BatchStream(dataset=make_dataset(preprocessed, indices), sampler=sampler, workers=workers)
    stream.start_epoch(epoch)
    return [next(stream) for _ in range(len(sampler))]


def same_batch(first: WindowBatch, second: WindowBatch) -> bool:
    return (
        torch.equal(first.images, second.images)
        and torch.equal(first.masks, second.masks)
        and torch.equal(first.pairs, second.pairs)
        and all(np.array_equal(a, b) for a, b in zip(first.points, second.points, strict=True))
    )


def place(image: torch.Tensor) -> tuple[str, int]:
    """The case and slice that an image without augmentation was taken from."""
    value = round(float(image[0, 0, 0]), 3)
    return next((case, z) for case in DEPTHS for z in range(DEPTHS[case]) if round(pixel_value(case, z), 3) == value)


def test_slice_index_holds_the_points_and_targets_of_its_file(indices: dict[str, SliceIndex]) -> None:
    assert indices["case_a"].points[0].shape == (0, 2)
    assert [points.tolist() for points in indices["case_a"].points] == [points_of_slice("case_a", z) for z in range(5)]
    assert indices["case_a"].has_target.tolist() == [False, True, True, True, False]


def test_same_seed_and_epoch_give_identical_batches_with_and_without_workers(
    preprocessed: Path, indices: dict[str, SliceIndex]
) -> None:
    first = read_epoch(preprocessed, make_sampler(indices, neighbours="next"), indices, workers=0, epoch=3)
    second = read_epoch(preprocessed, make_sampler(indices, neighbours="next"), indices, workers=2, epoch=3)
    assert all(same_batch(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_is_the_same_whatever_was_read_before_it(
    preprocessed: Path, indices: dict[str, SliceIndex], workers: int
) -> None:
    stream = BatchStream(dataset=make_dataset(preprocessed, indices), sampler=make_sampler(indices), workers=workers)
    stream.start_epoch(0)
    next(stream)
    stream.start_epoch(1)
    continued = next(stream)
    fresh = read_epoch(preprocessed, make_sampler(indices), indices, workers=0, epoch=1)[0]
    assert same_batch(continued, fresh)


def test_another_epoch_another_seed_and_validation_draw_other_windows(indices: dict[str, SliceIndex]) -> None:
    def drawn(epoch: int, **changes: Any) -> list[list[tuple[str, tuple[int, ...]]]]:
        sampler = make_sampler(indices, batches=6, **changes)
        sampler.epoch = epoch
        return [[(window.case, window.slices) for window in batch] for batch in sampler]

    assert drawn(0) != drawn(1)
    assert drawn(0) != drawn(0, seed=1)
    assert drawn(0) != drawn(0, augment=False)
    assert drawn(2) == drawn(2)


def test_windows_of_a_batch_are_augmented_differently(indices: dict[str, SliceIndex]) -> None:
    seeds = [window.seed for batch in make_sampler(indices) for window in batch]
    assert None not in seeds
    assert len(set(seeds)) == len(seeds)
    assert all(window.seed is None for batch in make_sampler(indices, augment=False) for window in batch)


@pytest.mark.parametrize(("share", "batch_size"), [(0.5, 8), (0.25, 8), (1.0, 4), (0.0, 4)])
def test_every_batch_holds_the_share_of_slices_with_target(
    indices: dict[str, SliceIndex], share: float, batch_size: int
) -> None:
    settings = TrainingSettings(batch_size=batch_size, foreground_share=share)
    for batch in make_sampler(indices, settings=settings, batches=10):
        with_target = sum(window.slices[0] in WITH_TARGET[window.case] for window in batch)
        assert with_target == share * batch_size
        assert len(batch) == batch_size


@pytest.mark.parametrize(("share", "batch_size", "neighbours"), [(0.5, 1, "none"), (0.5, 2, "next"), (0.3, 2, "none")])
def test_small_batches_hold_the_share_of_slices_with_target_on_average(
    indices: dict[str, SliceIndex], share: float, batch_size: int, neighbours: str
) -> None:
    settings = TrainingSettings(batch_size=batch_size, foreground_share=share)
    windows = [
        window
        for batch in make_sampler(indices, settings=settings, batches=20, neighbours=neighbours)
        for window in batch
    ]
    with_target = sum(window.slices[0] in WITH_TARGET[window.case] for window in windows)
    assert with_target == pytest.approx(share * len(windows), abs=1)


def test_slices_of_the_other_kind_fill_in_where_one_kind_is_missing(indices: dict[str, SliceIndex]) -> None:
    only_empty = {"case_a": np.array([0, 4])}
    drawn = {window.slices for batch in make_sampler(indices, candidates=only_empty) for window in batch}
    assert drawn == {(0,), (4,)}


def test_every_candidate_is_drawn_sooner_or_later_and_nothing_else(indices: dict[str, SliceIndex]) -> None:
    candidates = {"case_a": np.array([0, 2, 3]), "case_b": np.array([1])}
    sampler = make_sampler(indices, candidates=candidates, batches=50)
    drawn = {(window.case, window.slices[0]) for batch in sampler for window in batch}
    assert drawn == {("case_a", 0), ("case_a", 2), ("case_a", 3), ("case_b", 1)}


@pytest.mark.parametrize(
    ("neighbours", "expected"),
    [
        ("none", {0: (0,), 1: (1,), 2: (2,)}),
        ("next", {0: (0, 1), 1: (1, 2), 2: (2,)}),
        ("previous", {0: (0,), 1: (0, 1), 2: (1, 2)}),
        ("both", {0: (0, 1), 1: (0, 1, 2), 2: (1, 2)}),
    ],
)
def test_neighbours_stop_at_the_borders_of_the_volume(
    indices: dict[str, SliceIndex], neighbours: str, expected: dict[int, tuple[int, ...]]
) -> None:
    for z, slices in expected.items():
        sampler = make_sampler(indices, candidates={"case_b": np.array([z])}, neighbours=neighbours, batches=1)
        assert {window.slices for batch in sampler for window in batch} == {slices}


def test_neighbours_count_towards_the_batch_size(indices: dict[str, SliceIndex]) -> None:
    middle = {"case_a": np.array([2])}
    for neighbours, windows in (("none", 8), ("next", 4), ("both", 2)):
        batch = next(iter(make_sampler(indices, candidates=middle, neighbours=neighbours)))
        assert len(batch) == windows
        assert sum(len(window.slices) for window in batch) <= 8


def test_pairs_are_adjacent_slices_of_one_volume(preprocessed: Path, indices: dict[str, SliceIndex]) -> None:
    sampler = make_sampler(indices, neighbours="both", batch_size=12, batches=10, augment=False)
    pairs = 0
    for batch in read_epoch(preprocessed, sampler, indices, workers=0, epoch=0):
        places = [place(image) for image in batch.images]
        joined = {(places[first], places[second]) for first, second in batch.pairs.tolist()}
        assert all(a[0] == b[0] and a[1] + 1 == b[1] for a, b in joined)
        pairs += len(batch.pairs)
    assert pairs > 20


def test_a_joined_batch_holds_every_neighbouring_pair_of_its_windows(
    preprocessed: Path, indices: dict[str, SliceIndex]
) -> None:
    dataset = make_dataset(preprocessed, indices)
    windows = [("case_a", (1, 2, 3)), ("case_c", (0,)), ("case_b", (0, 1)), ("case_a", (0, 1))]
    batch = join_windows([dataset[Window(case=case, slices=slices, seed=None)] for case, slices in windows])
    assert batch.pairs.tolist() == [[0, 1], [1, 2], [4, 5], [6, 7]]
    assert [place(image) for image in batch.images] == [(case, z) for case, slices in windows for z in slices]


def test_a_window_holds_the_images_masks_and_points_of_its_slices(
    preprocessed: Path, indices: dict[str, SliceIndex]
) -> None:
    window = make_dataset(preprocessed, indices)[Window(case="case_a", slices=(2, 3, 4), seed=None)]
    assert window.images.shape == (3, 3, SIZE, SIZE)
    assert [place(image) for image in window.images] == [("case_a", 2), ("case_a", 3), ("case_a", 4)]
    expected = np.zeros((3, SIZE, SIZE))
    expected[:2, 4:9, 5:7] = 1
    np.testing.assert_array_equal(window.masks.numpy(), expected)
    assert [points.tolist() for points in window.points] == [points_of_slice("case_a", z) for z in (2, 3, 4)]


def test_channels_are_taken_in_the_order_asked_for(tmp_path: Path) -> None:
    data = np.stack([np.full((1, SIZE, SIZE), value, np.float32) for value in (0.1, 0.2)])
    labels = np.zeros((1, 1, SIZE, SIZE), np.int16)
    chunks = (1, 1, SIZE, SIZE)
    nnUNetDatasetBlosc2.save_case(data, labels, {}, str(tmp_path / "case"), chunks=chunks, blocks=chunks)
    points = {"case": [np.zeros((0, 2), np.int64)]}
    dataset = WindowDataset(folder=tmp_path, channels=[1, 0, 1], points=points, settings=TrainingSettings())
    image = dataset[Window(case="case", slices=(0,), seed=None)].images[0]
    np.testing.assert_allclose(image[:, 0, 0], [0.2, 0.1, 0.2], rtol=1e-6)


def test_no_candidate_slice_is_an_input_error(indices: dict[str, SliceIndex]) -> None:
    with pytest.raises(InputError, match="none of the slices of 1 case"):
        make_sampler(indices, candidates={"case_a": np.array([], dtype=np.int64)})


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"points": [[]]},
        {"points": [[[1, 2]], 3], "target_pixels": [0, 1]},
        {"points": [[["a", 2]]], "target_pixels": [0]},
        {"points": [[[1, 2]]], "target_pixels": ["many"]},
        {"points": [[[1, 2]], []], "target_pixels": [1]},
        {"points": [[[10**30, 2]]], "target_pixels": [1]},
    ],
)
def test_what_is_no_list_of_slices_is_refused_by_its_file(tmp_path: Path, content: Any) -> None:
    folder = tmp_path / "cases"
    write_json(slice_index_folder(folder) / "case.json", content)
    with pytest.raises(InputError, match=r"slices.*case\.json"):
        read_slice_index(folder, "case")
