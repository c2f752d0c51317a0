"""Our trainer against Hugging Face's and TRL's: tokens per second, peak memory, share of the matrix rate.

    python -m benchmarks.trainer --csv trainer.csv
    python -m benchmarks.trainer --model /models/SmolLM2-135M --seconds 240

All train the same LoRA adapter on the same token ids, in the same number format, on one device and in this
process. Per setting (share of the prompt x format) the trainers take turns, so that heat and neighbours meet
all alike; the first turn warms up and is not counted. A trainer whose loss does not fall fails the benchmark.
The matrix rate is measured here, by products of the format's own; a step needs 4 flops per parameter and
token, for frozen weights have no gradients (forward 2, of activations 2), attention left out.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import gc
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
import transformers

from bios_sweep.assets import base_model_path
from bios_sweep.engines.training.adapters import adapter
from bios_sweep.engines.training.device import make_repeatable, stay_offline_and_quiet
from bios_sweep.engines.training.fit import Fit
from bios_sweep.engines.training.loop import Training
from bios_sweep.engines.training.model import load_base
from bios_sweep.engines.training.tokens import TokenizedExample
from bios_sweep.settings import BFLOAT16, FLOAT32, TrainingSettings

OURS, HF, TRL = "ours", "transformers Trainer", "TRL SFTTrainer"
SHARES = (0.75, 0.0)  # of an example that is its prompt
PERIOD = 16  # the tokens of an example repeat, so that there is something to learn
IGNORED = -100  # transformers' label of a token that is not under the loss
TARGETS = "all-linear"  # PEFT's name of what ours adapts in a plain decoder
MATRIX = {"cpu": 512, "cuda": 8192}  # width of the square products; chosen: large enough for the full rate
MATRIX_SECONDS = 0.5
STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is trained. length: tokens per example; rows: examples of a batch, in pieces of `piece`.

    cpu_time: seconds that this process computed are measured, not those that went by.
    """

    model: Path
    device: str
    rows: int
    piece: int
    length: int
    rank: int
    steps: int
    repeats: int
    cpu_time: bool = False

    def now(self) -> float:
        """Seconds by the clock that is measured with."""
        return time.process_time() if self.cpu_time else time.perf_counter()


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table. seconds: of one optimizer step, median of the repeats that were counted.

    peak_mib: of what torch allocated on a GPU; on a CPU of what the process held, libraries and all. None
    where the system does not tell.
    """

    prompt: float
    dtype: str
    trainer: str
    seconds: float
    spread: float
    tokens_per_second: float
    matrix_share: float
    peak_mib: float | None
    loss_first: float
    loss_last: float
    repeats: int


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One training run. losses: nats per token, of its first step and of its last."""

    seconds: float
    losses: tuple[float, float]
    peak: float | None


def examples_of(task: Task, prompt: float, vocabulary: int) -> list[TokenizedExample]:
    """As many as one step reads, so that it is the same batch again and the loss must fall."""
    draw = np.random.default_rng(0)
    rows = draw.integers(3, vocabulary, (task.rows, PERIOD))
    return [
        TokenizedExample(
            input_ids=tuple(np.resize(row, task.length).tolist()),
            prompt_length=max(1, round(prompt * task.length)),
            completion_bytes=1,
            cluster=str(number),
        )
        for number, row in enumerate(rows)
    ]


def settings_of(task: Task, dtype: str) -> TrainingSettings:
    return TrainingSettings(
        learning_rate=2e-3, batch_size=task.rows, lora_rank=task.rank, lora_alpha=2.0 * task.rank,
        max_steps=task.steps, max_length=task.length, dtype=dtype, schedule="constant", warmup_fraction=0.0,
    )  # fmt: skip


def ours(task: Task, dtype: str, examples: Sequence[TokenizedExample]) -> Turn:
    base = load_base(task.model, dtype, torch.device(task.device))
    settings = settings_of(task, dtype)
    with adapter(base, settings, 0) as adapted:
        training = Training(base, adapted, settings, 0, examples, Fit(task.piece))
        first = training.advance(1)
        seconds, last = timed(task, lambda: [training.advance(step) for step in range(2, task.steps + 1)][-1])
    assert first is not None
    return Turn(seconds=seconds / (task.steps - 1), losses=(first, last), peak=peak_mib(task))


class Clock(transformers.TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Starts after the first step, as ours does."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.began = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 1:
            wait(self._task)
            self.began = self._task.now()


def theirs(task: Task, dtype: str, examples: Sequence[TokenizedExample], *, trl: bool) -> Turn:
    model = transformers.AutoModelForCausalLM.from_pretrained(task.model, dtype=getattr(torch, dtype))
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=task.rank, lora_alpha=2 * task.rank, lora_dropout=0.0, target_modules=TARGETS
    )
    settings, clock = settings_of(task, dtype), Clock(task)
    with tempfile.TemporaryDirectory() as folder:
        common: dict[str, Any] = {
            "output_dir": folder, "per_device_train_batch_size": task.piece, "max_steps": task.steps,
            "gradient_accumulation_steps": task.rows // task.piece, "learning_rate": settings.learning_rate,
            "lr_scheduler_type": "constant", "weight_decay": settings.weight_decay, "logging_steps": 1,
            "adam_beta1": settings.adam_beta1, "adam_beta2": settings.adam_beta2, "save_strategy": "no",
            "report_to": "none", "use_cpu": task.device == "cpu", "disable_tqdm": True,
            "bf16": dtype == BFLOAT16, "optim": "adamw_torch_fused", "dataloader_pin_memory": False,
        }  # fmt: skip
        data = [labelled(example) for example in examples]
        if trl:
            trainer = trl_trainer(model, config, common, data, clock)
        else:
            trainer = transformers.Trainer(
                model=peft.get_peft_model(model, config),
                args=transformers.TrainingArguments(**common),
                train_dataset=data,
                data_collator=collated,
                callbacks=[clock],
            )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
        wait(task)
        seconds = task.now() - clock.began
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return Turn(seconds=seconds / (task.steps - 1), losses=(losses[0], losses[-1]), peak=peak_mib(task))


def trl_trainer(model: Any, config: Any, common: dict[str, Any], data: list[Any], clock: Clock) -> Any:
    import datasets
    import trl

    prepared = {"dataset_kwargs": {"skip_prepare_dataset": True}, "remove_unused_columns": False}
    return trl.SFTTrainer(
        model=model,
        peft_config=config,
        args=trl.SFTConfig(**common, **prepared, gradient_checkpointing=False),
        train_dataset=datasets.Dataset.from_list(data),
        data_collator=collated,
        callbacks=[clock],
    )


def labelled(example: TokenizedExample) -> dict[str, list[int]]:
    ids, start = list(example.input_ids), example.prompt_length
    return {"input_ids": ids, "labels": [IGNORED] * start + ids[start:]}


def collated(rows: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    batch = {name: torch.tensor([row[name] for row in rows]) for name in ("input_ids", "labels")}
    return {**batch, "attention_mask": torch.ones_like(batch["input_ids"])}


def timed(task: Task, work: Callable[[], Any]) -> tuple[float, Any]:
    wait(task)
    began = task.now()
    given = work()
    wait(task)
    return task.now() - began, given


def wait(task: Task) -> None:
    if task.device == "cuda":
        torch.cuda.synchronize()


def forget_peak(task: Task) -> None:
    """What was freed is given back, and the highest mark so far forgotten."""
    gc.collect()
    if task.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    elif STATUS.is_file():
        ctypes.CDLL(None).malloc_trim(0)
        FORGET.write_text("5", encoding="ascii")  # proc(5): resets the peak resident set size


def peak_mib(task: Task) -> float | None:
    if task.device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    lines = STATUS.read_text(encoding="ascii").splitlines() if STATUS.is_file() else []
    kib = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kib[0]) / 2**10 if kib else None


def matrix_rate(task: Task, dtype: str, width: int | None = None) -> float:
    """Flops per second of square products in this format, on this device now."""
    device, size = task.device, width or MATRIX[task.device]
    square = torch.ones(size, size, device=device, dtype=getattr(torch, dtype))
    task_free = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    square @ square
    task_free()
    began, count = task.now(), 0
    while task.now() - began < MATRIX_SECONDS:
        square @ square
        task_free()
        count += 1
    return 2.0 * size**3 * count / (task.now() - began)


def trainers() -> dict[str, Callable[[Task, str, Sequence[TokenizedExample]], Turn]]:
    found: dict[str, Callable[[Task, str, Sequence[TokenizedExample]], Turn]] = {
        OURS: ours,
        HF: lambda *given: theirs(*given, trl=False),
    }
    if importlib.util.find_spec("trl") and importlib.util.find_spec("datasets"):
        found[TRL] = lambda *given: theirs(*given, trl=True)
    return found


def measure(
    task: Task, prompts: Sequence[float], dtypes: Sequence[str], until: float, width: int | None = None
) -> Iterator[list[Row]]:
    """The rows of all settings so far, after every repeat, as far as there is time (of `time.monotonic`).

    A repeat that began is finished; the first counted one of the first setting is always made.

    Raises:
        AssertionError: a trainer did not learn.
    """
    config = transformers.AutoConfig.from_pretrained(task.model)
    model = load_base(task.model, FLOAT32, torch.device("cpu")).model
    parameters = sum(value.numel() for value in model.parameters())
    del model
    done: list[Row] = []
    for dtype in dtypes:
        rate = matrix_rate(task, dtype, width)
        for prompt in prompts:
            if done and time.monotonic() > until:
                print(f"no time left for {dtype} with a prompt of {prompt:.0%}", file=sys.stderr)
                continue
            now: list[Row] = []
            for turns in repeated(task, dtype, examples_of(task, prompt, config.vocab_size), until):
                now = [
                    summed(task, prompt, dtype, name, some, parameters, rate) for name, some in turns.items()
                ]
                yield [*done, *now]
            done += now


def repeated(
    task: Task, dtype: str, examples: Sequence[TokenizedExample], until: float
) -> Iterator[dict[str, list[Turn]]]:
    """Every trainer's turns so far, after each repeat; the first, which warms up, is not among them."""
    turns: dict[str, list[Turn]] = {name: [] for name in trainers()}
    for repeat in range(task.repeats + 1):
        if repeat > 1 and time.monotonic() > until:
            print(f"no time left for repeat {repeat} in {dtype}", file=sys.stderr)
            return
        for name, train in trainers().items():
            forget_peak(task)
            turn = train(task, dtype, examples)
            assert turn.losses[1] < turn.losses[0], f"{name} did not learn: {turn.losses}"
            if repeat:
                turns[name].append(turn)
        if repeat:
            yield turns


def summed(
    task: Task, prompt: float, dtype: str, name: str, turns: Sequence[Turn], parameters: int, rate: float
) -> Row:
    seconds = [turn.seconds for turn in turns]
    middle, tokens = statistics.median(seconds), task.rows * task.length
    return Row(
        prompt=prompt,
        dtype=dtype,
        trainer=name,
        seconds=middle,
        spread=(max(seconds) - min(seconds)) / middle,
        tokens_per_second=tokens / middle,
        matrix_share=4.0 * parameters * tokens / middle / rate,
        peak_mib=None if turns[0].peak is None else max(turn.peak or 0.0 for turn in turns),
        loss_first=turns[-1].losses[0],
        loss_last=turns[-1].losses[1],
        repeats=len(turns),
    )


def table(rows: Sequence[Row]) -> str:
    """For people: a line per trainer, with how many times ours is faster."""
    mine = {(row.prompt, row.dtype): row.seconds for row in rows if row.trainer == OURS}
    lines = [
        "prompt  format    trainer               tokens/s  spread  of matrix rate  peak MiB  theirs/ours  "
        "repeats"
    ]
    for row in rows:
        peak = "-" if row.peak_mib is None else f"{row.peak_mib:.0f}"
        lines.append(
            f"{row.prompt:5.0%}   {row.dtype:9} {row.trainer:21} {row.tokens_per_second:8.0f}  "
            f"{row.spread:6.1%}  {row.matrix_share:14.1%}  {peak:>8}  "
            f"{row.seconds / mine[row.prompt, row.dtype]:11.2f}  {row.repeats:7}"
        )
    return "\n".join(lines)


def write_csv(rows: Sequence[Row], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [one.name for one in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read(line: Mapping[str, str]) -> Row:
    """Back from a line of the file."""
    kinds: dict[str, Callable[[str], Any]] = {"dtype": str, "trainer": str, "repeats": int}
    given = {name: kinds.get(name, float)(value) if value else None for name, value in line.items()}
    return Row(**given)  # type: ignore[arg-type]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--model", type=Path, default=base_model_path(), help="a folder; else the embedded one"
    )
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu"
    )
    for name, default in (
        ("rows", 16),
        ("piece", 8),
        ("length", 256),
        ("rank", 16),
        ("steps", 8),
        ("repeats", 3),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--prompts", type=float, nargs="+", default=SHARES)
    parser.add_argument("--dtypes", nargs="+", choices=(FLOAT32, BFLOAT16), default=(FLOAT32, BFLOAT16))
    parser.add_argument("--seconds", type=float, default=300.0, help="begin no repeat after so long")
    parser.add_argument("--matrix", type=int, help="width of the products that give the matrix rate")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="of the CPU, in all trainers"
    )
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="seconds that this process computes, for a CPU that others use too; with --threads 1, for a\n"
        "thread that waits for another counts as computing",
    )
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args(arguments)
    stay_offline_and_quiet()
    make_repeatable(torch.device(given.device), given.threads)
    task = Task(**{one.name: getattr(given, one.name) for one in fields(Task)})
    rows: list[Row] = []
    until = time.monotonic() + given.seconds
    for rows in measure(task, given.prompts, given.dtypes, until, given.matrix):
        if given.csv is not None:  # after each repeat: what ends early leaves what it has
            write_csv(rows, given.csv)
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
