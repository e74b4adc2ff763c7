"""Damaged files are refused in one line or read (``make endurance`` damages them at more places)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.corrupting.damages import NOTICED_OR_HARMLESS, REFUSED, damaged
from benchmarks.corrupting.files import FILES, Workplace, make_workplace
from benchmarks.corruption import fits, outcome_of

TIMES = 3


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("raw", "preprocessed", "results"):  # set by the workplace, and set back here
            patch.setenv(f"nnUNet_{name}", "")
        return make_workplace(tmp_path_factory.mktemp("corruption"))


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_is_read(place: Workplace, name: str) -> None:
    FILES[name].read(place)


@pytest.mark.parametrize("damage", [*REFUSED, *NOTICED_OR_HARMLESS])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_in_one_line_or_read(place: Workplace, name: str, damage: str) -> None:
    random = np.random.default_rng(0)
    for _ in range(1 if damage in REFUSED else TIMES):
        outcome = outcome_of(FILES[name], place, {**REFUSED, **NOTICED_OR_HARMLESS}[damage], random)
        assert fits(FILES[name], damage, outcome), outcome


@pytest.mark.parametrize("damage", [*REFUSED, *NOTICED_OR_HARMLESS])
def test_a_damaged_file_is_restored(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)))
    with damaged(path, {**REFUSED, **NOTICED_OR_HARMLESS}[damage], np.random.default_rng(0)):
        assert not path.is_file() or path.read_bytes() != bytes(range(100))
    assert path.read_bytes() == bytes(range(100))


def test_what_escapes_or_goes_unnoticed_is_a_fault() -> None:
    kind = FILES["image"]
    assert fits(kind, "half", "refused")
    assert not fits(kind, "half", "read")
    assert fits(kind, "one byte changed", "read")
    assert not fits(kind, "one byte changed", "KeyError: 'patients'")
    assert fits(FILES["run record"], "missing", "read")
    assert not fits(FILES["run record"], "zeros", "read")
