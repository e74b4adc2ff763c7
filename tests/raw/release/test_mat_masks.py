"""MATLAB masks: axes, the variable's name, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from spd_bench.errors import InputError
from spd_bench.raw.release.mat_masks import read_mat_mask


def test_rows_columns_slices_become_slices_rows_columns(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    savemat(tmp_path / "PAT001.mat", {"Mask": values}, do_compression=True)
    mask = read_mat_mask(tmp_path / "PAT001.mat")
    assert mask.voxels.shape == mask.geometry.shape == (4, 2, 3)
    assert mask.voxels[3, 1, 2] == values[1, 2, 3]
    assert not mask.oriented
    assert mask.repairs == ()


def test_the_only_volume_is_taken_and_told_beside_other_variables(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"roi": np.ones((2, 2, 2)), "spacing": np.ones(3), "note": "x"})
    assert read_mat_mask(tmp_path / "a.mat").repairs == ("mask read from variable 'roi': there is none called 'Mask'",)


def test_named_mask_is_taken_among_several_volumes(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"CT": np.zeros((2, 2, 2)), "Mask": np.ones((2, 2, 2))})
    assert read_mat_mask(tmp_path / "a.mat").voxels.all()


@pytest.mark.parametrize(
    "content", [b"", b"not a MATLAB file, but long enough to hold a header of 128 bytes" * 3, b"MATLAB 5.0"]
)
def test_file_that_is_no_mat_is_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.mat"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"MATLAB file cannot be read .*a\.mat: replace the file"):
        read_mat_mask(file)


def test_every_truncation_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "a.mat"
    savemat(file, {"Mask": np.random.default_rng(0).integers(0, 2, (9, 9, 9), dtype=np.uint8)}, do_compression=True)
    content = file.read_bytes()
    for length in range(0, len(content) - 8, 7):
        file.write_bytes(content[:length])
        with pytest.raises(InputError):
            read_mat_mask(file)


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mask file not found"):
        read_mat_mask(tmp_path / "a.mat")
