"""The figures of all cases in words: one line a fact, for a person who is about to train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add

import numpy as np

from spd_bench.inspection.duplicates import Duplicate
from spd_bench.inspection.figures import CaseFigures, PointFigures
from spd_bench.inspection.orientation import slice_plane
from spd_bench.inspection.view import DatasetView
from spd_bench.models.prompt_quality import PromptQuality
from spd_bench.raw.images.planes import is_plane

Fact = tuple[str, str]
_OBLIQUE_DEGREES = 0.5


def dataset_facts(view: DatasetView, cases: Sequence[CaseFigures]) -> list[Fact]:
    """What the dataset is: cases, patients, channels, labels and folds."""
    dataset = view.dataset
    listed = len(dataset.cases)
    names = {value: name for name, value in dataset.labels.items()}
    labels = ", ".join(f"{value} {names.get(value, '(part of a region)')}" for value in dataset.label_values)
    return [
        ("dataset", dataset.name),
        ("folder", str(dataset.folder)),
        ("cases", f"{listed}" + (f", {listed - len(cases)} of them broken" if len(cases) < listed else "")),
        ("patients", _patients(view)),
        ("folds", _folds(view)),
        ("channels", _channels(view)),
        ("labels", labels),
        ("target", target_name(view)),
    ]


def geometry_facts(view: DatasetView, cases: Sequence[CaseFigures]) -> list[Fact]:
    """Sizes, spacings, directions and the slices' axis."""
    directions = Counter(case.codes for case in cases)
    oblique = [case.obliquity for case in cases if case.obliquity > _OBLIQUE_DEGREES]
    spacings = [case.geometry.spacing for case in cases]
    tilt = f"{len(oblique)} oblique, up to {max(oblique):.0f} degrees" if oblique else "none oblique"
    return [
        ("size", _per_axis([case.geometry.shape for case in cases], "voxels")),
        ("spacing", _per_axis(spacings, "mm", axes="yx" if all(is_plane(case.geometry) for case in cases) else "zyx")),
        ("directions", f"x, y, z grow to {_counted(directions)}; {tilt}"),
        ("slice axis", f"{'zyx'[view.slice_axis]} ({planes(cases, view.slice_axis)} slices): {view.axis_reason}"),
    ]


def target_facts(cases: Sequence[CaseFigures]) -> list[Fact]:
    """Where there is target, and how much."""
    slices = sum(case.target.slices for case in cases)
    with_target = sum(case.target.target_slices for case in cases)
    empty = [case.case for case in cases if not case.target.target_slices]
    volumes = [case.target.millilitres for case in cases if case.target.target_slices and case.target.millilitres]
    return [
        ("f", f"{with_target / slices:.3f} ({with_target} of {slices} slices have target)"),
        ("without target", listed(empty) if empty else "no case"),
        ("target volume", f"{spread(volumes)} ml" if volumes else "none"),
    ]


def prompt_facts(cases: Sequence[CaseFigures]) -> list[Fact]:
    """How many points there are, where they lie, and where they come from."""
    missing = [case.case for case in cases if case.points is None]
    prompted = [case.points for case in cases if case.points is not None]
    if not prompted:
        return [("prompts", "none yet: spd_plan_and_preprocess simulates them from the labels")]
    quality = reduce(add, (points.quality for points in prompted))
    return [
        ("prompts", origin(prompted)),
        ("cases without", listed(missing) if missing else "none: every case has a prompt file"),
        ("points", _points(prompted, quality)),
        ("points inside", _share(quality.points_inside, quality.points, "points lie inside the target")),
        ("slices missed", _missed(quality)),
        (
            "empty with point",
            _share(quality.empty_slices_with_point, quality.empty_slices, "slices without target have a point"),
        ),
    ]


def duplicate_facts(view: DatasetView, duplicates: Sequence[Duplicate]) -> list[Fact]:
    """Cases with the same voxels, one line a group."""
    if not duplicates:
        return [("duplicates", "none: no two cases share an image or a label map")]
    planned = "" if view.test_folds is not None else " (not planned yet: folds unknown)"
    return [
        (
            "duplicates",
            f"{'SEVERE: ' if found.severe else ''}same {found.what}: {listed(found.cases)}"
            + (f"; {' and '.join(found.reasons)}" if found.severe else "; one patient, never split")
            + planned,
        )
        for found in duplicates
    ]


def target_name(view: DatasetView) -> str:
    """The labels that are the target, with their names."""
    names = {value: name for name, value in view.dataset.labels.items()}
    return " + ".join(f"{value} {names.get(value, '')}".strip() for value in view.target_labels)


def planes(cases: Sequence[CaseFigures], slice_axis: int) -> str:
    """The plane that the slices lie in or near to."""
    found = " or ".join(sorted({slice_plane(case.codes, slice_axis) for case in cases}))
    return f"oblique, nearly {found}" if any(case.obliquity > _OBLIQUE_DEGREES for case in cases) else found


def origin(prompted: Sequence[PointFigures]) -> str:
    """Whether prompts were simulated (seed, severity) or come from a reader's file, with counts where mixed."""
    kinds = Counter(_origin(points) for points in prompted)
    return kinds.most_common(1)[0][0] if len(kinds) == 1 else _counted(kinds)


def spread(values: Sequence[float]) -> str:
    """Minimum / median / maximum; a single number where they look the same."""
    shown = [f"{value:.4g}" for value in (min(values), float(np.median(values)), max(values))]
    return shown[0] if len(set(shown)) == 1 else " / ".join(shown)


def listed(names: Sequence[str], shown: int = 5) -> str:
    """Names, the first few of many."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _patients(view: DatasetView) -> str:
    several = [name for name, count in Counter(view.patients.values()).items() if count > 1]
    count = len(set(view.patients.values()))
    repeated = f"{len(several)} with several cases: {listed(several)}" if several else "none with several cases"
    return f"{count}, {repeated}"


def _channels(view: DatasetView) -> str:
    named = ", ".join(f"{number} {name}" for number, name in view.dataset.channel_names.items())
    if len(view.dataset.channel_names) == 1:
        return named
    return f"{named}; SAM sees {', '.join(map(str, view.sam_channels))}"


def _folds(view: DatasetView) -> str:
    return "not planned yet" if view.test_folds is None else f"{view.folds}, test sets of the plan"


def _per_axis(rows: Sequence[Sequence[float]], unit: str, *, axes: str = "zyx") -> str:
    columns = dict(zip("zyx", zip(*rows, strict=True), strict=True))
    return f"{', '.join(f'{axis} {spread(columns[axis])}' for axis in axes)} {unit}"


def _points(prompted: Sequence[PointFigures], quality: PromptQuality) -> str:
    on_slices = [float(count) for points in prompted for count in points.per_slice]
    per_case = spread([float(points.quality.points) for points in prompted])
    per_slice = f", {spread(on_slices)} on a slice that has any" if on_slices else ""
    return f"{quality.points}: {per_case} a case{per_slice}"


def _missed(quality: PromptQuality) -> str:
    missed = quality.target_slices - quality.target_slices_with_point
    return _share(missed, quality.target_slices, "slices with target have no point")


def _share(count: int, total: int, what: str) -> str:
    return f"{100 * count / total:.1f} % ({count} of {total} {what})" if total else f"none ({what}: 0 of 0)"


def _origin(points: PointFigures) -> str:
    provenance = points.provenance
    if provenance.get("simulated"):
        return f"simulated, seed {provenance.get('seed', '?')}, severity {provenance.get('severity', '?')}"
    told = ", ".join(f"{name} {provenance[name]}" for name in ("reader", "format", "share") if name in provenance)
    return "a reader's" + (f" ({told})" if told else "")


def _counted(counter: Counter[str]) -> str:
    if len(counter) == 1:
        return next(iter(counter))
    return ", ".join(f"{name} in {count} case(s)" for name, count in counter.most_common())


def lines(facts: Iterable[Fact]) -> list[str]:
    """Facts as lines, names in a column of their own; a name that repeats is left out."""
    told, before = [], ""
    for name, text in facts:
        told.append(f"{'' if name == before else name:<17} {text}")
        before = name
    return told
