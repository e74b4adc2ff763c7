from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spd_bench.cells import Cell, Grid
from spd_bench.evaluation.frames import read_frame, write_frame
from spd_bench.evaluation.overlap import dice_score
from spd_bench.methods.registry import METHODS
from spd_bench.planning.plan import Plan
from spd_bench.raw.volumes import read_volume, write_volume
from spd_bench.report.cases import CaseView, read_case
from spd_bench.report.consensus import consensus_files, predict_consensus
from spd_bench.report.encoding import mask_of_runs, pixels_of_jpeg, script_json
from spd_bench.report.fates import Fate
from spd_bench.report.jpeg_slices import jpeg_coders
from spd_bench.report.reduction import case_values, fit_case
from spd_bench.report.scores import CellScores
from spd_bench.report.selection import ChosenCase, choose_cases, distilling_method, leading_method

Finished = tuple[list[Cell], Grid]


def values_of(view: CaseView) -> dict[str, Any]:
    """The finest values of a case."""
    return case_values(view, coder=jpeg_coders(view)[0])


def first_case(finished: Finished) -> ChosenCase:
    return choose_cases(*finished, count=1)[0]


def view_of(finished: Finished, chosen: ChosenCase | None = None) -> CaseView:
    _, grid = finished
    chosen = chosen or first_case(finished)
    assert predict_consensus([chosen], grid, method="spd") == {}
    return read_case(chosen, grid, scores=CellScores(grid), distilling="spd")


def set_dice(cells: list[Cell], grid: Grid, dice: list[float]) -> None:
    """Give the leading method's cases these scores, fold by fold."""
    values = iter(dice)
    for cell in cells:
        if cell.method.name == "spd":
            path = grid.folder(cell) / "volumes.csv"
            frame = read_frame(path)
            frame["volumetric_dice"] = [next(values) for _ in range(len(frame))]
            write_frame(path, frame)


# Which cases are shown.


def test_the_worst_and_the_best_of_the_leading_method_come_first(make_finished: Callable[..., Finished]) -> None:
    cells, grid = make_finished()
    names = [case for fold in (0, 1) for case in cells[0].plan.split(fold)["test"]]
    dice = [0.3, 0.9, 0.1, 0.5, 0.7, 0.2][: len(names)]
    set_dice(cells, grid, dice)
    ranked = [name for _, name in sorted(zip(dice, names, strict=True))]
    expected = []
    while ranked:
        expected.append(ranked.pop(0))
        if ranked:
            expected.append(ranked.pop())
    chosen = choose_cases(cells, grid, count=20)
    assert [one.case for one in chosen] == expected
    assert chosen[0].place == f"the worst of {len(names)}"
    assert chosen[1].place == f"the best of {len(names)}"
    assert [one.case for one in choose_cases(cells, grid, count=2)] == expected[:2]
    assert choose_cases(cells, grid, count=0) == []


def test_a_case_without_a_score_comes_last(make_finished: Callable[..., Finished]) -> None:
    cells, grid = make_finished()
    count = sum(len(cells[0].plan.split(fold)["test"]) for fold in (0, 1))
    set_dice(cells, grid, [np.nan, *np.linspace(0.1, 0.9, count - 1)])
    assert choose_cases(cells, grid, count=20)[-1].place == "no score"


def test_the_leader_is_spd_or_else_the_last_row(planned: Plan) -> None:
    rows = [Cell(plan=planned, method=METHODS[name], fold=0) for name in ("spd", "unet", "spd_both")]
    assert leading_method(rows) == "spd"
    assert leading_method(rows[1:2]) == "unet"
    assert distilling_method(rows) == "spd"
    assert distilling_method(rows[1:]) == "spd_both"
    assert distilling_method(rows[1:2]) is None


# What is shown of a case.


def test_a_case_is_shown_with_all_that_is_known_of_it(make_finished: Callable[..., Finished]) -> None:
    view = view_of(make_finished())
    (prompts,) = view.prompt_sets
    assert prompts.severity is None
    assert [method.name for method in prompts.methods] == ["empty", "bright", "spd"]
    assert view.image.dtype == np.uint8
    assert view.image.shape == view.reference.shape
    assert view.saliency is not None
    assert view.saliency.shape == view.image.shape
    assert set(prompts.fates) == {Fate.KEPT, Fate.DROPPED, Fate.ADDED}
    assert view.image[view.reference].mean() > view.image[~view.reference].mean() + 100


def test_masks_are_turned_as_the_reference_is(make_finished: Callable[..., Finished]) -> None:
    view = view_of(make_finished())
    for method in view.prompt_sets[0].methods:
        counts = [np.count_nonzero(mask, axis=(1, 2)) for mask in (view.reference, method.mask)]
        overlap = np.count_nonzero(view.reference & method.mask, axis=(1, 2))
        dice = dice_score(reference=counts[0], prediction=counts[1], overlap=overlap)
        np.testing.assert_allclose(dice, method.slice_dice)


def test_points_lie_where_they_were_put(make_finished: Callable[..., Finished]) -> None:
    """All raw points but the last lie in the target, wherever the slices are turned to."""
    view = view_of(make_finished())
    points, fates = view.prompt_sets[0].points, view.prompt_sets[0].fates
    raw = [point for point, fate in zip(points, fates, strict=True) if fate is not Fate.ADDED]
    inside = [bool(view.reference[tuple(point)]) for point in raw]
    assert inside == [True] * (len(raw) - 1) + [False]
    assert [fate for fate in fates if fate is not Fate.ADDED] == [Fate.KEPT] * (len(raw) - 1) + [Fate.DROPPED]


def test_a_missing_prediction_is_drawn_as_empty(make_finished: Callable[..., Finished]) -> None:
    cells, grid = make_finished()
    chosen = first_case((cells, grid))
    (grid.folder(chosen.leader) / "predictions" / f"{chosen.case}.nii.gz").unlink()
    view = view_of((cells, grid), chosen)
    methods = values_of(view)["prompt_sets"][0]["methods"]
    assert methods["spd"]["missing"]
    assert set(methods["spd"]["masks"]) == {""}
    assert not methods["bright"]["missing"]


def test_the_consensus_is_predicted_once(make_finished: Callable[..., Finished]) -> None:
    cells, grid = make_finished()
    chosen = first_case((cells, grid))
    view_of((cells, grid), chosen)
    files = consensus_files(chosen.leader, grid, chosen.case)
    before = [path.stat().st_mtime_ns for path in (files.prompts, files.saliency, files.mask)]
    view_of((cells, grid), chosen)
    assert [path.stat().st_mtime_ns for path in (files.prompts, files.saliency, files.mask)] == before


def test_a_failing_consensus_is_told_and_the_case_is_shown_without_it(make_finished: Callable[..., Finished]) -> None:
    def gone(_: Any) -> Any:
        raise KeyError("weights")

    cells, grid = make_finished()
    chosen = first_case((cells, grid))
    broken = replace(chosen, cells=tuple(replace(c, method=replace(c.method, predictor=gone)) for c in chosen.cells))
    (((_, case), told),) = predict_consensus([broken], grid, method="spd").items()
    assert case == chosen.case
    assert "KeyError: 'weights'" in told
    view = read_case(broken, grid, scores=CellScores(grid), distilling="spd")
    assert view.saliency is None
    assert set(view.prompt_sets[0].fates) == {Fate.GIVEN}


# As JSON values, within bounds.


def test_values_hold_the_case(make_finished: Callable[..., Finished]) -> None:
    view = view_of(make_finished())
    values = values_of(view)
    rows, columns = values["size"]
    assert (rows, columns) == view.image.shape[1:]
    for index, grey in enumerate(view.image):
        assert pixels_of_jpeg(values["images"][index]).shape == grey.shape
        np.testing.assert_array_equal(mask_of_runs(values["reference"][index], (rows, columns)), view.reference[index])
    (own,), (prompts,) = values["prompt_sets"], view.prompt_sets
    shown = [[index, y, x, fate] for index, points in enumerate(own["points"]) for x, y, fate in points]
    expected = [[*point, str(fate)] for point, fate in zip(prompts.points.tolist(), prompts.fates, strict=True)]
    assert sorted(shown) == sorted(expected)
    assert own["methods"]["spd"]["slice_dice"] == [round(100 * dice, 2) for dice in prompts.methods[2].slice_dice]


def test_large_slices_are_reduced_and_keep_their_physical_aspect(
    make_finished: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spd_bench.report.turning.LONGEST_SIDE", 12)
    view = view_of(make_finished())
    assert max(view.image.shape[1:]) == 12
    assert view.image.shape == view.reference.shape == view.prompt_sets[0].methods[0].mask.shape
    values = values_of(view)
    (rows, columns), (height, width) = values["grid"], values["pixel"]
    # The tiny dataset's slices are 24 x 20 pixels of 1 x 1.5 mm, turned or not.
    assert sorted([rows * height, columns * width]) == [24.0, 30.0]


def test_a_case_takes_the_room_that_it_is_given(make_finished: Callable[..., Finished]) -> None:
    view = view_of(make_finished())
    view = replace(view, image=np.random.default_rng(0).integers(0, 256, (6, 256, 200)).astype(np.uint8))
    own = replace(view.prompt_sets[0], methods=())
    view = replace(view, reference=np.zeros(view.image.shape, bool), saliency=None, prompt_sets=(own,))
    sizes = [len(script_json(case_values(view, coder=coder))) for coder in jpeg_coders(view)]
    assert sizes == sorted(sizes, reverse=True)
    for room in (sizes[0], sizes[0] - 1, sizes[3], sizes[-1]):
        values = fit_case(view, room=room, coders=jpeg_coders)
        assert values is not None
        assert len(script_json(values)) == max(size for size in sizes if size <= room)
    assert fit_case(view, room=sizes[-1] - 1, coders=jpeg_coders) is None


def test_a_saliency_map_on_another_grid_is_refused(make_finished: Callable[..., Finished]) -> None:
    cells, grid = make_finished()
    chosen = first_case((cells, grid))
    view_of((cells, grid), chosen)
    path = consensus_files(chosen.leader, grid, chosen.case).saliency
    voxels, geometry = read_volume(path)
    write_volume(path, voxels, replace(geometry, spacing=(1.0, 1.0, 1.0)))
    with pytest.raises(ValueError, match="not on the grid of the case's label"):
        view_of((cells, grid), chosen)
