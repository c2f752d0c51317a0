"""Random tables of runs as people have them, with what is true of each: sound, flawed, and both at once."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

METRICS = {
    "eval_loss": -1,
    "val_loss": -1,
    "test/wer": -1,
    "accuracy": 1,
    "eval_f1": 1,
    "rougeL": 1,
    "ppl": -1,
}
SETTINGS = {  # column -> levels; some names are known, some are nobody's
    "learning_rate": ("1e-4", "2e-4", "4e-4", "8e-4", "1.6e-3"),
    "params.lr": ("0.0001", "0.0003", "0.001", "0.003", "0.01"),
    "lrate": ("1e-5", "3e-5", "1e-4", "3e-4", "1e-3"),
    "batch_size": ("16", "32", "64", "128", "256"),
    "config/lora/r": ("4", "8", "16", "32", "64"),
    "gate": ("0.1", "0.2", "0.4", "0.8", "1.6"),
    "curriculum": ("none", "easy", "hard", "mixed", "late"),
    "llm_layer": ("1", "2", "3", "4", "5"),
}
SECOND = {
    "use_rslora": ("False", "True"),
    "wdecay": ("0.0", "0.1"),
    "tilt": ("3", "7"),
    "optimizer": ("adamw", "sgd"),
    "config.packing": ("true", "false"),
}

NUMBER = re.compile(r"(?<=^\d)\.(?=\d+(?:e-\d+)?$)|(?<=^-\d)\.(?=\d+$)")  # the point of a decimal


@dataclass
class Made:
    """A table with its flags. confounded: two settings never move apart. rival: the best lacks seeds."""

    text: str
    flags: list[str]
    confounded: bool = False
    rival: bool = False
    wide: str = ""
    told: dict[str, object] = field(default_factory=dict)


def made(number: int) -> Made:
    """The table of that number: the same for the same number."""
    draw = random.Random(number)
    metric = draw.choice([*METRICS])
    sign = METRICS[metric]
    name = draw.choice([*SETTINGS])
    levels = list(SETTINGS[name][: draw.randint(2, 5)])
    default = draw.choice(levels)
    seeds = draw.choice([range(1), range(2), range(3), range(5), range(5), range(8)])
    kind = draw.choice(["shared", "shared", "shared", "shared", "own", "none"])
    second = draw.choice([*SECOND]) if draw.random() < 0.5 else ""
    how = draw.choice(["confounded", "crossed", "constant"]) if second else ""
    odd = draw.choice([level for level in levels if level != default]) if len(levels) > 1 else default
    models = [f"model-{place}" for place in range(draw.choice([1, 1, 1, 2, 4]))]
    best = draw.choice(levels)
    effect = {level: sign * draw.choice([0.0, 0.0, 0.01, -0.02, -0.05]) for level in levels}
    rival = draw.random() < 0.15 and len(levels) > 2 and kind == "shared" and len(seeds) > 2
    if rival:
        best = odd
        effect[best] = sign * 0.1
    noise = draw.choice([0.0005, 0.002, 0.01])
    rows: list[dict[str, str]] = []
    for model in models:
        shift = {seed: draw.gauss(0, 0.01) for seed in seeds}
        for level in levels:
            others = SECOND[second] if how == "crossed" else SECOND[second][:1] if second else ("",)
            for other in others:
                given = SECOND[second][1] if how == "confounded" and level == odd else other
                for seed in seeds:
                    if rival and level == best and seed >= max(1, len(seeds) // 2):
                        continue
                    value = 0.8 + effect[level] + shift[seed] + draw.gauss(0, noise)
                    if second and given == SECOND[second][1]:
                        value += sign * 0.01
                    row = {name: level, metric: f"{value:.9f}"}
                    if second:
                        row[second] = given
                    if kind != "none":
                        row["seed"] = str(seed if kind == "shared" else draw.randint(0, 10**6))
                    if len(models) > 1:
                        row["model_name"] = model
                    rows.append(row)
    _spoil(draw, rows, metric)
    lost = any(row.get(name) == best and row[metric] in ("nan", "diverged") for row in rows)
    rival = rival and not lost  # what diverged is no rival
    if draw.random() < 0.3:
        draw.shuffle(rows)
    for number_of_row, row in enumerate(rows):
        row["run_id"] = f"r{number_of_row}"
    flags = ["--value", metric, "--baseline", f"{name}={default}"]
    if how == "crossed":
        flags[-1] += f",{second}={SECOND[second][0]}"
    elif how == "confounded":
        flags[-1] += f",{second}={SECOND[second][0]}" if draw.random() < 0.5 else ""
    wide = [{**row, **_outcomes(draw, place)} for place, row in enumerate(rows)]
    plain = not any(mark in column for mark in "./" for column in (name, second))
    forms = ["csv", "csv", "tsv", "jsonl", "commas", "markdown", *(["nested", "cells"] if plain else [])]
    form = draw.choice(forms)
    given = {name, second, "seed", "model_name"}
    if draw.random() < 0.1:
        rows, wide = ([*_by_step(table, metric, sign)] for table in (rows, wide))
    # where nothing repeats, a column that nobody knows cannot be told from an outcome
    repeats = kind != "none" and len(seeds) > 1
    return Made(
        text=_written(rows, form, given),
        flags=flags,
        confounded=how == "confounded" and repeats,
        rival=rival,
        wide=_written(wide, form, given),
        told={"form": form, "kind": kind, "how": how, "name": name, "second": second, "models": len(models)},
    )


def _spoil(draw: random.Random, rows: list[dict[str, str]], metric: str) -> None:
    """Missing cells, failed, diverged and collapsed runs, copies, a parent."""
    states = draw.random() < 0.4
    for row in rows:
        if states:
            row["state"] = "finished"
        luck = draw.random()
        if luck < 0.01:
            row[metric] = ""
        elif luck < 0.02:
            row[metric] = "nan"
        elif luck < 0.03 and states:
            row["state"] = draw.choice(["crashed", "running", "PRUNED", "failed"])
        elif luck < 0.04:
            row[metric] = f"{float(row[metric]) * draw.choice([0.5, 2.0]):.9f}"
        elif luck < 0.05:
            row[metric] = draw.choice(rows)[metric]
        elif luck < 0.055:
            row[metric] = draw.choice(["N/A", "-", "OOM", "None", "diverged"])
    if draw.random() < 0.1:
        for row in rows:
            row["tags.mlflow.parentRunId"] = "top"
        rows.append(dict.fromkeys(rows[0], "") | ({"state": "finished"} if states else {}))


def _outcomes(draw: random.Random, place: int) -> dict[str, str]:
    """40 columns that tell what came out: fine, coarse and in words."""
    fine = {f"probe_{number}": f"{draw.gauss(0, 1):.6f}" for number in range(30)}
    coarse = {f"peak{number}": str(draw.randint(0, 10_000)) for number in range(9)}
    return {**fine, **coarse, "saying": f"run number {place} went {draw.choice(['well', 'so so', 'on'])}"}


def _by_step(rows: list[dict[str, str]], metric: str, sign: int) -> Iterator[dict[str, str]]:
    """Every run at three steps, the earlier ones worse."""
    for row in rows:
        for step in (100, 200, 300):
            try:
                value = f"{float(row[metric]) - sign * 0.001 * (300 - step):.9f}"
            except ValueError:
                value = row[metric]
            yield {**row, metric: value, "global_step": str(step)}


def _written(rows: list[dict[str, str]], form: str, given: set[str]) -> str:
    """The table in one of the forms that tools and people write. given: columns of what a run was told."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if form == "jsonl":
        return "".join(json.dumps({n: row.get(n) or None for n in names}) + "\n" for row in rows)
    if form in ("nested", "cells"):
        parts = [
            (row.get("run_id", ""), row.get("state", ""),
             {n: row[n] for n in names if n in given and row.get(n)},
             {n: row[n] for n in names if n not in (*given, "run_id", "state") and row.get(n)})
            for row in rows
        ]  # fmt: skip
        if form == "nested":
            keys = ("run_id", "state", "config", "metrics")
            return json.dumps([dict(zip(keys, part, strict=True)) for part in parts])
        lines = (",".join(f'"{str(cell).replace(chr(34), chr(34) * 2)}"' for cell in part) for part in parts)
        return "run_id,state,config,summary\n" + "\n".join(lines) + "\n"
    if form == "markdown":
        cells = (" | ".join(row.get(name, "") for name in names) for row in rows)
        lines = [" | ".join(names), "|".join("---" for _ in names), *cells]
        return "\n".join(f"| {line} |" for line in lines) + "\n"
    if form == "commas":
        decimal = [{n: NUMBER.sub(",", cell) for n, cell in row.items()} for row in rows]
        lines = [";".join(names), *(";".join(row.get(name, "") for name in names) for row in decimal)]
        return "\n".join(lines) + "\n"
    comma = "," if form == "csv" else "\t"
    lines = [comma.join(names), *(comma.join(row.get(name, "") for name in names) for row in rows)]
    return "\n".join(lines) + "\n"
