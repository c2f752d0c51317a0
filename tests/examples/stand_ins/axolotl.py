"""`axolotl train CONFIG`, as far as a sweep sees it: reads the same YAML, and prints and leaves the same.

Like its pydantic models it takes numbers where it wants some, and passes over keys that it does not know.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # without stubs
from trained import trained

verb, config, *launcher = sys.argv[1:]
assert (verb, launcher) == ("train", ["--launcher", "python"]), sys.argv
given = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
for name in ("micro_batch_size", "max_steps", "seed", "lora_r", "sequence_len", "eval_steps"):
    if not isinstance(given[name], int):
        raise ValueError(
            f"1 validation error for AxolotlInputConfig\n{name}\n  Input should be a valid integer"
        )
rate = float(given["learning_rate"])
for one in (*given["datasets"], *given["test_datasets"]):
    if not Path(one["path"]).is_file():
        raise ValueError(f"unhandled dataset load: {one['path']}")
assert Path(given["base_model"], "config.json").is_file()
trained(given["output_dir"], rate=rate, best=2e-4, steps=given["max_steps"], seed=given["seed"], state=False)
