"""What a release of a dataset is: which cases lie in it, and how one of them is read.

A conversion script describes its release by a class with the shape of :class:`Release`;
:mod:`spd_bench.raw.release.conversion` does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.prompts.points import PointPrompts
from spd_bench.raw.geometry import VolumeGeometry


@dataclass(frozen=True, kw_only=True)
class ReleaseCase:
    """A case of a release before its files are read.

    Attributes:
        case: the id it gets in the raw dataset.
        patient: the patient it was taken from; splits keep a patient's cases together.
        files: role ("image", "label", ...) -> the files that the case is read from.
        choices: the user's decisions about this case alone; a case is converted again when they change.
    """

    case: str
    patient: str
    files: Mapping[str, tuple[Path, ...]]
    choices: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_files(self) -> tuple[Path, ...]:
        """Every file of the case, in the order of the roles."""
        return tuple(file for files in self.files.values() for file in files)


@dataclass(frozen=True, kw_only=True)
class CaseFault:
    """Why a case cannot be converted, in one line."""

    case: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class FoundCases:
    """What lies in a release's folder: the cases, and what looks like a case but is not whole."""

    cases: tuple[ReleaseCase, ...]
    faults: tuple[CaseFault, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ConvertedCase:
    """A case as it goes into the raw dataset.

    Attributes:
        images: one array (z, y, x) a channel.
        label: uint8 (z, y, x), 0 background and 1 target.
        geometry: the grid that images and label share.
        prompts: the release's own points, or None where they are to be simulated at planning time.
        repairs: what of the release was not taken as it stands, and why; one sentence each.
    """

    images: tuple[NDArray[Any], ...]
    label: NDArray[np.uint8]
    geometry: VolumeGeometry
    prompts: PointPrompts | None = None
    repairs: tuple[str, ...] = ()


class Release(Protocol):
    """A release and the choices that were made about it; must be picklable."""

    @property
    def channel_names(self) -> tuple[str, ...]:
        """One name a channel; "CT" chooses nnU-Net's global HU normalisation."""
        ...

    @property
    def target_name(self) -> str:
        """The name of label 1."""
        ...

    @property
    def description(self) -> str:
        """Where the data come from, and their licence."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """The release's name and every choice that changes what is written, as JSON values."""
        ...

    def find(self, source: Path) -> FoundCases:
        """List the cases below ``source`` without reading volumes; InputError where nothing fits."""
        ...

    def read(self, case: ReleaseCase) -> ConvertedCase:
        """Read one case; InputError where it has a fault."""
        ...


def check_source(source: Path) -> None:
    """Raise InputError where a release's folder does not exist."""
    if not source.is_dir():
        raise InputError("no such folder", file=source, remedy="give the folder that the release was unpacked to")
