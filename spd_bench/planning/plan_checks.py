"""What a plan's files must hold before anything is done by them.

A plan names files, and nnU-Net takes some of its words for paths and for classes to import: ``data_identifier`` is
joined to a folder, ``network_class_name`` is imported and called. A folder that someone else has made, or a file that a
disk has damaged, must not decide about that.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spd_bench.errors import InputError
from spd_bench.raw.dataset import check_case_name

_PARTS = {"train", "val", "test"}
_LIBRARIES = ("dynamic_network_architectures.", "torch.nn.")
_REMEDY = "run spd_plan_and_preprocess again"


def check_marker(marker: Any, *, file: Path) -> None:
    """Raise InputError unless ``spd_complete.json`` holds patients by case, and what is known of the prompts."""
    known = isinstance(marker, dict) and isinstance(marker.get("prompts_sha256"), str)
    if not known or not isinstance(marker.get("prompts_provenance"), dict) or not _are_texts(marker.get("patients")):
        raise InputError("not the marker of a planned dataset", file=file, remedy=_REMEDY)


def check_splits(splits: Any, *, file: Path) -> None:
    """Raise InputError unless each fold has three lists of plain case ids."""
    if not isinstance(splits, list) or not all(isinstance(fold, dict) and fold.keys() == _PARTS for fold in splits):
        raise InputError(f"not folds of {', '.join(sorted(_PARTS))}", file=file, remedy=_REMEDY)
    for cases in (cases for fold in splits for cases in fold.values()):
        if not isinstance(cases, list) or not all(isinstance(case, str) for case in cases):
            raise InputError("a fold's part is no list of case ids", file=file, remedy=_REMEDY)
        for case in cases:
            check_case_name(case, file=file)


def check_plans(plans: Any, *, file: Path) -> None:
    """Raise InputError unless these are plans of this package that name nothing outside of its reach."""
    try:
        configurations: Mapping[str, Any] = plans["configurations"]
        settings = configurations[plans["spd"]["configuration"]]["spd"]
        sizes = (settings["resolution"], settings["context"], *settings["channels"], *plans["transpose_forward"])
        folders = [str(values["data_identifier"]) for values in configurations.values() if "data_identifier" in values]
        architectures = [values["architecture"] for values in configurations.values() if "architecture" in values]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"not a plan of this package ({error})", file=file, remedy=_REMEDY) from error
    if not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise InputError(f"resolution, context, channels or axes are {sizes}", file=file, remedy=_REMEDY)
    for name in folders:
        check_case_name(name, file=file)
    for architecture in architectures:
        check_architecture(architecture, file=file)


def check_architecture(architecture: Any, *, file: Path) -> None:
    """Raise InputError where nnU-Net would import anything but a network of its library, or a layer of torch."""
    try:
        arguments, imported = architecture["arch_kwargs"], architecture["_kw_requires_import"]
        names = [architecture["network_class_name"], *(arguments[name] for name in imported)]
    except (KeyError, TypeError) as error:
        raise InputError(f"not an architecture of nnU-Net ({error})", file=file, remedy=_REMEDY) from error
    for name in names:
        if name is not None and not (isinstance(name, str) and name.startswith(_LIBRARIES)):
            raise InputError(f"the architecture asks for {name!r}", file=file, remedy=_REMEDY)


def _are_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) and text for text in value.values())
