"""Which column of a foreign table is what: arms, seeds, the metric and the settings, by common names.

Trackers and trainers call one setting by many names (`lr`, `params.learning_rate`, `config.lr`); this
is the one list of them.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bios_sweep.analysis.runs import RunTable
from bios_sweep.errors import InputError
from bios_sweep.records.tables import RawTable, is_number
from bios_sweep.settings import setting_names
from bios_sweep.study.scenario import Metric
from bios_sweep.study.trials import COMPLETED, CONFIRMATION, DIVERGED, FAILED, SCREENING

# prefixes by which W&B, MLflow and Optuna mark what was configured; what follows is a setting's name
CONFIGURED = re.compile(
    r"^(?:params|param|config|hparams|hyperparameters|training_args|args)(?:[./]|_(?=.))", re.I
)
MEASURED = re.compile(r"^(?:metrics|summary|tags|user_attrs|system_attrs)(?:[./]|_(?=.))", re.I)

ALIASES: dict[str, tuple[str, ...]] = {
    "learning_rate": ("learning_rate", "lr", "peak_lr", "max_lr", "base_lr", "init_lr", "learningrate"),
    "batch_size": (
        "batch_size",
        "effective_batch_size",
        "global_batch_size",
        "total_batch_size",
        "total_train_batch_size",
        "train_batch_size",
        "batchsize",
        "bs",
    ),
    "lora_rank": ("lora_rank", "lora_r", "r", "rank", "peft_r", "lora_dim"),
    "lora_alpha": ("lora_alpha", "alpha", "peft_alpha"),
    "lora_dropout": ("lora_dropout", "dropout"),
    "max_steps": ("max_steps", "num_steps", "total_steps", "train_steps", "max_train_steps", "max_iters"),
    "epochs": ("epochs", "num_train_epochs", "num_epochs", "n_epochs", "max_epochs"),
    "warmup_fraction": ("warmup_fraction", "warmup_ratio"),
    "warmup_steps": ("warmup_steps", "num_warmup_steps"),
    "schedule": ("schedule", "lr_scheduler_type", "lr_scheduler", "lr_schedule", "scheduler"),
    "weight_decay": ("weight_decay", "wd"),
    "adam_beta1": ("adam_beta1", "beta1"),
    "adam_beta2": ("adam_beta2", "beta2"),
    "adam_eps": ("adam_eps", "adam_epsilon"),
    "max_grad_norm": ("max_grad_norm", "grad_clip", "gradient_clip_val", "clip_grad_norm"),
    "max_length": ("max_length", "max_seq_length", "max_seq_len", "cutoff_len", "seq_length", "block_size"),
    "optimizer": ("optimizer", "optim", "optimizer_name"),
    "train_examples": ("train_examples", "num_train_examples", "train_size", "max_train_samples"),
}  # fmt: skip
ALIASES |= {name: (name,) for name in setting_names() if name not in ALIASES}

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
FALLS = {"loss", "perplexity", "ppl", "error", "nll", "bits", "bpb", "wer", "cer", "mse", "mae", "rmse"}
RISES = {
    "acc",
    "accuracy",
    "f1",
    "bleu",
    "rouge",
    "score",
    "reward",
    "auc",
    "exact",
    "win",
    "precision",
    "recall",
}


@dataclass(frozen=True, kw_only=True)
class ColumnNames:
    """What the user names: columns of arms, seeds and values, and which way the metric improves."""

    arm: str | None = None
    seed: str | None = None
    value: str | None = None
    direction: str | None = None


def to_runs(raw: RawTable, names: ColumnNames) -> RunTable:
    """Read a raw table as runs.

    Raises:
        InputError: a named column is missing (with the nearest), no value or arm can be found, text
            stands in a number.
    """
    raw = _trials_only(raw)
    plain = {column: _plain(column) for column in raw.columns}
    value = _value_column(raw, plain, names.value)
    seed = _chosen(raw, plain, names.seed, SEEDS, "--seed")
    arm = _chosen(raw, plain, names.arm, ARMS, "--arm")
    statuses = _statuses(raw, plain)
    values = _numbers(raw, value, "value")
    metric, notes = _metric(value, names.direction)
    taken = {value, seed, arm} | {_first(plain, names) for names in (STATUSES, STAGES)}
    settings, more = _settings(raw, {c: p for c, p in plain.items() if c not in taken}, needed=arm is None)
    return RunTable(
        source=raw.source,
        arms=None if arm is None else _arms(raw, arm),
        seeds=None if seed is None else _seeds(raw, seed),
        values=values,
        statuses=_ended(statuses, values, raw.columns[value]),
        stages=_stages(raw, plain),
        metric=metric,
        settings=settings,
        factors=_cells(raw, _first(plain, ("factor",))) if arm is not None else None,
        levels=_levels(raw, _first(plain, ("level",))) if arm is not None else None,
        costs=_costs(raw, plain),
        contexts=_contexts(raw, plain),
        aliases={alias: name for name, aliases in ALIASES.items() for alias in aliases}
        | {column: own for column, own in plain.items() if own in settings},
        untouched=_untouched(raw, _first(plain, UNTOUCHED)),
        places=tuple(f"line {line}" for line in raw.lines),
        notes=(*notes, *more),
    )


def _trials_only(raw: RawTable) -> RawTable:
    """Without the rows that stand for whole sweeps in an export of our own experiments."""
    kinds = raw.columns.get("tags.kind")
    if kinds is None or "trial" not in kinds:
        return raw
    return raw.kept([row for row, kind in enumerate(kinds) if kind == "trial"])


def _plain(column: str) -> str:
    """A column's name without the tracker's prefix: `params.learning_rate` -> `learning_rate`."""
    name = MEASURED.sub("", CONFIGURED.sub("", column.strip()))
    return re.sub(r"[\s/\-]+", "_", name).lower()


def _first(plain: dict[str, str], names: Sequence[str]) -> str | None:
    """The first column that goes by one of the names; tags of ours before a tracker's own columns."""
    for name in names:
        found = [column for column, own in plain.items() if own == name]
        if found:
            return min(found, key=lambda column: not column.startswith("tags."))
    return None


def _chosen(
    raw: RawTable, plain: dict[str, str], given: str | None, names: Sequence[str], flag: str
) -> str | None:
    return _first(plain, names) if given is None else _existing(raw, plain, given, flag)


def _existing(raw: RawTable, plain: dict[str, str], given: str, flag: str) -> str:
    """A column by its whole name, else by the name without the tracker's prefix."""
    if given in raw.columns:
        return given
    same = [column for column, own in plain.items() if own == _plain(given)]
    if len(same) == 1:
        return same[0]
    near = difflib.get_close_matches(given, [*raw.columns], n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(f"{raw.source}: {flag}: there is no column {given!r}{hint}; {_there(raw)}")


def _there(raw: RawTable, limit: int = 12) -> str:
    names = list(raw.columns)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"the columns are {', '.join(names[:limit])}{more}"


def _value_column(raw: RawTable, plain: dict[str, str], given: str | None) -> str:
    if given is not None:
        return _existing(raw, plain, given, "--value")
    found = _first(plain, METRICS)
    if found is None:
        near = difflib.get_close_matches("value", [*raw.columns], n=1, cutoff=0.6)
        hint = f" (is it {near[0]!r}?)" if near else ""
        raise InputError(
            f"{raw.source}: no column 'value'{hint}; name the metric's column with --value COL; {_there(raw)}"
        )
    return found


def _metric(column: str, direction: str | None) -> tuple[Metric, tuple[str, ...]]:
    """The metric with its direction: as given, as its name tells, else smaller is better, and said so."""
    if direction is not None:
        return Metric(name=column, direction=direction, unit=""), ()
    words = set(re.split(r"[^a-z0-9]+", _plain(column).replace("_", " ")))
    if words & RISES and not words & FALLS:
        return Metric(name=column, direction="maximize", unit=""), (f"{column}: larger is taken as better",)
    certain = bool(words & FALLS) and not words & RISES
    note = f"{column}: smaller is taken as better; if larger is, say --direction maximize"
    return Metric(name=column, direction="minimize", unit=""), () if certain else (note,)


def _numbers(raw: RawTable, column: str, what: str) -> tuple[float, ...]:
    """Cells as numbers; an empty one is NaN.

    Raises:
        InputError: text in a number.
    """
    cells = raw.columns[column]
    try:
        return tuple(float(cell) if cell else math.nan for cell in cells)
    except ValueError:
        return tuple(_one_number(cell.strip(), raw.where(row), what) for row, cell in enumerate(cells))


def _one_number(cell: str, where: str, what: str) -> float:
    if not cell or is_number(cell):
        return float(cell or math.nan)
    if is_number(cell.replace(",", ".", 1)):
        raise InputError(f"{where}: {what} {cell!r} has a decimal comma; write decimals with a point")
    raise InputError(f"{where}: {what} {cell[:40]!r} is not a number")


def _arms(raw: RawTable, column: str) -> tuple[str, ...]:
    arms = tuple(map(str.strip, raw.columns[column]))
    if "" in arms:
        raise InputError(f"{raw.where(arms.index(''))}: the arm is empty; name every run's arm")
    return arms


def _seeds(raw: RawTable, column: str) -> tuple[int, ...]:
    known: dict[str, int] = {}
    for row, cell in enumerate(raw.columns[column]):
        if cell not in known:
            known[cell] = _seed(cell, raw.where(row))
    return tuple(known[cell] for cell in raw.columns[column])


def _seed(cell: str, where: str) -> int:
    """A whole number however large; `3.0`, as data frames write a column with gaps, is 3."""
    text = cell.strip()
    if not text:
        raise InputError(f"{where}: the seed is empty; runs without a seed cannot be paired")
    try:
        return int(text)
    except ValueError:
        number = float(text) if is_number(text) else math.nan
    if not math.isfinite(number) or not number.is_integer() or abs(number) > 2**53:
        raise InputError(f"{where}: seed {text[:40]!r} is not a whole number")
    return int(number)


def _cells(raw: RawTable, column: str | None) -> tuple[str, ...] | None:
    return (
        None
        if column is None
        else tuple("" if text == "none" else text for text in map(str.strip, raw.columns[column]))
    )


def _levels(raw: RawTable, column: str | None) -> tuple[Any, ...] | None:
    return None if column is None else _parsed(raw.columns[column])


def _parsed(cells: Iterable[str]) -> tuple[Any, ...]:
    """Cells as settings: None, whole numbers, decimals or text, with one spelling per number."""
    cells = tuple(cells)
    known = {cell: parsed_setting(cell.strip()) for cell in set(cells)}
    return tuple(known[cell] for cell in cells)


def parsed_setting(text: str) -> Any:
    """A cell as a setting: None, a whole number, a decimal or text; 32 and 32.0 are one value."""
    if text.lower() in ("", "none", "null", "nan"):
        return None
    if not is_number(text):
        return text
    number = float(text)
    if number.is_integer() and abs(number) < 2**53:
        return int(number)
    return number if math.isfinite(number) else text


def _statuses(raw: RawTable, plain: dict[str, str]) -> tuple[str, ...]:
    """`completed`, `diverged` or `failed`; a word that is not known is not a completed run."""
    column = _first(plain, STATUSES)
    if column is None:
        return (COMPLETED,) * raw.rows
    known = {cell: _status(cell.strip().lower()) for cell in set(raw.columns[column])}
    return tuple(known[cell] for cell in raw.columns[column])


def _status(word: str) -> str:
    word = word.rpartition(".")[2]  # Optuna's TrialState.COMPLETE
    if word in DONE_WORDS:
        return COMPLETED
    return DIVERGED if word in DIVERGED_WORDS else FAILED


def _ended(statuses: Sequence[str], values: Sequence[float], cells: Sequence[str]) -> tuple[str, ...]:
    """A run without any value has no outcome; one whose value is NaN or infinite diverged."""
    return tuple(
        status if status != COMPLETED or math.isfinite(value) else (DIVERGED if cell.strip() else FAILED)
        for status, value, cell in zip(statuses, values, cells, strict=True)
    )


def _stages(raw: RawTable, plain: dict[str, str]) -> tuple[str, ...]:
    column = _first(plain, STAGES)
    if column is None:
        return (SCREENING,) * raw.rows
    return tuple(CONFIRMATION if cell.strip() == CONFIRMATION else SCREENING for cell in raw.columns[column])


def _settings(
    raw: RawTable, plain: dict[str, str], *, needed: bool
) -> tuple[dict[str, tuple[Any, ...]], tuple[str, ...]]:
    """Canonical name -> values, and what had to be assumed.

    Raises:
        InputError: arms must be made of settings and there are none.
    """
    used: dict[str, str] = {}
    for name, aliases in ALIASES.items():
        column = _by_alias(plain, aliases)
        if column is not None and column not in used.values():
            used[name] = column
    settings = {name: _parsed(raw.columns[column]) for name, column in used.items()}
    notes: tuple[str, ...] = ()
    if "batch_size" not in settings:
        product, notes = _product(raw, plain)
        settings |= {"batch_size": product} if product else {}
    parts = {*PER_DEVICE, *ACCUMULATED, *DEVICES}
    for column, name in plain.items():
        if column not in used.values() and name not in parts and _is_setting(column, name):
            settings.setdefault(name, _parsed(raw.columns[column]))
    if needed and not settings:
        raise InputError(
            f"{raw.source}: no column 'arm' and none that is known as a setting; name the arms' column with "
            f"--arm COL; {_there(raw)}"
        )
    return settings, notes


def _by_alias(plain: dict[str, str], aliases: Sequence[str]) -> str | None:
    """A column that goes by an alias, whole or as the last part of a path (`optimizer.lr`)."""
    found = _first(plain, aliases)
    if found is not None:
        return found
    return next(
        (column for alias in aliases for column, own in plain.items()
         if len(alias) > 1 and re.split(r"[.]", own)[-1] == alias and not MEASURED.match(column)),
        None,
    )  # fmt: skip


def _is_setting(column: str, name: str) -> bool:
    """Whether a column that has no known name was marked as configured and may decide an outcome."""
    known = {*SEEDS, *(alias for group in (*COSTS.values(), *CONTEXTS.values()) for alias in group)}
    return bool(CONFIGURED.match(column)) and name not in known and not OUTCOME_BLIND.search(name)


def _product(raw: RawTable, plain: dict[str, str]) -> tuple[tuple[Any, ...] | None, tuple[str, ...]]:
    """The effective batch of a trainer that accumulates: per device x accumulation x devices."""
    each = _first(plain, PER_DEVICE)
    if each is None:
        return None, ()
    others = [column for names in (ACCUMULATED, DEVICES) if (column := _first(plain, names)) is not None]
    factors = [_parsed(raw.columns[column]) for column in (each, *others)]
    product = tuple(
        math.prod(cells) if all(isinstance(cell, int) for cell in cells) else None
        for cells in zip(*factors, strict=True)
    )
    return product, (f"batch_size is taken as {' x '.join((each, *others))}",)


def _costs(raw: RawTable, plain: dict[str, str]) -> dict[str, tuple[float, ...]]:
    """Costs per run; a cost that is not written as a number is not used."""
    found = {name: _first(plain, aliases) for name, aliases in COSTS.items()}
    return {
        name: numbers
        for name, column in found.items()
        if column is not None and (numbers := _quiet_numbers(raw.columns[column])) is not None
    }


def _quiet_numbers(cells: Sequence[str]) -> tuple[float, ...] | None:
    try:
        return tuple(float(cell) if cell else math.nan for cell in cells)
    except ValueError:
        return None


def _untouched(raw: RawTable, column: str | None) -> float | None:
    numbers = None if column is None else _quiet_numbers(raw.columns[column])
    return next((number for number in numbers or () if math.isfinite(number)), None)


def _contexts(raw: RawTable, plain: dict[str, str]) -> dict[str, dict[str, tuple[str, ...]]]:
    stripped: Callable[[str], tuple[str, ...]] = lambda column: tuple(map(str.strip, raw.columns[column]))  # noqa: E731
    return {
        kind: {column: stripped(column) for column, own in plain.items() if own in aliases}
        for kind, aliases in CONTEXTS.items()
    }
