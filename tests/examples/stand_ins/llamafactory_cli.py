"""`llamafactory-cli train CONFIG`, as far as a sweep sees it: it refuses keys that it does not know."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # without stubs
from trained import trained

KNOWN = {
    "model_name_or_path", "stage", "do_train", "finetuning_type", "lora_rank", "lora_alpha", "lora_target",
    "dataset_dir", "dataset", "eval_dataset", "template", "cutoff_len", "learning_rate", "lr_scheduler_type",
    "per_device_train_batch_size", "gradient_accumulation_steps", "max_steps", "eval_strategy", "eval_steps",
    "eval_on_start", "save_strategy", "seed", "output_dir", "report_to", "logging_steps", "use_cpu",
}  # fmt: skip

verb, config = sys.argv[1:]
assert verb == "train", sys.argv
given = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
unknown = sorted(set(given) - KNOWN)
if unknown:
    raise ValueError(f"Some keys are not used by the HfArgumentParser: {unknown}")
data_sets = json.loads(Path(given["dataset_dir"], "dataset_info.json").read_text(encoding="utf-8"))
for name in (given["dataset"], given["eval_dataset"]):
    if not Path(given["dataset_dir"], data_sets[name]["file_name"]).is_file():
        raise ValueError(f"File {data_sets[name]['file_name']} not found.")
rate = float(
    given["learning_rate"]
)  # dataclass fields are cast by nobody: a text would fail in the optimizer
assert isinstance(given["learning_rate"], float), "'<=' not supported between instances of 'float' and 'str'"
trained(given["output_dir"], rate=rate, best=2e-4, steps=given["max_steps"], seed=given["seed"], state=True)
