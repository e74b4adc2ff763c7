from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spd_bench.cells import Cell, Grid
from spd_bench.errors import InputError
from spd_bench.report import ReportSettings, write_report
from spd_bench.report.cases import CaseView
from spd_bench.report.coders import Coders
from spd_bench.report.reduction import case_values
from spd_bench.severity_settings import SeveritySettings

Finished = tuple[list[Cell], Grid]
SEVERITIES = SeveritySettings(severities=(0.0, 1.0, 2.0, 3.0))


def cases_of(page: str) -> list[dict[str, Any]]:
    found = re.findall(r'<script type="application/json" id="case-\d+">(.*?)</script>', page, re.DOTALL)
    return [json.loads(text) for text in found]


def written(finished: Finished, **settings: Any) -> str:
    cells, grid = finished
    path = write_report(cells, grid, [], [], settings=ReportSettings(**settings))
    assert path == grid.output / "report.html"
    return path.read_text(encoding="utf-8")


def test_a_report_shows_the_test_cases_and_figures(make_finished: Callable[..., Finished]) -> None:
    cells, grid = make_finished()
    page = written((cells, grid))
    test = {case for fold in (0, 1) for case in cells[0].plan.split(fold)["test"]}
    cases = cases_of(page)
    assert {values["case"] for values in cases} == test
    for values in cases:
        (own,) = values["prompt_sets"]
        assert list(own["methods"]) == ["empty", "bright", "spd"]
    assert 'alt="Figure: loss by epoch"' in page
    assert "Not shown" not in page
    assert not list(grid.output.rglob(".part-*"))


def test_the_same_comparison_gives_the_same_report(make_finished: Callable[..., Finished]) -> None:
    finished = make_finished()
    assert written(finished) == written(finished)


def test_only_so_many_cases_are_shown(make_finished: Callable[..., Finished]) -> None:
    finished = make_finished()
    assert len(cases_of(written(finished, cases=2))) == 2
    assert cases_of(written(finished, cases=0)) == []


def test_the_page_keeps_within_its_bytes_and_names_what_found_no_room(make_finished: Callable[..., Finished]) -> None:
    cells, grid = make_finished()
    whole = written((cells, grid))
    number = len(cases_of(whole))
    around = len(written((cells, grid), cases=0).encode())
    for room in (40_000, 25_000, 12_000):
        megabytes = (around + room) / 1e6
        page = written((cells, grid), megabytes=megabytes)
        assert len(page.encode()) <= megabytes * 1e6
        assert len(cases_of(page)) + page.count("too large for this page") == number


def test_the_viewer_around_a_single_case_is_counted_too(make_finished: Callable[..., Finished]) -> None:
    finished = make_finished(severities=SEVERITIES)
    whole = len(written(finished, cases=1).encode())
    for missing in (0, 1000, 2000, 3000, 4000):
        page = written(finished, cases=1, megabytes=(whole - missing) / 1e6)
        assert len(page.encode()) <= whole - missing
    assert len(written(finished, cases=1, megabytes=(whole + 2000) / 1e6).encode()) == whole


def test_simulated_points_without_room_are_named_and_their_cases_shown(
    make_finished: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = make_finished(severities=SEVERITIES)
    assert all(len(values["prompt_sets"]) == 5 for values in cases_of(written(finished)))
    assert "simulated points and what was made of them" not in written(finished)

    def without_room(view: CaseView, *, room: int, coders: Coders) -> dict[str, Any]:
        return case_values(replace(view, prompt_sets=view.prompt_sets[:1]), coder=coders(view)[0])

    monkeypatch.setattr("spd_bench.report.writing.fit_case", without_room)
    page = written(finished)
    assert 'id="prompts"' not in page
    for values in cases_of(page):
        told = f"case {values['case']} of {finished[0][0].plan.dataset}: simulated points and what was made of them"
        assert page.count(told) == 1


def test_a_case_whose_image_is_gone_is_left_out_and_named(
    make_finished: Callable[..., Finished], tiny_raw: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(tiny_raw, raw)
    cells, grid = make_finished(raw=raw)
    gone, broken = cells[0].plan.split(0)["test"][:2]
    images = raw / cells[0].plan.dataset / "imagesTr"
    (images / f"{gone}_0000.nii.gz").unlink()
    (images / f"{broken}_0000.nii.gz").write_bytes(b"no image")
    page = written((cells, grid))
    shown = {values["case"] for values in cases_of(page)}
    assert {gone, broken} & shown == set()
    assert len(shown) == sum(len(cells[0].plan.split(fold)["test"]) for fold in (0, 1)) - 2
    for case in (gone, broken):
        assert page.count(f"case {case} of {cells[0].plan.dataset}") == 1
    # A report is passed on: it does not say where things lie on this machine.
    assert str(tmp_path) not in page


def test_a_broken_figure_is_left_out_and_named(make_finished: Callable[..., Finished]) -> None:
    cells, grid = make_finished()
    (grid.output / "figures" / "broken.png").write_bytes(b"no picture")
    page = written((cells, grid), cases=0)
    assert "figure broken.png: not readable as PNG" in page
    assert page.count("<figure>") == 1


def test_the_comparisons_own_figures_are_described(make_finished: Callable[..., Finished]) -> None:
    finished = make_finished()
    folder = finished[1].output / "figures"
    (folder / "loss_by_epoch.png").rename(folder / "patients_Dataset501_TI.png")
    page = written(finished, cases=0)
    assert 'alt="Figure: Volumetric Dice of every patient and method: Dataset501_TI"' in page


def test_a_comparison_without_figures_has_a_report(make_finished: Callable[..., Finished]) -> None:
    cells, grid = make_finished()
    shutil.rmtree(grid.output / "figures")
    assert "<figure>" not in written((cells, grid), cases=0)


@pytest.mark.parametrize("settings", [{"cases": -1}, {"megabytes": 0}])
def test_senseless_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="a report cannot"):
        ReportSettings(**settings)


def test_a_report_on_nothing_is_refused(make_finished: Callable[..., Finished]) -> None:
    _, grid = make_finished()
    with pytest.raises(InputError, match="no finished cell"):
        write_report([], grid, [], [])
