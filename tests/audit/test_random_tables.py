"""Whatever table a user brings: an answer or one sentence, and no word where the runs carry none."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from bios_sweep.cli.main import main
from tests.audit.random_tables import Made, made

WORDS = ("confirm", "refine", "refine (unconfirmed)")


def words_of(path: Path, capsys, text: str, flags: list[str]) -> tuple[int, list[tuple[str, str, str]], str]:
    """The exit code, and cell, factor and word of every verdict; else the sentence."""
    path.write_text(text)
    code = main(["report", "--from-csv", str(path), "--json", "decision.purpose=publish", *flags])
    output = capsys.readouterr()
    if code:
        return code, [], output.err
    verdicts = json.loads(output.out)["verdicts"]
    return code, [(one["cell"], one["factor"], one["verdict"]) for one in verdicts], ""


def check(table: Made, path: Path, capsys) -> str:
    """One table: no traceback, no word that it does not carry, and 40 outcomes change none."""
    code, words, error = words_of(path, capsys, table.text, table.flags)
    assert code in (0, 2), error
    assert code == 0 or len(error.strip().splitlines()) == 1, error
    for _, factor, word in words:
        if table.confounded:
            assert word not in WORDS, (table.told, factor, word)
        if table.rival:
            assert word != "confirm", (table.told, factor, word)
    again = words_of(path, capsys, table.wide, table.flags)
    assert (again[0], again[1]) == (code, words), (table.told, error, again[2])
    return "refused" if code else "with a word" if any(word in WORDS for *_, word in words) else "without"


def many(numbers: range, tmp_path: Path, capsys) -> None:
    """All of them; among a hundred there are some of every kind, so that the test can fail."""
    came = Counter(check(made(number), tmp_path / "runs.txt", capsys) for number in numbers)
    assert came["with a word"] > len(numbers) / 10, came
    assert came["refused"] < len(numbers) / 4, came


def test_a_hundred_random_tables_carry_no_word_too_many(tmp_path, capsys):
    many(range(100), tmp_path, capsys)


@pytest.mark.slow  # about two minutes
def test_two_thousand_random_tables_carry_no_word_too_many(tmp_path, capsys):
    many(range(100, 2000), tmp_path, capsys)
