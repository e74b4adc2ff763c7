"""A case that is added to a dataset with simulated prompts gets its own, as the others got theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spd_bench.errors import InputError
from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan
from spd_bench.prompts.points import PointPrompts, read_prompts, write_prompts

MakeDataset = Callable[..., Path]
PlanTiny = Callable[..., Plan]


def test_missing_simulated_prompts_are_completed_alike(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, plan_tiny: PlanTiny, fingerprint_in_threads: None
) -> None:
    raw = make_tiny_dataset(own_folders.raw, with_prompts=False)
    plan_tiny(own_folders, seed=3, severity=2.0)
    before = {path.name: path.read_bytes() for path in (raw / "promptsTr").iterdir()}
    (raw / "promptsTr" / "case_4.mrk.json").unlink()
    plan_tiny(own_folders, seed=5)
    assert {path.name: path.read_bytes() for path in (raw / "promptsTr").iterdir()} == before


def test_prompts_that_a_reader_drew_are_not_completed(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, plan_tiny: PlanTiny
) -> None:
    raw = make_tiny_dataset(own_folders.raw)
    (raw / "promptsTr" / "case_4.mrk.json").unlink()
    with pytest.raises(InputError, match="case without prompts, though others have them: case_4"):
        plan_tiny(own_folders)
    assert not (raw / "promptsTr" / "case_4.mrk.json").exists()


def test_prompts_simulated_in_two_ways_are_not_completed(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, plan_tiny: PlanTiny, fingerprint_in_threads: None
) -> None:
    raw = make_tiny_dataset(own_folders.raw, with_prompts=False)
    plan_tiny(own_folders, seed=3)
    file = raw / "promptsTr" / "case_2.mrk.json"
    origin = {**read_prompts(file).provenance, "seed": 4}
    write_prompts(file, PointPrompts(positions=np.zeros((0, 3)), provenance=origin))
    (raw / "promptsTr" / "case_4.mrk.json").unlink()
    with pytest.raises(InputError, match=r"not simulated alike.*move the promptsTr folder away"):
        plan_tiny(own_folders)
