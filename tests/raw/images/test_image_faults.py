"""Faults of image files that only other formats than NIfTI have, each told in one line that names the file."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
from PIL import Image

from spd_bench.errors import InputError
from spd_bench.raw.channels import read_channels
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.raw.verify import verify_raw_dataset
from spd_bench.raw.volumes import read_geometry, read_volume

NOISE = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
LABEL = np.zeros((64, 48), dtype=np.uint8)
LABEL[20:30, 10:20] = 1
STACK = np.random.default_rng(1).integers(0, 2**12, (6, 64, 48), dtype=np.uint16)


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.startswith(".tif"):
        tifffile.imwrite(path, pixels, photometric="minisblack", compression="zlib")
    else:
        Image.fromarray(pixels).save(path)


def _describe(folder: Path, channels: int, **changes: Any) -> None:
    content: dict[str, Any] = {
        "channel_names": {str(number): f"c{number}" for number in range(channels)},
        "labels": {"background": 0, "target": 1},
        "numTraining": 2,
        "file_ending": ".png",
    }
    (folder / "dataset.json").write_text(json.dumps(content | changes))


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Two RGB images in one file each."""
    folder = tmp_path / "Dataset902_Colours"
    for case in ("a", "b"):
        _save(folder / "imagesTr" / f"{case}_0000.png", NOISE)
        _save(folder / "labelsTr" / f"{case}.png", LABEL)
    _describe(folder, 3)
    return folder


@pytest.fixture
def greys(tmp_path: Path) -> Path:
    """Two images of two grey channels."""
    folder = tmp_path / "Dataset903_Greys"
    for case in ("a", "b"):
        for channel in range(2):
            _save(folder / "imagesTr" / f"{case}_{channel:04d}.png", NOISE[..., channel])
        _save(folder / "labelsTr" / f"{case}.png", LABEL)
    _describe(folder, 2)
    return folder


@pytest.fixture
def stacks(tmp_path: Path) -> Path:
    """Two stacks with their spacing."""
    folder = tmp_path / "Dataset904_Stacks"
    for case in ("a", "b"):
        _save(folder / "imagesTr" / f"{case}_0000.tif", STACK)
        _save(folder / "labelsTr" / f"{case}.tif", np.stack([LABEL] * 6))
        for part in ("imagesTr", "labelsTr"):
            (folder / part / f"{case}.json").write_text('{"spacing": [4, 0.5, 0.5]}')
    _describe(folder, 1, file_ending=".tif")
    return folder


def _verify(folder: Path) -> None:
    verify_raw_dataset(read_raw_dataset(folder), target_labels=[1])


@pytest.mark.parametrize("name", ["colours", "greys", "stacks"])
def test_a_whole_dataset_passes_our_verification_and_nnunets(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = request.getfixturevalue(name)
    # Threads: a pool of spawned processes takes seconds to start.
    pools = SimpleNamespace(get_context=lambda _: SimpleNamespace(Pool=ThreadPool))
    monkeypatch.setitem(verify_dataset_integrity.__globals__, "multiprocessing", pools)
    _verify(folder)
    verify_dataset_integrity(str(folder), num_processes=1)


def _cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


FAULTS: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "truncated image": ("colours", lambda f: _cut(f / "imagesTr/a_0000.png", 0.5), r"cannot be read.*a_0000\.png"),
    "truncated label": ("greys", lambda f: _cut(f / "labelsTr/b.png", 0.6), r"cannot be read.*labelsTr/b\.png"),
    "empty image": ("colours", lambda f: _cut(f / "imagesTr/a_0000.png", 0), r"cannot be read.*a_0000\.png"),
    "text as image": (
        "greys",
        lambda f: (f / "imagesTr/a_0000.png").write_text("no image"),
        r"cannot be read.*a_0000\.png",
    ),
    "one name for three channels": (
        "colours",
        lambda f: _describe(f, 1),
        r"3 channel\(s\) in 1 file\(s\), but dataset\.json announces 1, in .*a_0000\.png: name every channel",
    ),
    "two names for three channels": ("colours", lambda f: _describe(f, 2), r"3 channel\(s\).*announces 2.*a_0000"),
    "four names for three channels": ("colours", lambda f: _describe(f, 4), r"3 channel\(s\).*announces 4.*a_0000"),
    "alpha": (
        "colours",
        lambda f: Image.fromarray(NOISE).convert("RGBA").save(f / "imagesTr/b_0000.png"),
        r"4 channel\(s\).*announces 3.*b_0000\.png.*with alpha 4",
    ),
    "grey among colours": (
        "colours",
        lambda f: _save(f / "imagesTr/b_0000.png", LABEL),
        r"image of case b is missing.*b_0001\.png.*3 channel",
    ),
    "colours among greys": (
        "greys",
        lambda f: _save(f / "imagesTr/b_0001.png", NOISE),
        r"3 channel\(s\) in this file, but 1 .*b_0001\.png",
    ),
    "grey with alpha": (
        "greys",
        lambda f: Image.fromarray(LABEL).convert("LA").save(f / "imagesTr/a_0000.png"),
        r"expected a grey, RGB or RGBA image.*a_0000\.png",
    ),
    "channels of two sizes": (
        "greys",
        lambda f: _save(f / "imagesTr/a_0001.png", NOISE[:60, :, 0]),
        r"shape \(1, 64, 48\) against \(1, 60, 48\).*a_0001\.png",
    ),
    "label of another size": (
        "colours",
        lambda f: _save(f / "labelsTr/a.png", LABEL[:, :40]),
        r"not on the same grid as a_0000\.png: shape .*labelsTr/a\.png",
    ),
    "white label": (
        "colours",
        lambda f: _save(f / "labelsTr/b.png", LABEL * 255),
        r"\[255\] are not in dataset\.json.*labelsTr/b\.png: .*store one of \[0, 1\] instead of 255",
    ),
    "label in colours": (
        "greys",
        lambda f: _save(f / "labelsTr/a.png", np.stack([LABEL] * 3, axis=-1)),
        r"grey image, got 3 channels.*labelsTr/a\.png.*0, 1, 2",
    ),
    "lossy format": ("greys", lambda f: _describe(f, 2, file_ending=".jpg"), r"'\.jpg' is no format.*\.png"),
    "unknown format": ("greys", lambda f: _describe(f, 2, file_ending=".dat"), r"'\.dat' is no format.*\.nii\.gz"),
    "slice axis of planes": ("greys", lambda f: _describe(f, 2, slice_axis=1), r"slice_axis is 1, but .*2D"),
    "truncated stack, half": ("stacks", lambda f: _cut(f / "imagesTr/a_0000.tif", 0.5), r"cannot be read.*a_0000\.tif"),
    "truncated stack, a little": (
        "stacks",
        lambda f: _cut(f / "imagesTr/a_0000.tif", 0.99),
        r"cannot be read.*a_0000\.tif",
    ),
    "empty stack": ("stacks", lambda f: _cut(f / "labelsTr/a.tif", 0), r"cannot be read.*labelsTr/a\.tif"),
    "spacing of two numbers": (
        "stacks",
        lambda f: (f / "imagesTr/a.json").write_text('{"spacing": [1, 2]}'),
        r"spacing of a stack is \[1, 2\].*imagesTr/a\.json",
    ),
    "spacing of zero": (
        "stacks",
        lambda f: (f / "labelsTr/b.json").write_text('{"spacing": [1, 0, 1]}'),
        r"\[1, 0, 1\].*labelsTr/b\.json: .*positive",
    ),
    "spacing file without spacing": (
        "stacks",
        lambda f: (f / "labelsTr/b.json").write_text("[]"),
        r"spacing of a stack is None.*labelsTr/b\.json",
    ),
    "spacing file torn": (
        "stacks",
        lambda f: (f / "labelsTr/b.json").write_text('{"spa'),
        r"JSON.*labelsTr/b\.json",
    ),
    "label without its spacing": (
        "stacks",
        lambda f: (f / "labelsTr/b.json").unlink(),
        r"spacing \(1\.0, 1\.0, 1\.0\) against \(4\.0, 0\.5, 0\.5\).*labelsTr/b\.tif",
    ),
    "plane among stacks": (
        "stacks",
        lambda f: _save(f / "imagesTr/b_0000.tif", LABEL),
        r"a 2D image, but a_0000\.tif is not.*b_0000\.tif",
    ),
    "four axes": (
        "stacks",
        lambda f: _save(f / "imagesTr/b_0000.tif", np.stack([STACK, STACK])),
        r"shape \(2, 6, 64, 48\).*b_0000\.tif",
    ),
}


@pytest.mark.parametrize(("dataset", "spoil", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_told_in_one_line_that_names_the_file(
    request: pytest.FixtureRequest, dataset: str, spoil: Callable[[Path], Any], message: str
) -> None:
    folder = request.getfixturevalue(dataset)
    spoil(folder)
    with pytest.raises(InputError, match=message) as caught:
        _verify(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"compression": "lzw"},
        {"metadata": None, "compression": "zlib"},
        {"imagej": True},
        {"ome": True},
    ],
    ids=str,
)
def test_a_stack_that_was_cut_off_is_never_read_as_something_else(
    tmp_path: Path, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", **options)
    np.testing.assert_array_equal(read_volume(path)[0], STACK)
    content = path.read_bytes()
    for cut in [*range(0, len(content), len(content) // 25), len(content) - 3]:
        path.write_bytes(content[:cut])
        with contextlib.suppress(InputError):
            np.testing.assert_array_equal(read_volume(path)[0], STACK)
    assert not caplog.records


def test_a_2d_image_must_not_end_in_tiff(tmp_path: Path) -> None:
    """nnU-Net's reader of .tiff takes stacks only."""
    _save(tmp_path / "a.tiff", LABEL)
    with pytest.raises(InputError, match=r"a\.tiff: rename it to \.tif"):
        read_geometry(tmp_path / "a.tiff")


@pytest.mark.parametrize("vector", [True, False])
def test_a_volume_in_colours_is_refused(tmp_path: Path, vector: bool) -> None:
    dimension = 3 if vector else 5
    image = sitk.Image([4] * dimension, sitk.sitkVectorUInt8 if vector else sitk.sitkUInt8, 3 if vector else 1)
    sitk.WriteImage(image, str(tmp_path / "a_0000.nrrd"))
    with pytest.raises(InputError, match=r"expected one 3D volume.*a_0000\.nrrd"):
        read_channels([tmp_path / "a_0000.nrrd"])


def test_stacks_without_spacing_are_taken_as_nnunet_takes_them_and_told_once(
    stacks: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for file in [*stacks.glob("imagesTr/*.json"), *stacks.glob("labelsTr/*.json")]:
        file.unlink()
    with caplog.at_level(logging.WARNING):
        _verify(stacks)
    [record] = caplog.records
    assert "4 of 4 spacing files are missing" in record.getMessage()
    assert read_geometry(stacks / "imagesTr" / "a_0000.tif").spacing == (1.0, 1.0, 1.0)


def test_a_number_too_large_for_nnunets_floats_counts_as_infinite(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a_0000.tif", np.full((5, 4, 3), 1e300), photometric="minisblack")
    with pytest.raises(InputError, match=r"60 voxel\(s\) are NaN or infinite.*a_0000\.tif"):
        read_channels([tmp_path / "a_0000.tif"])
