"""MLflow's page as people see it: a real Chromium from the printed link on. Needs the extra `[browser]`."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bios_sweep.cli import main
from bios_sweep.records.workspace import Workspace
from tests.cli.planted import CLASSES

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "mlflow.png"
LARGEST_PICTURE = 150_000  # bytes
SLOW_PAGE = 60_000  # milliseconds; chosen for two busy cores

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is on the PATH"),
]


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What `bios-sweep ui` prints for a planted sweep whose trials wrote something down."""
    root = tmp_path_factory.mktemp("browser") / "bios_runs"
    place = ["tracking=sqlite", f"workspace={root}"]
    planted = CLASSES["the learning rate is low by two"].words
    words = [
        *("model=planted", "cluster=inline", "decision.purpose=publish", "model.planted.noise_percent=0.1"),
        *("seeds=[0,1,2,3,4]", "decision.confirmation_seeds=5", "budget.measurements=4"),
        *("budget.max_steps=1000", "baseline.learning_rate=5e-4"),
    ]
    assert main(["run", *planted, *words, *place]) == 0
    for folder in Workspace(root).trials.iterdir():
        (folder / "stdout.txt").write_text("a line of a trial\n")
    assert main(["sync", *place]) == 0
    with serving(place) as url:
        yield url


@contextmanager
def serving(place: list[str]) -> Iterator[str]:
    command = [sys.executable, "-m", "bios_sweep", "ui", *place]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield re.search(r"http\S+", process.stdout.readline())[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.fixture
def page(link: str) -> Iterator[Any]:
    """The link opened, when its runs are listed."""
    missing = "playwright, the extra [browser], is not installed"
    playwright = pytest.importorskip("playwright.sync_api", reason=missing)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1600, "height": 900})
        opened.set_default_timeout(SLOW_PAGE)
        opened.goto(link)
        opened.get_by_text("baseline seed 0", exact=True).wait_for()
        yield opened
        browser.close()


def test_the_link_opens_on_grouped_curves_with_the_sweep_first_and_no_single_dots(page, tmp_path):
    page.get_by_text("eval_loss", exact=True).first.wait_for()
    page.locator(".scatterlayer path.js-line").first.wait_for()
    text = page.inner_text("body")
    groups = re.findall(r"Group: arm: (.+), stage: (\w+)", text)
    assert groups[0] == ("the sweep", "verdict")
    assert {("baseline", "screening"), ("baseline", "confirmation")} <= set(groups)
    assert not re.search(r"effect percent|mean eval_loss|wall_seconds|tokens", text)
    picture = tmp_path / PICTURE.name if PICTURE.exists() else PICTURE  # deleted, it is made anew
    page.set_viewport_size({"width": 1360, "height": 760})
    page.screenshot(path=picture)
    assert picture.stat().st_size <= LARGEST_PICTURE


def test_the_verdict_is_one_click_away(page):
    assert "learning_rate: refine" in page.inner_text("body")
    page.get_by_text(re.compile(r"^learning_rate-\w+$")).last.click()
    page.get_by_text("use 0.001 instead of 0.0005").first.wait_for()


def test_a_trial_s_log_is_two_clicks_away(page):
    page.get_by_text("baseline seed 0", exact=True).click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="what it wrote down").click()
    opened.value.get_by_text("a line of a trial").wait_for(timeout=SLOW_PAGE)


def test_the_tuned_file_is_two_clicks_away(page):
    page.get_by_text(re.compile(r"^learning_rate-\w+: learning_rate: refine$")).first.click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="tuned file").first.click()
    opened.value.get_by_text("schema_version").first.wait_for(timeout=SLOW_PAGE)
