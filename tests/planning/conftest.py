"""What several planning tests do to a dataset and look for in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan
from spd_bench.planning.prepare import plan_and_preprocess
from spd_bench.planning.settings import PlanSettings
from spd_bench.raw.volumes import read_volume, write_volume

TINY = "Dataset901_Tiny"


@pytest.fixture
def choose() -> Callable[..., PlanSettings]:
    """Settings for the tiny dataset, with some of them chosen otherwise."""
    return lambda **choices: PlanSettings(**{"resolution": 32, "context": 1, "folds": 3, **choices})


@pytest.fixture
def plan_tiny(choose: Callable[..., PlanSettings]) -> Callable[..., Plan]:
    """Plans the tiny dataset of some folders: ``plan_tiny(folders, seed=3)``."""

    def plan(folders: DataFolders, **choices: Any) -> Plan:
        return plan_and_preprocess(TINY, folders=folders, settings=choose(**choices))

    return plan


@pytest.fixture
def names() -> Callable[[Path], list[str]]:
    """The sorted names in a folder."""
    return lambda folder: sorted(path.name for path in folder.iterdir())


@pytest.fixture
def make_image_dataset() -> Callable[..., Path]:
    """:func:`write_image_dataset`."""
    return write_image_dataset


def write_image_dataset(
    root: Path,
    *,
    file_ending: str = ".png",
    cases: int = 6,
    depth: int | None = None,
    colours: int = 0,
    channel_names: tuple[str, ...] = ("grey",),
) -> Path:
    """Write a dataset of images without position as others write them, by imageio and tifffile.

    Each case holds a bright disc whose middle is its only point. With ``depth`` it is a stack with a spacing of
    (4, 1.5, 0.5); with ``colours`` one file holds that many channels, each brighter than the one before.
    """
    folder = root / TINY
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    (folder / "promptsTr").mkdir()
    for number in range(cases):
        case = f"case_{number}"
        generator = np.random.default_rng(number)
        y, x = generator.integers(9, 12, 2)
        rows, columns = np.indices((24, 20))
        label = ((rows - y) ** 2 + (columns - x) ** 2 <= 25).astype(np.uint8)
        if depth is not None:
            label = np.stack([label * (0 < z < depth - 1) for z in range(depth)]).astype(np.uint8)
        image = (generator.integers(20, 40, label.shape) + 40 * label).astype(np.uint8)
        if colours:
            image = np.stack([image + 20 * channel for channel in range(colours)], axis=-1).astype(np.uint8)
        for channel in range(1 if colours else len(channel_names)):
            _write_image(folder / "imagesTr" / f"{case}_{channel:04d}{file_ending}", image + 10 * channel)
        _write_image(folder / "labelsTr" / f"{case}{file_ending}", label)
        z, dz, dy, dx = (0, 999, 1, 1) if depth is None else (1, 4, 1.5, 0.5)
        if depth is not None:
            for part in ("imagesTr", "labelsTr"):
                (folder / part / f"{case}.json").write_text(json.dumps({"spacing": [dz, dy, dx]}))
        point = {"position": [float(x * dx), float(y * dy), float(z * dz)]}
        markups = {"markups": [{"coordinateSystem": "LPS", "controlPoints": [point]}]}
        (folder / "promptsTr" / f"{case}.mrk.json").write_text(json.dumps(markups))
    description = {
        "channel_names": {str(number): name for number, name in enumerate(channel_names)},
        "labels": {"background": 0, "target": 1},
        "numTraining": cases,
        "file_ending": file_ending,
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def _write_image(path: Path, pixels: np.ndarray) -> None:
    if path.suffix in (".tif", ".tiff"):
        tifffile.imwrite(
            path, pixels, photometric="rgb" if pixels.ndim == 3 and pixels.shape[-1] == 3 else "minisblack"
        )
    else:
        iio.imwrite(path, pixels)


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
