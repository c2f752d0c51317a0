# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Does the rule hold over your models?
# The default learning rate is computed from a model's size. With sweeps of several models, or a table of
# them, `refit` says between which values its constants lie, and whether another rule would give away less.
# The models here are planted: their best rate falls with the square root of the hidden size.

# %%
import csv
import math
import random
from pathlib import Path

from bios_sweep.cli import main

draw = random.Random(0)
with Path("ladders.csv").open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["model", "family", "hidden_size", "learning_rate", "seed", "value"])
    for hidden in (1024, 1536, 2048, 3072, 4096, 8192):
        best = 5e-4 * math.sqrt(2000 / hidden)
        for rate in (5e-4 * 2.0**power for power in range(-4, 4)):
            for seed in range(3):
                loss = 2 + 0.02 * math.log2(rate / best) ** 2 + 0.002 * draw.gauss(0, 1)
                table.writerow([f"model-{hidden}", "ours", hidden, rate, seed, round(loss, 5)])

# %%
_ = main(["defaults", "refit", "ladders.csv", "-o", "heuristics.json"])

# %% [markdown]
# The interval is wide, and says so: a ladder shows between which tested rates the best one lies, never a
# point. What moves together is refused by name. The file is the next version of the heuristics; nothing reads
# it before it is put in their place.
