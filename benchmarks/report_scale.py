"""What the report's page costs in a browser: load and sort with 100 and 1,000 runs.

    PYTHONPATH=tests/support python benchmarks/report_scale.py [--runs 1000] [--keep FOLDER]

Nine hyperparameters, twenty epochs, 32 metrics. CPU seconds are those of all of Chromium's
processes, from an empty page to three seconds after the page is idle; a sort is timed from the
click to the second frame after it.
"""

import argparse
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import psutil
from playwright.sync_api import Browser, sync_playwright
from result_files import results_of, true_blocks, write_results
from sweep_results import MOMENTUM, OPTIMIZER, RATE, swept

from gcodefp.reporting.figures.paper import stems_of
from gcodefp.reporting.page import render
from gcodefp.reporting.results import Results
from gcodefp.sweeps.system_metrics import SYSTEM_FIELDS

EPOCHS, METRICS, REPEATS = 20, 30, 5
PARAMETERS = {f"rate_{index}": RATE for index in range(4)} | {
    "momentum": MOMENTUM, "dropout": MOMENTUM, "optimizer": OPTIMIZER,
    "d_model": {"values": [32, 64, 96]}, "nhead": {"values": [2, 4, 8]},
}  # fmt: skip
SORT = """() => new Promise((done) => {
  const heads = [...document.querySelectorAll("#runs button")];
  const head = heads.find((head) => head.textContent === "seconds");
  const begin = performance.now();
  head.click();
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begin)));
})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--keep", type=Path, help="folder for the pages")
    arguments = parser.parse_args()
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = arguments.keep or Path(name)
        for runs in arguments.runs:
            page = write_page(folder / str(runs), runs)
            launch = {"executable_path": browser_path}
            costs = []
            for _ in range(REPEATS):
                browser = playwright.chromium.launch(**launch)
                costs.append(measure(browser, page))
                browser.close()
            megabytes = page.stat().st_size / 1e6
            load, wall, sort, sort_cpu = (median(column) for column in zip(*costs, strict=True))
            print(
                f"{runs:,} runs, {megabytes:.1f} MB: load {load:.2f} CPU s, {wall:.2f} s; "
                f"sort {sort:.3f} s, {sort_cpu:.2f} CPU s"
            )


def write_page(folder: Path, runs: int) -> Path:
    """report.html of random runs; its figures are empty."""
    results = many_runs(results_of(write_results(folder, true_blocks(), true_blocks())), runs)
    for stem in stems_of(results):
        path = folder / "figures" / f"{stem}.svg"
        path.parent.mkdir(exist_ok=True)
        path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    page = folder / "report.html"
    page.write_text(render(results, folder / "figures"), encoding="utf-8")
    return page


def many_runs(results: Results, runs: int) -> Results:
    """Results of a random sweep; a third of its runs is stopped, a few fail."""
    states = {n: ("stopped", "failed")[n % 20 == 0] for n in range(0, runs, 3)}
    swept_results = swept(results, runs, PARAMETERS, states)
    random = np.random.default_rng(0)
    names = swept_results.runs["run"].repeat(EPOCHS)
    values = {f"val/{index}_acc": random.random(runs * EPOCHS) for index in range(METRICS)}
    values["val/gcode_acc"] = values["val/loss"] = random.random(runs * EPOCHS)
    epochs = np.tile(np.arange(1, EPOCHS + 1), runs)
    curves = pd.DataFrame({"run": names.to_numpy(), "epoch": epochs, **values})
    system = {name: random.uniform(1, 1000, runs) for name in SYSTEM_FIELDS}
    table = swept_results.runs.assign(device="cpu", **system)
    return replace(swept_results, runs=table, curves=curves)


def measure(browser: Browser, path: Path) -> tuple[float, float, float, float]:
    """CPU and wall-clock seconds of loading the page, wall-clock and CPU seconds of a sort."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto("about:blank")
    before, begin = cpu_seconds(), time.perf_counter()
    page.goto(path.as_uri())
    page.wait_for_selector("#parallel canvas", state="attached")
    page.evaluate("new Promise((done) => requestIdleCallback(done))")
    wall = time.perf_counter() - begin
    time.sleep(3)  # What it still does by itself counts as CPU time of loading.
    loaded = cpu_seconds()
    page.locator("#runs").scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    scrolled = cpu_seconds()
    sort = page.evaluate(SORT) / 1000
    page.wait_for_timeout(1000)
    return loaded - before, wall, sort, cpu_seconds() - scrolled


def cpu_seconds() -> float:
    """Of all processes of the browser."""
    children = psutil.Process().children(recursive=True)
    times = [child.cpu_times() for child in children if "chrom" in child.name()]
    return sum(each.user + each.system for each in times)


if __name__ == "__main__":
    main()
