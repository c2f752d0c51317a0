# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Your own model and data
# A model is a folder as Hugging Face writes it, data a file of examples. Here both are made on the spot, so
# that this runs anywhere and offline: the model is the small one that comes with the package, the examples
# say what functions of the standard library do. Put your own two paths instead.

# %%
import ast
import json
from pathlib import Path

import bios_sweep
from bios_sweep.assets import base_model_path

examples = []
for file in sorted(Path(json.__file__).parent.parent.glob("*.py")):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)):
            name = f"{file.stem}.{node.name}({', '.join(argument.arg for argument in node.args.args)})"
            examples.append({"prompt": f"What does {name} do?\n", "completion": text.partition("\n")[0]})
Path("train.jsonl").write_text("".join(json.dumps(one) + "\n" for one in examples[:1200]), encoding="utf-8")
examples[0]

# %% [markdown]
# ## What would it cost?
# `plan` says what would run and trains nothing. Twenty steps are far too few for an answer that one would
# use: they keep this short.

# %%
words = {
    "sweeps": "first_night",
    "overrides": [
        f"model.path={base_model_path()}",
        "data.path=train.jsonl",
        "data.eval_examples=200",
        "budget.max_steps=20",
        "baseline.batch_size=16",
        "method.max_length=128",
        "decision.looks=[3]",
        "cluster=inline",
        "tracking=none",
    ],
    "seeds": [0, 1, 2],
    "workspace": "bios_runs",
}
bios_sweep.plan(**words)

# %% [markdown]
# ## Run it
# The same call again would train nothing; with more seeds or levels it would train what is missing.

# %%
sweep = bios_sweep.run(**words, quiet=True)
for verdict in sweep.verdicts:
    print(f"{verdict.factor}: {verdict.verdict}\n  {verdict.sentence}")

# %% [markdown]
# ## What is known now
# The verdict, the value that may be used elsewhere if there is one, and where the report with its figures
# lies.

# %%
tuned = sweep.tuned_defaults
print(tuned.values if tuned else "nothing was decided: the defaults stay")
sorted(path.name for path in sweep.folder.iterdir() if path.is_file())
