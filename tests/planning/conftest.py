"""What several planning tests do to a dataset and look for in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spd_bench.raw.volumes import read_volume, write_volume


@pytest.fixture
def half_written() -> Callable[[Path], list[Path]]:
    """Finds what a cut-short writer leaves behind."""
    return lambda root: [path for path in root.rglob("*") if path.name.startswith(".")]


@pytest.fixture
def give_labels_two_values() -> Callable[[Path], None]:
    """Splits each target of a dataset's folder in a left part of label 1 and a right part of label 2."""
    return _give_labels_two_values


def _give_labels_two_values(folder: Path) -> None:
    for path in (folder / "labelsTr").iterdir():
        voxels, geometry = read_volume(path)
        voxels[:, :, geometry.shape[2] // 2 :] *= 2
        write_volume(path, voxels, geometry)
    description = json.loads((folder / "dataset.json").read_text())
    description["labels"] = {"background": 0, "left": 1, "right": 2}
    (folder / "dataset.json").write_text(json.dumps(description))
