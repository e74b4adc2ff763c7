"""Preprocessing works on a few slices at a time, with the result of working on whole volumes."""

from __future__ import annotations

import copy
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch.nn import functional

from spd_bench import processes
from spd_bench.paths import DataFolders
from spd_bench.planning import grid
from spd_bench.planning.grid import masks_on_own_grid, resize_images, slice_runs
from spd_bench.planning.plan import Plan
from spd_bench.planning.prepare import plan_and_preprocess
from spd_bench.planning.preprocessor import SPDPreprocessor
from spd_bench.planning.settings import PlanSettings

TINY = "Dataset901_Tiny"


@pytest.fixture(params=[1, 700, 2**18])
def few_pixels_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of one slice, of some, and of all."""
    monkeypatch.setattr(grid, "_PIXELS_AT_ONCE", request.param)


def whole_volumes(data: np.ndarray, seg: np.ndarray, plans: Any, *, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The same steps on whole volumes: transposed, clipped and scaled, resized."""
    order = plans["transpose_forward"]
    volume = data[0].transpose(order).astype(np.float32)
    if plans["configurations"]["2d"]["normalization_schemes"] == ["CTNormalization"]:
        statistics = plans["foreground_intensity_properties_per_channel"]["0"]
        low, high = statistics["percentile_00_5"], statistics["percentile_99_5"]
    else:
        low, high = np.percentile(volume, [0.5, 99.5])
    scale = 2.0 / max(float(high) - float(low), 1e-8)
    volume[...] = (np.clip(volume, low, high) - low) * scale - 1.0
    images = functional.interpolate(
        torch.from_numpy(volume.copy())[:, None], size=(size, size), mode="bilinear", antialias=True
    )
    label = torch.from_numpy((seg[0].transpose(order) == 1).astype(np.float32))[:, None]
    masks = functional.interpolate(label, size=(size, size), mode="nearest-exact")
    return images.numpy().transpose(1, 0, 2, 3), masks.numpy().transpose(1, 0, 2, 3)


@pytest.mark.usefixtures("few_pixels_at_once")
@pytest.mark.parametrize("shape", [(6, 24, 20), (5, 70, 41)])
@pytest.mark.parametrize("scheme", ["CTNormalization", "ZScoreNormalization"])
@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1)])
def test_preprocessing_by_parts_gives_the_same_bits(
    planned: Plan, shape: tuple[int, int, int], scheme: str, transpose: tuple[int, ...]
) -> None:
    plans = copy.deepcopy(planned.plans)
    plans["transpose_forward"], plans["transpose_backward"] = list(transpose), np.argsort(transpose).tolist()
    plans["configurations"]["2d"]["normalization_schemes"] = [scheme]
    generator = np.random.default_rng(0)
    data = generator.gamma(2.0, 50.0, (1, *shape)).astype(np.float32)
    seg = generator.integers(0, 3, (1, *shape)).astype(np.float32)
    manager = PlansManager(plans)
    images, masks, properties = SPDPreprocessor(verbose=False).run_case_npy(
        data, seg, {}, manager, manager.get_configuration(planned.configuration), planned.dataset_json
    )
    expected_images, expected_masks = whole_volumes(data, seg, plans, size=32)
    np.testing.assert_array_equal(images, expected_images)
    np.testing.assert_array_equal(masks, expected_masks)
    assert (images.dtype, masks.dtype) == (np.float32, np.int16)
    locations = DefaultPreprocessor._sample_foreground_locations(expected_masks.astype(np.int16), [1])
    np.testing.assert_array_equal(properties["class_locations"][1], locations[1])


@pytest.mark.usefixtures("few_pixels_at_once")
@pytest.mark.parametrize("transpose", [(0, 1, 2), (1, 2, 0)])
def test_resizing_by_parts_gives_the_same_bits(transpose: tuple[int, ...]) -> None:
    logits = np.random.default_rng(1).normal(size=(7, 33, 33)).astype(np.float32)
    shape = [0, 0, 0]
    for axis, length in zip(transpose, (7, 25, 40), strict=True):
        shape[axis] = length
    whole = functional.interpolate(torch.from_numpy(logits)[:, None], size=(25, 40), mode="bilinear")[:, 0].numpy()
    expected = (whole > 0).transpose(np.argsort(transpose))
    np.testing.assert_array_equal(masks_on_own_grid(logits, shape=shape, transpose=transpose), expected)
    smooth = functional.interpolate(torch.from_numpy(logits)[:, None], size=(9, 50), mode="bilinear", antialias=True)
    np.testing.assert_array_equal(resize_images(logits, (9, 50)), smooth[:, 0].numpy())


def test_runs_of_slices_cover_the_volume_once() -> None:
    assert slice_runs((3, 1024, 1024)) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert slice_runs((9, 256, 256)) == [slice(0, 4), slice(4, 8), slice(8, 9)]
    assert slice_runs((9, 8, 8)) == [slice(0, 9)]


@pytest.mark.parametrize("channels", [1, 2])
def test_a_case_is_read_as_nnunets_reader_reads_it(
    planned: Plan, make_tiny_dataset: Any, tmp_path: Path, channels: int
) -> None:
    folder = make_tiny_dataset(tmp_path, cases=1, channel_names=("MR", "CT")[:channels])
    images = [str(folder / "imagesTr" / f"case_0_{channel:04d}.nii.gz") for channel in range(channels)]
    label = str(folder / "labelsTr" / "case_0.nii.gz")
    plans = copy.deepcopy(planned.plans)
    plans["configurations"]["2d"]["normalization_schemes"] = ["ZScoreNormalization"] * channels
    manager = PlansManager(plans)
    configuration = manager.get_configuration(planned.configuration)
    reader = SimpleITKIO()
    data, properties = reader.read_images(images)
    expected = SPDPreprocessor(verbose=False).run_case_npy(
        data, reader.read_seg(label)[0], properties, manager, configuration, planned.dataset_json
    )
    found = SPDPreprocessor(verbose=False).run_case(images, label, manager, configuration, planned.dataset_json)
    for mine, theirs in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype
    locations = [result[2].pop("class_locations")[1] for result in (found, expected)]
    np.testing.assert_array_equal(*locations)
    assert found[2] == expected[2]
    unlabelled = SPDPreprocessor(verbose=False).run_case(images, None, manager, configuration, planned.dataset_json)
    np.testing.assert_array_equal(unlabelled[0], expected[0])
    assert not unlabelled[1].any()
    assert "class_locations" not in unlabelled[2]


class PicklingThreads(ThreadPoolExecutor):
    """Stands in for processes, which take seconds to start: work goes to threads, but pickled as to a process."""

    def __init__(self, max_workers: int, **_: Any) -> None:
        super().__init__(max_workers)

    def submit(self, function: Any, /, *arguments: Any, **_: Any) -> Any:
        return super().submit(*pickle.loads(pickle.dumps((function, *arguments))))


@pytest.mark.usefixtures("fingerprint_in_threads")
def test_cases_side_by_side_give_the_same_files(
    own_folders: DataFolders, make_tiny_dataset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "ProcessPoolExecutor", PicklingThreads)
    contents = []
    make_tiny_dataset(own_folders.raw, cases=8, with_prompts=False)
    settings = PlanSettings(resolution=32, context=1, folds=3)
    for jobs in (1, 2):
        plan = plan_and_preprocess(TINY, folders=own_folders, settings=settings, jobs=jobs)
        files = [*plan.folder.glob("gt_segmentations/*"), *plan.folder.glob("*_slices/*.json")]
        files += [*plan.folder.glob("*.json"), *(own_folders.raw / TINY).glob("promptsTr/*")]
        contents.append({path.relative_to(own_folders.raw.parent): path.read_bytes() for path in files})
        shutil.rmtree(own_folders.raw / TINY / "promptsTr")
    assert len(contents[0]) > 3 * 8
    assert contents[0] == contents[1]
