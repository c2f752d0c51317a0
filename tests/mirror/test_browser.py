"""MLflow's page as people see it: a real Chromium from the printed link on (`make browser` installs one)."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bios_sweep.cli import main
from bios_sweep.interpreter import python, with_package
from bios_sweep.records.workspace import Workspace
from tests.cli.planted import CLASSES

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
WANTED = "BIOS_SWEEP_PICTURES"  # set: the pictures of the docs are made anew
LARGEST_PICTURE = 150_000  # bytes
SLOW_PAGE = 60_000  # milliseconds; chosen for two busy cores

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is on the PATH")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An empty page of a browser, beside the link that `bios-sweep ui` prints for a planted sweep."""
    missing = "playwright, the extra [browser], is not installed"
    playwright = pytest.importorskip("playwright.sync_api", reason=missing)
    workspace = f"workspace={planted_sweep(tmp_path_factory.mktemp('browser') / 'bios_runs')}"
    assert main(["sync", "tracking=sqlite", workspace]) == 0
    with serving(["tracking=sqlite", workspace]) as link, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1360, "height": 760})
        page.set_default_timeout(SLOW_PAGE)
        yield page, link
        browser.close()


def planted_sweep(root: Path) -> Path:
    """One whose trials wrote something down, and which found a better rate on fresh seeds."""
    planted = CLASSES["the learning rate is low by two"].words
    words = [
        *("model=planted", "cluster=inline", "decision.purpose=publish", "model.planted.noise_percent=0.1"),
        *("seeds=[0,1,2,3,4]", "decision.confirmation_seeds=5", "budget.measurements=4"),
        *("budget.max_steps=1000", "baseline.learning_rate=5e-4"),
    ]
    assert main(["run", *planted, *words, "tracking=none", f"workspace={root}"]) == 0
    for folder in Workspace(root).trials.iterdir():
        (folder / "stdout.txt").write_text("a line of a trial\n")
    return root


@contextmanager
def serving(place: list[str]) -> Iterator[str]:
    command = python("-m", "bios_sweep", "ui", *place)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=with_package()) as process:
        try:
            assert process.stdout is not None
            yield re.search(r"http\S+", process.stdout.readline())[0]
        finally:
            process.send_signal(signal.SIGTERM)


@pytest.fixture
def page(opened: tuple[Any, str]) -> Any:
    """The link opened, when its runs are listed."""
    found, link = opened
    found.goto("about:blank")
    found.goto(link)
    found.get_by_text("baseline seed 0", exact=True).wait_for()
    return found


def picture(page: Any, name: str, folder: Path) -> None:
    """A picture of a page; in the docs where that is wanted."""
    file = (PICTURES if WANTED in os.environ else folder) / name
    page.screenshot(path=file)
    assert file.stat().st_size <= LARGEST_PICTURE


def note_of(page: Any) -> Any:
    """What stands above the runs, opened: every sweep with its links. One click."""
    page.get_by_text(re.compile(r"^learning_rate-\w+: learning_rate: refine$")).first.click()
    return page


def test_the_link_opens_on_grouped_curves_with_the_sweep_first_and_no_single_dots(page, tmp_path):
    page.get_by_text("eval_loss", exact=True).first.wait_for()
    page.locator(".scatterlayer path.js-line").first.wait_for()
    text = page.inner_text("body")
    groups = re.findall(r"Group: arm: (.+), stage: (\w+)", text)
    assert groups[0] == ("the sweep", "verdict")
    assert ("baseline", "screening") in groups
    assert not re.search(r"effect percent|mean eval_loss|wall_seconds|tokens", text)
    picture(page, "mlflow.png", tmp_path)


def test_the_verdict_is_one_click_away(page):
    assert "learning_rate: refine" in page.inner_text("body")
    page.get_by_text(re.compile(r"^learning_rate-\w+$")).last.click()
    page.get_by_text("use 0.001 instead of 0.0005").first.wait_for()


def test_a_trial_s_log_is_two_clicks_away(page):
    page.get_by_text("baseline seed 0", exact=True).click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="what it wrote down").click()
    opened.value.get_by_text("a line of a trial").wait_for(timeout=SLOW_PAGE)
    opened.value.close()


def test_the_tuned_file_is_two_clicks_away(page):
    with page.context.expect_page() as opened:
        note_of(page).get_by_role("link", name="tuned file").first.click()
    opened.value.get_by_text("schema_version").first.wait_for(timeout=SLOW_PAGE)
    opened.value.close()


def test_the_arms_are_a_table_two_clicks_away(page):
    with page.context.expect_page() as opened:
        note_of(page).get_by_role("link", name="arms", exact=True).first.click()
    found = opened.value
    found.get_by_text("learning_rate x0.25").wait_for(timeout=SLOW_PAGE)
    assert re.search(r"mean eval_loss\s+gain\s+lower bound", found.inner_text("body"))
    found.close()
