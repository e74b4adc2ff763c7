"""What a user may say about channels and slices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from spd_bench.cli.plan_and_preprocess import main
from spd_bench.errors import InputError
from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan
from spd_bench.planning.prepare import is_planned
from spd_bench.planning.settings import PlanSettings
from spd_bench.prediction.volume import read_prompted_volume, volume_slices
from spd_bench.prompts.points import read_prompts
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.raw.volumes import read_volume

TINY = "Dataset901_Tiny"
MakeDataset = Callable[..., Path]
PlanTiny = Callable[..., Plan]
FOUR = ("T1", "T2", "FLAIR", "CT")


@pytest.mark.parametrize(
    ("chosen", "available", "expected"),
    [
        (None, 1, [0, 0, 0]),
        (None, 2, [0, 1, 1]),
        (None, 5, [0, 1, 2]),
        ((3,), 4, [3, 3, 3]),
        ((2, 0), 4, [2, 0, 0]),
        ((3, 1, 0), 4, [3, 1, 0]),
        ((1, 1, 0), 2, [1, 1, 0]),
    ],
)
def test_the_last_channel_is_repeated(chosen: tuple[int, ...] | None, available: int, expected: list[int]) -> None:
    assert PlanSettings(channels=chosen).sam_channels(available) == expected


@pytest.mark.parametrize("channels", [(), (0, 1, 2, 3), (-1,), (0, -2)])
def test_numbers_that_cannot_be_channels_are_refused(channels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"channels must be one to three .*, got \("):
        PlanSettings(channels=channels)


def test_networks_see_the_chosen_channels(
    plan_tiny: PlanTiny,
    choose: Callable[..., PlanSettings],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
) -> None:
    raw = make_tiny_dataset(own_folders.raw, cases=4, channel_names=FOUR)
    plan = plan_tiny(own_folders, channels=(3, 1))
    assert plan.slice_settings["channels"] == [3, 1, 1]
    files = [raw / "imagesTr" / f"case_0_{channel:04d}.nii.gz" for channel in range(4)]
    slices = volume_slices(read_prompted_volume("case_0", files, None), plan)
    data, _, _, _ = nnUNetDatasetBlosc2(str(plan.folder / "SPDPlans_spd_32"), ["case_0"]).load_case("case_0")
    assert data.shape[0] == 4
    for position, channel in enumerate((3, 1, 1)):
        np.testing.assert_allclose(slices[:, position], data[channel], atol=1e-5)
    assert is_planned(TINY, folders=own_folders, settings=choose(channels=(3, 1)))
    for other in (None, (3,), (1, 3)):
        assert not is_planned(TINY, folders=own_folders, settings=choose(channels=other))


def test_a_channel_that_the_dataset_lacks_is_refused_before_anything_is_written(
    plan_tiny: PlanTiny, names: Callable[[Path], list[str]], own_folders: DataFolders, make_tiny_dataset: MakeDataset
) -> None:
    make_tiny_dataset(own_folders.raw, channel_names=("T1", "T2"))
    with pytest.raises(InputError, match=r"channel 2 .* only 0\.\.1.*dataset\.json: correct --channels"):
        plan_tiny(own_folders, channels=(0, 2))
    assert names(own_folders.preprocessed) == []


def test_the_command_tells_the_channels(
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_tiny_dataset(own_folders.raw, cases=4, channel_names=FOUR)
    small = ["-d", TINY, "--resolution", "32", "--context", "1", "--folds", "3"]
    assert main([*small, "--channels", "3", "0"]) == 0
    assert "SAM's three channels: 3 CT, 0 T1, 0 T1" in capsys.readouterr().out
    for wrong in (["7"], ["0", "1", "2", "3"], ["-1"]):
        assert main([*small, "--channels", *wrong]) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith("error: channel")


# Slices


def _say_slice_axis(folder: Path, axis: object) -> None:
    description = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(description | {"slice_axis": axis}))


@pytest.mark.parametrize(("axis", "transpose"), [(0, (0, 1, 2)), (1, (1, 0, 2)), (None, (2, 0, 1))])
def test_slices_finer_than_their_pixels_are_kept_as_slices(
    plan_tiny: PlanTiny,
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
    axis: int | None,
    transpose: tuple[int, ...],
) -> None:
    shape, spacing = (16, 24, 20), (0.4, 0.8, 0.9)
    raw = make_tiny_dataset(own_folders.raw, cases=4, shape=shape, spacing=spacing, with_prompts=False)
    _say_slice_axis(raw, axis)
    plan = plan_tiny(own_folders, severity=0.0)
    assert plan.transpose == transpose
    assert np.transpose(np.empty(shape), transpose).transpose(plan.plans["transpose_backward"]).shape == shape
    assert plan.plans["configurations"]["2d"]["spacing"] == pytest.approx([spacing[other] for other in transpose[1:]])
    data, mask, _, _ = nnUNetDatasetBlosc2(str(plan.folder / "SPDPlans_spd_32"), ["case_0"]).load_case("case_0")
    assert data.shape == mask.shape == (1, shape[transpose[0]], 32, 32)
    label, geometry = read_volume(raw / "labelsTr" / "case_0.nii.gz")
    voxels = read_prompts(raw / "promptsTr" / "case_0.mrk.json").voxels(geometry)
    across = tuple(other for other in range(3) if other != transpose[0])
    assert sorted(voxels[:, transpose[0]].tolist()) == np.flatnonzero(label.any(axis=across)).tolist()


@pytest.mark.parametrize("axis", [3, -1, "0", 1.0, True, [0]])
def test_a_slice_axis_that_is_none_is_refused(make_tiny_dataset: MakeDataset, tmp_path: Path, axis: object) -> None:
    raw = make_tiny_dataset(tmp_path)
    _say_slice_axis(raw, axis)
    with pytest.raises(InputError, match=r"slice_axis is .*dataset\.json: write 0, 1 or 2"):
        read_raw_dataset(raw)
