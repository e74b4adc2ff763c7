"""Where raw data, preprocessed data and results lie: nnU-Net's folders, or ours where it has none."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from spd_bench.errors import InputError

_DEFAULT_PARENT = "spd_data"
_VARIABLES = {"raw": "nnUNet_raw", "preprocessed": "nnUNet_preprocessed", "results": "nnUNet_results"}


@dataclass(frozen=True)
class DataFolders:
    """The three folders that every command reads and writes.

    Attributes:
        raw: raw datasets in nnU-Net's layout (``DatasetXXX_Name``).
        preprocessed: plans, splits and preprocessed cases.
        results: trained models and their run records.
    """

    raw: Path
    preprocessed: Path
    results: Path

    @property
    def all(self) -> tuple[Path, Path, Path]:
        """The three folders in the order of the data's way through them."""
        return self.raw, self.preprocessed, self.results

    def describe(self) -> str:
        """One line that names the folders; those below the working directory are named relative to it."""
        return "data folders: " + ", ".join(f"{name} {_shown(getattr(self, name))}" for name in _VARIABLES)


def data_folders() -> DataFolders:
    """The data folders, created where they do not exist yet.

    Each one is taken from nnU-Net's environment variable (``nnUNet_raw``, ``nnUNet_preprocessed``,
    ``nnUNet_results``) where that is set and not empty; the others are ``raw``, ``preprocessed`` and
    ``results`` in ``./spd_data``. Their variables are then set for this process and its children,
    because nnU-Net reads them whenever it needs a folder.

    Raises:
        InputError: a folder cannot be created.
    """
    folders = {name: _folder(name, variable) for name, variable in _VARIABLES.items()}
    for name, variable in _VARIABLES.items():
        os.environ[variable] = str(folders[name])
    return DataFolders(**folders)


def _folder(name: str, variable: str) -> Path:
    configured = os.environ.get(variable)
    folder = Path(configured) if configured else Path.cwd() / _DEFAULT_PARENT / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"data folder cannot be created ({error.strerror})",
            file=folder,
            remedy=f"set {variable} to a folder that can be written",
        ) from error
    return folder


def _shown(folder: Path) -> str:
    here = Path.cwd()
    return f"./{folder.relative_to(here).as_posix()}" if folder.is_relative_to(here) else str(folder)
