from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spd_bench.cells import Cell, Grid
from spd_bench.errors import InputError
from spd_bench.report import ReportSettings, write_report
from spd_bench.report.viewers import VIEWERS, get_viewer

Finished = tuple[list[Cell], Grid]
REMEDY = "run `npm pack @niivue/niivue`, unpack the archive, and give its package/dist/niivue.umd.js"


@pytest.fixture(autouse=True)
def no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPD_NIIVUE", raising=False)


def page_of(finished: Finished, **settings: Any) -> str:
    cells, grid = finished
    return write_report(cells, grid, [], [], settings=ReportSettings(**settings)).read_text(encoding="utf-8")


def script_of(page: str, name: str) -> Any:
    found = re.findall(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])


# Which viewer there is, and what it needs.


def test_every_viewer_answers_to_its_name(fake_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPD_NIIVUE", str(fake_bundle))
    assert [get_viewer(name).name for name in VIEWERS] == list(VIEWERS)


def test_an_unknown_viewer_is_refused() -> None:
    with pytest.raises(InputError, match="unknown viewer 'niivu': choose canvas or niivue"):
        get_viewer("niivu")


def test_a_bundle_for_the_canvas_is_refused(fake_bundle: Path) -> None:
    with pytest.raises(InputError, match=r"canvas viewer uses no NiiVue bundle.*add --viewer niivue"):
        get_viewer("canvas", bundle=fake_bundle)


def test_the_path_that_is_given_comes_before_the_variable(fake_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPD_NIIVUE", str(fake_bundle.with_name("missing.js")))
    assert get_viewer("niivue", bundle=fake_bundle).library == fake_bundle.read_text(encoding="utf-8")


@pytest.mark.parametrize("variable", [None, ""])
def test_niivue_without_a_bundle_is_refused(variable: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if variable is not None:
        monkeypatch.setenv("SPD_NIIVUE", variable)
    with pytest.raises(InputError, match="needs NiiVue's bundle, and none is given") as told:
        get_viewer("niivue")
    assert REMEDY in str(told.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not NiiVue's bundle"),
        (b"console.log('hello')", "not NiiVue's bundle"),
        (b'(function(a){typeof exports=="object"?a(exports):a(self.other={})})(function(q){})', "not NiiVue's bundle"),
        (b"class Niivue{};export{Niivue};", "is a module, not the UMD bundle"),
        (b"\x1f\x8b\xff\x00 Niivue", "no text"),
        (None, "is not there"),
    ],
)
def test_a_file_that_is_not_niivues_bundle_is_refused(content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "file.js"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words) as told:
        get_viewer("niivue", bundle=path)
    assert str(path) in str(told.value)
    assert REMEDY in str(told.value)
    assert "\n" not in str(told.value)


def test_a_folder_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not readable"):
        get_viewer("niivue", bundle=tmp_path)


def test_a_file_that_is_far_too_large_is_not_read(fake_bundle: Path) -> None:
    with fake_bundle.open("ab") as stream:
        stream.truncate(30_000_000)
    with pytest.raises(InputError, match="not NiiVue's bundle"):
        get_viewer("niivue", bundle=fake_bundle)


# What the page holds.


def test_the_bundle_stands_in_the_page_and_cannot_leave_its_place(
    make_finished: Callable[..., Finished], fake_bundle: Path
) -> None:
    page = page_of(make_finished(), viewer=get_viewer("niivue", bundle=fake_bundle))
    assert script_of(page, "library") == fake_bundle.read_text(encoding="utf-8")
    assert "<b>" not in page.replace(r"<\/script><b>", "")
    assert "Redistributions in binary form must reproduce" in page
    assert 'id="view"' in page


def test_a_canvas_page_holds_nothing_of_niivue(make_finished: Callable[..., Finished]) -> None:
    page = page_of(make_finished())
    assert "niivue" not in page.lower()
    assert 'id="library"' not in page


def test_a_page_without_cases_holds_no_bundle(make_finished: Callable[..., Finished], fake_bundle: Path) -> None:
    page = page_of(make_finished(), cases=0, viewer=get_viewer("niivue", bundle=fake_bundle))
    assert 'id="library"' not in page
    assert "openScreen" not in page


def test_the_bundle_counts_among_the_pages_bytes(make_finished: Callable[..., Finished], fake_bundle: Path) -> None:
    finished, viewer = make_finished(), get_viewer("niivue", bundle=fake_bundle)
    whole = page_of(finished, viewer=viewer)
    with fake_bundle.open("a") as stream:
        stream.write("//" + "x" * 100_000)
    megabytes = (len(whole) + 50_000) / 1e6
    page = page_of(finished, viewer=get_viewer("niivue", bundle=fake_bundle), megabytes=megabytes)
    assert "too large for this page" in page
    assert 'id="library"' not in page
