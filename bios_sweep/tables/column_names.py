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

FURTHER = {  # abbreviations in people's own tables, beside the names that trackers and trainers use
    "learning_rate": (
        "lrate",
        "l_rate",
        "learn_rate",
        "learningrate_init",
        "learning_rate_init",
        "initial_lr",
    ),
    "batch_size": ("batch", "bsz", "batch_sz", "mini_batch_size", "minibatch_size"),
    "weight_decay": ("wdecay", "w_decay", "weightdecay", "decay"),
    "max_grad_norm": (
        "clip",
        "clipping",
        "clip_norm",
        "grad_norm_clip",
        "gradient_clip",
        "gradient_clipping",
    ),
    "lora_dropout": ("drop", "dropout_rate", "p_drop"),
    "warmup_fraction": ("warmup", "warmup_proportion"),
}
ALIASES: dict[str, tuple[str, ...]] = {
    **{name: (name, *known.aliases, *FURTHER.get(name, ())) for name, known in KNOWN.items()},
    "epochs": (
        "epochs",
        "num_train_epochs",
        "num_epochs",
        "n_epochs",
        "max_epochs",
        "max_epoch",
        "nb_epochs",
    ),
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
JOINED = "look"  # of the run's seed, the first being 1; empty for a confirmation
# what of the decision rule such a table, and a sweep's run in the tracking store, say: `decision.NAME`
DECIDED = {f"decision.{name}": name for name in JUDGING}
STATUSES = ("status", "state", "run_status")
RUNS = (  # what names a run, the surest first
    "run_id", "trial_id", "wandb_id", "run_uuid", "id", "run", "run_name", "trial", "trial_number", "name",
    "experiment_name",
)  # fmt: skip
PARENTS = ("mlflow.parentrunid", "parentrunid", "parent_run_id", "parent_id")
STEPS = (  # how far a run was when a row was written
    "global_step", "train_global_step", "trainer_global_step", "_step", "step", "training_iteration",
    "iteration", "iter", "current_step", "epoch", "train_epoch",
)  # fmt: skip
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
    "steps": ("global_step", "train_global_step", "trainer_global_step", "total_steps", "train_steps"),
    "epochs": ("epoch", "train_epoch"),
    "iterations": ("training_iteration", "iteration", "iter"),
    "logged": ("_step", "step", "current_step"),  # calls of a tracker, which need not be steps
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
    r"report_to|hub_|push_|token$|^rep$|^reps$|^replica|^repetition|^attempt$|(?:^|_)fold$|^run_(?:idx|index|nr|num|number|no)$|group|tags|notes|project|entity|verbose|workers|local_rank|disable_tqdm|repeat$|seed|"
    r"^trial|^n_trials$|^number$|^index$|^column_\d+$|^unnamed|^user$|^created|^updated|^phase$|comment|checkpoint|label|descri|title|remark|"
    r"ckpt|^run$|^wandb|^sweep$|^pid$|_ip$|^done$|^best_"
)
# words of a name that tells what a training came to or cost, never what it was told to do
RESULTS = frozenset({
    "params", "parameters", "trainable", "compression", "compressed", "flops", "macs", "memory", "mem",
    "vram", "mb", "gb", "bytes", "time", "seconds", "sec", "minutes", "hours", "runtime", "duration",
    "elapsed", "latency", "throughput", "speed", "speedup", "tokens", "cost", "converged", "diverged",
    "collapsed", "stopped", "succeeded", "result", "results", "gradnorm", "predictions", "predicted",
    "output", "outputs", "place", "winner", "sps", "qps",
})  # fmt: skip
RATES = re.compile(r"(?:^|_)per_?sec(?:ond)?s?(?:_|$)")  # `second_stage_lr` tells none
# words of a name that is a setting's, where nothing else tells
ADJUSTS = frozenset({
    "lr", "decay", "drop", "dropout", "batch", "layer", "layers", "dim", "dims", "hidden", "heads", "width",
    "depth", "rank", "alpha", "beta", "beta1", "beta2", "gamma", "lambda", "eps", "epsilon", "momentum",
    "clip", "warmup", "optimizer", "optim", "scheduler", "schedule", "bits", "temperature", "margin",
    "smoothing", "augment", "augmentation", "activation", "init", "freeze", "frozen", "use", "enable", "num",
    "max", "lora", "quant", "dtype", "precision", "template", "packing",
})  # fmt: skip

DONE_WORDS = {"", "completed", "complete", "finished", "finish", "success", "succeeded", "done", "ok"}
DIVERGED_WORDS = {"diverged", "nan", "exploded"}


def plain_name(column: str) -> str:
    """A column's name without the tracker's prefix: `params.learning_rate` -> `learning_rate`."""
    name = MEASURED.sub("", CONFIGURED.sub("", column.strip()))
    return re.sub(r"[\s/\-]+", "_", name).lower()


def column_by_end(plain: dict[str, str], names: Sequence[str]) -> str | None:
    """The first column whose path ends with one of the names: `optimizer.lr`, `config/loop/lr`."""
    ends = {column: _ends(column) for column in plain if not MEASURED.match(column)}
    return next((column for name in names for column, own in ends.items() if name in own), None)


def _ends(column: str) -> tuple[str, ...]:
    """The last part of a path, if it is more than a letter, and the last two as one name.

    A slash parts the path of what was configured; elsewhere it stands in the names of metrics.
    """
    configured = CONFIGURED.match(column)
    path = CONFIGURED.sub("", column.strip()).lower()
    parts = re.split(r"[./]" if configured else r"[.]", path)
    ends = (parts[-1], "_".join(parts[-2:])) if len(parts) > 1 else ()
    return tuple(end for end in ends if len(end) > 1)


def first_column(plain: dict[str, str], names: Sequence[str]) -> str | None:
    """The first column that goes by one of the names; tags of ours before a tracker's own columns."""
    for name in names:
        found = [column for column, own in plain.items() if own == name]
        if found:
            return min(found, key=lambda column: not column.startswith("tags."))
    return None
