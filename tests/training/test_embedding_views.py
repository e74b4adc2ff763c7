"""Which views there are, what Stage II draws of them, and how many fit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spd_bench.training.embedding_views import (
    View,
    allowed_bytes,
    choose_views,
    drawn_slices,
    view_of,
    windows_of_epochs,
)
from spd_bench.training.settings import TrainingSettings
from spd_bench.training.windows import SliceIndex, Window, WindowSampler

SETTINGS = TrainingSettings(batch_size=4)
DEPTHS = {"case_a": 9, "case_b": 4}


def make_sampler(*, augment: bool) -> WindowSampler:
    indices = {
        case: SliceIndex(points=[np.zeros((0, 2), np.int64)] * depth, has_target=np.arange(depth) % 2 == 0)
        for case, depth in DEPTHS.items()
    }
    return WindowSampler(
        candidates={"case_a": np.array([1, 4, 8]), "case_b": np.array([0, 2])},
        indices=indices,
        neighbours="next",
        batches=3,
        settings=SETTINGS,
        augment=augment,
    )


def test_a_window_is_always_shown_in_the_same_view_and_one_without_seed_as_it_is() -> None:
    window = Window(case="case_a", slices=(1, 2), seed=(0, 3, 1, 5, 2))
    assert view_of(window, 4) == view_of(Window(case="case_a", slices=(7,), seed=(0, 3, 1, 5, 2)), 4)
    assert view_of(Window(case="case_a", slices=(1,), seed=None), 4) == View(case="case_a", number=None)


def test_all_views_are_drawn_alike() -> None:
    numbers = [view_of(Window(case="case_a", slices=(1,), seed=(0, 1, 1, n, 0)), 4).number for n in range(2000)]
    counts = np.bincount(numbers)
    assert len(counts) == 4
    # Four standard deviations of a fair draw.
    assert (np.abs(counts - 500) < 4 * np.sqrt(2000 * 0.25 * 0.75)).all()


def test_a_view_follows_from_seed_case_and_number_alone() -> None:
    def drawn(case: str = "case_a", number: int = 0, seed: int = 0) -> Any:
        return View(case=case, number=number).augmentation(TrainingSettings(seed=seed))

    assert drawn() == drawn()
    others = [drawn(), drawn(case="case_b"), drawn(number=1), drawn(seed=1)]
    assert len({augmentation.degrees for augmentation in others}) == 4
    assert View(case="case_a", number=None).augmentation(SETTINGS) is None
    flips = [drawn(number=number).flip for number in range(200)]
    assert 60 < sum(flips) < 140
    assert max(abs(drawn(number=number).degrees) for number in range(200)) <= SETTINGS.rotation_degrees


def test_names_of_views_are_different() -> None:
    views = [View(case=case, number=number) for case in ("a", "a_view_0", "a_plain") for number in (None, 0, 1, 10)]
    names = [name for view in views for name in (view.name, f"{view.name}_masks")]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("augment", [True, False])
def test_the_drawn_slices_are_those_of_all_windows_of_the_epochs_and_no_others(augment: bool) -> None:
    sampler = make_sampler(augment=augment)
    expected: dict[tuple[str, int | None], set[int]] = {}
    for epoch in (2, 3):
        sampler.epoch = epoch
        for batch in sampler:
            for window in batch:
                number = view_of(window, 2).number
                expected.setdefault((window.case, number), set()).update(window.slices)
    drawn = drawn_slices(windows_of_epochs(sampler, [2, 3]), 2)
    assert {(view.case, view.number): set(slices) for view, slices in drawn.items()} == expected
    assert all(list(slices) == sorted(set(slices)) for slices in drawn.values())
    assert {view.number for view in drawn} == ({0, 1} if augment else {None})


def draw(views: int) -> dict[View, tuple[int, ...]]:
    """Ten slices a view, and five of validation."""
    training = {View(case="case_a", number=number): tuple(range(10)) for number in range(views)}
    return {**training, View(case="case_b", number=None): tuple(range(5))}


@pytest.mark.parametrize(
    ("wanted", "allowed", "views"),
    [(4, 4500, 4), (4, 4499, 3), (4, 2500, 2), (4, 2499, 0), (4, 0, 0), (1, 1500, 1), (1, 1499, 0), (8, 4500, 4)],
)
def test_as_many_views_as_fit_and_none_where_two_do_not(wanted: int, allowed: int, views: int) -> None:
    choice = choose_views(draw, wanted=wanted, bytes_per_slice=100, allowed_bytes=allowed)
    slices = 10 * views + 5 if views else 0
    assert (choice.views, choice.slices) == (views, slices)
    assert choice.gigabytes == pytest.approx(100 * slices / 1e9)
    assert choice.wanted_gigabytes == pytest.approx(100 * (10 * wanted + 5) / 1e9)


def test_the_choice_is_told_in_one_line() -> None:
    def told(wanted: int, allowed: int) -> str:
        choice = choose_views(draw, wanted=wanted, bytes_per_slice=10**8, allowed_bytes=allowed * 10**8)
        return choice.sentence(Path("folder"))

    assert told(4, 100).endswith(": 4 views, 45 slices x 100000 kB = 4.50 GB in folder")
    assert "4 views need 4.50 GB, 3.00 GB may be used" in told(4, 30)
    assert told(4, 30).endswith(": 2 views, 25 slices x 100000 kB = 2.50 GB in folder")
    assert "4 views need 4.50 GB, 1.00 GB may be used (spd.cache_gb, free disk space): no views" in told(4, 10)
    assert "whenever they are drawn" in told(4, 10)


@pytest.mark.parametrize(("free", "bound", "expected"), [(100, 20, 20), (100, 0, 0), (10, 20, 8), (1, 20, 0)])
def test_no_more_than_the_bound_is_used_and_not_the_last_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, bound: int, expected: int
) -> None:
    asked = []

    def disk_usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=free * 10**9)

    monkeypatch.setattr("shutil.disk_usage", disk_usage)
    assert allowed_bytes(tmp_path / "not" / "yet", gigabytes=bound) == expected * 10**9
    assert asked == [tmp_path]
