"""Where FUMPE's files lie: scans and masks by patient, as DICOM with ``.mat`` or as NIfTI."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spd_bench.errors import InputError
from spd_bench.raw.release.cases import CaseFault
from spd_bench.raw.release.dicom_headers import dicom_files, image_uids

SCANS, MASKS = "CT_scans", "GroundTruth"
IMAGES, LABELS = "imagesTr", "labelsTr"
_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True, kw_only=True)
class FumpeFiles:
    """What lies in the release's folder.

    Attributes:
        folder: holds the folders of the scans and of the masks.
        scans: patient -> the files of the scan, DICOM or one NIfTI.
        masks: patient -> the mask, ``.mat`` or NIfTI.
    """

    folder: Path
    scans: Mapping[str, tuple[Path, ...]]
    masks: Mapping[str, Path]

    @property
    def whole(self) -> list[str]:
        """The patients with scan and mask, sorted."""
        return sorted(self.scans.keys() & self.masks.keys())

    def missing_halves(self) -> list[CaseFault]:
        """One fault for every patient of whom there is only the scan or only the mask."""
        return [
            *(_missing(case, "mask", beside=self.scans[case][0].parent) for case in self.scans.keys() - self.masks),
            *(_missing(case, "scan", beside=self.masks[case]) for case in self.masks.keys() - self.scans),
        ]


def find_files(source: Path) -> FumpeFiles:
    """List a release in ``source``, or in the one folder below it that holds one.

    Raises:
        InputError: there is none, or more than one.
    """
    folders = (source, *sorted(child for child in source.iterdir() if child.is_dir()))
    found = [_dicom_and_mat(folder) for folder in folders if _has(folder, SCANS, MASKS)]
    found += [_nifti_pairs(folder) for folder in folders if _has(folder, IMAGES, LABELS)]
    if len(found) != 1:
        raise InputError(
            f"{len(found) or 'no'} FUMPE release(s) there (folders {SCANS} and {MASKS}, or {IMAGES} and {LABELS})",
            file=source,
            remedy="give the folder that holds the two folders of one release",
        )
    return found[0]


def shared_images(scans: Mapping[str, Iterable[Path]]) -> dict[str, CaseFault]:
    """Faults of patients whose folders hold the same DICOM images: one scan under two names."""
    owners: dict[str, list[str]] = defaultdict(list)
    for case, files in scans.items():
        for uid in image_uids(files):
            owners[uid].append(case)
    faults: dict[str, CaseFault] = {}
    for sharing in {tuple(sorted(cases)) for cases in owners.values() if len(cases) > 1}:
        reason = f"{' and '.join(sharing)} hold the same DICOM images: keep the right one of them"
        faults |= {case: CaseFault(case=case, reason=reason) for case in sharing}
    return faults


def _has(folder: Path, *names: str) -> bool:
    return all((folder / name).is_dir() for name in names)


def _dicom_and_mat(folder: Path) -> FumpeFiles:
    patients = (child for child in (folder / SCANS).iterdir() if child.is_dir() and not child.name.startswith("."))
    masks = (path for path in (folder / MASKS).iterdir() if path.suffix.casefold() == ".mat")
    return FumpeFiles(
        folder=folder,
        scans={child.name: files for child in patients if (files := dicom_files(child))},
        masks={path.stem: path for path in masks if not path.name.startswith(".")},
    )


def _nifti_pairs(folder: Path) -> FumpeFiles:
    return FumpeFiles(
        folder=folder,
        scans={case.removesuffix("_0000"): (path,) for case, path in _niftis(folder / IMAGES).items()},
        masks=_niftis(folder / LABELS),
    )


def _niftis(folder: Path) -> dict[str, Path]:
    return {
        path.name.removesuffix(ending): path
        for path in folder.iterdir()
        for ending in _ENDINGS
        if path.name.endswith(ending) and not path.name.startswith(".")
    }


def _missing(case: str, what: str, *, beside: Path) -> CaseFault:
    other = "scan" if what == "mask" else "mask"
    error = InputError(f"no {what} for this {other}", file=beside, remedy=f"add the {what} or remove the {other}")
    return CaseFault(case=case, reason=str(error))
