from __future__ import annotations

import os
from pathlib import Path

import nnunetv2.paths
import pytest

from spd_bench.errors import InputError
from spd_bench.paths import data_folders

VARIABLES = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory and no configured folders; what a test sets is undone after it."""
    monkeypatch.chdir(tmp_path)
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "")


def test_without_configuration_the_folders_lie_below_the_working_directory(tmp_path: Path) -> None:
    folders = data_folders()
    assert folders.all == tuple(tmp_path / "spd_data" / name for name in ("raw", "preprocessed", "results"))
    assert all(folder.is_dir() for folder in folders.all)
    assert folders.describe() == (
        "data folders: raw ./spd_data/raw, preprocessed ./spd_data/preprocessed, results ./spd_data/results"
    )


def test_a_variable_that_is_not_there_counts_as_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("nnUNet_raw")
    assert data_folders().raw == tmp_path / "spd_data" / "raw"


def test_configured_folders_are_taken_and_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = tmp_path / "far" / "raw"
    monkeypatch.setenv("nnUNet_raw", str(configured))
    folders = data_folders()
    assert folders.raw == configured
    assert configured.is_dir()
    assert folders.results == tmp_path / "spd_data" / "results"
    assert not (tmp_path / "spd_data" / "raw").exists()


def test_nnunet_sees_the_same_folders() -> None:
    folders = data_folders()
    seen = [nnunetv2.paths.nnUNet_raw, nnunetv2.paths.nnUNet_preprocessed, nnunetv2.paths.nnUNet_results]
    assert tuple(Path(folder) for folder in seen) == folders.all


def test_folders_stay_where_they_are_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = data_folders()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert data_folders() == before
    assert str(tmp_path / "spd_data" / "raw") in before.describe()


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot be created .*file: set nnUNet_results"):
        data_folders()
    assert os.environ[VARIABLES[0]] == ""
