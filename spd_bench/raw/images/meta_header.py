"""What is checked of a MetaImage file's header before SimpleITK is asked.

ITK's reader, MetaIO, writes beyond its memory where a field holds more than it should, and does not come back from
others. The fields are those of https://itk.org/Wiki/ITK/MetaIO/Documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from spd_bench.errors import InputError
from spd_bench.raw.images.header_numbers import LONGEST_LINE, MOST_HEADER_BYTES, NUMBER

_NUMBERS = rf"(?:{NUMBER}(?:\s++|$)){{1,8}}+"
_MATRIX = rf"(?:{NUMBER}(?:\s++|$)){{1,64}}+"
_TRUTH = r"(?i:true|false|[01tf])"
_PATTERNS = {
    "ObjectType": r"Image",
    "NDims": r"[1-8]",
    "DimSize": r"(?:[1-9]\d{0,9}+(?:\s++|$)){1,8}+",
    "ElementType": r"MET_[A-Z_]+",
    "ElementSpacing": _NUMBERS,
    "ElementSize": _NUMBERS,
    "ElementMin": NUMBER,
    "ElementMax": NUMBER,
    "ElementNumberOfChannels": r"\d{1,3}",
    "Position": _NUMBERS,
    "Origin": _NUMBERS,
    "Offset": _NUMBERS,
    "CenterOfRotation": _NUMBERS,
    "TransformMatrix": _MATRIX,
    "Rotation": _MATRIX,
    "Orientation": _MATRIX,
    "BinaryData": _TRUTH,
    "BinaryDataByteOrderMSB": _TRUTH,
    "ElementByteOrderMSB": _TRUTH,
    "CompressedData": _TRUTH,
    "CompressedDataSize": r"\d{1,12}",
    "HeaderSize": r"-1|\d{1,9}",
    # No list, and no pattern that counts files.
    "ElementDataFile": r"(?!LIST)[^%]+",
}
_FOR_EACH_AXIS = ("DimSize", "ElementSpacing", "ElementSize", "Position", "Origin", "Offset", "CenterOfRotation")
_FOR_EACH_PAIR = ("TransformMatrix", "Rotation", "Orientation")
_NAME = re.compile(r"[\w|. -]{1,80}")


def check_meta_header(path: Path) -> None:
    """Refuse a header with a field that is not what the format says.

    Raises:
        InputError: there is one.
    """
    with path.open("rb") as stream:
        content = stream.read(MOST_HEADER_BYTES)
    fields: dict[str, str] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        name, value = _field(line.removesuffix(b"\r"), number, path)
        if name in fields:
            _refuse(f"line {number} says {name} once more", path)
        fields[name] = value
        if name == "ElementDataFile":
            break
    _check_axes(fields, path)


def _field(line: bytes, number: int, path: Path) -> tuple[str, str]:
    text = line.decode("utf-8", "replace")
    name, mark, value = (part.strip() for part in text.partition("="))
    if not mark or not _NAME.fullmatch(name) or len(text) > LONGEST_LINE or not text.isprintable():
        _refuse(f"line {number} is {text[:80]!r}", path)
    if name in _PATTERNS and not re.fullmatch(_PATTERNS[name], value):
        _refuse(f"{name} in line {number} is {value[:80]!r}", path)
    return name, value


def _check_axes(fields: Mapping[str, str], path: Path) -> None:
    missing = [name for name in ("NDims", "DimSize", "ElementType", "ElementDataFile") if name not in fields]
    if missing:
        _refuse(f"it has no {', '.join(missing)}", path)
    axes = int(fields["NDims"])
    counts = dict.fromkeys(_FOR_EACH_AXIS, axes) | dict.fromkeys(_FOR_EACH_PAIR, axes**2)
    for name, count in counts.items():
        if name in fields and len(fields[name].split()) != count:
            _refuse(f"{name} is {fields[name]!r} in {axes} dimensions", path)


def _refuse(fault: str, path: Path) -> NoReturn:
    raise InputError(
        f"image cannot be read (MetaImage header: {fault})", file=path, remedy="repair or replace the file"
    )
