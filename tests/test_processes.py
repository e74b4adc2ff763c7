from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from spd_bench.processes import run_in_processes


def _note(path: Path) -> int:
    path.write_text(str(os.getpid()))
    time.sleep(0.2)
    if path.name == "bad":
        raise ValueError(path.name)
    return len(path.name)


def test_one_job_or_one_item_stays_in_this_process(tmp_path: Path) -> None:
    assert list(run_in_processes(_note, [tmp_path / "a", tmp_path / "bb"], jobs=1)) == [1, 2]
    assert list(run_in_processes(_note, [tmp_path / "ccc"], jobs=4)) == [3]
    assert {path.read_text() for path in tmp_path.iterdir()} == {str(os.getpid())}


def test_several_jobs_give_every_result_from_other_processes(tmp_path: Path) -> None:
    names = ["a", "bb", "ccc", "dddd"]
    assert sorted(run_in_processes(_note, [tmp_path / name for name in names], jobs=2)) == [1, 2, 3, 4]
    assert str(os.getpid()) not in {path.read_text() for path in tmp_path.iterdir()}


def test_an_error_drops_what_still_waits(tmp_path: Path) -> None:
    items = [tmp_path / name for name in ("bad", *(f"item_{number:02d}" for number in range(30)))]
    with pytest.raises(ValueError, match="bad"):
        list(run_in_processes(_note, items, jobs=2))
    assert len(list(tmp_path.iterdir())) < 20
