"""The report page in a real browser: it works, it asks for nothing, and it fits the screen."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from result_files import results_of, spoilt, true_blocks, write_results

from gcodefp.dataset.store import LEAKY_NOTE
from gcodefp.reporting.figures import FIGURES
from gcodefp.reporting.figures.paper import draw_figures
from gcodefp.reporting.page import render

pytestmark = pytest.mark.browser
NAMES = ("chromium", "chromium-browser", "google-chrome")
SOFTWARE_GL = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
DESKTOP, PHONE = (1280, 900), (390, 844)
CURVES = "#curves .scatterlayer path.js-line"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)}")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=SOFTWARE_GL)
        yield opened
        opened.close()


def write_page(folder: Path, figures: Path, leaky: bool) -> Path:
    options = write_results(folder, spoilt(0.3), true_blocks(), leaky=leaky)
    # As text, 10.5 would come before 3.0.
    runs = folder / "best" / "runs.csv"
    runs.write_text(runs.read_text().replace(",9.5,1000", ",10.5,1000"))
    page = folder / "report.html"
    page.write_text(render(results_of(options), figures), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    results = results_of(write_results(folder, spoilt(0.3), true_blocks()))
    draw_figures(results, folder / "figures")
    return folder / "figures"


@pytest.fixture(scope="module")
def written(figures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("page"), figures, leaky=False)


@pytest.fixture(scope="module", params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser, written: Path) -> Iterator[Page]:
    with visit(browser, written, request.param) as opened:
        yield opened


class visit:  # noqa: N801
    """A page that may not reach a network, nor write to its console."""

    def __init__(self, browser: Browser, path: Path, size: tuple[int, int], **more: Any) -> None:
        viewport = {"width": size[0], "height": size[1]}
        self.context = browser.new_context(viewport=viewport, offline=True, **more)  # type: ignore
        self.context.set_default_timeout(120_000)  # Milliseconds; the machine may be busy.
        self.path = path
        self.messages: list[str] = []
        self.requests: list[str] = []

    def __enter__(self) -> Page:
        page = self.context.new_page()
        page.on("console", lambda message: self.messages.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(self.path.as_uri())
        return page

    def __exit__(self, *_: object) -> None:
        self.context.close()
        assert self.messages == []
        outside = [url for url in self.requests if not url.startswith(("data:", "blob:"))]
        assert outside == [self.path.as_uri()]


def runs(page: Page) -> list[str]:
    """The runs of the table, in its order."""
    return page.locator("#runs tbody tr:visible td:nth-child(1)").all_inner_texts()


def head(page: Page, name: str) -> Locator:
    return page.locator("#runs th button").get_by_text(name, exact=True)


def test_nothing_is_wider_than_the_screen(page: Page) -> None:
    excess = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(excess) == 0
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    assert page.evaluate(excess) == 0
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = false")


def test_a_printed_page_is_no_wider_than_a_sheet(browser: Browser, written: Path) -> None:
    with visit(browser, written, (718, 1046)) as page:  # A4 with margins of 10 mm.
        page.emulate_media(media="print")
        assert page.evaluate("document.documentElement.scrollWidth") == 718
        assert not page.locator("nav").is_visible()
        assert page.locator(".answers dd").last.is_visible()


def test_every_picture_is_drawn(page: Page) -> None:
    widths = page.evaluate("[...document.images].map((image) => image.naturalWidth)")
    assert len(widths) == len(FIGURES) - 1, "without two objectives"
    assert min(widths) > 100


def test_click_on_a_column_sorts_numbers_as_numbers_and_failed_runs_last(page: Page) -> None:
    assert runs(page) == ["0001", "0000", "0002", "0003"]
    seconds = head(page, "seconds")
    seconds.click()
    assert runs(page) == ["0002", "0000", "0001", "0003"]
    assert page.locator("#runs th[aria-sort=ascending]").inner_text() == "seconds"
    seconds.press("Enter")
    assert runs(page) == ["0001", "0000", "0002", "0003"]
    assert page.locator("#runs th[aria-sort=descending]").inner_text() == "seconds"
    head(page, "optimizer").click()
    assert runs(page) == ["0001", "0002", "0000", "0003"]
    assert page.locator("#runs th[aria-sort]").count() == 1
    head(page, "run").click()
    assert runs(page) == ["0000", "0001", "0002", "0003"]


def test_table_is_searched(page: Page) -> None:
    page.locator("#search").fill("ADAMW finished")
    assert runs(page) == ["0001"]
    assert page.locator("#search-count").inner_text() == "1 of 4 runs."
    page.locator("#search").fill("")
    assert len(runs(page)) == 4


def test_parallel_coordinates_have_an_axis_each_and_lines(page: Page) -> None:
    plot = page.locator("#parallel div.plot")
    labels = plot.locator(".axis-title").all_text_contents()
    assert labels == ["learning_rate", "optimizer", "val/gcode_acc"]
    assert plot.locator("canvas").first.bounding_box()["height"] > 200  # type: ignore[index]
    plot.scroll_into_view_if_needed()
    red, _, blue = np.moveaxis(imread(io.BytesIO(plot.screenshot()))[..., :3], -1, 0)
    assert (blue > red + 0.15).sum() > 200, "the winner's line is blue"


def test_legend_chooses_the_runs_that_are_compared(page: Page) -> None:
    assert page.locator(CURVES).count() == 2 * 3
    box = page.locator("#curves .main-svg").first.bounding_box()
    assert box is not None
    assert box["width"] > 250
    assert box["height"] > 200
    page.locator("#curves .legendtoggle").first.click()
    page.wait_for_function(f"document.querySelectorAll('{CURVES}').length === 5")


def test_thumbnails_are_legible_captions_whole_and_pictures_grow(page: Page) -> None:
    card = page.locator(".card").first
    captions = "[...document.querySelectorAll('.card figcaption')]"
    assert not page.evaluate(f"{captions}.some((c) => c.scrollHeight > c.clientHeight + 1)")
    before = card.locator("img").bounding_box()
    card.locator("summary").press("Enter")
    after = card.locator("img").bounding_box()
    assert before is not None
    assert after is not None
    assert before["width"] > 300
    assert after["width"] > 1.3 * before["width"]
    card.locator("summary").press("Enter")


def test_without_scripts_tables_and_pictures_are_there(browser: Browser, written: Path) -> None:
    with visit(browser, written, DESKTOP, java_script_enabled=False) as page:
        rows = page.locator("#runs tbody tr")
        assert rows.count() == 4
        assert rows.first.is_visible()
        assert page.locator(".card img").first.is_visible()
        assert not page.locator("#search").is_visible()
        assert not page.locator("#curves").is_visible()


def test_leaky_result_is_marked_in_red_at_the_top(
    browser: Browser, figures: Path, tmp_path: Path
) -> None:
    with visit(browser, write_page(tmp_path, figures, leaky=True), PHONE) as page:
        mark = page.locator(".warning").first
        assert mark.is_visible()
        assert mark.inner_text() == LEAKY_NOTE
        assert mark.bounding_box()["y"] < PHONE[1] / 2  # type: ignore[index]
        colour = mark.evaluate("(element) => getComputedStyle(element).backgroundColor")
        assert colour == "rgb(179, 38, 30)"
        assert page.locator(".verdict").first.inner_text().startswith("No evidence of sensing")
