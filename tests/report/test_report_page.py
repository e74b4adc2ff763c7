from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from spd_bench.evaluation.statement import Line
from spd_bench.evaluation.table_formats import PrintedTable, print_row
from spd_bench.report.figures import Figure
from spd_bench.report.page import CaseEntry, PageContents, layers_of, render_page

EVIL = "</script><b>bold</b><!--"


class Reader(HTMLParser):
    """What a browser's parser would see: tags with attributes, and the texts of scripts by their ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self._script: str | None = None
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._script = str(dict(attrs).get("id")) if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
        else:
            self.text += data


def prompts_of(title: str = "own", severity: float | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "title": title,
        "severity": severity,
        "points": [[[1, 2, "kept"]], [[0, 0, "added"]]],
        "methods": {"spd": {"masks": ["", "0 1"], "missing": False}},
        **changes,
    }


def values_of(case: str = "case_0", *further: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A case with its own points and, where they are given, further sets of them."""
    return {"case": case, "saliency": None, "prompt_sets": [prompts_of(), *further], **changes}


def table_of(*methods: str, statement: tuple[Line, ...] = ()) -> PrintedTable:
    values = [50.0 + number for number in range(len(methods))]
    return PrintedTable(
        name="average_dice",
        title="Average Dice",
        header=("dataset", "source", *methods, "lead"),
        rows=(print_row(("Data", "ours"), values, 1.0, ["*"] * len(methods)),),
        statement=statement,
    )


def contents_of(**changes: Any) -> PageContents:
    return PageContents(
        **{
            "title": "Data",
            "tables": [table_of("UNet", "SPD", statement=(Line(0, "rule"), Line(1, "see https://example.org")))],
            "records": [
                {"method": "spd", "dataset": "Data", "fold": 0, "settings": {"rate": 0.1, "deep": {"a": None}}}
            ],
            **changes,
        }
    )


def page_with_cases(*entries: CaseEntry, **changes: Any) -> str:
    layers = layers_of({"unet": "UNet", "spd": "SPD"}, leader="spd", cases=entries)
    return render_page(contents_of(cases=entries, layers=layers, leader="SPD", **changes))


def test_the_page_refers_to_nothing_outside_itself() -> None:
    figure = Figure(title="dice", address="data:image/png;base64,AAAA", width=1, height=1)
    page = Reader(page_with_cases(CaseEntry("case_0", values_of()), figures=[figure]))
    for tag, attributes in page.tags:
        assert tag not in ("iframe", "object", "embed", "base")
        for name, value in attributes.items():
            assert "//" not in (value or "") or (tag, name) == ("img", "src")
            if name in ("src", "href"):
                assert str(value).startswith(("#", "data:"))
    assert "https://example.org" in page.text
    style_and_script = render_page(contents_of(tables=[]))
    assert "http:" not in style_and_script
    assert "https:" not in style_and_script
    assert "url(" not in style_and_script
    assert "@import" not in style_and_script


def test_the_browser_is_told_to_load_nothing() -> None:
    policies = [
        str(attributes["content"])
        for tag, attributes in Reader(render_page(contents_of())).tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]


def test_the_data_can_be_read_back() -> None:
    values = values_of()
    page = Reader(page_with_cases(CaseEntry("first", values), CaseEntry("second", values_of("case_1"))))
    assert json.loads(page.scripts["case-0"]) == values
    assert json.loads(page.scripts["case-1"])["case"] == "case_1"


def test_names_cannot_leave_their_place() -> None:
    methods = {EVIL: {"masks": ["", ""], "missing": True}}
    values = values_of(EVIL, prompt_sets=[prompts_of(methods=methods), prompts_of(EVIL, 1.0)])
    entry = CaseEntry(EVIL, values)
    page = render_page(
        contents_of(
            title=EVIL,
            leader=EVIL,
            tables=[table_of(EVIL, EVIL, statement=(Line(0, EVIL),))],
            records=[{"method": EVIL, EVIL: EVIL}],
            figures=[Figure(title=EVIL, address="data:image/png;base64,AAAA", width=1, height=1)],
            left_out=[EVIL],
            cases=[entry],
            layers=layers_of({EVIL: EVIL}, leader=EVIL, cases=[entry]),
        )
    )
    seen = Reader(page)
    assert "b" not in [tag for tag, _ in seen.tags]
    assert EVIL not in page
    assert json.loads(seen.scripts["case-0"]) == values
    assert EVIL in [attributes.get("value") for tag, attributes in seen.tags if tag == "option"]
    named = [attributes["data-method"] for _, attributes in seen.tags if attributes.get("data-layer") == "method"]
    assert named == [EVIL]


def test_the_best_of_a_table_is_marked_and_its_methods_are_rows() -> None:
    seen = Reader(render_page(contents_of(tables=[table_of("UNet", "SPD")])))
    cells = [attributes for tag, attributes in seen.tags if tag == "td" and "data-value" in attributes]
    assert [cell["data-value"] for cell in cells] == ["50.00", "51.00"]
    assert [cell["class"] for cell in cells] == ["number", "number best"]
    assert "+1.00" in seen.text


def test_records_show_nested_values_by_their_path() -> None:
    text = Reader(render_page(contents_of())).text
    assert "spd, Data, fold 0" in text
    assert "settings.rate" in text
    assert "settings.deep.a" in text


@pytest.mark.parametrize("missing", ["points", "consensus", "saliency"])
def test_layers_that_no_case_has_are_not_offered(missing: str) -> None:
    full = values_of(saliency=["AAAA", "AAAA"])
    changes = {
        "points": {"prompt_sets": [prompts_of(points=[[], []])]},
        "consensus": {"prompt_sets": [prompts_of(points=[[[1, 2, "given"]], []])]},
        "saliency": {"saliency": None},
    }
    kinds = [
        layer.kind
        for layer in layers_of({"spd": "SPD"}, leader="spd", cases=[CaseEntry("", {**full, **changes[missing]})])
    ]
    expected = {
        "points": ["reference", "saliency", "method"],
        "consensus": ["reference", "raw", "saliency", "method"],
        "saliency": ["reference", "raw", "consensus", "method"],
    }
    assert kinds == expected[missing]


def test_layers_of_simulated_points_are_offered_where_a_case_has_none_of_its_own() -> None:
    values = values_of(prompt_sets=[prompts_of(points=[[], []]), prompts_of("simulated", 1.0)])
    kinds = [layer.kind for layer in layers_of({"spd": "SPD"}, leader="spd", cases=[CaseEntry("", values)])]
    assert kinds == ["reference", "raw", "consensus", "method"]


def options_of(page: str) -> list[str | None]:
    """What points can be chosen on a page; none where it has no chooser of them."""
    seen = Reader(page)
    ids = [attributes.get("id") for tag, attributes in seen.tags if tag == "select"]
    values = [attributes["value"] for tag, attributes in seen.tags if tag == "option"]
    return [value for value in values if not str(value).isdecimal()] if "prompts" in ids else []


def test_points_can_be_chosen_by_severity_where_a_case_has_more_than_its_own() -> None:
    two, half = prompts_of("severity 2", 2.0), prompts_of("severity 0.5", 0.5)
    page = page_with_cases(
        CaseEntry("first", values_of("case_0", two)),
        CaseEntry("second", values_of("case_1")),
        CaseEntry("third", values_of("case_2", half, two)),
    )
    assert options_of(page) == ["own", "severity 0.5", "severity 2"]
    labels = [attributes for tag, attributes in Reader(page).tags if tag == "label" and attributes.get("for")]
    assert "prompts" in [attributes["for"] for attributes in labels]


def test_without_further_points_there_is_nothing_to_choose() -> None:
    page = page_with_cases(CaseEntry("first", values_of()), CaseEntry("second", values_of("case_1")))
    assert options_of(page) == []
    assert 'id="prompts' not in page
    assert 'id="case"' in page


def test_the_leader_comes_first_and_no_two_methods_look_alike() -> None:
    titles = {f"m{number}": f"M{number}" for number in range(12)}
    layers = [layer for layer in layers_of(titles, leader="m7", cases=[]) if layer.kind == "method"]
    assert [layer.method for layer in layers[:3]] == ["m7", "m0", "m1"]
    assert [layer.shown for layer in layers] == [True] + [False] * 11
    assert len({(layer.colour, layer.dashed) for layer in layers}) == 12


def test_a_page_without_cases_or_tables_is_still_a_page() -> None:
    seen = Reader(render_page(contents_of(tables=[], records=[])))
    assert [tag for tag, _ in seen.tags].count("h1") == 1
    assert "viewer" not in [attributes.get("id") for _, attributes in seen.tags]
