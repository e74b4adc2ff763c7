"""The page with NiiVue in a real browser, where there is one and ``SPD_NIIVUE`` names NiiVue's bundle."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spd_bench.cells import Cell, Grid
from spd_bench.report import ReportSettings, write_report
from spd_bench.report.viewers import get_viewer
from spd_bench.severity_settings import SeveritySettings

webdriver = pytest.importorskip("selenium.webdriver")
wheel = pytest.importorskip("selenium.webdriver.common.actions.wheel_input")
BUNDLE = os.environ.get("SPD_NIIVUE", "")
if not Path(BUNDLE).is_file():
    pytest.skip("SPD_NIIVUE does not name NiiVue's bundle", allow_module_level=True)

# A graphics card is not needed.
FLAGS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
# Waits until nothing is being loaded and what was asked of the page is drawn: some frames later.
DRAWN = """
const done = arguments[0];
let quiet = 0;
const look = () => {
  const state = document.getElementById("view-state");
  quiet = state && state.value ? 0 : quiet + 1;
  if (quiet > 4) done(null); else requestAnimationFrame(look);
};
look();
"""
Finished = tuple[list[Cell], Grid]


class Page:
    """What a reader does to the page and sees of it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def press(self, key: str, selector: str = "#slice") -> None:
        self.find(selector).send_keys(getattr(webdriver.Keys, key, key))

    def choose(self, selector: str, value: str) -> None:
        self.find(f"{selector} option[value='{value}']").click()

    def slice(self) -> str:
        return str(self.find("#slice-text").text)

    def pixels(self) -> NDArray[np.uint8]:
        """What the canvas shows once all is drawn, without its rim, where the focus may be marked."""
        # Only what lies in the window is photographed.
        self.driver.execute_script("document.getElementById('slice').scrollIntoView({block: 'center'})")
        self.driver.execute_async_script(DRAWN)
        content = self.find("#slice").screenshot_as_png
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))[8:-8, 8:-8]

    def width(self, pixels: int) -> None:
        metrics = {"width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def errors(self) -> list[dict[str, Any]]:
        return [entry for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def open_report(make_browser: Callable[..., Any]) -> Callable[[Finished, Path], Page]:
    """Opens the report of a finished comparison with this bundle."""
    driver = make_browser(*FLAGS)

    def open_it(finished: Finished, bundle: Path) -> Page:
        cells, grid = finished
        settings = ReportSettings(viewer=get_viewer("niivue", bundle=bundle))
        page = Page(driver)
        page.width(1280)
        driver.get(write_report(cells, grid, [], [], settings=settings).as_uri())
        driver.execute_async_script(DRAWN)
        return page

    return open_it


def differ(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> bool:
    """Whether two pictures differ by more than a hair."""
    return first.shape != second.shape or bool((np.abs(first.astype(int) - second).max(axis=2) > 24).any())


def test_the_report_works_in_a_browser(
    open_report: Callable[..., Page], make_finished: Callable[..., Finished]
) -> None:
    page = open_report(make_finished(title="</script><b>Bright</b>"), Path(BUNDLE))
    assert not page.find("#view-fault").is_displayed()
    assert page.driver.find_elements("css selector", "b") == []
    assert "NiiVue" in page.find(".notice").get_attribute("textContent")
    _layers_can_be_toggled(page)
    _keys_scroll_slices_and_cases(page)
    _the_view_can_be_chosen(page)
    _the_mouse_leads_the_slices(page)
    _it_fits(page)
    assert page.errors() == []


def _layers_can_be_toggled(page: Page) -> None:
    boxes = page.driver.find_elements("css selector", "input[data-layer]")
    kinds = [box.get_attribute("data-layer") for box in boxes]
    assert kinds == ["reference", "raw", "consensus", "saliency", "method", "method", "method"]
    for box in boxes:
        if box.is_selected():
            box.click()
    bare = page.pixels()
    # An image, not a blank.
    assert bare.std() > 10
    # The row that predicts nothing draws nothing.
    for number, (kind, box) in enumerate(zip(kinds, boxes, strict=True), start=1):
        empty = box.get_attribute("data-method") == "empty"
        page.press(str(number))
        assert box.is_selected()
        assert differ(page.pixels(), bare) != empty, kind
        page.press("SPACE", f"tr:nth-child({number}) input[data-layer]")
        assert not box.is_selected()
        assert not differ(page.pixels(), bare), kind


def _keys_scroll_slices_and_cases(page: Page) -> None:
    page.press("HOME")
    assert page.slice() == "1 of 6"
    first = page.pixels()
    page.press("ARROW_DOWN")
    page.press("ARROW_RIGHT", "#slice-number")
    assert page.slice() == "3 of 6"
    assert differ(page.pixels(), first)
    page.press("ARROW_LEFT")
    page.press("ARROW_UP", "#slice-number")
    assert page.slice() == "1 of 6"
    assert not differ(page.pixels(), first)
    page.press("END")
    assert page.slice() == "6 of 6"
    page.press("PAGE_DOWN")
    assert page.find("#case").get_attribute("value") == "1"
    page.press("HOME")
    assert differ(page.pixels(), first)
    page.press("PAGE_UP")
    page.press("HOME")
    assert not differ(page.pixels(), first)


def _the_view_can_be_chosen(page: Page) -> None:
    seen = [page.pixels()]
    for view in ("planes", "solid"):
        page.press("ARROW_DOWN", "#view")
        assert page.find("#view").get_attribute("value") == view
        seen.append(page.pixels())
        assert seen[-1].std() > 5
        assert differ(seen[-1], seen[-2])
    for key, back in (("h", "l"), ("j", "k")):
        page.press(key)
        assert differ(page.pixels(), seen[-1])
        page.press(back)
        assert not differ(page.pixels(), seen[-1])
    page.press("HOME", "#view")
    assert not differ(page.pixels(), seen[0])


def _the_mouse_leads_the_slices(page: Page) -> None:
    page.press("HOME")
    page.press("ARROW_DOWN")
    page.press("ARROW_DOWN")
    before = page.pixels()
    canvas = page.find("#slice")
    origin = wheel.ScrollOrigin.from_element(canvas)
    # The wheel is the page's until the viewer is clicked on; a click on a slice stays on it.
    page.press("ARROW_DOWN", "#slice-number")
    page.press("ARROW_UP", "#slice-number")
    webdriver.ActionChains(page.driver).scroll_from_origin(origin, 0, 10).perform()
    assert not differ(page.pixels(), before)
    canvas.click()
    assert page.slice() == "3 of 6"
    webdriver.ActionChains(page.driver).scroll_from_origin(origin, 0, 100).perform()
    assert differ(page.pixels(), before)
    seen = page.slice()
    assert seen in ("2 of 6", "4 of 6")
    # Keys go on from there.
    page.press("ARROW_DOWN")
    assert page.slice() == f"{int(seen[0]) + 1} of 6"
    assert page.find("#slice-number").get_attribute("value") == page.slice()[0]


def _it_fits(page: Page) -> None:
    for width in (1280, 400):
        page.width(width)
        assert page.pixels().std() > 5
        assert page.driver.execute_script("return document.documentElement.scrollWidth") <= width
        for selector in ("#slice", "#view", "#case", "#slice-number", ".layers"):
            place = page.find(selector).rect
            assert place["x"] >= 0
            assert place["x"] + place["width"] <= width


def test_points_of_other_severities_can_be_chosen(
    open_report: Callable[..., Page], make_finished: Callable[..., Finished]
) -> None:
    page = open_report(make_finished(severities=SeveritySettings(severities=(2.0,))), Path(BUNDLE))
    page.press("END")
    page.press("ARROW_UP")
    own = page.pixels()
    page.press("ARROW_DOWN", "#prompts")
    assert differ(page.pixels(), own)
    page.press("ARROW_UP", "#prompts")
    assert not differ(page.pixels(), own)
    assert page.errors() == []


def test_a_bundle_that_does_not_run_is_told_and_the_rest_of_the_page_works(
    open_report: Callable[..., Page], make_finished: Callable[..., Finished], fake_bundle: Path
) -> None:
    page = open_report(make_finished(), fake_bundle)
    fault = page.find("#view-fault")
    assert fault.is_displayed()
    assert "The volumes cannot be shown" in fault.text
    page.press("HOME", "#slice-number")
    assert page.slice() == "1 of 6"
