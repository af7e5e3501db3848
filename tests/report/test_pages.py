"""Reports in a real browser: they open without a network, quickly and without errors, sort, filter and fit a telephone."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from lib.steps import tabulate
from lib.steps.listing import listed
from lib.tables import predictions
from tests.tiny import timing

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
browser_only = pytest.mark.skipif(not (BROWSER and DRIVER), reason="Chromium and its driver are not installed")
SECONDS = 2.0
METHODS = ("scratch", "l1", "fpgm")
LABELS = np.arange(400) % 10
DOCUMENT: dict[str, Any] = {
    "suite": "made-up",
    "data": {"name": "digits"},
    "distill": {"teachers": ["resnet8"]},
    "benchmark": {
        "network": "resnet8",
        "trained": ["resnet8"],
        "methods": list(METHODS),
        "keep_ratios": [0.5],
        "distillers": ["none", "kd"],
        "seeds": [0, 1, 2],
        "compaction": "coupled",
    },
}
PUBLISHED: dict[str, Any] = {"sources": {}, "rows": []}


def _suite(folder: Path) -> None:
    """Everything that a suite of 8 rows and 3 seeds leaves behind."""
    for name in ("cells", "predictions", "compact", "latency", "logs/trained", "logs/pruned", "logs/distilled"):
        (folder / name).mkdir(parents=True)
    log = "epoch,lr,loss,train_top1,validation_top1\n1,0.1,2.5,40.0,{:.1f}\n2,0.05,1.5,60.0,{:.1f}\n"
    for seed in (0, 1, 2):
        (folder / f"logs/trained/{seed}").mkdir()
        (folder / f"logs/trained/{seed}/resnet8.csv").write_text(log.format(40 + seed, 60 + seed))
        for place, method in enumerate(("dense", *METHODS)):
            keep = 1.0 if method == "dense" else 0.5
            key = f"{method}-{keep}"
            (folder / f"logs/pruned/{key}-{seed}.csv").write_text(log.format(50 + place, 70 + place))
            entry = {"timings": [timing("onnxruntime"), timing("pytorch")]}
            (folder / f"latency/{key}-0.json").write_text(json.dumps(entry))
            for distiller in ("none", "kd"):
                cell = f"{key}-{distiller}-{seed}"
                right = 300 + 20 * (distiller == "kd") - 30 * place + seed
                predicted = np.where(np.arange(400) < right, LABELS, 9 - LABELS)
                (folder / f"predictions/{cell}.safetensors").write_bytes(predictions.content(predicted, LABELS))
                numbers = {"top1": 100 * right / 400, "params": 1000, "macs": int(9000 * keep) + place, "macs_ratio": keep}
                packed = {"encoded_bytes": 900 - place, "encoded_top1": 100 * right / 400, "encoded_ratio": 4.0, "bytes": 4000}
                (folder / f"cells/{cell}.json").write_text(json.dumps(numbers | packed | {"epochs": 9}))
                plan = {
                    "dense": {"conv1": 16, "conv2": 32},
                    "filters": {"conv1": list(range(8)), "conv2": list(range(place, 20))},
                }
                (folder / f"compact/{cell}.json").write_text(json.dumps(plan))
                (folder / f"logs/distilled/{cell}.csv").write_text(log.format(55 + place, 75 + place))
    (folder / "latency/machine.json").write_text('{"device": "<b>a machine</b>", "versions": {"torch": "0"}}')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite, tabulated, and the same listed."""
    folder = tmp_path_factory.mktemp("suite")
    _suite(folder)
    folders = (folder / name for name in ("cells", "predictions", "compact", "latency", "logs"))
    gathered = tabulate.gather(DOCUMENT, *folders, PUBLISHED, folder)
    tabulate.write(gathered, folder, {"Commit": "0123abc"})
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for word in ("headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking", "disable-sync"):
        options.add_argument(f"--{word}")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")  # nothing outside is found
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER)))
    yield made
    made.quit()


def _opened(browser: Any, page: Path, width: int) -> float:
    """Open a page in a window; the seconds until its charts and tables are drawn."""
    browser.set_window_size(width, 900)
    start = time.monotonic()
    browser.get(page.as_uri())
    charts = len(browser.find_elements(By.CSS_SELECTOR, ".chart"))
    drawn = "return document.querySelectorAll('.chart canvas, .chart svg').length"
    WebDriverWait(browser, 30, 0.02).until(lambda it: it.execute_script(drawn) >= charts)
    WebDriverWait(browser, 30, 0.02).until(lambda it: it.find_elements(By.CSS_SELECTOR, "#main_wrapper, #main.dataTable"))
    return time.monotonic() - start


def _until(browser: Any, holds: Callable[[], object]) -> None:
    """Wait until something holds; the browser does its work a moment later."""
    WebDriverWait(browser, 10, 0.05).until(lambda _: holds())


def _rows(browser: Any) -> list[list[str]]:
    lines = browser.find_elements(By.CSS_SELECTOR, "#main tbody tr")
    return [[cell.text for cell in line.find_elements(By.TAG_NAME, "td")] for line in lines]


@browser_only
@pytest.mark.parametrize("width", [1280, 390])
def test_a_report_opens_quickly_without_errors_and_fits(folder: Path, browser: Any, width: int) -> None:
    _opened(browser, folder / "report.html", width)  # the browser itself warms up
    browser.get_log("browser")
    assert _opened(browser, folder / "report.html", width) < SECONDS
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert len(browser.find_elements(By.CSS_SELECTOR, ".chart")) == 12


@browser_only
def test_a_click_sorts_the_table_and_typing_filters_it(folder: Path, browser: Any) -> None:
    _opened(browser, folder / "report.html", 1280)
    heads = [head.text for head in browser.find_elements(By.CSS_SELECTOR, "#main_wrapper thead th") if head.text]
    place = heads.index("Top-1 %")
    head = browser.find_elements(By.CSS_SELECTOR, "#main_wrapper thead th")[place]
    head.click()
    assert all(re.fullmatch(r"\d\d\.\d\d", row[place]) for row in _rows(browser))
    scores = sorted(float(row[place]) for row in _rows(browser))
    assert len(scores) == 8
    _until(browser, lambda: [float(row[place]) for row in _rows(browser)] == scores)
    head.click()
    _until(browser, lambda: [float(row[place]) for row in _rows(browser)] == scores[::-1])
    browser.find_element(By.CSS_SELECTOR, "#main_wrapper input[type=search]").send_keys("fpgm")
    _until(browser, lambda: {row[0] for row in _rows(browser)} == {"fpgm"})


@browser_only
def test_a_chart_tells_figures_where_it_is_pointed_at(folder: Path, browser: Any) -> None:
    _opened(browser, folder / "report.html", 1280)
    chart = browser.find_element(By.ID, "chart-accuracy-macs")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    mark = chart.find_element(By.CSS_SELECTOR, "g.mark-symbol.role-mark path")
    ActionChains(browser).move_to_element(mark).perform()
    _until(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#vg-tooltip-element.visible"))
    told = browser.find_element(By.ID, "vg-tooltip-element").text
    assert "method" in told
    assert "top1" in told


@browser_only
def test_a_distiller_is_chosen_in_the_legend(folder: Path, browser: Any) -> None:
    _opened(browser, folder / "report.html", 1280)
    chart = browser.find_element(By.ID, "chart-accuracy-macs")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)

    def bright(kind: str) -> int:
        marks = chart.find_elements(By.CSS_SELECTOR, f"g.{kind}.role-mark path, g.{kind}.role-mark line")
        return sum(float(mark.get_attribute("opacity") or 1) > 0.5 for mark in marks)

    assert (bright("mark-symbol"), bright("mark-rule")) == (8, 8)
    (name,) = [text for text in chart.find_elements(By.CSS_SELECTOR, "g.role-legend-label text") if text.text == "kd"]
    ActionChains(browser).move_to_element(name).click().perform()
    _until(browser, lambda: (bright("mark-symbol"), bright("mark-rule")) == (4, 4))


@browser_only
def test_what_comes_from_files_is_text_and_no_code(folder: Path, browser: Any) -> None:
    _opened(browser, folder / "report.html", 1280)
    assert "<b>a machine</b>" in browser.find_element(By.TAG_NAME, "dl").text


def test_a_page_names_nothing_outside(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    for word in ('src="http', "src='http", 'href="http', "url(http"):
        assert word not in text


def test_a_committed_suite_is_listed_with_its_verdict(folder: Path) -> None:
    found = listed(DOCUMENT, folder, PUBLISHED)
    assert found.line.best.startswith("scratch 0.5 kd, 72.75 % at 0.50 of the MACs")
    assert re.match(r"Of \d+ comparisons, \d+ told apart; about \d+\.\d\d to \d+\.\d\d points, dep", found.line.verdict)
    assert "report" not in found.line.name


def test_a_suite_whose_only_row_has_no_partner_yet_says_so(folder: Path, tmp_path: Path) -> None:
    document = {**DOCUMENT, "benchmark": DOCUMENT["benchmark"] | {"distillers": ["none"]}}
    for name in ("cells", "predictions"):
        (tmp_path / name).mkdir()
        for path in (folder / name).glob("fpgm-0.5-none-0.*"):
            shutil.copy(path, tmp_path / name)
    gathered = tabulate.gather(
        document, tmp_path / "cells", tmp_path / "predictions", *[tmp_path / "none"] * 3, PUBLISHED, tmp_path
    )
    tabulate.write(gathered, tmp_path, {})
    line = listed(document, tmp_path, PUBLISHED).line
    assert (line.rows, line.seeds, line.dense) == (1, 1, "none")
    assert line.verdict == "No paired tests: no row has the row that it is compared with yet."


def test_a_suite_without_tables_is_refused_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no summary\.csv; make it with: dvc repro"):
        listed(DOCUMENT, tmp_path, PUBLISHED)
