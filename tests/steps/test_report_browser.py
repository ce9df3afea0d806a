"""The report page in a real browser: it works, it asks for nothing, and it fits the screen."""

import io
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from result_files import results_of, spoilt, true_blocks, write_results

from gcodefp.dataset.store import LEAKY_NOTE
from gcodefp.reporting.figures import FIGURES
from gcodefp.reporting.figures.paper import draw_figures
from gcodefp.reporting.page import render

pytestmark = pytest.mark.browser
NAMES = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = (1280, 900), (390, 844)
SHEET = (718, 1046)  # A4 with margins of 10 mm.
SERIES = "echarts.getInstanceByDom(document.getElementById('curves')).getOption().series"
NEXT_FRAMES = (
    "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
)
NAMES_OF_CURVES = f"{SERIES}.map((line) => line.name)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)}")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable)
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


@contextmanager
def visit(browser: Browser, path: Path, size: tuple[int, int], **more: Any) -> Iterator[Page]:
    """A page that may not reach a network, nor write to its console."""
    viewport: Any = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=viewport, offline=True, **more)
    context.set_default_timeout(120_000)  # Milliseconds; the machine may be busy.
    messages, requests = list[str](), list[str]()
    page = context.new_page()
    page.on("console", lambda message: messages.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    try:
        yield page
    finally:
        context.close()
    assert messages == []
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == [path.as_uri()]


def runs(page: Page) -> list[str]:
    """The runs of the table, in its order."""
    return page.locator("#runs .tabulator-row [tabulator-field='0']").all_inner_texts()


def header(page: Page, name: str) -> Locator:
    return page.locator("#runs .tabulator-col button").get_by_text(name, exact=True)


def expect_left(page: Page, count: int) -> None:
    expect(page.locator("#search-count")).to_have_text(f"{count} of 4 runs.", timeout=60_000)


def sorted_by(page: Page, direction: str) -> list[str]:
    return page.locator(f"#runs .tabulator-col[aria-sort={direction}] button").all_inner_texts()


def test_nothing_is_wider_than_the_screen(page: Page) -> None:
    excess = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(excess) == 0
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    assert page.evaluate(excess) == 0
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = false")


def test_a_printed_page_has_what_the_filter_leaves_and_is_no_wider_than_a_sheet(
    browser: Browser, written: Path
) -> None:
    with visit(browser, written, SHEET) as page:
        page.locator("#search").fill("finished")
        page.emulate_media(media="print")
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        table = page.locator(".tabulator-print-table")
        assert table.locator("tbody tr").count() == 2
        assert table.locator("th").first.inner_text() == "run"
        assert page.evaluate("document.documentElement.scrollWidth") == SHEET[0]
        assert not page.locator("nav").is_visible()
        assert page.locator(".answers dd").last.is_visible()


def test_every_picture_is_drawn(page: Page) -> None:
    widths = page.evaluate("[...document.images].map((image) => image.naturalWidth)")
    # Without two quantities, and without importance and pairs: two runs tell nothing of them.
    assert len(widths) == len(FIGURES) - 3
    assert min(widths) > 100


def test_click_on_a_column_sorts_numbers_as_numbers_and_failed_runs_last(page: Page) -> None:
    assert runs(page) == ["0001", "0000", "0002", "0003"]
    seconds = header(page, "seconds")
    seconds.click()
    assert runs(page) == ["0002", "0000", "0001", "0003"]
    assert sorted_by(page, "ascending") == ["seconds"]
    seconds.press("Enter")
    assert runs(page) == ["0001", "0000", "0002", "0003"]
    assert sorted_by(page, "descending") == ["seconds"]
    header(page, "optimizer").click()
    assert runs(page) == ["0001", "0002", "0000", "0003"]
    assert sorted_by(page, "ascending") == ["optimizer"]
    header(page, "run").click()
    assert runs(page) == ["0000", "0001", "0002", "0003"]


@pytest.mark.parametrize(
    ("words", "left", "unknown"),
    [
        ("ADAMW finished", ["0001"], ""),
        ("learning_rate<0.003", ["0000", "0001"], ""),
        ("learning_rate=0.001..0.006 optimizer!=sgd", ["0001", "0002"], ""),
        ("best_value>=0.2 epochs=3", ["0000", "0001"], ""),
        ("lr<1", [], "No column is called lr."),
        ("", ["0000", "0001", "0002", "0003"], ""),
    ],
)
def test_table_is_searched_by_words_and_conditions(
    page: Page, words: str, left: list[str], unknown: str
) -> None:
    page.locator("#search").fill(words)
    assert sorted(runs(page)) == left
    assert page.locator("#search-count").inner_text() == f"{len(left)} of 4 runs."
    assert page.locator("#search-unknown").inner_text() == unknown


def test_a_column_has_a_filter_and_what_is_left_is_saved(page: Page, tmp_path: Path) -> None:
    field = page.get_by_label("filter seconds")
    field.press_sequentially("3..10")
    expect_left(page, 2)
    assert sorted(runs(page)) == ["0000", "0002"]
    with page.expect_download() as download:
        page.locator("#csv").click()
    download.value.save_as(tmp_path / "runs.csv")
    table = pd.read_csv(tmp_path / "runs.csv", dtype={"run": str}).set_index("run")
    assert table["seconds"].to_dict() == {"0000": 9.0, "0002": 3.0}
    assert table["learning_rate"].to_dict() == {"0000": 0.0005, "0002": 0.005}
    field.fill("")
    field.press("Backspace")
    expect_left(page, 4)


def test_axes_filter_the_table_and_lines_name_their_runs(page: Page) -> None:
    plot = page.locator("#parallel")
    plot.scroll_into_view_if_needed()
    red, _, blue = np.moveaxis(imread(io.BytesIO(plot.screenshot()))[..., :3], -1, 0)
    assert (blue > red + 0.15).sum() > 200, "the best run's line is blue"
    box = plot.bounding_box()
    assert box is not None
    # The first axis, from its top down, where the rate is high.
    left, top, height = box["x"] + 60, box["y"] + 46, box["height"] - 68
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left, top + 0.2 * height, steps=5)
    page.mouse.up()
    expect_left(page, 1)
    assert runs(page) == ["0002"]
    page.mouse.click(left, top + 0.6 * height)
    expect_left(page, 4)
    for step in range(int(height)):
        page.mouse.move(left + 30, top + step)
    assert page.get_by_text(re.compile(r"^run 000[012]: 0\.\d+$")).count() == 1


def test_curves_are_of_the_first_runs_or_of_those_that_are_ticked(page: Page) -> None:
    three = ["run 0001 val", "run 0000 val", "run 0002 val"]
    assert sorted(page.evaluate(NAMES_OF_CURVES)) == sorted(three)
    assert page.locator("#metric option").all_inner_texts() == ["gcode_acc", "loss"]
    page.locator("#metric").select_option("loss")
    tick = page.get_by_role("row", name="Select Row 0000").get_by_label("Select Row")
    tick.check()
    page.evaluate(NEXT_FRAMES)
    assert page.evaluate(NAMES_OF_CURVES) == ["run 0000 val", "run 0000 train"]
    values = "(index) => " + SERIES + "[index].data.map(([_, value]) => value)"
    assert page.evaluate(values, 0) == pytest.approx([5, 2.5, 5 / 3], rel=1e-4)
    page.locator("#smoothing").fill("0.5")
    # An average with weights 1, 2 and 4, the newest value the heaviest.
    smoothed = [5, (5 + 2 * 2.5) / 3, (5 + 2 * 2.5 + 4 * 5 / 3) / 7]
    assert page.evaluate(values, 0) == pytest.approx(smoothed, rel=1e-4)
    page.locator("#smoothing").fill("0")
    page.locator("#metric").select_option("gcode_acc")
    tick.uncheck()
    page.evaluate(NEXT_FRAMES)
    assert sorted(page.evaluate(NAMES_OF_CURVES)) == sorted(three)


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
        rows = page.locator("noscript tbody tr")
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
        assert page.locator(".conclusion").first.inner_text().startswith("No evidence")
