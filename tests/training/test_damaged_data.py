"""Nothing is trained on preprocessed files that are not as they were written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from spd_bench.errors import InputError
from spd_bench.planning.plan import Plan
from spd_bench.training.run import train

CPU = torch.device("cpu")


@pytest.mark.parametrize(("method", "configuration"), [("unet", "spd_32"), ("nnunet", "2d")])
def test_a_changed_byte_is_told_before_a_run_is_touched(
    planned: Plan, make_run: Any, run_folder: Any, method: str, configuration: str
) -> None:
    run = make_run(method)
    folder = run_folder(run)
    path = planned.folder / f"SPDPlans_{configuration}" / f"{planned.split(0)['train'][0]}.b2nd"
    content = path.read_bytes()
    folder.mkdir(parents=True)
    (folder / "checkpoint_final.pth").write_text("an earlier run")
    try:
        path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
        with pytest.raises(InputError, match=rf"not as it was written, in .*{path.name}: run spd_plan_and_preprocess"):
            train(run, folder=folder, device=CPU)
    finally:
        path.write_bytes(content)
    assert [file.name for file in folder.iterdir()] == ["checkpoint_final.pth"]


def test_a_test_case_is_not_looked_at(planned: Plan, make_run: Any, run_folder: Any, tmp_path: Path) -> None:
    run = make_run("unet")
    path = planned.folder / "SPDPlans_spd_32" / f"{planned.split(0)['test'][0]}.b2nd"
    moved = path.rename(tmp_path / path.name)
    try:
        train(run, folder=run_folder(run), device=CPU)
    finally:
        moved.rename(path)
