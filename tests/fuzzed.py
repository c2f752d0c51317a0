"""Inputs that nobody would type, at random: overrides, sweep files, data, tables, tuned files, workspaces.

A seed is an input: `drawn(seed, folder)` writes its files and gives the command line. What must come of each:
an exit code of ours, at most one sentence, no traceback, and no answer to what is nonsense.
"""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PLANTED = ("model=planted", "cluster=inline", "tracking=none", "budget=demo")
KEYS = (
    *("seeds", "workspace", "sweeps", "model", "data", "method", "cluster", "tracking", "budget", "decision"),
    *("baseline.learning_rate", "baseline.batch_size", "baseline.lora_rank", "budget.max_steps"),
    *("budget.measurements", "budget.hold", "budget.max_trials", "budget.keep_adapters", "budget.max_hours"),
    *("decision.margin_percent", "decision.alpha", "decision.looks", "decision.confirmation_seeds"),
    *(
        "decision.purpose",
        "decision.refine",
        "decision.deadline",
        "decision.gpu_hours",
        "decision.guardrails",
    ),
    *("decision.metrics", "decision.scope", "decision.target", "model.name", "model.planted.noise_percent"),
    *("model.planted.clusters", "model.planted.truth", "model.planted.wall", "model.planted.metrics"),
    *("model.planted.interactions", "model.planted.t0_seconds", "model.planted.truth.learning_rate"),
    *("sweeps.factors.learning_rate.multiply", "sweeps.factors.learning_rate", "sweeps.factors"),
    *("method.max_length", "method.lora_alpha", "method.weight_decay", "method.targets", "method.settings"),
    *("data.train_examples", "data.eval_examples", "data.split", "tracking.uri", "tracking.flush_seconds"),
    *(
        "cluster.cpus_per_trial",
        "cluster.max_attempts",
        "cluster.storage",
        "cluster.num_cpus",
        "nonsense.key",
    ),
)
# values that are no sensible one of any key above; where one is accepted somewhere, it must not matter
NONSENSE = (
    *("1e300", "-1e300", "1e-300", "inf", "-inf", "nan", "9" * 30, "9" * 6000, "-1", "1e30", "[1e300]"),
    *(
        "[]",
        "{}",
        "[[]]",
        "{a: {}}",
        "''",
        '""',
        "~",
        "[null]",
        "[1,[2,[3]]]",
        "{a: 1, a: 2}",
        "[1,1]",
        "0x10",
    ),
    *("x" * 300, "y" * 30_000, "\u0000", "\x1b[2J", "\ud800", "${oc.env:HOME}", "${seeds}", "${a.b}", "???"),
    *("[" * 200 + "]" * 200, "{a:" * 200 + "1" + "}" * 200, "[" * 50, "range(1,1000000000)", "glob(*)"),
    *("/dev/zero", "/dev/full", "/proc/self/mem", "/", ".", "..", "~nobody", "file:///etc", "http://[::1"),
    *("!!python/object/apply:os.system [ls]", "{_target_: os.system}", "true", "false", "[true, false]"),
    *(
        "[" + ",".join(["1"] * 3000) + "]",
        "1,2,3",
        "a=b",
        "=",
        "é" * 50,
        "\u202e",
        "1.0000000000000000000001",
    ),
)
SENSIBLE = ("[0,1]", "0.5", "2", "null", "lora", "1e-4", "[0.5,2]", "choose", "auto", "[3,5]", "{a: 1}")


@dataclass(frozen=True, kw_only=True)
class Input:
    """A command line, and what kind of input it is about."""

    kind: str
    words: tuple[str, ...]


def drawn(seed: int, folder: Path) -> Input:
    """The input of that seed. folder: empty; its files are written there."""
    draw = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    kind = draw.choice(tuple(KINDS))
    return Input(kind=kind, words=tuple(_passable(word) for word in KINDS[kind](draw, folder)))


def _passable(word: str) -> str:
    """As a shell can hand it over: no zero byte, no half of a character."""
    return word.replace("\0", "").encode("utf-8", "replace").decode()


def _overrides(draw: random.Random, folder: Path) -> list[str]:
    words = [f"workspace={folder / 'runs'}", "sweeps=learning_rate", *PLANTED]
    for _ in range(draw.randint(1, 3)):
        value = draw.choice(NONSENSE if draw.random() < 0.8 else SENSIBLE)
        words.append(f"{draw.choice(('', '', '', '+', '++', '~'))}{draw.choice(KEYS)}={value}")
    if draw.random() < 0.1:
        words.append(draw.choice(NONSENSE))
    return [draw.choice(("plan", "plan", "status", "report", "rehearse")), *words]


def _bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def _sweep_file(draw: random.Random, folder: Path) -> list[str]:
    texts = (
        _bomb(12),
        "factors: &f\n  learning_rate: *f\n",
        "factors: " + "{a: " * 300 + "1" + "}" * 300,
        "factors:\n" + "".join(f"  s{n}: {{values: [1, 2]}}\n" for n in range(3000)),
        f"factors: {{learning_rate: {{multiply: [{draw.choice(NONSENSE)}]}}}}",
        f"question: {draw.choice(NONSENSE)}\nfactors: {{learning_rate: {{multiply: [0.5, 2]}}}}",
        "factors: {learning_rate: {multiply: [0.5, 2], nuisance: " + draw.choice(NONSENSE) + "}}",
        "factors: {learning_rate: {values: [" + ",".join(f"{n}e-9" for n in range(1, 5000)) + "]}}",
        "factors: {batch_size: {values: [" + "9" * 5000 + "]}}",
        "cross: {lora_rank: [" + draw.choice(NONSENSE) + "]}\nfactors: {learning_rate: {multiply: [2]}}",
        "defaults: [{override /model: " + draw.choice(NONSENSE) + "}]\n",
        "# @package _global_\ndefaults: [my, my]\n",
        "\ufeffquestion: q\n",
        "%YAML 9.9\n---\n",
        "",
        "- a\n- b\n",
        "a: b: c\n",
        "".join(draw.choice("{}[]:,&*!|>'\"%@`#-? \nabc019") for _ in range(draw.randint(1, 400))),
    )
    path = folder / "my.yaml"
    path.write_text(_writable(draw.choice(texts)), encoding="utf-8")
    if draw.random() < 0.1:
        path.write_bytes(draw.randbytes(500))
    return ["plan", f"sweeps={path}", f"workspace={folder / 'runs'}", *PLANTED]


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _rows(draw: random.Random) -> bytes:
    good = "".join(json.dumps({"prompt": f"p{n}", "completion": f"c{n}"}) + "\n" for n in range(30))
    wide = ",".join(f"c{n}" for n in range(draw.choice((2_000, 200_000))))
    deep = '{"prompt": ' + "[" * 5000 + "]" * 5000 + ', "completion": "c"}\n'
    texts = (
        good,
        f"{wide}\n{wide}\n",
        deep,
        good + deep,
        "[" * 100_000,
        '{"a":' * 10_000,
        '{"prompt": "p", "completion": ' + "9" * 10_000 + "}\n",
        '{"prompt": "' + "p" * 3_000_000 + '", "completion": "c"}\n',
        "prompt,completion\n" + '"a' * 5000,
        '{"prompt": "p", "prompt": "q", "completion": null}\n' * 20,
        '{"prompt": NaN, "completion": Infinity}\n' * 20,
        "\n" * 100_000,
        "prompt\tcompletion\n" + "\t" * 100_000 + "\n",
        '{"messages": [' + '{"role": "user", "content": []},' * 100 + '{"role": 1}]}\n',
    )
    text = draw.choice(texts).encode()
    if draw.random() < 0.2:
        place = draw.randrange(max(1, len(text)))
        text = text[:place] + draw.randbytes(20) + text[place:]
    return text


def _data(draw: random.Random, folder: Path) -> list[str]:
    path = folder / draw.choice(
        ("data.jsonl", "data.json", "data.csv", "data.tsv", "data.parquet", "data.gz")
    )
    how = draw.random()
    if how < 0.1:
        os.mkfifo(path)
    elif how < 0.2:
        path = Path(
            draw.choice(("/dev/zero", "/dev/random", "/dev/tty", "/dev/full", "/proc/self/mem", "/dev/null"))
        )
    elif how < 0.25:
        path.symlink_to(path)
    elif how < 0.3:
        path.mkdir()
    else:
        path.write_bytes(_rows(draw))
    words = [
        "plan",
        "sweeps=learning_rate",
        f"data.path={path}",
        f"workspace={folder / 'runs'}",
        "cluster=inline",
    ]
    return [*words, "tracking=none", "budget=demo"]


def _table(draw: random.Random, folder: Path) -> list[str]:
    path = folder / draw.choice(("runs.csv", "runs.jsonl", "runs.json"))
    cells = (
        "1",
        "2.5",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "",
        "x" * 1000,
        "=1+1",
        "9" * 5000,
        "\x00",
        "[]",
        '"',
        "'",
    )
    head = draw.choice(("arm,seed,value", "arm,seed", "a,a,a", "", "arm,seed,value,learning_rate,status"))
    lines = [
        ",".join(draw.choice(cells) for _ in range(draw.randint(1, 6))) for _ in range(draw.randint(0, 30))
    ]
    texts = (
        "\n".join([head, *lines]),
        ",".join(f"c{n}" for n in range(200_000)) + "\n" + ",".join("1" for _ in range(200_000)) + "\n",
        '{"arm": "a", "seed": 0, "value": ' + "[" * 3000 + "]" * 3000 + "}\n",
        "arm,seed,value\n"
        + "".join(f"{a},{s},{draw.choice(cells)}\n" for a in ("baseline", "b") for s in range(5)),
        "arm,seed,value\nbaseline,99999999999999999999999,1\nb,99999999999999999999999,2\n",
    )
    how = draw.random()
    if how < 0.1:
        os.mkfifo(path)
    elif how < 0.15:
        path = Path(draw.choice(("/dev/zero", "/dev/random", "/proc/self/mem")))
    else:
        path.write_text(_writable(draw.choice(texts)), encoding="utf-8")
    more = draw.choice(
        ((), (f"decision.margin_percent={draw.choice(NONSENSE)}",), ("--value", "c7"), ("--arm", ""))
    )
    return ["report", "--from-csv", str(path), *more]


def _tuned(draw: random.Random, folder: Path) -> list[str]:
    path = folder / "bios_defaults.json"
    texts = (
        "{}",
        "[]",
        "null",
        '{"schema_version": 2}',
        '{"schema_version": 1e400}',
        '{"schema_version": ' + "9" * 5000 + "}",
        '{"schema_version": 2, "entries": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"a":' * 5000,
        json.dumps({"schema_version": 2, "entries": [{}] * 10}),
        json.dumps(
            {
                "schema_version": 2,
                "key": {},
                "values": {},
                "evidence": {},
                "provenance": {},
                "baseline": {},
                "evidence_hash": "x",
            }
        ),
    )
    how = draw.random()
    if how < 0.1:
        os.mkfifo(path)
    elif how < 0.2:
        path = Path("/dev/zero")
    else:
        path.write_text(draw.choice(texts), encoding="utf-8")
    verb = draw.choice(("show", "merge", "diff"))
    words = ["defaults", verb, *([] if verb != "show" else ["--family", "llama", "--hidden-size", "64"])]
    if verb == "show":
        return [*words, "--defaults", str(path)]
    return [*words, str(path), *(["-o", str(folder / "out.json")] if verb == "merge" else [str(path)])]


def _workspace(draw: random.Random, folder: Path) -> list[str]:
    root = folder / "runs"
    sweep = root / "sweeps" / "learning_rate-01234567"
    sweep.mkdir(parents=True)
    contents = (
        b"",
        b"{}",
        b"[]\n",
        b"null\n",
        b"[" * 5000,
        draw.randbytes(300),
        b'{"seq": 1}\n',
        b"\n\n\n",
        b"9" * 6000,
    )
    for path in (sweep / "plan.json", sweep / "journal.jsonl", root / "ledger.jsonl", root / "driver.json"):
        how = draw.random()
        if how < 0.08:
            os.mkfifo(path)
        elif how < 0.14:
            path.symlink_to("/dev/zero")
        elif how < 0.2:
            path.mkdir()
        elif how < 0.8:
            path.write_bytes(draw.choice(contents))
    verb = draw.choice(
        (["report"], ["status"], ["logs"], ["verify"], ["clean"], ["suggest"], ["report", "--all"])
    )
    return [*verb, f"workspace={root}"]


KINDS: dict[str, Callable[[random.Random, Path], list[str]]] = {
    "overrides": _overrides,
    "sweep file": _sweep_file,
    "data": _data,
    "table": _table,
    "tuned file": _tuned,
    "workspace": _workspace,
}


def nonsense_in(text: str) -> bool:
    """Whether an answer holds a number that is none."""
    try:
        return any(
            not math.isfinite(float(word)) for word in text.split() if word.strip("-+.") in ("nan", "inf")
        )
    except ValueError:
        return True
