"""Points in text: comma, semicolon, tab or blank separated columns, and Slicer's ``.fcsv``.

The columns of ``.fcsv`` and the meaning of its ``CoordinateSystem`` (0 is RAS, 1 is LPS in files of
Slicer before 4.11) are those of https://slicer.readthedocs.io/en/latest/developer_guide/modules/markups.html.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spd_bench.errors import InputError
from spd_bench.prompts.frames import agreed_frame
from spd_bench.prompts.point_list import PointList

_FARTHEST = 1e9
_MOST_BYTES = 2**26
"""A million points take less."""
_SETTING = re.compile(r"#+\s*(\w+)\s*[=:]\s*(.*)")
_MARKUPS_FRAMES = {"RAS": "ras_mm", "LPS": "lps_mm", "0": "ras_mm", "1": "lps_mm"}
# Columns whose names leave no doubt: SNT's voxel beside its position, and Slicer's table of control points.
_FRAMES_BY_COLUMNS = {
    frozenset(("x", "y", "z", "xd", "yd", "zd")): "voxel_xyz",
    frozenset("ras"): "ras_mm",
    frozenset("lps"): "lps_mm",
}
# A point that Slicer shows as unchecked, or that was never placed.
_FLAGS = ("sel", "selected", "defined")


@dataclass(frozen=True, kw_only=True)
class _Table:
    """The cells of a text file.

    Attributes:
        settings: what comment lines say in the form ``# name = value``, each with all of its values.
        columns: the columns' names in lower case; empty where the file has no line of names.
        rows: number of the line in the file, and its cells.
    """

    settings: dict[str, set[str]]
    columns: list[str]
    rows: list[tuple[int, list[str]]]


def read_table(path: Path, *, frame: str | None = None) -> PointList:
    """Read points from ``.csv``, ``.tsv`` or ``.txt``.

    A first line of names finds the coordinates among other columns; without one there must be three. The
    frame comes from ``frame``, from a comment line ``# frame = ras_mm``, or from names that leave no doubt:
    x, y, z beside xd, yd, zd (SNT: ``voxel_xyz``), r, a, s or l, p, s (Slicer).

    Raises:
        InputError: no frame or two, columns that cannot be told, or a cell that is not a finite number; the
            line is named.
    """
    table = _table(path, delimiters=("\t", ";", ","))
    stated = _single(table.settings.get("frame", set()), path)
    named = next((name for columns, name in _FRAMES_BY_COLUMNS.items() if columns <= set(table.columns)), None)
    if named is not None:
        stated = agreed_frame(stated=named, asked=stated, file=path)
    frame = agreed_frame(stated=stated, asked=frame, file=path)
    return _points(table, _coordinate_columns(table, frame, path), frame, path, most=len(table.columns) or 3)


def read_fcsv(path: Path, *, frame: str | None = None) -> PointList:
    """Read a Markups fiducial file of Slicer; unchecked points are left out.

    Raises:
        InputError: the file is not Slicer's, or its coordinate system is neither RAS nor LPS; see also
            :func:`read_table`.
    """
    table = _table(path, delimiters=(",",))
    columns = _single(table.settings.get("columns", set()), path)
    system = _single(table.settings.get("coordinatesystem", set()), path)
    if columns is None:
        raise InputError(
            "not a Markups fiducial file (no line '# columns = id,x,y,z,...')",
            file=path,
            remedy="save the points from Slicer once more, best as .mrk.json",
        )
    if system is not None and system.upper() not in _MARKUPS_FRAMES:
        raise InputError(
            f"unknown CoordinateSystem {system!r}", file=path, remedy="save the points from Slicer in LPS or RAS"
        )
    stated = _MARKUPS_FRAMES[system.upper()] if system is not None else None
    frame = agreed_frame(stated=stated, asked=frame, file=path)
    table = _Table(settings=table.settings, columns=_names(columns.split(",")), rows=table.rows)
    return _points(table, _coordinate_columns(table, frame, path), frame, path)


def _table(path: Path, *, delimiters: tuple[str, ...]) -> _Table:
    lines = _lines(path)
    settings: dict[str, set[str]] = {}
    for line in lines:
        if found := _SETTING.match(line):
            settings.setdefault(found[1].lower(), set()).add(found[2].strip().rstrip(",;").strip())
    kept = [(number, line) for number, line in enumerate(lines, 1) if line.strip(" \t,;") and line[0] != "#"]
    if not kept:
        raise InputError("the file holds no points", file=path, remedy="check the file")
    delimiter = next((mark for mark in delimiters if mark in kept[0][1]), None)
    rows = [(number, _cells(line, delimiter, number, path)) for number, line in kept]
    columns = _names(rows.pop(0)[1]) if _is_header(rows[0][1]) else []
    return _Table(settings=settings, columns=columns, rows=rows)


def _lines(path: Path) -> list[str]:
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise InputError(f"{size} bytes of text are too many", file=path, remedy="replace the file")
        content = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError("file not found", file=path, remedy="check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"not readable as text ({error})", file=path, remedy="save it as text in UTF-8") from error
    if "\0" in content:
        raise InputError("not a text file", file=path, remedy="check the file, or name its --format")
    return [line.strip(" ") for line in content.split("\n")]


def _cells(line: str, delimiter: str | None, number: int, path: Path) -> list[str]:
    if delimiter is None:
        return line.split()
    try:
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    except csv.Error as error:
        raise InputError(f"line {number} has no readable columns ({error})", file=path, remedy="check it") from error
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _names(cells: list[str]) -> list[str]:
    return [cell.strip().lower() for cell in cells]


def _is_header(cells: list[str]) -> bool:
    return any(cell[:1].isalpha() for cell in cells) and not any(_is_number(cell) for cell in cells)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    # Python reads 1_000 as a thousand; nobody writes a coordinate so.
    return "_" not in cell


def _single(values: set[str], path: Path) -> str | None:
    if len(values) > 1:
        raise InputError(
            f"contradicting comment lines ({', '.join(sorted(values))})", file=path, remedy="keep one of them"
        )
    return next(iter(values), None)


def _coordinate_columns(table: _Table, frame: str, path: Path) -> tuple[int, int, int]:
    if not table.columns:
        return (0, 1, 2)
    orders = {"voxel_zyx": "zyx", "ras_mm": "ras", "lps_mm": "lps"}
    for order in (orders.get(frame, "xyz"), "xyz"):
        if set(order) <= set(table.columns):
            return (table.columns.index(order[0]), table.columns.index(order[1]), table.columns.index(order[2]))
    raise InputError(
        f"no columns x, y, z among {', '.join(table.columns)}",
        file=path,
        remedy="name the three columns of the coordinates x, y, z",
    )


def _points(
    table: _Table, coordinates: tuple[int, int, int], frame: str, path: Path, *, most: int | None = None
) -> PointList:
    flags = [table.columns.index(name) for name in _FLAGS if name in table.columns]
    points: list[list[float]] = []
    for line, cells in table.rows:
        _require_width(cells, max(coordinates) + 1, most, line, path)
        if not any(flag < len(cells) and cells[flag].lower() in ("0", "false") for flag in flags):
            points.append([_number(cells[column], line, path) for column in coordinates])
    unchecked = len(table.rows) - len(points)
    notes = (f"{unchecked} point(s) that Slicer shows as unchecked or undefined left out",) if unchecked else ()
    return PointList(paths=(np.asarray(points, dtype=np.float64).reshape(-1, 3),), frame=frame, notes=notes)


def _require_width(cells: list[str], least: int, most: int | None, line: int, path: Path) -> None:
    # A comma for the decimal point makes two cells of one number: more cells than names are not overlooked.
    if len(cells) >= least and (most is None or len(cells) <= most):
        return
    raise InputError(
        f"line {line} has {len(cells)} column(s), expected {most or least}",
        file=path,
        remedy="write three numbers a line with decimal points, or name all columns in the first line",
    )


def _number(cell: str, line: int, path: Path) -> float:
    value = float(cell) if _is_number(cell) else math.nan
    if not math.isfinite(value):
        raise InputError(f"line {line}: {cell!r} is not a number", file=path, remedy="write numbers such as -12.5")
    # In voxels a larger one could become infinite in mm.
    if abs(value) >= _FARTHEST:
        raise InputError(f"line {line}: {cell!r} is too far away", file=path, remedy="write mm or voxels")
    return value
