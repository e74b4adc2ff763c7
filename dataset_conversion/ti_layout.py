"""Which cases lie in a folder of the TI release, and what lies there without being a whole case."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from dataset_conversion.ti_names import TRACE_FORMS, TiName, read_name
from spd_bench.errors import InputError
from spd_bench.raw.release.cases import CaseFault, FoundCases, ReleaseCase

logger = logging.getLogger(__name__)

# Written by nnU-Net, by this package or by macOS; in none of them lies a file of the release.
_FOREIGN_FOLDER = re.compile(r"Dataset\d{3}_.+|spd_data|__MACOSX|\..+")
_ROLE_NAMES = {"image": "T2 image", "label": "segmentation", "trace": "centreline", "meta": "description of the trace"}


def find_ti_cases(source: Path, *, plane: str, with_traces: bool, skip_unlabelled: bool) -> FoundCases:
    """The cases of one plane, found by their names.

    Args:
        source: the release's folder; its folders may be one a patient, one a plane, or none.
        plane: "axial" or "coronal".
        with_traces: whether a case needs a centreline; else centrelines are not looked at.
        skip_unlabelled: pass over images that nobody segmented or traced, instead of reporting each.

    Returns:
        Cases with the roles "image", "label" and, with traces, "trace" (and its "meta" file, and as
        "unused_trace" the same trace in formats that were derived from it).
    """
    names = [name for name in _names(source) if name.plane in (plane, None)]
    wanted = [name for name in names if with_traces or name.role not in ("trace", "meta")]
    faults = _unnamed(wanted, source, plane)
    by_case: dict[str, list[TiName]] = defaultdict(list)
    for name in wanted:
        if name.patient is not None and name.plane is not None:
            by_case[name.case].append(name)
    cases: list[ReleaseCase] = []
    unlabelled = 0
    for case, files in sorted(by_case.items()):
        if skip_unlabelled and {name.role for name in _usable(files)} == {"image"}:
            unlabelled += 1
            continue
        try:
            found = _case(case, files, source, with_traces=with_traces)
        except InputError as error:
            faults.append(CaseFault(case=case, reason=str(error)))
            continue
        if found is not None:
            cases.append(found)
    if unlabelled:
        logger.warning("%d %s image(s) without a segmentation passed over", unlabelled, plane)
    return FoundCases(cases=tuple(cases), faults=tuple(faults))


def _names(source: Path) -> list[TiName]:
    names = []
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.name.startswith((".", "~$")) or any(map(_FOREIGN_FOLDER.fullmatch, relative.parts[:-1])):
            continue
        # A link that leads nowhere is a file that is missing, which reading it will tell.
        if path.is_file() or (path.is_symlink() and not path.exists()):
            names.append(read_name(relative))
    return names


def _usable(files: Iterable[TiName]) -> list[TiName]:
    return [name for name in files if name.role is not None and name.series != "other"]


def _unnamed(names: Iterable[TiName], source: Path, plane: str) -> list[CaseFault]:
    """Files that would belong to a case if their names told to which one."""
    faults: dict[str, CaseFault] = {}
    for name in _usable(names):
        if name.role == "meta" or (name.patient is not None) == (name.plane is not None):
            continue
        if name.patient is None:
            missing, remedy, case = "no patient (A1... or I1...)", "name one patient", name.path.name
        else:
            missing, remedy, case = f"no plane ({plane})", "name one plane", name.patient
        error = InputError(
            f"the name of a {_ROLE_NAMES[str(name.role)]} says {missing}, or more than one",
            file=source / name.path,
            remedy=f"{remedy} in the file's name, or move the file out of the release's folder",
        )
        faults.setdefault(case, CaseFault(case=case, reason=str(error)))
    return list(faults.values())


def _case(case: str, files: Sequence[TiName], source: Path, *, with_traces: bool) -> ReleaseCase | None:
    """The case that some files make; None where none of them says that it is of a T2 image."""
    usable = _usable(files)
    passed_over = [name for name in files if name not in usable]
    if not usable and all(name.series != "t2" for name in files):
        return None
    _check_folder(usable, source)
    roles = {role: [name for name in usable if name.role == role] for role in _ROLE_NAMES}
    trace, unused = _preferred(roles["trace"])
    roles["trace"] = trace
    _check_single(roles, source)
    _check_whole(roles, passed_over, source, with_traces=with_traces)
    chosen = {role: tuple(source / name.path for name in found) for role, found in roles.items() if found}
    if unused:
        chosen["unused_trace"] = tuple(source / name.path for name in unused)
    return ReleaseCase(case=case, patient=str(files[0].patient), files=chosen)


def _check_folder(files: Iterable[TiName], source: Path) -> None:
    for name in files:
        if name.misplaced_in is not None:
            raise InputError(
                f"a file of patient {name.patient} lies in the folder of patient {name.misplaced_in}",
                file=source / name.path,
                remedy="correct the file's name or move it",
            )


def _preferred(traces: Sequence[TiName]) -> tuple[list[TiName], list[TiName]]:
    """The traces in the format that comes first, and the others: tables are derived from the tracer's file."""
    if not traces:
        return [], []
    best = min((str(name.trace_form) for name in traces), key=TRACE_FORMS.index)
    return [name for name in traces if name.trace_form == best], [name for name in traces if name.trace_form != best]


def _check_single(roles: dict[str, list[TiName]], source: Path) -> None:
    for role, found in roles.items():
        if len(found) > 1:
            raise InputError(
                f"{len(found)} files could be its {_ROLE_NAMES[role]}: {', '.join(str(name.path) for name in found)}",
                file=source,
                remedy="keep the right one there (A1, A01 and a1 are one patient)",
            )


def _check_whole(
    roles: dict[str, list[TiName]], passed_over: Sequence[TiName], source: Path, *, with_traces: bool
) -> None:
    present = [name for found in roles.values() for name in found] or list(passed_over)
    for role in ("image", "label", *(("trace",) if with_traces else ())):
        if roles[role]:
            continue
        not_taken = ", ".join(str(name.path) for name in passed_over[:3])
        aside = f" (not taken, by series or suffix: {not_taken})" if not_taken else ""
        without = {
            "image": "add or rename the image, or move its other files away",
            "label": "add its segmentation, or give --skip-unlabelled if many images have neither that nor a trace",
            "trace": "add it, or give --prompts simulated to convert the whole set without the readers' points",
        }
        raise InputError(f"no {_ROLE_NAMES[role]}{aside}", file=source / present[0].path, remedy=without[role])
