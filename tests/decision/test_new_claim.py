"""A new claim is one file and one entry in the list: here both come from outside the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bios_sweep
from bios_sweep.claims import CLAIMS, Claim
from bios_sweep.cli.main import main
from bios_sweep.decision import claims

SWEEP = """
question: Would half of the learning rate do?
factors:
  learning_rate: {multiply: [0.25, 0.5], claims: [thrifty]}
"""
WORDS = ("sweeps=halved", "model=planted", "cluster=inline", "tracking=none", "budget.max_steps=100")


@pytest.fixture
def words(tmp_path):
    """A sweep file of one's own, and where the sweep goes."""
    (tmp_path / "conf" / "sweeps").mkdir(parents=True)
    (tmp_path / "conf" / "sweeps" / "halved.yaml").write_text(SWEEP)
    return (*WORDS, f"workspace={tmp_path / 'runs'}", "--config-dir", str(tmp_path / "conf"))


@pytest.fixture
def thrifty(monkeypatch):
    """The claim's file in the room of the claims, and its entry in the list."""
    folder = str(Path(__file__).parent / "toy_claim")
    monkeypatch.setattr(claims, "__path__", [*claims.__path__, folder])
    monkeypatch.setitem(CLAIMS, "thrifty", Claim(name="thrifty", level=lambda rate: rate / 2))


def test_a_claim_that_nobody_registered_is_refused(words, capsys):
    assert main(["plan", *words]) == 2
    assert "claim 'thrifty' is not allowed; choose from optimum" in capsys.readouterr().err


def test_a_new_claim_goes_from_its_sweep_file_to_the_html(words, thrifty, tmp_path, capsys):
    assert main(["run", *words, "model.planted.truth.learning_rate.curvature=0.01"]) == 0
    sweep = bios_sweep.open(tmp_path / "runs")
    (verdict,) = sweep.verdicts
    rate = verdict.baseline_level
    assert (verdict.claim, verdict.verdict) == ("thrifty", "confirm")
    assert verdict.default == verdict.best_level == pytest.approx(rate / 2)
    assert "would do as well, at a gain of" in verdict.sentence
    assert verdict.served is None
    assert not verdict.withheld
    (report,) = (tmp_path / "runs" / "sweeps").glob("*/report.html")
    html = report.read_text()
    for told in (verdict.sentence, "half of the default would do", "would do; no goal is served with it"):
        assert told.replace("'", "&#39;") in html
    assert not list((tmp_path / "runs").glob("sweeps/*/bios_defaults.json"))


def test_a_rehearsal_knows_when_the_new_claim_is_false(words, thrifty, capsys):
    assert main(["rehearse", *words, "--json", "--noise", "0.1", "--sweeps", "10"]) == 0
    (question,) = json.loads(capsys.readouterr().out)["questions"]
    confirmed = {row["effect_margins"]: (row["confirm"], row["wrong"]) for row in question["chances"]}
    assert question["about_another_level"] is False
    assert confirmed[0.0] == (1.0, 0.0)
    assert confirmed[-1.0][0] == confirmed[-1.0][1] < 0.5  # half then loses the margin
