"""How a release is laid out, in patterns: the settings of :mod:`spd_bench.raw.release.pattern_release`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from spd_bench.errors import InputError
from spd_bench.raw.release.source_volumes import to_axial, to_stack
from spd_bench.raw.release.target_mask import LabelValues
from spd_bench.storage import read_json

SLICES = {"thickest": to_stack, "axial": to_axial}
"""Which slices are cut: those of the acquired stack, or axial ones by the header's orientation."""

LABEL, TEXT = "label", "text"
"""Roles of a case's files besides its channels."""


@dataclass(frozen=True, kw_only=True)
class PatternSettings:
    """Where a release's files lie and what its labels mean.

    File patterns are globs, matched at any depth below the release's folder. Regular expressions are Python's.

    Attributes:
        name: the release's name.
        images: channel name -> file pattern.
        label: file pattern of the labels.
        case: regular expression of the case id in a file's path below the release's folder; the last match
            counts, white space in it becomes "_". A group named ``case`` narrows it.
        target_values: the label values that together are the target; null for masks of one value.
        other_values: the label values that become background, besides 0.
        target_name: the name of label 1.
        channels: the channels that are taken, in this order; empty for all.
        patient: regular expression of the patient in a case id, of which a group named ``patient`` narrows it.
        test_case: regular expression of the ids of cases that have no label on purpose; null where there are none.
        text: file pattern of text files about the cases; null where there are none.
        slices: a key of :data:`SLICES`.
        description: where the data come from, and their licence.
    """

    name: str
    images: Mapping[str, str]
    label: str
    case: str
    target_values: tuple[int, ...] | None
    other_values: tuple[int, ...] = ()
    target_name: str = "scar"
    channels: tuple[str, ...] = ()
    patient: str = ".+"
    test_case: str | None = None
    text: str | None = None
    slices: str = "thickest"
    description: str = ""

    def __post_init__(self) -> None:
        for name, (fits, expected) in _TYPES.items():
            value = getattr(self, name)
            if not fits(value):
                msg = f"{name} must be {expected}, got {value!r}"
                raise ValueError(msg)
        for key, pattern in {**self.images, "label": self.label, "text": self.text or "*"}.items():
            _check_glob(key, pattern)
        for name in ("case", "patient", "test_case"):
            _check_expression(name, getattr(self, name))
        if {LABEL, TEXT} & set(self.images):
            msg = f"a channel must not be named {LABEL} or {TEXT}, got {', '.join(self.images)}"
            raise ValueError(msg)
        unknown = [channel for channel in self.channels if channel not in self.images]
        if unknown or len(set(self.channels)) < len(self.channels):
            msg = f"channels must be different ones of {', '.join(self.images)}, got {', '.join(self.channels)}"
            raise ValueError(msg)
        if self.target_name in ("background", "ignore"):
            msg = f"target_name must not be a name that nnU-Net reserves, got {self.target_name!r}"
            raise ValueError(msg)
        if self.slices not in SLICES:
            msg = f"slices must be one of {', '.join(SLICES)}, got {self.slices!r}"
            raise ValueError(msg)
        # Values that are target and background at once are refused here rather than at the first case.
        LabelValues(target=self.target_values, others=self.other_values)

    @property
    def values(self) -> LabelValues:
        """The label values, divided by the target."""
        return LabelValues(target=self.target_values, others=self.other_values)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The channels that are taken, in their order."""
        return self.channels or tuple(self.images)

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON values, one key an attribute."""
        return {**asdict(self), "images": dict(self.images)}


def read_pattern_settings(file: Path) -> PatternSettings:
    """Read settings from a JSON object whose keys are the attributes of :class:`PatternSettings`.

    Raises:
        InputError: the file is not such an object; a key is missing, unknown or holds a wrong value.
    """
    content = read_json(file)
    if not isinstance(content, dict):
        raise InputError("settings are not a JSON object", file=file, remedy='write {"name": ..., "images": ...}')
    known = [entry.name for entry in fields(PatternSettings)]
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise InputError(
                f"unknown key {key!r}",
                file=file,
                remedy=f"did you mean {near[0]}?" if near else f"use {', '.join(known)}",
            )
    needed = [entry.name for entry in fields(PatternSettings) if entry.default is MISSING]
    missing = [name for name in needed if name not in content]
    if missing:
        raise InputError(f"missing key(s) {', '.join(missing)}", file=file, remedy="add them; see --help")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    try:
        return PatternSettings(**values)
    except ValueError as error:
        raise InputError(str(error), file=file, remedy="correct it; see --help") from error


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_text_or_null(value: Any) -> bool:
    return value is None or _is_text(value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, tuple) and all(map(_is_text, value))


def _are_patterns(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(map(_is_text, (*value, *value.values())))


def _are_values(value: Any) -> bool:
    # JSON's true is an integer to Python.
    return isinstance(value, tuple) and all(isinstance(one, int) and not isinstance(one, bool) for one in value)


_TEXT = (_is_text, "text")
_OPTIONAL_TEXT = (_is_text_or_null, "text or null")
_TYPES = {
    "name": _TEXT,
    "images": (_are_patterns, "an object of channel names and file patterns"),
    "label": _TEXT,
    "case": _TEXT,
    "target_values": (lambda value: value is None or _are_values(value), "a list of whole numbers or null"),
    "other_values": (_are_values, "a list of whole numbers"),
    "target_name": _TEXT,
    "channels": (_are_texts, "a list of channel names"),
    "patient": _TEXT,
    "test_case": _OPTIONAL_TEXT,
    "text": _OPTIONAL_TEXT,
    "slices": _TEXT,
    "description": (lambda value: isinstance(value, str), "text"),
}


def _check_glob(key: str, pattern: str) -> None:
    path = PurePosixPath(pattern)
    if path.is_absolute() or ".." in path.parts:
        msg = f"the pattern of {key} must stay below the release's folder, got {pattern!r}"
        raise ValueError(msg)
    # pathlib says so no earlier than at the first search, and from Python 3.13 on takes ** for * there.
    if any("**" in part and part != "**" for part in path.parts):
        msg = f"in the pattern of {key}, ** must be the whole name of a folder (a/**/b), got {pattern!r}"
        raise ValueError(msg)


def _check_expression(name: str, expression: str | None) -> None:
    try:
        re.compile(expression or "")
    except re.error as error:
        msg = f"{name} is not a regular expression ({error}), got {expression!r}"
        raise ValueError(msg) from error
