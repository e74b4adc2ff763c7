"""The page in a real browser, where there is one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from spd_bench.cells import Cell, Grid
from spd_bench.report import write_report
from spd_bench.report.selection import choose_cases
from spd_bench.severities import run_severities, simulated_prompts
from spd_bench.severity_settings import SeveritySettings
from spd_bench.storage import read_json

webdriver = pytest.importorskip("selenium.webdriver")
# Waits until what was asked of the page is drawn: two frames later.
DRAWN = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(null)));"


class Page:
    """What a reader does to the page and sees of it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.driver.find_elements("css selector", selector)]

    def attribute(self, selector: str, name: str) -> str:
        return str(self.find(selector).get_attribute(name))

    def scores(self, method: str) -> list[str]:
        """Dice of the slice and of the volume, as the method's row tells them."""
        return self.texts(f"tr:has([data-method={method}]) [data-score]")

    def press(self, key: str, selector: str = "#slice") -> None:
        self.find(selector).send_keys(getattr(webdriver.Keys, key, key))

    def slice(self) -> str:
        return str(self.find("#slice-text").text)

    def pixels(self) -> str:
        """A digest of what the canvas shows once all is drawn."""
        self.driver.execute_async_script(DRAWN)
        address = self.driver.execute_script("return document.getElementById('slice').toDataURL()")
        return hashlib.sha256(address.encode()).hexdigest()

    def width(self, pixels: int) -> None:
        metrics = {"width": pixels, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def errors(self) -> list[dict[str, Any]]:
        return list(self.driver.get_log("browser"))


@pytest.fixture
def open_report(
    make_browser: Callable[..., Any], printed_tables: Callable[[Grid], Any]
) -> Callable[[list[Cell], Grid], Page]:
    """Opens the report of a finished comparison."""

    browser = make_browser("--disable-gpu")

    def open_it(cells: list[Cell], grid: Grid) -> Page:
        records = [read_json(grid.folder(cell) / "cell.json") for cell in cells]
        browser.get(write_report(cells, grid, printed_tables(grid), records).as_uri())
        return Page(browser)

    return open_it


def test_the_report_works_in_a_browser(
    open_report: Callable[..., Page], make_finished: Callable[..., tuple[list[Cell], Grid]]
) -> None:
    # A method's name tries to break out of the page.
    page = open_report(*make_finished(title="</script><b>Bright</b>"))
    _layers_can_be_toggled(page)
    _keys_scroll_slices_and_cases(page)
    _tables_can_be_sorted(page)
    _it_fits(page)
    assert page.texts("#prompts") == []
    assert page.driver.find_elements("css selector", "b") == []
    assert page.errors() == []


def _layers_can_be_toggled(page: Page) -> None:
    seen = {page.pixels()}
    boxes = page.driver.find_elements("css selector", "input[data-layer]")
    kinds = [box.get_attribute("data-layer") for box in boxes]
    assert kinds == ["reference", "raw", "consensus", "saliency", "method", "method", "method"]
    # Off first, so that each layer alone makes a difference to the bare image.
    for box in boxes:
        if box.is_selected():
            box.click()
    bare = page.pixels()
    seen.add(bare)
    # The row that predicts nothing draws nothing.
    for number, (kind, box) in enumerate(zip(kinds, boxes, strict=True), start=1):
        empty = box.get_attribute("data-method") == "empty"
        page.press(str(number))
        assert box.is_selected()
        assert (page.pixels() == bare) == empty, kind
        seen.add(page.pixels())
        page.press("SPACE", f"tr:nth-child({number}) input[data-layer]")
        assert not box.is_selected()
        assert page.pixels() == bare
    assert len(seen) == 2 + len(boxes) - 1


def _keys_scroll_slices_and_cases(page: Page) -> None:
    page.press("HOME")
    assert page.slice() == "1 of 6"
    first = page.pixels()
    page.press("ARROW_DOWN")
    page.press("ARROW_RIGHT", "#slice-number")
    assert page.slice() == "3 of 6"
    assert page.find("#slice-number").get_attribute("aria-valuetext") == "slice 3 of 6"
    assert page.pixels() != first
    page.press("ARROW_LEFT")
    page.press("ARROW_UP", "#slice-number")
    page.press("ARROW_UP")
    assert page.slice() == "1 of 6"
    assert page.pixels() == first
    page.press("END")
    page.press("ARROW_DOWN")
    assert page.slice() == "6 of 6"
    page.press("PAGE_DOWN")
    assert page.find("#case").get_attribute("value") == "1"
    page.find("#previous-case").click()
    assert page.find("#case").get_attribute("value") == "0"
    assert page.find("#previous-case").get_attribute("disabled") == "true"
    page.find("#case option:nth-child(3)").click()
    label = page.find("#slice").get_attribute("aria-label")
    assert label.startswith(f"Case {page.find('#case option:nth-child(3)').text.split(':')[0]}, slice ")


def _tables_can_be_sorted(page: Page) -> None:
    rows = "#table-average_dice tbody th"
    dice = "#table-average_dice tbody td"
    heading = "#table-average_dice thead th.number"
    before = page.texts(rows)
    page.find(f"{heading} button").click()
    assert page.find(heading).get_attribute("aria-sort") == "descending"
    numbers = [float(text.split()[0]) for text in page.texts(dice)]
    assert numbers == sorted(numbers, reverse=True)
    page.press("ENTER", f"{heading} button")
    assert page.find(heading).get_attribute("aria-sort") == "ascending"
    numbers = [float(text.split()[0]) for text in page.texts(dice)]
    assert numbers == sorted(numbers)
    page.press("SPACE", "#table-average_dice thead th:first-child button")
    assert page.find(heading).get_attribute("aria-sort") == "none"
    assert sorted(page.texts(rows)) == sorted(before)
    assert page.find("#table-average_dice thead th:first-child").get_attribute("aria-sort") == "ascending"


def _it_fits(page: Page) -> None:
    for width in (1280, 400):
        page.width(width)
        page.driver.execute_async_script(DRAWN)
        assert page.driver.execute_script("return document.documentElement.scrollWidth") <= width
        # The tiny dataset's slices are 24 x 20 pixels of 1 x 1.5 mm.
        canvas = page.find("#slice").size
        assert canvas["width"] / canvas["height"] == pytest.approx(30 / 24, rel=0.02)


OWN, CLEAN, DRIFTING = "the comparison's own", "simulated, severity 0 (clean)", "simulated, severity 2 (drifting)"


def test_points_of_other_severities_can_be_chosen(
    open_report: Callable[..., Page], make_finished: Callable[..., tuple[list[Cell], Grid]]
) -> None:
    cells, grid = make_finished(severities=SeveritySettings(severities=(0.0, 2.0)))
    first, second = choose_cases(cells, grid, count=2)
    simulated_prompts(second.leader.plan, grid, second.case, 2.0).unlink()
    frame = run_severities([first.leader], grid, SeveritySettings(severities=(0.0,)))
    clean = frame[frame["case"] == first.case]["volumetric_dice"].item()
    page = open_report(cells, grid)
    for width in (1280, 400):
        page.width(width)
        _choosing_points_changes_what_stands_on_them(page, clean=clean)
        _what_does_not_stand_on_points_stays(page)
        _the_choice_holds_for_other_cases(page, lacking=second.case)
        _it_fits(page)
        assert page.find("#prompts").rect["x"] + page.find("#prompts").rect["width"] <= width
        assert page.errors() == []


def _choosing_points_changes_what_stands_on_them(page: Page, *, clean: float) -> None:
    assert page.texts("#prompts option") == [OWN, CLEAN, DRIFTING]
    assert page.texts("label[for=prompts]") == ["Points"]
    counts = "[data-count]"
    # The last slice with target has no point of the comparison's own.
    page.press("END")
    page.press("ARROW_UP")
    shown = page.slice()
    before = (page.scores("spd"), page.texts(counts), page.pixels())
    seen = [before]
    for title in (CLEAN, DRIFTING):
        page.press("ARROW_DOWN", "#prompts")
        assert page.attribute("#prompts", "value") == title
        # The keys of the list do not scroll the slices.
        assert page.slice() == shown
        assert f"points, {title}: " in page.attribute("#slice", "aria-label")
        seen.append((page.scores("spd"), page.texts(counts), page.pixels()))
        assert page.texts("#prompts-text") == [""]
        if title == CLEAN:
            assert page.scores("spd")[1] == f"{100 * clean:.2f}"
    for number in (0, 2):
        assert len({str(one[number]) for one in seen}) == 3, "Dice and picture of each set are its own"
    assert seen[2][1] != seen[0][1]
    page.press("HOME", "#prompts")
    assert page.attribute("#prompts", "value") == OWN
    assert (page.scores("spd"), page.texts(counts), page.pixels()) == before


def _what_does_not_stand_on_points_stays(page: Page) -> None:
    """Each layer alone: only points and the masks of methods with prompts are other ones."""
    boxes = page.driver.find_elements("css selector", "input[data-layer]")
    on = [box.is_selected() for box in boxes]
    others = [page.scores(name) for name in ("empty", "bright")]
    changed = {}
    for box in boxes:
        for other in boxes:
            if other.is_selected() != (other == box):
                other.click()
        own = page.pixels()
        page.press("END", "#prompts")
        assert page.attribute("#prompts", "value") == DRIFTING
        layer = box.get_attribute("data-method") or box.get_attribute("data-layer")
        changed[layer] = page.pixels() != own
        assert [page.scores(name) for name in ("empty", "bright")] == others
        page.press("HOME", "#prompts")
        assert page.pixels() == own
    stays = {"reference": False, "saliency": False, "empty": False, "bright": False}
    assert changed == {**stays, "raw": True, "consensus": True, "spd": True}
    for box, wanted in zip(boxes, on, strict=True):
        if box.is_selected() != wanted:
            box.click()


def _the_choice_holds_for_other_cases(page: Page, *, lacking: str) -> None:
    page.press("PAGE_DOWN")
    own = (page.scores("spd"), page.pixels())
    page.press("PAGE_UP")
    page.press("END", "#prompts")
    chosen = (page.scores("spd"), page.pixels())
    page.press("PAGE_DOWN")
    assert page.attribute("#prompts", "value") == DRIFTING
    assert page.texts("#prompts-text") == [f"Case {lacking} has no such points; shown are {OWN}."]
    assert page.attribute("#prompts-text", "aria-live") == "polite"
    assert (page.scores("spd"), page.pixels()) == own
    assert f"points, {OWN}: " in page.attribute("#slice", "aria-label")
    page.press("PAGE_DOWN")
    assert page.texts("#prompts-text") == [""]
    assert f"points, {DRIFTING}: " in page.attribute("#slice", "aria-label")
    page.press("PAGE_UP")
    page.press("PAGE_UP")
    assert (page.scores("spd"), page.pixels()) == chosen
    page.press("HOME", "#prompts")
