"""The same voxels under two case ids: a silent leak from training into test."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class VoxelHashes:
    """What a case's voxels are told apart by.

    Attributes:
        case: the case's id.
        patient: the patient it is of.
        fold: the fold in whose test set it is, or None where that is not known.
        images: :func:`voxel_hash` of each channel; constant channels left out, which say nothing.
        label: of the label map; None where it holds background only.
    """

    case: str
    patient: str
    fold: int | None
    images: frozenset[str]
    label: str | None


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """Cases with the same voxels.

    Attributes:
        what: "image", "label" or "image and label".
        cases: their ids, sorted.
        reasons: why that is severe, in words; empty where all are of one patient and in one fold.
    """

    what: str
    cases: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def severe(self) -> bool:
        """Whether one of them can be trained on while another is tested."""
        return bool(self.reasons)


def voxel_hash(voxels: NDArray[Any]) -> str:
    """Hex SHA-256 of the shape and the values (z, y, x), whatever type they are stored in."""
    digest = hashlib.sha256(repr(voxels.shape).encode())
    for plane in voxels:
        # Adding zero turns -0.0 into 0.0, which compare equal and differ in bytes.
        digest.update((plane.astype("<f8") + 0.0).tobytes())
    return digest.hexdigest()


def find_duplicates(cases: Sequence[VoxelHashes]) -> list[Duplicate]:
    """Groups of cases that share an image channel or a label map, severe ones first, then by name."""
    images = _groups((hashed, case) for case in cases for hashed in case.images)
    labels = _groups((case.label, case) for case in cases if case.label is not None)
    found = [
        Duplicate(
            what=" and ".join(name for name, groups in (("image", images), ("label", labels)) if names in groups),
            cases=names,
            reasons=_reasons((images | labels)[names]),
        )
        for names in images | labels
    ]
    return sorted(found, key=lambda duplicate: (not duplicate.severe, duplicate.cases))


def _groups(hashes: Iterable[tuple[str, VoxelHashes]]) -> dict[tuple[str, ...], list[VoxelHashes]]:
    by_hash: dict[str, dict[str, VoxelHashes]] = defaultdict(dict)
    for hashed, case in hashes:
        by_hash[hashed][case.case] = case
    return {tuple(sorted(group)): list(group.values()) for group in by_hash.values() if len(group) > 1}


def _reasons(cases: Iterable[VoxelHashes]) -> tuple[str, ...]:
    group = list(cases)
    folds = sorted({case.fold for case in group if case.fold is not None})
    reasons = []
    if len(folds) > 1:
        reasons.append(f"in the test sets of folds {', '.join(map(str, folds))}")
    if len({case.patient for case in group}) > 1:
        reasons.append("under different patients")
    return tuple(reasons)
