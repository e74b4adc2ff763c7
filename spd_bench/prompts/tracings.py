"""Traces of Fiji's Simple Neurite Tracer (SNT): XML, gzip by default.

The format is described at https://imagej.net/plugins/snt/extending#traces-file-format. Voxels are
counted from 0; there is neither an origin nor a direction in the file.
"""

from __future__ import annotations

import gzip
import io
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar
from xml.etree import ElementTree  # nosec B405 - the parser below refuses entities
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.storage import atomic_path

Scalar = TypeVar("Scalar", bound=np.generic)
GZIP_MAGIC = b"\x1f\x8b"
_AXES = ("x", "y", "z")
_SIZES = ("width", "height", "depth")
_MAX_BYTES = 32 * 2**20
"""Three hundred thousand points take less."""
_LEAST_LIMIT = 2**20
_MOST_GROWTH = 200
"""Points in XML shrink to a tenth; what grows more than this out of its archive is made to fill the memory."""
_REMEDY = "save the traces from Fiji once more, or name the right --format"
# SNT validates what it opens against the document type inside the file.
_DOCUMENT_TYPE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tracings [
  <!ELEMENT tracings (samplespacing?, imagesize?, path*)>
  <!ELEMENT samplespacing EMPTY>
  <!ELEMENT imagesize EMPTY>
  <!ELEMENT path (point*)>
  <!ELEMENT point EMPTY>
  <!ATTLIST samplespacing x CDATA #REQUIRED y CDATA #REQUIRED z CDATA #REQUIRED units CDATA #REQUIRED>
  <!ATTLIST imagesize width CDATA #REQUIRED height CDATA #REQUIRED depth CDATA #REQUIRED>
  <!ATTLIST path id CDATA #REQUIRED name CDATA #IMPLIED>
  <!ATTLIST point x CDATA #REQUIRED y CDATA #REQUIRED z CDATA #REQUIRED
                  xd CDATA #IMPLIED yd CDATA #IMPLIED zd CDATA #IMPLIED>
]>
"""


@dataclass(frozen=True, kw_only=True)
class Tracing:
    """One path that was traced.

    Attributes:
        name: the name it was given in SNT.
        points: integer array (N, 3) of voxels (x, y, z), in the order of tracing; N may be 0.
    """

    name: str
    points: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 3:
            msg = f"points must have shape (N, 3), got {self.points.shape}"
            raise ValueError(msg)

    @property
    def abnormal(self) -> bool:
        """Whether the path's name calls it abnormal."""
        return re.search("abnormal", self.name, re.IGNORECASE) is not None


@dataclass(frozen=True, kw_only=True)
class TracingFile:
    """The content of a file of traces.

    Attributes:
        tracings: the paths, each once: the fitted version where SNT shows that one, else the original.
        spacing: voxel size (x, y, z) in the file's own unit, where the file says.
        image_size: number of voxels (x, y, z) of the image that was traced, where the file says.
    """

    tracings: tuple[Tracing, ...]
    spacing: tuple[float, float, float] | None = None
    image_size: tuple[int, int, int] | None = None


def read_tracings(path: Path) -> TracingFile:
    """Read a file of traces, gzip or plain, whatever its name.

    The voxel of a point is its x, y, z; a file without them has xd, yd, zd, which are divided by the
    spacing. A path that starts on another one holds its own points only.

    Raises:
        InputError: the file is missing, truncated, not XML, not SNT's, or a coordinate is not a number.
    """
    root = _parse(_content(path), path)
    if root.tag != "tracings":
        raise InputError(f"not a file of traces (its root is <{root.tag}>)", file=path, remedy=_REMEDY)
    spacing = _numbers_of(root.find("samplespacing"), _AXES, path)
    size = _numbers_of(root.find("imagesize"), _SIZES, path)
    shown = _shown_paths(root.findall("path"))
    tracings = (Tracing(name=name, points=_points(element, name, spacing, path)) for name, element in shown)
    return TracingFile(
        tracings=tuple(tracings),
        spacing=(spacing[0], spacing[1], spacing[2]) if spacing else None,
        image_size=(round(size[0]), round(size[1]), round(size[2])) if size else None,
    )


def write_tracings(path: Path, file: TracingFile, *, compressed: bool) -> None:
    """Write traces as SNT does, atomically: gzip where ``compressed``, else plain XML."""
    root = ElementTree.Element("tracings")
    if file.spacing is not None:
        spacing = dict(zip(_AXES, map(repr, map(float, file.spacing)), strict=True))
        ElementTree.SubElement(root, "samplespacing", spacing, units="mm")
    if file.image_size is not None:
        ElementTree.SubElement(root, "imagesize", dict(zip(_SIZES, map(str, file.image_size), strict=True)))
    for number, tracing in enumerate(file.tracings):
        element = ElementTree.SubElement(root, "path", id=str(number), name=tracing.name)
        for point in tracing.points.tolist():
            ElementTree.SubElement(element, "point", _point_attributes(point, file.spacing))
    ElementTree.indent(root)
    content = (_DOCUMENT_TYPE + ElementTree.tostring(root, encoding="unicode") + "\n").encode()
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(content, mtime=0) if compressed else content)


def first_share(points: NDArray[Scalar], share: float) -> NDArray[Scalar]:
    """The first ``ceil(share * N)`` of N points.

    Raises:
        InputError: the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise InputError(f"share {share} is not above 0 and at most 1", remedy="give a share such as 0.2")
    # 0.07 * 100 is 7.000000000000001 in floating point, which is not a reason for an eighth point.
    return points[: math.ceil(round(share * len(points), 9))]


def _point_attributes(point: list[int], spacing: tuple[float, float, float] | None) -> dict[str, str]:
    attributes = dict(zip(_AXES, map(str, point), strict=True))
    if spacing is not None:
        attributes |= {f"{axis}d": repr(v * s) for axis, v, s in zip(_AXES, point, spacing, strict=True)}
    return attributes


def _content(path: Path) -> bytes:
    most = _MAX_BYTES
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if content.startswith(GZIP_MAGIC):
            most = min(_MAX_BYTES, max(_LEAST_LIMIT, _MOST_GROWTH * len(content)))
            with gzip.open(io.BytesIO(content)) as stream:
                content = stream.read(most + 1)
    except FileNotFoundError as error:
        raise InputError("file not found", file=path, remedy="check the path") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"file cannot be read ({error})", file=path, remedy=_REMEDY) from error
    if len(content) > most:
        raise InputError(f"more than {most} bytes of XML", file=path, remedy=_REMEDY)
    return content


def _parse(content: bytes, path: Path) -> ElementTree.Element:
    def refuse(name: str, *_: object) -> NoReturn:
        raise InputError(f"XML that declares an entity ({name})", file=path, remedy="remove the declaration")

    # A document type is in every file that SNT writes; entities, which can grow without bound, are in none.
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    try:
        parser.Parse(content, True)
    except InputError:
        raise
    # An encoding of several bytes is a plain ValueError.
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise InputError(f"not readable as XML ({error})", file=path, remedy=_REMEDY) from error
    return builder.close()


def _numbers_of(element: ElementTree.Element | None, names: tuple[str, ...], path: Path) -> list[float] | None:
    if element is None:
        return None
    numbers = [_number(element, name, f"<{element.tag}>", path) for name in names]
    if min(numbers) <= 0:
        raise InputError(f"<{element.tag}> is not positive ({numbers})", file=path, remedy="correct the file")
    return numbers


def _shown_paths(paths: list[ElementTree.Element]) -> list[tuple[str, ElementTree.Element]]:
    by_id = {element.get("id"): element for element in paths}
    shown = []
    for element in paths:
        if element.get("fittedversionof") is not None and element.get("fittedversionof") in by_id:
            continue
        fitted = by_id.get(element.get("fitted")) if element.get("usefitted") == "true" else None
        shown.append((element.get("name", ""), element if fitted is None else fitted))
    return shown


def _points(element: ElementTree.Element, name: str, spacing: list[float] | None, path: Path) -> NDArray[np.int64]:
    points = element.findall("point")
    voxels = [
        _voxel(point, f"point {number} of path {name!r}", spacing, path) for number, point in enumerate(points, start=1)
    ]
    return np.rint(np.asarray(voxels, dtype=np.float64).reshape(-1, 3)).astype(np.int64)


def _voxel(point: ElementTree.Element, place: str, spacing: list[float] | None, path: Path) -> list[float]:
    if any(axis in point.attrib for axis in _AXES):
        return [_number(point, axis, place, path) for axis in _AXES]
    positions = [_number(point, f"{axis}d", place, path) for axis in _AXES]
    if spacing is None:
        raise InputError(f"{place} has no voxel and the file no spacing", file=path, remedy=_REMEDY)
    return [position / size for position, size in zip(positions, spacing, strict=True)]


def _number(element: ElementTree.Element, name: str, place: str, path: Path) -> float:
    text = element.get(name)
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        value = math.nan
    if not abs(value) < 1e9:
        fault = f"has no {name}" if text is None else f"has {name}={text!r}, which is not a coordinate"
        raise InputError(f"{place} {fault}", file=path, remedy="correct the file, or save it from Fiji once more")
    return value
