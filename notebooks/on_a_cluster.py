# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # From this machine to a cluster
# The same sweep on Ray here, then as a job. `cluster=ray`, the default, starts Ray for the time of the run;
# its workers stay warm between trials. Two arms at two seeds keep this short.

# %%
import contextlib
import io

import bios_sweep
from bios_sweep.cli import main

SMALL = [
    "sweeps.factors.learning_rate.multiply=[2]",
    "budget.max_steps=10",
    "baseline.batch_size=16",
    "data.eval_examples=200",
    "decision.looks=[2]",
    "tracking=none",
]
sweep = bios_sweep.run(
    sweeps="learning_rate",
    overrides=[*SMALL, "cluster.num_cpus=2"],
    seeds=[0, 1],
    workspace="bios_runs",
    quiet=True,
)
[(trial["arm"], trial["seed"], str(trial["status"])) for trial in sweep.trials]

# %% [markdown]
# A trial that ran here does not run again elsewhere: the workspace keeps it by what decides its outcome, and
# where it ran is no part of that.

# %%
again = bios_sweep.plan(
    sweeps="learning_rate", overrides=[*SMALL, "cluster=inline"], seeds=[0, 1], workspace="bios_runs"
)
again.to_run, again.reused

# %% [markdown]
# On a cluster with a scheduler `submit` writes the job: yours to read, keep and change. `--dry-run` prints
# it.

# %%
told = io.StringIO()
with contextlib.redirect_stdout(told):
    main(
        [
            "submit",
            "--to",
            "slurm",
            "--dry-run",
            "sweeps=learning_rate",
            "submit.nodes=2",
            "submit.gpus_per_node=4",
        ]
    )
print(told.getvalue())
