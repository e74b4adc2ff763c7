"""What is checked of a NRRD file's header before SimpleITK is asked.

ITK's reader, teem, writes beyond its memory where a line is long or a field is not what it should be. The fields are
those of https://teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from spd_bench.errors import InputError
from spd_bench.raw.images.header_numbers import LONGEST_LINE, MOST_HEADER_BYTES, NUMBER

_MAGIC = re.compile(rb"NRRD000[1-5]")
_VECTOR = rf"\(\s*+{NUMBER}\s*+(?:,\s*+{NUMBER}\s*+){{0,7}}+\)"
_WORD = r"[\w-]++(?: [\w-]++){0,3}+"


def _several(pattern: str) -> str:
    return rf"(?:(?:{pattern})(?:\s++|$)){{1,8}}+"


_PATTERNS = {
    "type": _WORD,
    "block size": r"\d{1,9}",
    "dimension": r"[1-8]",
    "sizes": _several(r"\d{1,10}+"),
    "spacings": _several(rf"{NUMBER}|nan"),
    "thicknesses": _several(rf"{NUMBER}|nan"),
    "axis mins": _several(rf"{NUMBER}|nan"),
    "axis maxs": _several(rf"{NUMBER}|nan"),
    "centers": _several(r"cell|node|none|\?++"),
    "centerings": _several(r"cell|node|none|\?++"),
    "labels": _several(r'"[^"]*+"'),
    "units": _several(r'"[^"]*+"'),
    "kinds": _several(r"[\w?-]++"),
    "min": NUMBER,
    "max": NUMBER,
    "old min": NUMBER,
    "old max": NUMBER,
    "endian": r"little|big",
    "encoding": r"raw|gzip|gz|bzip2|bz2|ascii|text|txt|hex",
    "line skip": r"\d{1,6}",
    "byte skip": r"-1|\d{1,9}",
    "number": r"\d+",
    "content": r".*",
    "sample units": r".*",
    "space": _WORD,
    "space dimension": r"[1-8]",
    "space units": _several(r'"[^"]*+"'),
    "space directions": _several(rf"{_VECTOR}|none"),
    "space origin": _VECTOR,
    "measurement frame": _several(rf"{_VECTOR}|none"),
    # No list, no pattern that counts files, and not standard input.
    "data file": r"(?!LIST|-$)[^%]+",
}
_SPELLINGS = {name.replace(" ", ""): name for name in _PATTERNS} | {"datafile": "data file"}
_FOR_EACH_AXIS = ("sizes", "spacings", "thicknesses", "axis mins", "axis maxs", "centers", "kinds")


def check_nrrd_header(path: Path) -> None:
    """Refuse a header with a line that the definition of the format does not know.

    Raises:
        InputError: there is one.
    """
    with path.open("rb") as stream:
        content = stream.read(MOST_HEADER_BYTES)
    lines = re.split(rb"\r?\n\r?\n", content, maxsplit=1)[0].splitlines()
    if not lines or not _MAGIC.fullmatch(lines[0]):
        _refuse("it does not begin with NRRD0004", path)
    fields: dict[str, str] = {}
    for number, line in enumerate(lines[1:], start=2):
        # Metadata of other programs, of any length: the first colon tells it from a field.
        if line.startswith(b"#") or re.match(rb"[^:]*:=", line):
            continue
        name, value = _field(line, number, path)
        if name in fields:
            _refuse(f"line {number} says {name} once more", path)
        fields[name] = value
    _check_axes(fields, path)


def _field(line: bytes, number: int, path: Path) -> tuple[str, str]:
    text = line.decode("ascii", "replace")
    spelling, mark, value = text.partition(": ")
    name = _SPELLINGS.get(spelling.strip().lower().replace(" ", ""), "")
    if not mark or not name or len(text) > LONGEST_LINE or not text.isprintable():
        _refuse(f"line {number} is {text[:80]!r}", path)
    if not re.fullmatch(_PATTERNS[name], value.strip()):
        _refuse(f"{name} in line {number} is {value[:80]!r}", path)
    return name, value.strip()


def _check_axes(fields: Mapping[str, str], path: Path) -> None:
    missing = [name for name in ("type", "dimension", "sizes", "encoding") if name not in fields]
    if missing:
        _refuse(f"it has no {', '.join(missing)}", path)
    for name in _FOR_EACH_AXIS:
        if name in fields and len(fields[name].split()) != int(fields["dimension"]):
            _refuse(f"{name} is {fields[name]!r} in {fields['dimension']} dimensions", path)


def _refuse(fault: str, path: Path) -> NoReturn:
    raise InputError(f"image cannot be read (NRRD header: {fault})", file=path, remedy="repair or replace the file")
