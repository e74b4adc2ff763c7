"""Where FUMPE's files lie: scans and masks by patient, as DICOM with ``.mat`` or as NIfTI.

Names that differ in upper and lower case alone are one, of folders and of patients: archives that were passed on
have lost the release's spelling, and half the file systems do not tell such names apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
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
        scans: patient, as the scan spells the name -> the files of the scan, DICOM or one NIfTI.
        masks: patient -> the mask, ``.mat`` or NIfTI.
        doubled: faults of patients that have several scans or masks, and are in neither.
    """

    folder: Path
    scans: Mapping[str, tuple[Path, ...]]
    masks: Mapping[str, Path]
    doubled: tuple[CaseFault, ...] = ()

    @property
    def cases(self) -> set[str]:
        """All patients, whole or not."""
        return {*self.scans, *self.masks, *(fault.case for fault in self.doubled)}

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
    found = [_dicom_and_mat(*pair) for folder in folders if (pair := _pair(folder, SCANS, MASKS))]
    found += [_nifti_pairs(*pair) for folder in folders if (pair := _pair(folder, IMAGES, LABELS))]
    if len(found) != 1:
        raise InputError(
            f"{len(found) or 'no'} FUMPE release(s) there (folders {SCANS} and {MASKS}, or {IMAGES} and {LABELS})",
            file=source,
            remedy="give the folder that holds the two folders of one release",
        )
    return found[0]


def shared_images(scans: Mapping[str, Sequence[Path]]) -> dict[str, CaseFault]:
    """Faults of patients whose folders hold the same DICOM images: one scan under two names."""
    owners: dict[str, list[str]] = defaultdict(list)
    for case, files in scans.items():
        for uid in image_uids(files):
            owners[uid].append(case)
    faults: dict[str, CaseFault] = {}
    for sharing in sorted({tuple(sorted(cases)) for cases in owners.values() if len(cases) > 1}):
        what = f"{' and '.join(sharing)} hold the same DICOM images"
        for case in sharing:
            error = InputError(what, file=scans[case][0].parent, remedy="keep the right one of them")
            faults[case] = CaseFault(case=case, reason=str(error))
    return faults


def _pair(folder: Path, *names: str) -> list[Path]:
    """The folders of these names, or none where one of them is not there."""
    found: dict[str, list[Path]] = {name.casefold(): [] for name in names}
    for child in _visible(folder):
        if child.name.casefold() in found and child.is_dir():
            found[child.name.casefold()].append(child)
    if not all(found.values()):
        return []
    for same in found.values():
        if len(same) > 1:
            raise InputError(
                f"{' and '.join(child.name for child in same)} differ in upper and lower case alone",
                file=folder,
                remedy="keep the right one of them",
            )
    return [child for same in found.values() for child in same]


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _dicom_and_mat(scans: Path, masks: Path) -> FumpeFiles:
    files = {child: dicom_files(child) for child in _visible(scans) if child.is_dir()}
    return _release(
        folder=scans.parent,
        scans=[(child.name, child) for child in files if files[child]],
        masks=[(path.stem, path) for path in _visible(masks) if path.suffix.casefold() == ".mat"],
        files_of=files.__getitem__,
    )


def _nifti_pairs(images: Path, labels: Path) -> FumpeFiles:
    return _release(
        folder=images.parent,
        scans=[(name.removesuffix("_0000"), path) for name, path in _niftis(images)],
        masks=_niftis(labels),
        files_of=lambda path: (path,),
    )


def _niftis(folder: Path) -> list[tuple[str, Path]]:
    """Names without suffix, and files."""
    return [
        (path.name[: -len(ending)], path)
        for path in _visible(folder)
        for ending in _ENDINGS
        if path.name.casefold().endswith(ending)
    ]


def _release(
    *,
    folder: Path,
    scans: Sequence[tuple[str, Path]],
    masks: Sequence[tuple[str, Path]],
    files_of: Callable[[Path], tuple[Path, ...]],
) -> FumpeFiles:
    """Bring scans and masks of one patient together by their names."""
    names: dict[str, str] = {}
    for name, _ in (*scans, *masks):
        names.setdefault(name.casefold(), name)
    scan_of, mask_of = _by_name(scans), _by_name(masks)
    doubled = {
        name: _doubled(names[name], role, paths, folder=folder)
        for role, found in (("scan", scan_of), ("mask", mask_of))
        for name, paths in found.items()
        if len(paths) > 1
    }
    return FumpeFiles(
        folder=folder,
        scans={names[name]: files_of(path) for name, (path, *_) in scan_of.items() if name not in doubled},
        masks={names[name]: path for name, (path, *_) in mask_of.items() if name not in doubled},
        doubled=tuple(doubled.values()),
    )


def _by_name(found: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    paths: dict[str, list[Path]] = defaultdict(list)
    for name, path in found:
        paths[name.casefold()].append(path)
    return paths


def _doubled(case: str, role: str, paths: Sequence[Path], *, folder: Path) -> CaseFault:
    there = ", ".join(path.relative_to(folder).as_posix() for path in paths)
    error = InputError(f"{len(paths)} {role}s of one patient: {there}", file=folder, remedy="keep the right one")
    return CaseFault(case=case, reason=str(error))


def _missing(case: str, what: str, *, beside: Path) -> CaseFault:
    other = "scan" if what == "mask" else "mask"
    error = InputError(f"no {what} for this {other}", file=beside, remedy=f"add the {what} or remove the {other}")
    return CaseFault(case=case, reason=str(error))
