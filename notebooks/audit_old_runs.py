# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Runs you already have
# A table of old runs, as W&B, MLflow, Optuna or a spreadsheet exports it, is judged by the rule of our own
# sweeps. It says what the runs support, what they do not, and the smallest study that would settle it.

# %%
import csv
import json
import random
from pathlib import Path

from bios_sweep.cli import main

draw = random.Random(0)
with Path("runs.csv").open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["name", "learning_rate", "lora_r", "seed", "eval_loss"])
    for rate, gain in ((1e-4, 0.0), (2e-4, 0.05), (4e-4, 0.04)):
        for seed in range(4):
            loss = 2.0 - gain + 0.004 * draw.gauss(0, 1) + 0.01 * seed
            table.writerow([f"run-{rate}-{seed}", rate, 16, seed, round(loss, 4)])
    table.writerow(["one more rank", 1e-4, 64, 0, 1.985])

# %%
_ = main(["report", "--from-csv", "runs.csv", "--baseline", "learning_rate=1e-4,lora_r=16"])

# %% [markdown]
# The same for a program. One run at another rank supports no word about the rank, however good it looks.

# %%
import contextlib
import io

told = io.StringIO()
with contextlib.redirect_stdout(told):
    main(["report", "--from-csv", "runs.csv", "--baseline", "learning_rate=1e-4,lora_r=16", "--json"])
{one["factor"]: one["verdict"] for one in json.loads(told.getvalue())["verdicts"]}
