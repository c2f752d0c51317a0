"""Tables given as text, audited through the command line's own entry."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping

import pytest

from bios_sweep.cli.main import main


@pytest.fixture
def printed(tmp_path, capsys, monkeypatch) -> Callable[..., tuple[int, str, str]]:
    """The exit code and what was printed of a table."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(content: str, *flags: str, name: str = "t.csv") -> tuple[int, str, str]:
        (tmp_path / name).write_text(content)
        code = main(["report", "--from-csv", name, *flags])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def audited(printed) -> Callable[..., dict]:
    """The JSON answer."""

    def run(content: str, *flags: str, name: str = "t.csv") -> dict:
        code, out, err = printed(content, "--json", *flags, name=name)
        assert code == 0, err
        return json.loads(out)

    return run


@pytest.fixture
def refused(printed) -> Callable[..., str]:
    """The one sentence."""

    def run(content: str, *flags: str) -> str:
        code, out, err = printed(content, *flags)
        assert (code, out) == (2, "")
        assert len(err.strip().splitlines()) == 1, err
        return err.strip()

    return run


def csv_of(rows: Iterable[Mapping[str, object]]) -> str:
    """Rows as a table, the columns in the order of the first row."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(names), *(",".join(str(row.get(name, "")) for name in names) for row in rows)]
    return "\n".join(lines) + "\n"


def runs_of(
    effects: Mapping[object, float], column: str = "lr", *, seeds: Iterable[int] = range(5),
    noise: float = 0.002, metric: str = "eval_loss", level: float = 1.2, shift: float = 0.02, number: int = 7,
    **more: object,
) -> list[dict[str, object]]:  # fmt: skip
    """Runs of each level of a column at every seed; effects in units of the metric."""
    draw, seeds = random.Random(number), list(seeds)
    blocks = {seed: draw.gauss(0, shift) for seed in seeds}
    return [
        {
            column: name,
            **more,
            "seed": seed,
            metric: f"{level + effect + blocks[seed] + draw.gauss(0, noise):.9f}",
        }
        for name, effect in effects.items()
        for seed in seeds
    ]


def renamed(rows: Iterable[Mapping[str, object]], **names: str) -> list[dict[str, object]]:
    """The rows with other names for their columns."""
    return [{names.get(name, name): cell for name, cell in row.items()} for row in rows]


WORSE = {"1e-4": 0.03, "2e-4": 0.0, "4e-4": 0.03, "8e-4": 0.05}
BETTER = {"1e-4": 0.03, "2e-4": 0.0, "4e-4": -0.03, "8e-4": 0.05}


def words(answer: Mapping) -> dict[str, str]:
    """Factor (and context) -> word."""
    return {", ".join(filter(None, (v["factor"], v["cell"]))): v["verdict"] for v in answer["verdicts"]}


def kinds(answer: Mapping) -> set[str]:
    """The kinds of what weakens the runs."""
    return {flaw["kind"] for flaw in answer["audit"]["findings"]}


def flaw(answer: Mapping, kind: str) -> str:
    """The sentence of one kind."""
    return next(one["sentence"] for one in answer["audit"]["findings"] if one["kind"] == kind)
