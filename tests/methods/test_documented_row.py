"""docs/methods.md lists every row, and its own example is a row that runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spd_bench.cli.compare_baselines import main
from spd_bench.methods.registry import METHODS
from spd_bench.models.weight_families import WEIGHT_FAMILIES
from spd_bench.planning.plan import Plan
from spd_bench.prompts.points import PointPrompts
from spd_bench.raw.volumes import read_volume

PAGE = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")


def test_every_row_and_every_family_of_weights_is_listed() -> None:
    for name in (*METHODS, *WEIGHT_FAMILIES):
        assert f"`{name}`" in PAGE, name


def test_no_row_is_listed_that_does_not_exist() -> None:
    tables = PAGE[: PAGE.index("## Weights")]
    listed = {name for cell in re.findall(r"^\| (`[^|]+`) \|", tables, re.MULTILINE) for name in cell.split(", ")}
    assert {name.strip("`") for name in listed} <= METHODS.keys()


@pytest.fixture
def example() -> Any:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # the page's own code, as a reader would save it
    return names["DISC"]


def test_the_pages_example_runs_like_any_other_row(
    example: Any, planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(METHODS, "disc", example)
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    (tmp_path / "results").mkdir()
    arguments = ["-d", planned.dataset, "-m", "disc", "empty", "-o", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*arguments, "--set", "disc.radius_mm=4.5"]) == 0
    assert "disc" in capsys.readouterr().out
    assert "| Disc |" in (tmp_path / "out" / "table_volumetric_dice.md").read_text(encoding="utf-8")
    for case in planned.split(0)["test"]:
        file = tmp_path / "out" / "cells" / planned.dataset / "disc" / "fold_0" / "predictions" / f"{case}.nii.gz"
        assert read_volume(file)[0].any()


def test_the_pages_discs_lie_around_their_points(example: Any, make_method_run: Callable[..., Any]) -> None:
    """By brute force over the voxels of one slice."""
    from spd_bench.prediction.volume import PromptedVolume
    from spd_bench.raw.geometry import VolumeGeometry

    geometry = VolumeGeometry(shape=(3, 12, 10), spacing=(5.0, 1.0, 2.0))
    points = PointPrompts.from_voxels(np.array([[1, 6, 4]]), geometry)
    volume = PromptedVolume(case="a", channels=np.zeros((1, 3, 12, 10), np.float32), geometry=geometry, prompts=points)
    run = make_method_run("empty")
    mask = example.predictor(run).predict(volume).mask
    expected = np.zeros((3, 12, 10), np.uint8)
    for y in range(12):
        for x in range(10):
            expected[1, y, x] = (y - 6) ** 2 + (2 * (x - 4)) ** 2 <= 8.0**2
    np.testing.assert_array_equal(mask, expected)
