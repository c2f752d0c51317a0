"""Inputs that nobody would type (`fuzzed`): each has an answer, within seconds, and none is believed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pytest

from bios_sweep.cli.bug_report import UNFORESEEN, leave_report, sentence_of
from bios_sweep.cli.main import main
from tests.fuzzed import KINDS, PLANTED, drawn

FEW = (0, 1, 2, 5, 7, 14, 19)  # seeds, with the first of each kind
MANY = int(os.environ.get("BIOS_SWEEP_FUZZ", "5000"))
SECONDS = 20
LONGEST = 3_200  # characters that a person is told


class Late(BaseException):
    """An input that takes too long; no net of ours may catch it."""


@contextmanager
def limited() -> Iterator[None]:
    """Processor time, for the machine may be busy; a wait for something that never comes ends later."""

    def late(_number: int, _frame: FrameType | None) -> NoReturn:
        raise Late

    before = {number: signal.signal(number, late) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, 10 * SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def answer(words: tuple[str, ...]) -> int:
    try:
        with limited():
            return main(list(words))
    except SystemExit as ended:
        return int(ended.code or 0)


def hold(seeds: Iterable[int], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in seeds:
        asked = drawn(seed, folder / str(seed))
        code = answer(asked.words)
        told = capsys.readouterr().err
        assert code in (0, 2, 3, 4), f"seed {seed}: {asked.kind}: {told[:500]}"
        assert "Traceback" not in told, f"seed {seed}"
        sentences = [line for line in told.splitlines() if line.startswith("bios-sweep: ")]
        assert len(sentences) <= 1, f"seed {seed}"
        assert all(len(line) <= LONGEST for line in sentences), f"seed {seed}"
        assert code == 0 or sentences or "damaged" in told or asked.words[0] == "verify", f"seed {seed}"


def test_inputs_that_nobody_would_type_have_an_answer(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hold(FEW, tmp_path, capsys)
    assert {drawn(seed, tmp_path / "again" / str(seed)).kind for seed in FEW} == set(KINDS)


@pytest.mark.slow
def test_thousands_of_inputs_that_nobody_would_type_have_an_answer(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hold(range(MANY), tmp_path, capsys)


# What must be refused before the first trial, and how it is said

REFUSED = {
    "seeds=[99999999999999999999,1]": "seeds: 99999999999999999999 is not allowed; whole numbers up to",
    f"seeds={list(range(2000))}".replace(" ", ""): "the plan has 10000 trials (5 arms x 2000 seeds)",
    "decision.margin_percent=1e30": "decision.margin_percent: 1e+30 is not allowed",
    "decision.margin_percent=1e-300": "decision.margin_percent: 1e-300 is not allowed",
    "decision.alpha=1e-300": "decision.alpha: 1e-300 is not allowed; a number between",
    "decision.looks=[99999999999999]": "is not allowed; at most 1,000,000 seeds",
    "decision.confirmation_seeds=1000000000": "at most 1,000,000",
    "decision.deadline=1e300": "decision.deadline: ",
    "budget.measurements=100000000": "budget.measurements: 100000000 is not allowed",
    "sweeps.factors.learning_rate.multiply=[1e300]": "it must be a finite number above 0, of a size between",
    "baseline.learning_rate=1e300": "learning_rate: 1e+300 is not allowed",
    "baseline.batch_size=1000000000000": "batch_size: 1000000000000 is not allowed",
    f"baseline.learning_rate={'9' * 5000}": "baseline.learning_rate: a number of 300 digits and more",
    "sweeps.factors.learning_rate=" + "{a:" * 200 + "1" + "}" * 200: "nested more than 20 deep",
    "workspace=[]": "workspace: '[]' is not allowed; a folder such as ./bios_runs",
    "workspace=/": "workspace: / is all of the file system",
    "workspace=/dev/null": "workspace: /dev/null is no folder",
    "model.planted.clusters={a: 1}": "clusters",
    "model.planted.noise_percent=1e300": "model.planted.noise_percent: 1e+300 is not allowed",
    "model.planted.clusters=1000000000000": "times examples_per_cluster at most 1,000,000",
    "tracking.uri=''": "tracking.uri: '' is not allowed",
    "tracking.flush_seconds=-1": "tracking.flush_seconds: -1 is not allowed",
    "sweeps.question=[]": "sweeps.question: [] is not allowed; a text",
    "x" * 10_000: "a word of 10,000 characters is no override",
}


@pytest.mark.parametrize("word", REFUSED, ids=lambda word: word[:40])
def test_what_can_be_refused_is_refused_by_plan_in_a_sentence_of_its_own(word, tmp_path, capsys):
    words = ["plan", "sweeps=learning_rate", *PLANTED, f"workspace={tmp_path / 'runs'}", word]
    assert main(words) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert REFUSED[word] in told
    assert len(told) < 500


# The last net


def test_an_error_that_nobody_foresaw_is_one_sentence_and_a_report_without_secrets(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")

    def broken(_args: object) -> int:
        raise ZeroDivisionError("with hf_abcdefghijklmnop")

    monkeypatch.setattr("bios_sweep.cli.keys.run", broken)
    assert main(["keys", "password=abcdefgh"]) == UNFORESEEN
    (told,) = capsys.readouterr().err.splitlines()
    (report,) = tmp_path.glob("bios-sweep-bug-*.txt")
    assert told.startswith(
        "bios-sweep: something went wrong that should not have (ZeroDivisionError: with ***)"
    )
    assert str(report) in told
    text = report.read_text()
    assert "ZeroDivisionError" in text
    assert "in broken" in text
    assert "abcdefgh" not in text + told
    assert report.stat().st_mode & 0o077 == 0
    assert main(["keys", "--debug"]) == UNFORESEEN
    assert "Traceback" in capsys.readouterr().err


def test_where_no_report_can_be_written_the_sentence_says_how_to_see_more(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    error = RecursionError("deep")
    assert leave_report(error, ["plan"]) is None
    assert "--debug shows where" in sentence_of(error, None)
