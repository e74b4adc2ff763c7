"""Which case is which file: nothing that is named as a volume is passed over in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spd_bench.errors import InputError
from spd_bench.evaluation.masks import find_volumes, other_files, read_reference_mask
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import write_volume


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"")


def test_a_case_is_a_files_name_without_its_suffix(tmp_path: Path) -> None:
    _touch(tmp_path, "b.2.nii.gz", "a.nrrd", "d.NII.GZ", "c.Mha", ".hidden.nii.gz")
    names = {case: path.name for case, path in find_volumes(tmp_path).items()}
    assert names == {"a": "a.nrrd", "b.2": "b.2.nii.gz", "c": "c.Mha", "d": "d.NII.GZ"}
    assert list(names) == ["a", "b.2", "c", "d"]
    assert other_files(tmp_path) == []


def test_what_is_no_volume_is_listed(tmp_path: Path) -> None:
    _touch(tmp_path, "a.nii.gz", "a.npz", "dataset.json", ".DS_Store")
    (tmp_path / "validation").mkdir()
    assert list(find_volumes(tmp_path)) == ["a"]
    assert other_files(tmp_path) == ["a.npz", "dataset.json", "validation"]


def test_two_files_of_one_case_are_refused_whatever_their_letters(tmp_path: Path) -> None:
    _touch(tmp_path, "a.nii.gz", "a.NII.GZ")
    with pytest.raises(InputError, match=r"case a has two files, a\.NII\.GZ and a\.nii\.gz"):
        find_volumes(tmp_path)


def test_a_link_to_nothing_and_a_folder_named_as_a_volume_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").symlink_to(tmp_path / "nowhere.nii.gz")
    with pytest.raises(InputError, match=r"link to nothing, in .*a\.nii\.gz"):
        find_volumes(tmp_path)
    (tmp_path / "a.nii.gz").unlink()
    (tmp_path / "b.mha").mkdir()
    with pytest.raises(InputError, match=r"a folder .*, in .*b\.mha"):
        find_volumes(tmp_path)


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_a_reference_with_negative_values_is_refused(tmp_path: Path, kind: type) -> None:
    geometry = VolumeGeometry(shape=(2, 3, 4), spacing=(5.0, 1.0, 1.0))
    path = tmp_path / "a.nii.gz"
    write_volume(path, np.arange(-2, 22).reshape(geometry.shape).astype(kind), geometry)
    with pytest.raises(InputError, match=r"negative values, such as -2, in .*a\.nii\.gz"):
        read_reference_mask(path)
