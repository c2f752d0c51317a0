"""Tables of runs for the golden set: as people have them, sound and flawed."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping

WORSE = {2e-4: 0.0, 1e-4: 0.03, 4e-4: 0.03, 8e-4: 0.05}  # learning rate -> what it costs, units of the loss
BETTER = {2e-4: 0.0, 1e-4: 0.03, 4e-4: -0.03, 8e-4: 0.05}
EDGE = {2e-4: 0.0, 1e-4: 0.03, 4e-4: -0.02, 8e-4: -0.04}


def table(costs: Mapping[float, float], seeds: range = range(5), **more: str) -> str:
    """Arm, seed, loss, learning rate; blocks of 0.02, noise of 0.002. more: further columns."""
    noise = random.Random(3)
    blocks = {seed: noise.gauss(0, 0.02) for seed in seeds}
    rows = [",".join(("arm", "seed", "eval_loss", "lr", *more))]
    for rate, cost in costs.items():
        arm = "baseline" if cost == 0.0 else f"x{rate / 2e-4:g}"
        for seed in seeds:
            loss = 1.2 + cost + blocks[seed] + noise.gauss(0, 0.002)
            rows.append(",".join((arm, str(seed), f"{loss:.5f}", f"{rate:g}", *more.values())))
    return "\n".join(rows) + "\n"


def without(text: str, *rows: int) -> str:
    """The table without those lines; 0 is the header."""
    return "".join(line for place, line in enumerate(text.splitlines(True)) if place not in rows)


def replaced(text: str, row: int, old: str, new: str) -> str:
    """The table with another cell in a line."""
    lines = text.splitlines(True)
    assert old in lines[row]
    lines[row] = lines[row].replace(old, new)
    return "".join(lines)


def _confirmed() -> str:
    """A candidate and its fresh seeds, as our own tables name the stages."""
    first = table(BETTER, stage="screening")
    fresh = table({2e-4: 0.0, 4e-4: -0.03}, range(100, 105), stage="confirmation")
    return first + without(fresh, 0)


def _moved_together() -> str:
    """Two settings that never change apart."""
    lines = table(WORSE).splitlines()
    rank = {"0.0002": 8, "0.0001": 4, "0.0004": 16, "0.0008": 32}
    return "\n".join(
        f"{line},{'lora_r' if not place else rank[line.rpartition(',')[2]]}"
        for place, line in enumerate(lines)
    )


def _wandb() -> str:
    rows = ["Name,State,Runtime,Created,learning_rate,seed,max_steps,eval/loss"]
    runs = ((1e-4, 0, "finished", 1.2), (1e-4, 1, "finished", 1.3), (2e-4, 0, "crashed", ""),
            (2e-4, 0, "finished", 1.1), (2e-4, 1, "finished", 1.21))  # fmt: skip
    rows += [
        f"run-{number},{state},{30 + number},2026-01-01,{rate},{seed},200,{loss}"
        for number, (rate, seed, state, loss) in enumerate(runs)
    ]
    return "\n".join(rows) + "\n"


TRIALS_OF_ONE_SEED = (
    "number,value,params_learning_rate,params_lora_r,state\n0,1.2,0.0001,8,COMPLETE\n"
    "1,1.1,0.0002,8,COMPLETE\n2,1.15,0.0003,8,COMPLETE\n3,,0.1,8,PRUNED\n"
)
TABLES: dict[str, tuple[str, tuple[str, ...]]] = {  # name -> the table, and the flags that it needs
    "confirmed": (table(WORSE), ()),
    "unconfirmed": (table(BETTER), ()),
    "on-fresh-seeds": (_confirmed(), ()),
    "the-end-of-the-grid": (table(EDGE), ()),
    "one-seed": (table(BETTER, range(1)), ()),
    "two-seeds": (table(BETTER, range(2)), ()),
    "a-seed-is-missing": (without(table(WORSE, range(8)), 20), ()),
    "many-seeds-are-missing": (without(table(BETTER), 12, 13), ()),
    "a-run-diverged": (re.sub(r"(?m)^(x2,1,)[^,]*", r"\1nan", table(BETTER)), ()),
    "settings-move-together": (_moved_together(), ()),
    "mixed-hardware": (replaced(table(BETTER, gpu="H200"), 12, "H200", "L4"), ()),
    "by-settings": (table(WORSE).replace("arm,", "name,"), ("--baseline", "lr=2e-4")),
    "larger-is-better": (table(WORSE).replace("eval_loss", "accuracy"), ("--value", "accuracy")),
    "told-otherwise": (table(WORSE), ("--direction", "maximize")),
    "own-margin": (table(BETTER), ("decision.margin_percent=4",)),
    "a-wandb-export": (_wandb(), ("--value", "eval/loss", "--baseline", "learning_rate=0.0001")),
    "trials-of-one-seed": (
        TRIALS_OF_ONE_SEED, ("--baseline", "learning_rate=0.0001", "--direction", "minimize")
    ),
}  # fmt: skip
REFUSED: dict[str, tuple[str, tuple[str, ...]]] = {
    "empty": ("", ()),
    "no-row": ("arm,seed,value\n", ()),
    "no-number": ("arm,seed,value\nbaseline,0,abc\n", ()),
    "no-default": (table(WORSE).replace("baseline", "mine"), ()),
    "a-seed-twice": (table(WORSE) + table(WORSE).splitlines()[1] + "\n", ()),
    "no-such-column": (table(WORSE), ("--arm", "amr")),
}


def rates_of_models(sizes: tuple[int, ...] = (512, 1024, 2048, 4096, 8192)) -> str:
    """Ladders of five models whose best learning rate follows the published rule, with 5 seeds each."""
    noise = random.Random(3)
    rows = ["model,hidden_size,learning_rate,seed,value,status,family,lora_rank"]
    for size in sizes:
        best = 5e-5 * 10 * (2000 / size) ** 0.781 * math.exp(noise.gauss(0, 0.15))
        for place in range(-2, 3):
            rate = round(5e-4 * (2000 / size) ** 0.781 * 2**place, 9)
            for seed in range(3):
                loss = 2.0 * (1 + 0.008 * math.log2(rate / best) ** 2 + noise.gauss(0, 0.001))
                rows.append(f"m{size},{size},{rate},{seed},{loss:.6f},completed,llama,32")
    return "\n".join(rows) + "\n"
