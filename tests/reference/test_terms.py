"""The words that are explained: all that the program can print of a verdict, and none that lead nowhere."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from bios_sweep.claims import CLAIMS
from bios_sweep.cli.main import main
from bios_sweep.reference.terms import TERMS
from bios_sweep.vocabulary import Goal, Stage, Status, Word

ROOT = Path(__file__).resolve().parents[2]
EXPLAINED = Counter(name.casefold() for term in TERMS for name in (term.term, *term.names))


def test_every_word_of_a_verdict_a_stage_a_status_a_goal_and_a_claim_is_explained():
    said = {*Word, *Stage, *Status, *Goal, *CLAIMS}
    assert not {str(word) for word in said} - set(EXPLAINED)


def test_every_name_means_one_thing_and_leads_to_what_is_there():
    assert set(EXPLAINED.values()) == {1}
    for term in TERMS:
        assert not [name for name in term.like if name not in EXPLAINED], term.term
        file, _, item = term.read.partition(", item ")
        if file:
            text = (ROOT / file).read_text(encoding="utf-8")
            assert not item or re.search(rf"^## {item}\. ", text, re.MULTILINE), term.term


@pytest.mark.parametrize(
    ("word", "first"), [("inconclusive", "inconclusive"), ("KEEP", "confirm"), ("gain", "effect")]
)
def test_a_word_is_explained_with_what_to_do_and_what_is_near(word, first, capsys):
    assert main(["explain", *word.split()]) == 0
    told = capsys.readouterr().out
    assert told.startswith(first)
    assert "near it: " in told
    assert main(["explain", word, "--json"]) == 0
    [term] = json.loads(capsys.readouterr().out)["terms"]
    assert term["term"] == first


def test_without_a_word_all_are_listed_and_a_wrong_one_is_answered_by_the_nearest(capsys):
    assert main(["explain"]) == 0
    assert len(re.findall(r"^\S.*: ", capsys.readouterr().out, re.MULTILINE)) >= len(TERMS)
    assert main(["explain", "inconclusiv"]) == 2
    assert "did you mean 'inconclusive'?" in capsys.readouterr().err
