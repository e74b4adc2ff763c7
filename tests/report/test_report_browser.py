"""The page in a real browser, where there is one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spd_bench.cells import Cell, Grid
from spd_bench.report import write_report
from spd_bench.storage import read_json

webdriver = pytest.importorskip("selenium.webdriver")
if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
    pytest.skip("no chromium and chromedriver on this machine", allow_module_level=True)

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Waits until what was asked of the page is drawn: two frames later.
DRAWN = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(null)));"
TIMEOUT = 60


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_script_timeout(TIMEOUT)
    driver.set_page_load_timeout(TIMEOUT)
    yield driver
    driver.quit()


class Page:
    """What a reader does to the page and sees of it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.driver.find_elements("css selector", selector)]

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
def page(
    browser: Any, make_finished: Callable[..., tuple[list[Cell], Grid]], printed_tables: Callable[[Grid], Any]
) -> Page:
    """The report of a finished comparison; a method's name tries to break out of it."""
    cells, grid = make_finished(title="</script><b>Bright</b>")
    records = [read_json(grid.folder(cell) / "cell.json") for cell in cells]
    browser.get(write_report(cells, grid, printed_tables(grid), records).as_uri())
    return Page(browser)


def test_the_report_works_in_a_browser(page: Page) -> None:
    _layers_can_be_toggled(page)
    _keys_scroll_slices_and_cases(page)
    _tables_can_be_sorted(page)
    _it_fits(page)
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
