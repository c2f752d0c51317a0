# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # A script or function of your own
# Whatever trains is called once per arm and seed: a function here, a command line with `method.command`. This
# one fits a small network by hand; nothing of torch is needed.

# %%
import numpy as np

import bios_sweep


def train(settings, seed, report):
    inputs = np.random.default_rng(0).normal(size=(512, 8))  # the data are the same for all; a seed decides
    answers = np.tanh(inputs @ np.arange(8) / 16)[:, None]  # where the weights begin, and what comes when
    draw = np.random.default_rng(seed)
    first, second = draw.normal(size=(8, 32)) / 3, draw.normal(size=(32, 1)) / 6
    for step in range(settings.max_steps):
        rows = draw.integers(0, 384, settings.batch_size)
        hidden = np.tanh(inputs[rows] @ first)
        error = (hidden @ second - answers[rows]) / len(rows)
        back = inputs[rows].T @ ((error @ second.T) * (1 - hidden**2))
        second -= settings.learning_rate * hidden.T @ error
        first -= settings.learning_rate * back
        if step % 50 == 0:
            held_out = np.tanh(inputs[384:] @ first) @ second
            report(float(np.mean((held_out - answers[384:]) ** 2)), step=step)
    held_out = np.tanh(inputs[384:] @ first) @ second
    return float(np.mean((held_out - answers[384:]) ** 2))


# %% [markdown]
# Is a learning rate of 0.2 right for it? Every arm sees the same five seeds, so that differences pair.

# %%
sweep = bios_sweep.run(
    train,
    baseline={"learning_rate": 0.2, "batch_size": 32, "max_steps": 200},
    factors={"learning_rate": {"multiply": [0.5, 2, 4, 8]}},
    metric="eval_mse",
    direction="minimize",
    seeds=[0, 1, 2, 3, 4],
    overrides=["cluster=inline", "tracking=none"],
    workspace="bios_runs",
    quiet=True,
)
for verdict in sweep.verdicts:
    print(f"{verdict.factor}: {verdict.verdict}\n  {verdict.sentence}")

# %% [markdown]
# Every trial is a row, every measurement a point of its curve.

# %%
for trial in sweep.trials[:3]:
    print(trial["arm"], trial["seed"], trial["status"], round(trial["value"], 4))
len(sweep.curves)
