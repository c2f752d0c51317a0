"""The same sweep as people build it from Ray, Hugging Face, PEFT and MLflow; `benchmarks.sweep` starts it.

    python -m benchmarks.sweep_peers plain FOLDER     # FOLDER holds task.json and tokens.npz

plain        `tune.Tuner` over a function: every trial has a process, loads everything, and trains with
             transformers' Trainer, which tells MLflow.
trl          the same with TRL's SFTTrainer.
warm         two actors that load once and train one trial after the other with transformers' Trainer.
warm loop    the same actors with a loop of their own: AdamW, gradient accumulation, PEFT's modules.

All train what ours trains: batches of the same size from the same tokenised examples, the same schedule, and
as many evaluations of the same held-out examples. FOLDER gets losses.json: trial -> held-out loss at the end.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

IGNORED = -100  # transformers' label of a token that is not under the loss
ACTORS = 2  # as many trials at a time as ours has on two cores
Row = Mapping[str, list[int]]


def rows(folder: Path, side: str) -> list[Row]:
    """The tokenised examples of a side, `train` or `evaluation`."""
    held = np.load(folder / "tokens.npz")
    ids = np.split(held[f"{side}_ids"], held[f"{side}_ends"][:-1])
    return [
        {"input_ids": one.tolist(), "labels": [IGNORED] * prompt + one[prompt:].tolist()}
        for one, prompt in zip(ids, held[f"{side}_prompts"].tolist(), strict=True)
    ]


def collated(batch: Sequence[Row]) -> dict[str, Any]:
    """Padded on the right to the longest."""
    import torch

    longest = max(len(row["input_ids"]) for row in batch)
    padded = {"input_ids": 0, "labels": IGNORED, "attention_mask": 0}
    full = [{**row, "attention_mask": [1] * len(row["input_ids"])} for row in batch]
    return {
        name: torch.tensor([row[name] + [fill] * (longest - len(row[name])) for row in full])
        for name, fill in padded.items()
    }


def adapted(model: Any, trial: Mapping[str, Any]) -> Any:
    import peft

    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=trial["lora_rank"],
        lora_alpha=trial["lora_alpha"],
        target_modules="all-linear",
    )
    return peft.get_peft_model(model, config)


def loaded(task: Mapping[str, Any]) -> Any:
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    return transformers.AutoModelForCausalLM.from_pretrained(task["model"], dtype=torch.float32)


def with_trainer(
    folder: Path,
    task: Mapping[str, Any],
    trial: Mapping[str, Any],
    model: Any,
    data: Mapping[str, Any],
    *,
    trl: bool,
) -> float:
    """One trial by transformers' Trainer or TRL's; the last held-out loss."""
    import transformers

    common: dict[str, Any] = {
        "output_dir": str(folder / "out" / trial["name"]), "run_name": trial["name"], "seed": trial["seed"],
        "per_device_train_batch_size": task["piece"], "per_device_eval_batch_size": task["piece"],
        "gradient_accumulation_steps": trial["batch_size"] // task["piece"], "max_steps": trial["max_steps"],
        "learning_rate": trial["learning_rate"], "lr_scheduler_type": "linear", "warmup_steps": 0,
        "adam_beta1": trial["adam_beta1"], "adam_beta2": trial["adam_beta2"], "weight_decay": 0.0,
        "max_grad_norm": trial["max_grad_norm"], "eval_strategy": "steps", "save_strategy": "no",
        "eval_steps": trial["max_steps"] // task["measurements"], "logging_steps": 20, "disable_tqdm": True,
        "report_to": "mlflow", "use_cpu": True, "dataloader_pin_memory": False, "prediction_loss_only": True,
    }  # fmt: skip
    if trl:
        import datasets
        from trl import SFTConfig, SFTTrainer

        data = {side: datasets.Dataset.from_list(list(held)) for side, held in data.items()}
        kept = {"dataset_kwargs": {"skip_prepare_dataset": True}, "remove_unused_columns": False}
        made: Any = partial(SFTTrainer, args=SFTConfig(**common, **kept, gradient_checkpointing=False))
    else:
        made = partial(transformers.Trainer, args=transformers.TrainingArguments(**common))
    trainer = made(
        model=adapted(model, trial),
        train_dataset=data["train"],
        eval_dataset=data["evaluation"],
        data_collator=collated,
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    return float([entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry][-1])


def with_loop(
    folder: Path, task: Mapping[str, Any], trial: Mapping[str, Any], model: Any, data: Mapping[str, Any]
) -> float:
    """One trial by a loop as one writes it; the last held-out loss."""
    import mlflow
    import torch

    torch.manual_seed(trial["seed"])
    draw = np.random.default_rng(trial["seed"])
    learner = adapted(model, trial)
    weights = [value for value in learner.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(
        weights, lr=trial["learning_rate"], betas=(trial["adam_beta1"], trial["adam_beta2"]),
        weight_decay=0.0, fused=True,
    )  # fmt: skip
    steps, size, piece = trial["max_steps"], trial["batch_size"], task["piece"]
    order = np.concatenate(
        [draw.permutation(len(data["train"])) for _ in range(1 + steps * size // len(data["train"]))]
    )
    loss = float("nan")
    with mlflow.start_run(run_name=trial["name"]):
        mlflow.log_params(trial)
        for step in range(steps):
            learner.train()
            chosen = [data["train"][place] for place in order[step * size : (step + 1) * size]]
            targets = sum(label != IGNORED for row in chosen for label in row["labels"][1:])
            for start in range(0, size, piece):
                _nats(learner, collated(chosen[start : start + piece])).div(targets).backward()
            torch.nn.utils.clip_grad_norm_(weights, trial["max_grad_norm"])
            for group in optimizer.param_groups:
                group["lr"] = trial["learning_rate"] * (1 - step / steps)
            optimizer.step()
            optimizer.zero_grad()
            if (step + 1) % (steps // task["measurements"]) == 0:
                loss = _held_out(learner, data["evaluation"], piece)
                mlflow.log_metric("eval_loss", loss, step=step + 1)
    return loss


def _nats(model: Any, batch: Mapping[str, Any]) -> Any:
    from torch.nn.functional import cross_entropy

    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    return cross_entropy(logits.flatten(0, 1), batch["labels"][:, 1:].flatten(), reduction="sum")


def _held_out(model: Any, held: Sequence[Row], piece: int) -> float:
    import torch

    model.eval()
    targets = sum(label != IGNORED for row in held for label in row["labels"][1:])
    with torch.no_grad():
        nats = sum(
            float(_nats(model, collated(held[start : start + piece]))) for start in range(0, len(held), piece)
        )
    return nats / targets


def cold(folder: Path, task: Mapping[str, Any], trl: bool, config: Mapping[str, Any]) -> None:
    """A trial in a process of its own, as `tune.Tuner` has it."""
    from ray import tune

    tracked(folder)
    data = {side: rows(folder, side) for side in ("train", "evaluation")}
    loss = with_trainer(folder, task, config["trial"], loaded(task), data, trl=trl)
    tune.report({"eval_loss": loss})


def tracked(folder: Path) -> None:
    os.environ["MLFLOW_EXPERIMENT_NAME"] = "peer"
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"


def by_tuner(folder: Path, task: Mapping[str, Any], *, trl: bool) -> dict[str, float]:
    from ray import tune

    tuner = tune.Tuner(
        tune.with_resources(partial(cold, folder, task, trl), {"cpu": 1}),
        param_space={"trial": tune.grid_search(task["trials"])},
        tune_config=tune.TuneConfig(metric="eval_loss", mode="min"),
        run_config=tune.RunConfig(storage_path=str(folder / "tune"), verbose=0),
    )
    found = tuner.fit()
    results = [found[place] for place in range(len(found))]
    return {one.config["trial"]["name"]: one.metrics["eval_loss"] for one in results}


class Warm:
    """An actor's inside: model and data loaded once."""

    def __init__(self, folder: Path, task: Mapping[str, Any], trains: str) -> None:
        tracked(folder)
        import mlflow

        mlflow.set_experiment("peer")
        self._folder, self._task, self._trains = folder, task, trains
        self._data = {side: rows(folder, side) for side in ("train", "evaluation")}
        self._model = loaded(task)

    def train(self, trial: Mapping[str, Any]) -> float:
        given = (self._folder, self._task, trial, self._model, self._data)
        loss = with_loop(*given) if self._trains == "loop" else with_trainer(*given, trl=False)
        for module in self._model.modules():  # PEFT put its layers into the model
            for name, part in list(module.named_children()):
                if hasattr(part, "base_layer"):
                    setattr(module, name, part.base_layer)
        return loss


def by_actors(folder: Path, task: Mapping[str, Any], *, trains: str) -> dict[str, float]:
    import ray
    from ray.util import ActorPool

    actor = ray.remote(num_cpus=1)(Warm)
    pool = ActorPool([actor.remote(folder, task, trains) for _ in range(ACTORS)])
    losses = pool.map(lambda one, trial: one.train.remote(trial), task["trials"])
    return {trial["name"]: loss for trial, loss in zip(task["trials"], losses, strict=True)}


PEERS: dict[str, Callable[[Path, Mapping[str, Any]], dict[str, float]]] = {
    "plain": partial(by_tuner, trl=False),
    "trl": partial(by_tuner, trl=True),
    "warm": partial(by_actors, trains="trainer"),
    "warm loop": partial(by_actors, trains="loop"),
}


def main() -> None:
    import mlflow
    import ray

    name, folder = sys.argv[1], Path(sys.argv[2]).resolve()
    task = json.loads((folder / "task.json").read_text())
    times = {"start": time.time()}
    ray.init(address="local", num_cpus=ACTORS, include_dashboard=False, log_to_driver=False)
    times["ray"] = time.time()
    tracked(folder)
    mlflow.set_experiment("peer")  # one process makes the store: two at a time break it
    losses = PEERS[name](folder, task)
    times["trained"] = time.time()
    ray.shutdown()
    (folder / "losses.json").write_text(json.dumps({"losses": losses, "times": times}))


if __name__ == "__main__":
    main()
