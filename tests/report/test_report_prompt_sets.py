"""Simulated points of the shown cases, and what was answered on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spd_bench.cells import Cell, Grid
from spd_bench.evaluation.figures import robustness
from spd_bench.evaluation.masks import read_reference_mask
from spd_bench.prompts.points import read_prompts
from spd_bench.raw.volumes import read_volume
from spd_bench.report.cases import CaseView, read_case
from spd_bench.report.consensus import predict_consensus
from spd_bench.report.encoding import mask_of_runs, script_json
from spd_bench.report.fates import Fate
from spd_bench.report.jpeg_slices import jpeg_coders
from spd_bench.report.prompt_sets import PromptSet
from spd_bench.report.reduction import case_values, fit_case
from spd_bench.report.scores import CellScores
from spd_bench.report.selection import ChosenCase, choose_cases
from spd_bench.report.turning import Turn
from spd_bench.severities import decoded_prompts, run_severities, severity_folder, simulated_prompts
from spd_bench.severity_settings import SeveritySettings

Finished = tuple[list[Cell], Grid]
SEVERITIES = SeveritySettings(severities=(2.0, 0.0))


@pytest.fixture
def finished(make_finished: Callable[..., Finished]) -> Finished:
    return make_finished(severities=SEVERITIES)


def view_of(finished: Finished, chosen: ChosenCase | None = None) -> CaseView:
    cells, grid = finished
    chosen = chosen or choose_cases(cells, grid, count=1)[0]
    assert predict_consensus([chosen], grid, method="spd") == {}
    return read_case(chosen, grid, scores=CellScores(grid), distilling="spd")


def overlap(mine: np.ndarray, theirs: np.ndarray) -> float:
    """Dice of two sets of voxels; nothing and nothing agree."""
    first, second = (set(map(tuple, np.argwhere(mask))) for mask in (mine, theirs))
    return 2 * len(first & second) / (len(first) + len(second)) if first or second else 1.0


def test_every_severity_is_a_set_after_the_comparisons_own(finished: Finished) -> None:
    view = view_of(finished)
    assert [prompts.severity for prompts in view.prompt_sets] == [None, 0.0, 2.0]
    assert [prompts.title for prompts in view.prompt_sets] == [
        "the comparison's own",
        "simulated, severity 0 (clean)",
        "simulated, severity 2 (drifting)",
    ]
    assert [[method.name for method in prompts.methods] for prompts in view.prompt_sets] == [
        ["empty", "bright", "spd"],
        ["spd"],
        ["spd"],
    ]


def test_severities_are_named_as_the_robustness_curves_name_them() -> None:
    for severity, word in [*robustness._WORDS.items(), (3.0, None)]:
        prompts = PromptSet(severity=severity, points=np.zeros((0, 3), np.int64), fates=[], methods=())
        assert prompts.title == f"simulated, severity {severity:g}" + (f" ({word})" if word else "")


def test_answers_on_simulated_points_are_those_of_their_files(finished: Finished) -> None:
    _, grid = finished
    scores = run_severities(*finished, SEVERITIES)
    for chosen in choose_cases(*finished, count=20):
        plan, case = chosen.leader.plan, chosen.case
        reference, _ = read_reference_mask(plan.reference_folder / f"{case}{plan.file_ending}")
        for prompts in view_of(finished, chosen).prompt_sets[1:]:
            (answer,) = prompts.methods
            path = severity_folder(chosen.leader, grid, prompts.severity) / f"{case}{plan.file_ending}"
            voxels, geometry = read_volume(path)
            np.testing.assert_array_equal(answer.mask, Turn.of(geometry, plan.slice_axis).mask(voxels > 0))
            dice = [overlap(*pair) for pair in zip(voxels > 0, reference, strict=True)]
            np.testing.assert_allclose(answer.slice_dice, dice)
            assert answer.volumetric_dice == pytest.approx(overlap(voxels > 0, reference))
            row = scores[(scores["case"] == case) & (scores["severity"] == prompts.severity)]
            assert row["volumetric_dice"].tolist() == pytest.approx([answer.volumetric_dice])
            assert not answer.missing


def test_dice_does_not_depend_on_how_coarsely_a_case_is_drawn(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine = view_of(finished)
    monkeypatch.setattr("spd_bench.report.turning.LONGEST_SIDE", 12)
    coarse = view_of(finished)
    for one, other in zip(fine.prompt_sets[1:], coarse.prompt_sets[1:], strict=True):
        assert one.methods[0].mask.shape != other.methods[0].mask.shape
        np.testing.assert_array_equal(one.methods[0].slice_dice, other.methods[0].slice_dice)
        assert one.methods[0].volumetric_dice == other.methods[0].volumetric_dice


def test_simulated_points_lie_where_they_were_put_and_their_fates_are_known(finished: Finished) -> None:
    _, grid = finished
    view = view_of(finished)
    chosen = view.chosen
    plan = chosen.leader.plan
    reference, geometry = read_reference_mask(plan.reference_folder / f"{chosen.case}{plan.file_ending}")
    for prompts in view.prompt_sets[1:]:
        voxels = read_prompts(simulated_prompts(plan, grid, chosen.case, prompts.severity)).voxels(geometry)
        raw = prompts.points[: len(voxels)]
        np.testing.assert_array_equal(raw[:, 0], voxels[:, 0])
        np.testing.assert_array_equal(view.reference[tuple(raw.T)], reference[tuple(voxels.T)])
        # The distiller drops the last point, and gives the first one to the next slice.
        assert list(prompts.fates) == [Fate.KEPT] * (len(voxels) - 1) + [Fate.DROPPED, Fate.ADDED]
        assert prompts.points[-1][0] == voxels[0][0] + 1


def test_points_that_were_decoded_from_are_not_known_where_a_case_failed(finished: Finished) -> None:
    _, grid = finished
    chosen = choose_cases(*finished, count=1)[0]
    decoded_prompts(chosen.leader, grid, chosen.case, 2.0).unlink()
    (severity_folder(chosen.leader, grid, 2.0) / f"{chosen.case}{chosen.leader.plan.file_ending}").unlink()
    view = view_of(finished, chosen)
    clean, failed = view.prompt_sets[1:]
    assert set(failed.fates) == {Fate.GIVEN}
    assert Fate.KEPT in clean.fates
    (answer,) = failed.methods
    assert answer.missing
    assert not answer.mask.any()
    np.testing.assert_array_equal(answer.slice_dice, np.where(view.reference.any(axis=(1, 2)), 0.0, 1.0))
    assert answer.volumetric_dice == 0


def _without_points(cell: Cell, grid: Grid, case: str) -> None:
    simulated_prompts(cell.plan, grid, case, 2.0).unlink()


def _without_predictions(cell: Cell, grid: Grid, case: str) -> None:
    (severity_folder(cell, grid, 2.0) / "severity.json").unlink()


@pytest.mark.parametrize("spoil", [_without_points, _without_predictions])
def test_a_set_that_was_not_run_is_not_shown(finished: Finished, spoil: Callable[[Cell, Grid, str], None]) -> None:
    chosen = choose_cases(*finished, count=1)[0]
    spoil(chosen.leader, finished[1], chosen.case)
    assert [prompts.severity for prompts in view_of(finished, chosen).prompt_sets] == [None, 0.0]


def test_a_case_that_no_method_with_prompts_was_run_on_has_no_simulated_set(finished: Finished) -> None:
    chosen = choose_cases(*finished, count=1)[0]
    without = tuple(cell for cell in chosen.cells if not cell.method.uses_prompts)
    view = view_of(finished, replace(chosen, cells=without, leader=without[0]))
    assert [prompts.severity for prompts in view.prompt_sets] == [None]


def test_only_the_severities_of_this_comparison_are_shown(finished: Finished) -> None:
    cells, grid = finished
    for severities, expected in ((None, [None]), (SeveritySettings(severities=(2.0,)), [None, 2.0])):
        view = view_of((cells, replace(grid, severities=severities)))
        assert [prompts.severity for prompts in view.prompt_sets] == expected


# As JSON values, within bounds.


def test_values_hold_every_set(finished: Finished) -> None:
    view = view_of(finished)
    values = case_values(view, coder=jpeg_coders(view)[0])
    rows, columns = values["size"]
    for found, prompts in zip(values["prompt_sets"], view.prompt_sets, strict=True):
        assert (found["title"], found["severity"]) == (prompts.title, prompts.severity)
        assert list(found["methods"]) == [method.name for method in prompts.methods]
        shown = [[index, y, x, fate] for index, points in enumerate(found["points"]) for x, y, fate in points]
        expected = [[*point, str(fate)] for point, fate in zip(prompts.points.tolist(), prompts.fates, strict=True)]
        assert sorted(shown) == sorted(expected)
        for method in prompts.methods:
            own = found["methods"][method.name]
            masks = np.stack([mask_of_runs(runs, (rows, columns)) for runs in own["masks"]])
            np.testing.assert_array_equal(masks, method.mask)
            assert own["slice_dice"] == [round(100 * dice, 2) for dice in method.slice_dice]
            assert own["volumetric_dice"] == round(100 * method.volumetric_dice, 2)
    assert values["prompt_sets"][1]["methods"] != values["prompt_sets"][2]["methods"]


def _noisy(view: CaseView, prompts: PromptSet, seed: int) -> PromptSet:
    """The set with masks that take as much room as masks can."""
    mask = np.random.default_rng(seed).random(view.image.shape) < 0.5
    return replace(prompts, methods=tuple(replace(method, mask=mask) for method in prompts.methods))


def test_the_room_of_a_case_counts_its_sets_and_they_go_before_the_case_goes(finished: Finished) -> None:
    view = view_of(finished)
    size = (6, 256, 200)
    grey = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)
    view = replace(view, image=grey, reference=np.zeros(size, bool), saliency=None)
    own, *further = view.prompt_sets
    full = replace(
        view, prompt_sets=(replace(own, methods=()), *(_noisy(view, one, seed) for seed, one in enumerate(further)))
    )
    alone = replace(full, prompt_sets=full.prompt_sets[:1])

    def bytes_of(one: CaseView) -> list[int]:
        return [len(script_json(case_values(one, coder=coder))) for coder in jpeg_coders(one)]

    whole, bare = bytes_of(full), bytes_of(alone)

    def fitted(room: int) -> dict[str, Any]:
        values = fit_case(full, room=room, coders=jpeg_coders)
        assert values is not None
        return values

    assert len(script_json(fitted(whole[0]))) == whole[0]
    coarser = fitted(whole[0] - 1)
    assert len(script_json(coarser)) == max(size for size in whole if size < whole[0])
    assert len(coarser["prompt_sets"]) == 3
    room = min(whole) - 1
    without = fitted(room)
    assert [prompts["severity"] for prompts in without["prompt_sets"]] == [None]
    assert len(script_json(without)) == max(size for size in bare if size <= room)
    assert fit_case(full, room=min(bare) - 1, coders=jpeg_coders) is None
