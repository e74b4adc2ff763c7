"""What is torn is done again; where nothing can be written it is said, and nothing is lost."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from spd_bench.cells import Cell, Grid
from spd_bench.comparison import compare
from spd_bench.errors import InputError
from spd_bench.planning.plan import Plan
from spd_bench.raw.volumes import read_volume, write_volume
from spd_bench.storage import atomic_path


def tear(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def remove(path: Path) -> None:
    path.unlink()


def another_mask(path: Path) -> None:
    mask, geometry = read_volume(path)
    write_volume(path, 1 - np.asarray(mask), geometry)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("slices.csv", tear),
        ("volumes.csv", tear),
        ("volumes.csv", remove),
        ("cell.json", tear),
        ("files.json", tear),
        ("files.json", remove),
        ("predictions/*.nii.gz", tear),
        ("predictions/*.nii.gz", remove),
        ("predictions/*.nii.gz", another_mask),
    ],
)
def test_a_torn_cell_is_done_again_without_training(
    planned: Plan,
    make_grid: Callable[..., Grid],
    cells_of: Callable[..., list[Cell]],
    forbid_training: Callable[[], None],
    name: str,
    damage: Callable[[Path], None],
) -> None:
    grid, cells = make_grid(), cells_of(planned, ("empty",))
    compare(cells, grid)
    folder = grid.folder(cells[0])
    before = {path.name: path.read_bytes() for path in folder.rglob("*") if path.suffix in {".csv", ".gz"}}
    damage(next(folder.glob(name)))
    forbid_training()
    assert compare(cells, grid).failures == {}
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.suffix in {".csv", ".gz"}} == before


def test_a_disk_that_is_full_at_any_write_is_told_and_loses_nothing(
    planned: Plan, make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = os.fsync
    left: list[int] = []

    def full_after_some_writes(descriptor: int) -> None:
        if left:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
        original(descriptor)

    monkeypatch.setattr(os, "fsync", full_after_some_writes)
    cells = cells_of(planned, ("empty",))
    whole = make_grid("whole")
    compare(cells, whole)
    expected = (whole.output / "slices.csv").read_bytes()
    told = 0
    for number, writes in enumerate((0, 1, 2, 3, 5, 8, 12, 17, 23, 30)):
        grid = make_grid(f"full_{number}")
        left[:] = [writes]
        with pytest.raises(InputError, match="No space left on device"):
            compare(cells, grid)
        told += 1
        left.clear()
        assert not list(grid.output.rglob(".part-*"))
        compare(cells, grid)
        assert (grid.output / "slices.csv").read_bytes() == expected
        shutil.rmtree(grid.output)
    assert told == 10


def test_a_mask_that_cannot_be_written_is_no_empty_mask(
    planned: Plan, make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def full(final: Path) -> Iterator[Path]:
        with atomic_path(final) as temporary:
            yield temporary
            raise OSError(errno.ENOSPC, "No space left on device")

    grid, cells = make_grid(), cells_of(planned, ("empty",))
    monkeypatch.setattr("spd_bench.raw.volumes.atomic_path", full)
    with pytest.raises(InputError, match=r"no cell could be run; first: .*No space left on device"):
        compare(cells, grid)
    assert not (grid.folder(cells[0]) / "cell.json").exists()


def test_an_output_that_cannot_be_written_to_is_told_before_anything_is_trained(
    planned: Plan,
    make_grid: Callable[..., Grid],
    cells_of: Callable[..., list[Cell]],
    forbid_training: Callable[[], None],
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("in the way")
    forbid_training()
    with pytest.raises(InputError, match="cannot be"):
        compare(cells_of(planned, ("unet",)), make_grid(output=tmp_path / "file" / "out"))
