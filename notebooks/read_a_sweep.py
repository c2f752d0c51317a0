# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Reading a sweep
# Results come through the public API; nothing is defined here. Set `BIOS_WORKSPACE` to read another
# workspace.

# %%
import os

import bios_sweep

sweep = bios_sweep.open(os.environ.get("BIOS_WORKSPACE", "bios_runs"))
sweep.sweep_id

# %% [markdown]
# One verdict per factor, with the sentence that says no more than was shown.

# %%
for verdict in sweep.verdicts:
    print(f"{verdict.factor}: {verdict.verdict}\n  {verdict.sentence}\n  Scope: {verdict.scope}")

# %% [markdown]
# Every trial as a row, and every measurement of its curve.

# %%
for trial in sweep.trials[:5]:
    print(trial["arm"], trial["seed"], trial["status"], trial["value"])
len(sweep.curves)

# %% [markdown]
# What may be used elsewhere: only confirmed and refined values.

# %%
tuned = sweep.tuned_defaults
tuned.values if tuned else "the sweep is not done yet"
