"""What the name of a file of the TI release says: patient, plane, series and role.

Spelling is free (``A1 Axial T2.nii.gz``, ``a01_t2-ax.nii``, ``axial/seg/A1 axial.nii.gz``), meaning is not: a name
that says post-contrast is never a T2 image. What the file's name leaves open, the nearest folder that says it
decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

_PLANES = {
    "axial": ("axial", "ax", "tra", "trans", "transverse", "transversal"),
    "coronal": ("coronal", "cor"),
    "sagittal": ("sagittal", "sag"),
}
_SERIES = {
    "t2": ("t2", "t2w", "haste", "ssfse"),
    "other": (
        *("post", "postcon", "postcontrast", "contrast", "precon", "precontrast", "gd", "gad", "gado", "ce"),
        *("t1", "t1w", "vibe", "lava", "fspgr", "thrive", "dwi", "adc", "diffusion"),
        *("trufi", "truefisp", "fisp", "fiesta", "bffe", "cine", "dynamic", "localiser", "localizer", "scout"),
    ),
}
_ROLES = {
    "image": ("img", "imgs", "image", "images"),
    "label": (
        *("seg", "segs", "segmentation", "segmentations", "mask", "masks", "label", "labels", "labelmap", "labelmaps"),
    ),
    "trace": ("tracing", "tracings", "trace", "traces", "centreline", "centrelines", "centerline", "centerlines"),
}
_META = "meta"

_VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
_TRACE_FORMS = {
    ".traces": "tracings",
    ".xml": "tracings",
    ".gz": "tracings",
    ".mrk.json": "markups",
    ".fcsv": "fcsv",
    ".csv": "csv",
    ".txt": "text",
    "": "tracings",
}
TRACE_FORMS = ("tracings", "csv", "markups", "fcsv", "text", "nifti")
"""Formats of a trace, the one nearest to the tracing software first."""

_PATIENT = re.compile(r"(?P<cohort>[ai])0*(?P<number>\d{1,4})")
_APART = re.compile(r"(?<![a-z0-9])([ai])[\s_-]+(\d{1,4})(?![a-z0-9])")
_WORDS = {
    word: (kind, meaning)
    for kind, meanings in (("plane", _PLANES), ("series", _SERIES), ("role", _ROLES))
    for meaning, words in meanings.items()
    for word in words
} | {_META: ("meta", _META)}
_WORD = "|".join([r"[ai]\d{1,4}", *sorted(_WORDS, key=len, reverse=True)])


@dataclass(frozen=True, kw_only=True)
class TiName:
    """The meaning of one file's name.

    Attributes:
        path: the file, relative to the release.
        role: "image", "label", "trace" or "meta" (of a trace); None where the file is none of them.
        trace_form: the format of a trace, one of :data:`TRACE_FORMS`.
        patient: such as "A1"; None where no name or more than one is there.
        misplaced_in: the patient whose folder the file lies in, where that is another one.
        plane: "axial", "coronal" or "sagittal"; None where none or more than one is named.
        series: "t2", "other" for any series that is not the T2-weighted one, or None where none is named.
    """

    path: PurePath
    role: str | None
    trace_form: str | None
    patient: str | None
    misplaced_in: str | None
    plane: str | None
    series: str | None

    @property
    def case(self) -> str:
        """The id of the case that the file belongs to."""
        return f"{self.patient}_{self.plane}"


def read_name(path: PurePath) -> TiName:
    """The meaning of a file's name; ``path`` is relative to the release's folder."""
    stem, suffix = _split(path.name.lower())
    name, folders = _Words(stem), [_Words(folder.lower()) for folder in reversed(path.parts[:-1])]
    role = _role(name, folders, suffix)
    series = name.said("series") or _nearest(folders, "series")
    if role == "image" and not series and name.unknown:
        # "A1 axial.nii.gz" is the T2 image, "A1 axial survey.nii.gz" may be anything.
        series = frozenset({"other"})
    patient, folder_patient = name.patient, next((one.patient for one in folders if one.names_one_patient), None)
    return TiName(
        path=path,
        role=role,
        trace_form=trace_form(path.name) if role == "trace" else None,
        patient=patient if name.patients else folder_patient,
        misplaced_in=folder_patient if patient and folder_patient not in (None, patient) else None,
        plane=_single(name.said("plane") or _nearest(folders, "plane")),
        series="other" if "other" in series else _single(series),
    )


def trace_form(name: str) -> str:
    """The format of a trace by its file's suffix, one of :data:`TRACE_FORMS`."""
    _, suffix = _split(name.lower())
    return "nifti" if suffix in _VOLUME_SUFFIXES else _TRACE_FORMS.get(suffix, "tracings")


class _Words:
    """The words of a file's or a folder's name that mean something, and the number of those that do not."""

    def __init__(self, name: str) -> None:
        parts = [part for part in re.split(r"[^a-z0-9]+", _APART.sub(r"\1\2", name)) if part and not part.isdecimal()]
        known = [part for part in parts if re.fullmatch(f"(?:{_WORD})+", part)]
        self.words = [word for part in known for word in re.findall(_WORD, part)]
        self.unknown = [part for part in parts if part not in known]

    def said(self, kind: str) -> frozenset[str]:
        return frozenset(_WORDS[word][1] for word in self.words if word in _WORDS and _WORDS[word][0] == kind)

    @cached_property
    def patients(self) -> frozenset[str]:
        found = (_PATIENT.fullmatch(word) for word in self.words)
        return frozenset(f"{match['cohort'].upper()}{int(match['number'])}" for match in found if match)

    @property
    def patient(self) -> str | None:
        return _single(self.patients)

    @property
    def names_one_patient(self) -> bool:
        # "Cases A1 to 50" is not the folder of A1.
        return self.patient is not None and not self.unknown


def _split(name: str) -> tuple[str, str]:
    """Stem and suffix; what follows a dot is a suffix only where it looks like one."""
    known = next((suffix for suffix in (*_VOLUME_SUFFIXES, *_TRACE_FORMS) if suffix and name.endswith(suffix)), None)
    if known is None:
        match = re.search(r"\.[a-z][a-z0-9]{0,5}$", name)
        known = match[0] if match else ""
    return name.removesuffix(known), known


def _role(name: _Words, folders: list[_Words], suffix: str) -> str | None:
    said = name.said("role") or _nearest(folders, "role")
    if suffix in _VOLUME_SUFFIXES:
        return next((role for role in ("label", "trace") if role in said), "image")
    if suffix not in _TRACE_FORMS or "label" in said:
        return None
    if name.said("meta"):
        return "meta" if suffix == ".txt" else None
    if "trace" in said or suffix == ".traces":
        return "trace"
    # "A1 axial.txt" is a trace, "A1 axial report.txt" is not.
    plain = suffix in (".txt", ".csv", ".mrk.json", ".fcsv") and not name.unknown
    return "trace" if plain else None


def _nearest(folders: list[_Words], kind: str) -> frozenset[str]:
    return next((found for folder in folders if (found := folder.said(kind))), frozenset())


def _single(meanings: frozenset[str]) -> str | None:
    return next(iter(meanings)) if len(meanings) == 1 else None
