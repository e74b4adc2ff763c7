"""A tiny dataset, raw and planned, that every test may read and none may write to."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nnunetv2.utilities.utils
import numpy as np
import pytest
import torch
from hypothesis import settings
from nnunetv2.experiment_planning.dataset_fingerprint import fingerprint_extractor

from spd_bench.methods.method import MethodOptions, MethodRun
from spd_bench.methods.registry import METHODS
from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan
from spd_bench.planning.prepare import plan_and_preprocess
from spd_bench.planning.settings import PlanSettings
from spd_bench.prompts.points import PointPrompts
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.writer import RawDatasetWriter

# The same examples in every run: a failure is there for everyone.
settings.register_profile("reproducible", derandomize=True)
settings.load_profile("reproducible")

# A shell's background job begins with SIGINT ignored, and its children inherit that: no test could interrupt anything.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# On tiny tensors a second thread only waits for the first, and on a busy machine it waits very long.
torch.set_num_threads(1)

TINY = "Dataset901_Tiny"
# Rows run backwards and the volume is turned by 20 degrees about its x axis.
_TILT = np.deg2rad(20.0)
_DIRECTION = (1.0, 0.0, 0.0, 0.0, -np.cos(_TILT), -np.sin(_TILT), 0.0, -np.sin(_TILT), np.cos(_TILT))


def write_tiny_dataset(
    root: Path,
    *,
    name: str = TINY,
    cases: int = 6,
    shape: tuple[int, int, int] = (6, 24, 20),
    spacing: tuple[float, float, float] = (5.0, 1.0, 1.5),
    channel_names: tuple[str, ...] = ("MR",),
    file_ending: str = ".nii.gz",
    with_prompts: bool = True,
    seed: int = 0,
) -> Path:
    """Write cases ``case_0``, ``case_1``... under ``root/name`` and return that folder.

    Each holds a bright noisy ellipsoid that leaves the first and the last slice empty. Its points lie in the
    ellipsoid on every slice but one, one more lies outside. The first two cases are of one patient.
    """
    folder = root / name
    writer = RawDatasetWriter(folder=folder, channel_names=channel_names, file_ending=file_ending)
    geometry = VolumeGeometry(shape=shape, spacing=spacing, origin=(-30.0, 12.5, 70.0), direction=_DIRECTION)
    for number in range(cases):
        generator = np.random.default_rng([seed, number])
        label = _ellipsoid(shape, generator)
        image = generator.normal(100.0, 10.0, shape) + 150.0 * label
        images = [(image * (1 + channel)).astype(np.float32) for channel in range(len(channel_names))]
        prompts = PointPrompts.from_voxels(_voxel_points(label), geometry, provenance={"reader": "made up"})
        writer.add_case(
            case=f"case_{number}",
            images=images,
            label=label,
            geometry=geometry,
            prompts=prompts if with_prompts else None,
            patient=f"patient_{max(number, 1)}",
        )
    writer.finish()
    return folder


def _ellipsoid(shape: tuple[int, int, int], generator: np.random.Generator) -> np.ndarray:
    sizes = np.asarray(shape)
    centre = (sizes - 1) / 2 + generator.uniform(-0.1, 0.1, 3) * sizes * (0, 1, 1)
    radii = sizes * generator.uniform(0.2, 0.3, 3) * (0, 1, 1) + ((sizes[0] - 1) / 2 - 0.2, 0, 0)
    grid = np.indices(shape).transpose(1, 2, 3, 0)
    return ((((grid - centre) / radii) ** 2).sum(axis=-1) <= 1).astype(np.uint8)


def _voxel_points(label: np.ndarray) -> np.ndarray:
    slices = np.flatnonzero(label.any(axis=(1, 2)))
    inside = [(z, *np.argwhere(label[z]).mean(axis=0).round()) for z in slices[:-1]]
    return np.asarray([*inside, (slices[0], 0, label.shape[2] - 1)], dtype=np.int64)


@pytest.fixture(scope="session")
def make_tiny_dataset() -> Callable[..., Path]:
    """:func:`write_tiny_dataset`, for tests that need a raw dataset of their own."""
    return write_tiny_dataset


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataFolders]:
    """nnU-Net's three folders; its environment variables point at them while the tests run."""
    root = tmp_path_factory.mktemp("spd_data")
    folders = DataFolders(raw=root / "raw", preprocessed=root / "preprocessed", results=root / "results")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("raw", "preprocessed", "results"):
            folder: Path = getattr(folders, name)
            folder.mkdir()
            patch.setenv(f"nnUNet_{name}", str(folder))
        yield folders


@pytest.fixture(scope="session")
def tiny_raw(folders: DataFolders) -> Path:
    """A raw root that holds the tiny dataset, prompts included."""
    write_tiny_dataset(folders.raw)
    return folders.raw


@pytest.fixture(scope="session")
def planned(folders: DataFolders, tiny_raw: Path) -> Plan:
    """The tiny dataset, planned at 32 pixels with three folds and one neighbour on each side."""
    settings = PlanSettings(resolution=32, context=1, folds=3)
    with pytest.MonkeyPatch.context() as patch:
        _spare_fingerprint(patch)
        return plan_and_preprocess(TINY, folders=folders, settings=settings)


@pytest.fixture
def fingerprint_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare a test that plans nnU-Net's pools of processes and its sample of 100 million voxels: seconds each."""
    _spare_fingerprint(monkeypatch)


def _spare_fingerprint(patch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(Pool=ThreadPool)
    patch.setattr(fingerprint_extractor, "multiprocessing", SimpleNamespace(get_context=lambda _: context))
    patch.setattr(nnunetv2.utilities.utils, "Pool", ThreadPool)
    fewer = property(lambda _: 1e4, lambda _, __: None)
    extractor = fingerprint_extractor.DatasetFingerprintExtractor
    patch.setattr(extractor, "num_foreground_voxels_for_intensitystats", fewer, raising=False)


@pytest.fixture(scope="session")
def make_method_run(planned: Plan) -> Callable[..., MethodRun]:
    """A row on a fold of the tiny dataset: ``make_method_run("spd", results, threshold=0.4)``."""

    def make(
        name: str,
        results: Path = Path("results"),
        *,
        fold: int = 0,
        plan: Plan = planned,
        options: MethodOptions | None = None,
        **overrides: Any,
    ) -> MethodRun:
        chosen = options or MethodOptions(backbone="vit_t", overrides=overrides)
        return MethodRun(
            method=METHODS[name],
            plan=plan,
            fold=fold,
            results=results,
            device=torch.device("cpu"),
            options=lambda other: chosen if other == name else replace(chosen, overrides={}),
        )

    return make


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataFolders:
    """Empty data folders for a test that writes; nnU-Net's variables point at them meanwhile."""
    folders = DataFolders(raw=tmp_path / "raw", preprocessed=tmp_path / "preprocessed", results=tmp_path / "results")
    for name in ("raw", "preprocessed", "results"):
        folder: Path = getattr(folders, name)
        folder.mkdir()
        monkeypatch.setenv(f"nnUNet_{name}", str(folder))
    return folders
