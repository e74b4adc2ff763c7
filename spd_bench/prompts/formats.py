"""Any supported point file in, :class:`~spd_bench.prompts.points.PointPrompts` out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.prompts.frames import agreed_frame, to_lps
from spd_bench.prompts.point_list import PointList
from spd_bench.prompts.point_tables import read_fcsv, read_table
from spd_bench.prompts.points import PointPrompts, read_markups
from spd_bench.prompts.tracings import GZIP_MAGIC, first_share, read_tracings
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import read_volume
from spd_bench.storage import read_json

Reader = Callable[[Path, VolumeGeometry, str | None], PointList]

# A centreline has a few voxels on a slice; above this the mask is more likely a segmentation.
MANY_POINTS = 2000
_SUFFIXES = {
    ".mrk.json": "markups",
    ".fcsv": "fcsv",
    ".traces": "tracings",
    ".xml": "tracings",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "text",
    **dict.fromkeys((".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"), "nifti"),
}


def read_points(
    path: Path,
    *,
    geometry: VolumeGeometry,
    format_name: str | None = None,
    frame: str | None = None,
    share: float = 1.0,
) -> PointPrompts:
    """Read the points of one case.

    Args:
        path: the point file.
        geometry: the image that the points belong to; voxel frames count in it.
        format_name: a name of :data:`POINT_FORMATS`; told from the file's name and content where None.
        frame: a name of :data:`spd_bench.prompts.frames.FRAMES`, for files that do not state it.
        share: part of each path that is taken from its start, by the number of points and rounded up.

    Returns:
        The points, wherever they lie; ``provenance`` holds source, format, frame, share, and notes on the
        reading where there are any.

    Raises:
        InputError: the file is missing, broken or without points, its frame is unknown or contradicts
            ``frame``, or ``share`` is not in (0, 1].
    """
    if not path.is_file():
        raise InputError("point file not found", file=path, remedy="check the path")
    name = format_name or guess_format(path)
    if name not in POINT_FORMATS:
        raise InputError(f"unknown format {name!r}", remedy=f"choose one of {', '.join(POINT_FORMATS)}")
    found = POINT_FORMATS[name](path, geometry, frame)
    if not sum(map(len, found.paths)):
        raise InputError("the file holds no points", file=path, remedy="check the file")
    if share != 1 and name == "nifti":
        raise InputError("the points of a mask have no order to take a share of", file=path, remedy="leave out --share")
    coordinates = np.concatenate([first_share(points, share) for points in found.paths])
    reading = {"source": path.name, "format": name, "frame": found.frame, "share": share}
    if found.notes:
        reading["notes"] = list(found.notes)
    provenance = {key: value for key, value in found.provenance.items() if key != "notes"} | reading
    return PointPrompts(positions=to_lps(coordinates, frame=found.frame, geometry=geometry), provenance=provenance)


def guess_format(path: Path) -> str:
    """The format of a file by its name, and by its content where the name does not tell.

    Raises:
        InputError: neither tells.
    """
    name = path.name.lower()
    by_name = next((found for suffix, found in _SUFFIXES.items() if name.endswith(suffix)), None)
    if by_name is not None:
        return by_name
    if name.endswith(".json"):
        content = read_json(path)
        return "markups" if isinstance(content, dict) and "markups" in content else "json"
    try:
        with path.open("rb") as stream:
            start = stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError as error:
        raise InputError(f"file cannot be read ({error})", file=path, remedy="check the file") from error
    # SNT's files often have no suffix.
    if start.startswith((GZIP_MAGIC, b"<")):
        return "tracings"
    raise InputError(
        "neither name nor content tells the format of the points",
        file=path,
        remedy=f"name it with --format, one of {', '.join(POINT_FORMATS)}",
    )


def _read_markups(path: Path, geometry: VolumeGeometry, frame: str | None) -> PointList:
    markups, provenance = read_markups(path)
    systems = {markup.coordinate_system for markup in markups}
    stated = "ras_mm" if systems == {"RAS"} else "lps_mm"
    agreed_frame(stated=stated, asked=frame, file=path)
    sign = (-1.0, -1.0, 1.0) if stated == "ras_mm" else (1.0, 1.0, 1.0)
    return PointList(paths=tuple(markup.positions * sign for markup in markups), frame=stated, provenance=provenance)


def _read_fcsv(path: Path, geometry: VolumeGeometry, frame: str | None) -> PointList:
    return read_fcsv(path, frame=frame)


def _read_table(path: Path, geometry: VolumeGeometry, frame: str | None) -> PointList:
    return read_table(path, frame=frame)


def _read_tracings(path: Path, geometry: VolumeGeometry, frame: str | None) -> PointList:
    traced = read_tracings(path)
    frame = agreed_frame(stated="voxel_xyz", asked=frame, file=path)
    size = geometry.shape[::-1]
    if traced.image_size is not None and traced.image_size != size:
        raise InputError(
            f"traced on an image of {_by(traced.image_size)} voxels, the given one has {_by(size)} (x, y, z)",
            file=path,
            remedy="give the image that was traced",
        )
    notes = []
    spacing = geometry.spacing[::-1]
    if traced.spacing is not None and not np.allclose(traced.spacing, spacing, rtol=1e-3):
        # Fiji often loses the spacing of a volume; the voxels are right all the same.
        notes.append(f"traced with spacing {_by(traced.spacing)}, the image's is {_by(spacing)} mm (x, y, z)")
    paths = tuple(tracing.points.astype(np.float64) for tracing in traced.tracings)
    return PointList(paths=paths, frame=frame, notes=tuple(notes))


def _read_json(path: Path, geometry: VolumeGeometry, frame: str | None) -> PointList:
    content = read_json(path)
    stated = None
    if isinstance(content, dict):
        stated, content = content.get("frame"), content.get("points")
    if not isinstance(content, list) or not isinstance(stated, str | None):
        raise InputError(
            "not a list of points", file=path, remedy='write {"frame": "ras_mm", "points": [[1.5, 2, 3], ...]}'
        )
    frame = agreed_frame(stated=stated, asked=frame, file=path)
    points = [_json_point(point, number, path) for number, point in enumerate(content, start=1)]
    return PointList(paths=(np.reshape(points, (-1, 3)).astype(np.float64),), frame=frame)


def _json_point(point: Any, number: int, path: Path) -> NDArray[np.float64]:
    is_triple = isinstance(point, list) and len(point) == 3
    if is_triple and all(type(value) in (int, float) and abs(value) < 1e9 for value in point):
        return np.asarray(point, dtype=np.float64)
    raise InputError(f"point {number} is not three finite numbers", file=path, remedy="write it like [1.5, 2, 3]")


def _read_mask(path: Path, geometry: VolumeGeometry, frame: str | None) -> PointList:
    if frame is not None:
        raise InputError("a mask has its own frame", file=path, remedy="leave out --frame")
    voxels, own = read_volume(path)
    if not np.isfinite(voxels).all():
        raise InputError("the mask holds NaN or infinity", file=path, remedy="write zeros there")
    points = np.argwhere(voxels).astype(np.float64)
    notes = []
    if len(points) > MANY_POINTS:
        notes.append(f"every one of {len(points)} nonzero voxels is a point: is this mask a segmentation?")
    if difference := own.difference_to(geometry):
        notes.append(f"the mask lies on another grid than the image ({difference}), its points are carried over in mm")
    return PointList(paths=(own.voxel_to_lps(points),), frame="lps_mm", notes=tuple(notes))


def _by(numbers: tuple[float, ...]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)


POINT_FORMATS: dict[str, Reader] = {
    "markups": _read_markups,
    "fcsv": _read_fcsv,
    "tracings": _read_tracings,
    "csv": _read_table,
    "text": _read_table,
    "json": _read_json,
    "nifti": _read_mask,
}
