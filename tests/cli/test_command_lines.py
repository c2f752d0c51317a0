"""Command lines that somebody types some day: keys with nasty values, and valid lines garbled.

Asserted of each: it ends with exit code 0 or 2 and no exception; a refusal is one sentence of ours on
standard error, nothing on standard output, and no word of the libraries below; what is accepted for a
number is a finite number, for a choice one of the choices.
"""

from __future__ import annotations

import math
import random
import re

import pytest

from bios_sweep.cli.main import main
from bios_sweep.config.places import config_root
from bios_sweep.reference.kinds import NUMBER, TEXT, TRUTH, WHOLE
from bios_sweep.reference.listed import listed_keys

PLANTED = ("sweeps=learning_rate", "model=planted", "cluster=inline", "tracking=none", "seeds=[0,1]")
VALUES = (
    *("", " ", "null", "None", "true", "False", "yes", "auto", "nan", "inf", "-inf", "1e400", "-1"),
    *("0", "1e-4", "1_000", "1k", ".5", "5.", "5%", "0,001", "1,2", "0x10", "+3", "--3", "1 2"),
    *("\u0663", "1e", "e5", "1/2", "2**3", "[", "]", "[]", "[1", "[1,]", "[,]", "[[1]", "{", "}"),
    *("{}", "{a", "{a:}", "{a: 1", "{1: 2}", "[a b]", "{a,b}", "'", '"', "''", "'a", "a'b", '"a'),
    *("\\", "\\'", "a\\", "`ls`", "$(ls)", "$HOME", "${", "${x}", "${x:}", "${oc"),
    *("${oc.env:NOPE_NOT_SET}", "???", "?", "#", "a#b", "a=b", "==", "a&b", "a;b", "a|b", "a>b"),
    *("<a", "*", "!", "~", "~/x", "@", "a@b", "%20", "\xe9", "e\u0301", "\U0001f680", "\u202eabc"),
    *("a\nb", "\t", "a\rb", "\x07", "\x00", "\udcff", "x" * 5000, "range(1,3)", "glob(*)"),
    *("choice(1,2)", "int(3)", "sort(3,1)", "_target_", "os.system"),
)
READ = ("baseline.", "budget.", "decision.", "model.planted.", "seeds")  # by the plan of a planted sweep
WAITS = ("budget.checkpoint_minutes",)  # read where something is trained
OF_LIBRARIES = re.compile(
    r"[Hh]ydra|[Oo]mega[Cc]onf|full_key|object_type|multirun|token recognition|no viable alternative|LexerNo|"
    r"mismatched input|extraneous input|Could not (override|append|delete)|Config group|Traceback|argparse|"
    r"unhashable|NoneType|not subscriptable|has no attribute|codec can't|expected str|must be str"
)
VALID = (
    ("plan", *PLANTED),
    ("plan", *PLANTED, "baseline.learning_rate=1e-4", "budget.max_steps=100", "decision.looks=[2]"),
    ("plan", *PLANTED, "+sweeps.factors.lora_rank={values: [8, 64]}", "--json"),
    ("plan", *PLANTED, "decision.guardrails={eval_bits_per_byte: 1}", "workspace=a b"),
    ("keys", "learning", "--json"),
    ("defaults", "show", "m", "--family", "llama", "--hidden-size", "2048", "--json"),
    ("status", "workspace=none"),
    ("report", "--all", "workspace=none"),
    ("suggest", "--sweep", "demo", "workspace=none"),
)


@pytest.fixture
def ended(tmp_path, monkeypatch, capsys):
    """How a command line ends, once it was found to have ended well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(words: list[str]) -> tuple[int, str]:
        try:
            code = main(words)
        except SystemExit as own:  # argparse's: --help, and flags that are not there
            code = int(own.code or 0)
        out, err = capsys.readouterr()
        assert code in (0, 2), f"{words}: {code}\n{err}"
        if code == 2:
            assert not out, f"{words}: {out}"
            assert err.startswith("bios-sweep: "), f"{words}: {err}"
            assert err.count("\n") == 1 or any("\n" in word or "\r" in word for word in words), (
                f"{words}: {err}"
            )
            told = err.replace("--hydra-help", "")  # a flag of ours
            for word in words:  # what was typed may be said again
                told = (
                    told.replace(word, "").replace(repr(word), "").replace(word.partition("=")[2] or "\0", "")
                )
            assert not OF_LIBRARIES.search(told), f"{words}: {err}"
        return code, out

    return run


def keys():
    """(path, kind) of every key, once."""
    found = {key.path: key.kind for key in listed_keys(config_root() / "conf")}
    return sorted(found.items())


def is_sane(kind, value: str) -> bool:
    """Whether a value that was accepted may be meant: of numbers, truths and choices alone."""
    text = value.strip().strip("'\"")
    if text in (*kind.choices, "") or (text == "null" and kind.nullable):
        return True
    if kind.type in (WHOLE, NUMBER):
        try:
            return math.isfinite(float(text))
        except ValueError:
            return False
    if kind.type == TRUTH:
        return text.lower() in ("true", "false")
    return not (kind.type == TEXT and kind.choices)


def garbled(words: tuple[str, ...], draw: random.Random) -> list[str]:
    """A valid command line with up to three slips of the fingers."""
    found = list(words)
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(found)) if found else 0
        word = found[place] if found else ""
        spot = draw.randint(0, len(word))
        slip = draw.randrange(7)
        if slip == 0:
            found[place : place + 1] = [word[:spot] + word[spot + 1 :]]
        elif slip == 1:
            found[place : place + 1] = [word[:spot] + draw.choice("=,[]{}'\"$#~+-. é\\:@") + word[spot:]]
        elif slip == 2:
            found[place : place + 1] = [word[:spot], word[spot:]]
        elif slip == 3:
            found.insert(place, word)
        elif slip == 4:
            found[place : place + 1] = []
        elif slip == 5:
            found[place : place + 1] = [word.replace("=", draw.choice([" = ", "= ", " =", ":", "=="]), 1)]
        else:
            draw.shuffle(found)
    return found


def try_out(ended, count: int, seed: int) -> None:
    draw, listed = random.Random(seed), keys()
    for number in range(count):
        if number % 2:
            words = garbled(draw.choice(VALID), draw)
            if words[:1] in (["run"], ["ui"], ["stop"]):
                continue
            ended(words)
            continue
        (path, kind), value = draw.choice(listed), draw.choice(VALUES)
        code, out = ended(["plan", *PLANTED, f"{path}={value}", *(["--json"] if number % 4 else [])])
        idle = "has no effect" in out or not path.startswith(READ) or path in WAITS
        assert code == 2 or idle or is_sane(kind, value), f"{path}={value!r} was accepted"


def test_no_command_line_ends_in_a_traceback_or_means_nonsense(ended):
    try_out(ended, 30, seed=0)


@pytest.mark.slow
def test_no_command_line_of_many_ends_in_a_traceback_or_means_nonsense(ended):
    try_out(ended, 2000, seed=1)


def test_the_fuzz_sees_a_message_of_a_library_and_a_number_that_is_none():
    assert OF_LIBRARIES.search("bios-sweep: mismatched input '=' expecting <EOF>")
    kinds = dict(keys())
    assert not is_sane(kinds["baseline.learning_rate"], "fast")
    assert not is_sane(kinds["method.shell"], "1")
    assert is_sane(kinds["budget.max_steps"], "auto")
