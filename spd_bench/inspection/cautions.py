"""What looks wrong in a dataset although every file can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from spd_bench.inspection.figures import CaseFigures
from spd_bench.inspection.orientation import slice_plane
from spd_bench.inspection.summary import listed, spread
from spd_bench.inspection.view import DatasetView
from spd_bench.prompts.points import SUFFIX
from spd_bench.raw.dataset import PROMPTS
from spd_bench.raw.images.planes import is_plane
from spd_bench.raw.label_values import are_consecutive

_PATIENTS_A_FOLD = 3
_CT_MAXIMUM = 4000.0
# Finer than any clinical voxel, coarser than any slice distance met in the four tasks.
_SPACING_RANGE = (0.05, 25.0)
_OUTSIDE_SHARE = 0.5


def cautions(view: DatasetView, cases: Sequence[CaseFigures]) -> list[str]:
    """Every warning that applies to the cases that could be read, one line each."""
    return [line for caution in _CAUTIONS for line in caution(view, cases)]


def _few_patients(view: DatasetView, _: Sequence[CaseFigures]) -> list[str]:
    count = len(set(view.patients.values()))
    if count < view.folds:
        return [f"{count} patient(s) cannot be split into {view.folds} folds: plan with fewer --folds"]
    if count < _PATIENTS_A_FOLD * view.folds:
        return [f"few patients: {count} in {view.folds} folds, so a test set has {count / view.folds:.1f} of them"]
    return []


def _not_in_plan(view: DatasetView, cases: Sequence[CaseFigures]) -> list[str]:
    if view.test_folds is None:
        return []
    unknown = [case.case for case in cases if case.hashes.fold is None]
    return [f"{len(unknown)} case(s) unknown to the plan, plan anew: {listed(unknown)}"] if unknown else []


def _number_of_cases(view: DatasetView, _: Sequence[CaseFigures]) -> list[str]:
    announced, present = view.dataset.num_training, len(view.dataset.cases)
    if announced == present:
        return []
    return [f"dataset.json announces {announced} cases (numTraining), but there are {present}: planning refuses that"]


def _gaps_in_labels(view: DatasetView, _: Sequence[CaseFigures]) -> list[str]:
    values = view.dataset.label_values
    if are_consecutive(values):
        return []
    return [f"label values {list(values)} of dataset.json are not consecutive: planning refuses that"]


def _mixed_planes(view: DatasetView, cases: Sequence[CaseFigures]) -> list[str]:
    planes = Counter(slice_plane(case.codes, view.slice_axis) for case in cases)
    if len(planes) == 1:
        return []
    shown = ", ".join(f"{plane} in {count} case(s)" for plane, count in planes.most_common())
    return [f"slices along axis {'zyx'[view.slice_axis]} are {shown}: store all volumes in one orientation"]


def _resized(view: DatasetView, cases: Sequence[CaseFigures]) -> list[str]:
    side = view.resolution
    other = [case.target.slice_shape for case in cases if case.target.slice_shape != (side, side)]
    if not other:
        return []
    shapes = sorted(set(other))
    shown = ", ".join(f"{rows}x{columns}" for rows, columns in shapes[:3]) + (", ..." if len(shapes) > 3 else "")
    factors = [spread([side / shape[axis] for shape in other]) for axis in (0, 1)]
    how = f"by {factors[0]}" if factors[0] == factors[1] else f"rows by {factors[0]}, columns by {factors[1]}"
    stretch = max(max(shape) / min(shape) for shape in other)
    squeezed = f", which changes the aspect by up to {stretch:.2f}" if stretch > 1 else ""
    return [f"slices of {len(other)} case(s) ({shown}) are resized to {side}x{side}: {how}{squeezed}"]


def _lost(view: DatasetView, cases: Sequence[CaseFigures]) -> list[str]:
    lost = [case for case in cases if case.target.lost_slices]
    if not lost:
        return []
    slices = sum(case.target.lost_slices for case in lost)
    names = listed([case.case for case in lost])
    return [f"target below one pixel at {view.resolution}x{view.resolution} on {slices} slice(s): {names}"]


def _points_outside(_: DatasetView, cases: Sequence[CaseFigures]) -> list[str]:
    found = {case.case: case.points.quality.purity for case in cases if case.points and case.target.target_slices}
    outside = [case for case, inside in found.items() if inside is not None and 1 - inside > _OUTSIDE_SHARE]
    if not outside:
        return []
    return [
        f"more than half of the points lie outside the target in {len(outside)} case(s)"
        f" (drifting prompts? wrong frame? reversed slices?): {listed(outside)}"
    ]


def _incomplete_prompts(_: DatasetView, cases: Sequence[CaseFigures]) -> list[str]:
    missing = [case.case for case in cases if case.points is None]
    pointless = [case.case for case in cases if case.points and not case.points.per_slice and case.target.target_slices]
    found = []
    if missing and len(missing) < len(cases):
        told = f"no prompt file for {len(missing)} case(s): {listed(missing)}"
        found.append(f"{told}; planning completes simulated prompts, and refuses a reader's that are not whole")
    if pointless:
        found.append(f"prompt file without any point although there is target: {listed(pointless)}")
    return found


def _stray_prompt_files(view: DatasetView, _: Sequence[CaseFigures]) -> list[str]:
    expected = {case.prompts.name for case in view.dataset.cases}
    stray = [file.name for file in _files(view.dataset.folder / PROMPTS) if file.name not in expected]
    return [f"files in {PROMPTS} that are no case's <case>{SUFFIX}: {listed(stray)}"] if stray else []


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if not file.name.startswith(".")) if folder.is_dir() else []


def _spacing(_: DatasetView, cases: Sequence[CaseFigures]) -> list[str]:
    volumes = [case for case in cases if not is_plane(case.geometry)]
    low, high = _SPACING_RANGE
    spacings = {case.case: case.geometry.spacing for case in volumes}
    odd = [case for case, spacing in spacings.items() if min(spacing) < low or max(spacing) > high]
    found = []
    if volumes and set(spacings.values()) == {(1.0, 1.0, 1.0)}:
        found.append("every header says 1 x 1 x 1 mm: right for resampled volumes only, else all mm figures are wrong")
    if odd:
        found.append(f"spacing below {low:g} mm or above {high:g} mm: {listed(odd)}")
    return found


def _contradictions(_: DatasetView, cases: Sequence[CaseFigures]) -> list[str]:
    said = {case.case: case.contradiction for case in cases if case.contradiction is not None}
    if not said:
        return []
    pixdim, affine = (" x ".join(f"{size:.4g}" for size in sizes) for sizes in next(iter(said.values())))
    return [
        f"NIfTI header with two voxel sizes in {len(said)} case(s), such as {pixdim} mm in pixdim against {affine} mm"
        f" in the affine (x, y, z); see 'spacing' for the one in use: {listed(list(said))}"
    ]


def _hounsfield(view: DatasetView, cases: Sequence[CaseFigures]) -> list[str]:
    found = []
    for number, name in view.dataset.channel_names.items():
        if name.casefold() != "ct":
            continue
        ranges = {case.case: case.intensities[int(number)] for case in cases}
        shifted = [case for case, (low, _) in ranges.items() if low >= 0]
        beyond = [case for case, (low, high) in ranges.items() if max(-low, high) > _CT_MAXIMUM]
        if shifted:
            found.append(
                f"channel {number} is CT, but no voxel is below 0 (stored without its -1024?): {listed(shifted)}"
            )
        if beyond:
            found.append(f"channel {number} is CT, but goes beyond {_CT_MAXIMUM:g} HU: {listed(beyond)}")
    return found


def _constant(_: DatasetView, cases: Sequence[CaseFigures]) -> list[str]:
    constant = [case.case for case in cases if any(low == high for low, high in case.intensities)]
    return [f"an image channel with one value only: {listed(constant)}"] if constant else []


def _empty_labels(view: DatasetView, cases: Sequence[CaseFigures]) -> list[str]:
    background = [case.case for case in cases if not any(case.label_values)]
    found = []
    if background:
        found.append(f"label map empty in {len(background)} of {len(cases)} case(s): {listed(background)}")
    unused = sorted(set(view.dataset.label_values).difference(*(case.label_values for case in cases)))
    if unused:
        found.append(f"label value(s) announced in dataset.json that no case has: {listed([str(v) for v in unused])}")
    return found


_CAUTIONS: tuple[Callable[[DatasetView, Sequence[CaseFigures]], list[str]], ...] = (
    _few_patients,
    _not_in_plan,
    _number_of_cases,
    _gaps_in_labels,
    _mixed_planes,
    _resized,
    _lost,
    _points_outside,
    _incomplete_prompts,
    _stray_prompt_files,
    _spacing,
    _contradictions,
    _hounsfield,
    _constant,
    _empty_labels,
)
