# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Using tuned defaults in another project
# A finished sweep leaves `bios_defaults.json`. Any project can read it: with `bios_sweep.defaults`, which
# needs the standard library only, or with one copied file. Set `BIOS_WORKSPACE` to take another workspace's.

# %%
import os
from pathlib import Path

from bios_sweep import defaults

workspace = Path(os.environ.get("BIOS_WORKSPACE", "bios_runs"))
found = sorted(workspace.glob("sweeps/*/bios_defaults.json"), key=lambda path: path.stat().st_mtime)
os.environ["BIOS_DEFAULTS"] = str(found[-1])
key = defaults.read_tuned(found[-1]).key
key

# %% [markdown]
# The settings for a model: tuned where a verdict stands for them, the heuristics' elsewhere. `source` says
# which of the two, and `why` has the verdict with its bounds.

# %%
settings = defaults.serve(family=key.family, hidden_size=key.hidden_size)
settings.source

# %%
for row in defaults.explain(settings):
    print(f"{row['setting']}: {row['default']:g} ({row['confidence']})\n  {row['why']}\n  {row['evidence']}")

# %% [markdown]
# What would have to be known to believe more than that.

# %%
settings.warnings

# %% [markdown]
# The same settings in another trainer's words: the effective batch is kept, however many GPUs share it.

# %%
defaults.export(settings, to="trl", gpus=2)["SFTConfig"]

# %%
print(defaults.export_file(settings, to="axolotl", gpus=4).text())

# %% [markdown]
# Without installing anything: copy `vendored_loader.py` into the project. It reads an explicit path or
# `BIOS_DEFAULTS`, and refuses a file that was changed by hand.

# %%
from bios_sweep.defaults import vendored_loader

vendored_loader.tuned(key.family, key.hidden_size)["values"]
