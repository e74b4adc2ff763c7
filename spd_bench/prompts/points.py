"""Point prompts of one case, and their file: 3D Slicer's Markups JSON (``.mrk.json``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.storage import read_json, write_json

SUFFIX = ".mrk.json"
_SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
_SIGN_TO_LPS = {"LPS": (1.0, 1.0, 1.0), "RAS": (-1.0, -1.0, 1.0)}


@dataclass(frozen=True, kw_only=True)
class PointPrompts:
    """Positive points of one case, all given before segmentation starts.

    Attributes:
        positions: float array (N, 3) in mm, (x, y, z) in LPS.
        provenance: where the points come from, JSON values only (for simulated ones: seed, severity).
    """

    positions: NDArray[np.float64]
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.positions.ndim != 2 or self.positions.shape[1] != 3:
            msg = f"positions must have shape (N, 3), got {self.positions.shape}"
            raise ValueError(msg)
        if not np.isfinite(self.positions).all():
            msg = "positions must be finite"
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.positions)

    @classmethod
    def from_voxels(
        cls, voxels: NDArray[Any], geometry: VolumeGeometry, *, provenance: dict[str, Any] | None = None
    ) -> PointPrompts:
        """Prompts from voxel indices (N, 3: z y x) of a volume."""
        positions = geometry.voxel_to_lps(np.asarray(voxels, dtype=np.float64))
        return cls(positions=positions, provenance=provenance or {})

    def voxels(self, geometry: VolumeGeometry, *, file: Path | None = None) -> NDArray[np.int64]:
        """The voxels (N, 3: z y x) that hold the points.

        Raises:
            InputError: a point lies outside the volume (``file`` is named in the message).
        """
        continuous = geometry.lps_to_voxel(self.positions)
        outside = np.flatnonzero(~geometry.contains(continuous))
        if outside.size:
            first = outside[0]
            position = ", ".join(f"{value:.1f}" for value in self.positions[first])
            raise InputError(
                f"{outside.size} of {len(self)} points lie outside the volume, first point {first + 1}"
                f" at ({position}) mm LPS",
                file=file,
                remedy="check that points and image belong together and that the file's coordinateSystem is right",
            )
        return np.clip(np.rint(continuous), 0, np.asarray(geometry.shape) - 1).astype(np.int64)


def without_outside(prompts: PointPrompts, geometry: VolumeGeometry) -> tuple[PointPrompts, int]:
    """The prompts that lie inside a volume, and the number of those that were left out."""
    inside = geometry.contains(geometry.lps_to_voxel(prompts.positions))
    kept = PointPrompts(positions=prompts.positions[inside], provenance=prompts.provenance)
    return kept, len(prompts) - len(kept)


@dataclass(frozen=True, kw_only=True)
class Markup:
    """One point list, line or curve of a Markups file.

    Attributes:
        positions: float array (N, 3) in mm, (x, y, z) in LPS whatever the file is in.
        coordinate_system: what the file is in, "LPS" or "RAS".
    """

    positions: NDArray[np.float64]
    coordinate_system: str


def write_prompts(path: Path, prompts: PointPrompts) -> None:
    """Write prompts as a Markups Fiducial list in LPS that 3D Slicer opens as it is."""
    control_points = [
        {
            "id": str(number),
            "label": f"P-{number}",
            "description": "",
            "position": [float(value) for value in position],
            "selected": True,
            "locked": False,
            "visibility": True,
            "positionStatus": "defined",
        }
        for number, position in enumerate(prompts.positions, start=1)
    ]
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "controlPoints": control_points,
    }
    write_json(path, {"@schema": _SCHEMA, "markups": [markup], "spd_bench": prompts.provenance})


def read_prompts(path: Path) -> PointPrompts:
    """Read a Markups file (Fiducial, Curve or Line; LPS or RAS as it says; undefined points skipped).

    Raises:
        InputError: the file is missing or not a Markups file, or a position is not three finite numbers.
    """
    markups, provenance = read_markups(path)
    return PointPrompts(
        positions=np.concatenate([np.zeros((0, 3)), *(markup.positions for markup in markups)]), provenance=provenance
    )


def read_markups(path: Path) -> tuple[list[Markup], dict[str, Any]]:
    """The markups of a file one by one, and the provenance that this package wrote into it.

    Raises:
        InputError: as :func:`read_prompts`.
    """
    content = read_json(path)
    try:
        return [_markup(markup) for markup in content["markups"]], dict(content.get("spd_bench", {}))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"not a Slicer Markups file ({type(error).__name__}: {error})",
            file=path,
            remedy="save the points from Slicer as .mrk.json, in LPS or RAS",
        ) from error


def _markup(markup: dict[str, Any]) -> Markup:
    system = markup.get("coordinateSystem", "LPS")
    sign = _SIGN_TO_LPS[system]
    positions = [
        np.asarray(point["position"], dtype=np.float64) * sign
        for point in markup["controlPoints"]
        if point.get("positionStatus", "defined") == "defined"
    ]
    # The constructor of the prompts knows what a position must be.
    checked = PointPrompts(positions=np.stack(positions) if positions else np.zeros((0, 3)))
    return Markup(positions=checked.positions, coordinate_system=system)
