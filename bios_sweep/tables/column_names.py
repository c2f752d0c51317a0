"""The names by which trackers and trainers call settings, seeds, metrics and states.

One setting has many (`lr`, `params.learning_rate`, `config.lr`); this is the one list of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bios_sweep.settings import KNOWN
from bios_sweep.study.design import JUDGING

# prefixes by which W&B, MLflow and Optuna mark what was configured; what follows is a setting's name
CONFIGURED = re.compile(
    r"^(?:params|param|config|hparams|hyperparameters|training_args|args)(?:[./]|_(?=.))", re.I
)
MEASURED = re.compile(r"^(?:metrics|summary|tags|user_attrs|system_attrs)(?:[./]|_(?=.))", re.I)

ALIASES: dict[str, tuple[str, ...]] = {
    **{name: (name, *known.aliases) for name, known in KNOWN.items()},
    "epochs": ("epochs", "num_train_epochs", "num_epochs", "n_epochs", "max_epochs"),
    "warmup_steps": ("warmup_steps", "num_warmup_steps"),
    "optimizer": ("optimizer", "optim", "optimizer_name"),
}

PER_DEVICE = (
    "per_device_train_batch_size",
    "per_device_batch_size",
    "micro_batch_size",
    "per_gpu_train_batch_size",
)
ACCUMULATED = ("gradient_accumulation_steps", "grad_accum", "accumulate_grad_batches", "grad_accum_steps")
DEVICES = ("world_size", "num_gpus", "n_gpu", "num_devices", "num_processes")

ARMS = ("arm", "variant", "variation")
SEEDS = ("seed", "random_seed", "train_seed", "seed_value")
STAGES = ("stage",)
METRICS = (
    "value", "eval_loss", "val_loss", "valid_loss", "validation_loss", "test_loss", "dev_loss",
    "eval_accuracy", "val_accuracy", "val_acc", "test_accuracy", "accuracy", "loss",
)  # fmt: skip
UNTOUCHED = ("untouched",)  # the metric of the model before any training, the same in every row
# columns of our own table that say how `value` is judged, the same in every row
VALUE, METRIC, DIRECTION, LOOKS = "value", "metric", "direction", "looks"
# what of the decision rule such a table, and a sweep's run in the tracking store, say: `decision.NAME`
DECIDED = {f"decision.{name}": name for name in JUDGING}
STATUSES = ("status", "state", "run_status")
COSTS = {
    "tokens": (
        "tokens",
        "train_tokens",
        "num_tokens",
        "total_tokens",
        "num_input_tokens_seen",
        "tokens_seen",
    ),
    "examples": ("examples", "examples_seen", "samples_seen", "train_samples"),
    "wall_seconds": ("wall_seconds", "runtime", "train_runtime", "_runtime", "duration_seconds"),
}
CONTEXTS = {
    "hardware": ("hardware", "device", "gpu", "gpu_name", "gpu_type", "accelerator", "device_name"),
    "software": ("engine_version", "torch_version", "transformers_version", "peft_version", "python_version"),
    "code": ("commit", "git_commit", "code_version", "mlflow.source.git.commit"),
    "scenario": (
        "model", "model_name", "model_name_or_path", "base_model", "dataset", "dataset_name", "data",
        "eval_dataset", "task",
    ),
}  # fmt: skip
# configured names that decide no outcome, so that two runs that differ in them are the same arm
OUTCOME_BLIND = re.compile(
    r"dir$|path$|file|name$|_id$|^id$|url|uri|time|date|host|port|logging|save_|eval_steps|eval_strategy|"
    r"report_to|hub_|push_|token$|group|tags|notes|project|entity|verbose|workers|local_rank|disable_tqdm|repeat$|seed"
)

DONE_WORDS = {"", "completed", "complete", "finished", "finish", "success", "succeeded", "done", "ok"}
DIVERGED_WORDS = {"diverged", "nan", "exploded"}


def plain_name(column: str) -> str:
    """A column's name without the tracker's prefix: `params.learning_rate` -> `learning_rate`."""
    name = MEASURED.sub("", CONFIGURED.sub("", column.strip()))
    return re.sub(r"[\s/\-]+", "_", name).lower()


def first_column(plain: dict[str, str], names: Sequence[str]) -> str | None:
    """The first column that goes by one of the names; tags of ours before a tracker's own columns."""
    for name in names:
        found = [column for column, own in plain.items() if own == name]
        if found:
            return min(found, key=lambda column: not column.startswith("tags."))
    return None
