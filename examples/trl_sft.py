"""The same with TRL's SFTTrainer, which needs `pip install trl` (1.16.0 was tried; it brings nothing else).

It knows nothing of bios-sweep. `bios-sweep run --config-dir examples sweeps=trl_sft` sweeps it; the metric is
read from the JSON lines that it prints.
"""

import argparse
import json

from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from bios_sweep.assets import base_model_path
from bios_sweep.engines.training.corpus import embedded_examples

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, required=True)
parser.add_argument("--bs", type=int, default=8)
parser.add_argument("--rank", type=int, default=32)
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", required=True)
args = parser.parse_args()


class PrintMetrics(TrainerCallback):
    """What bios-sweep reads: one JSON object a line."""

    def on_evaluate(self, arguments, state, control, metrics=None, **_):
        """After every evaluation, the one before training included."""
        print(json.dumps({"step": state.global_step, "eval_loss": metrics["eval_loss"]}), flush=True)


def rows(examples):
    """Prompt and completion: the loss is of the completion only."""
    return Dataset.from_list([{"prompt": e.prompt, "completion": e.completion} for e in examples])


data = embedded_examples(64)
trainer = SFTTrainer(
    model=str(base_model_path()),
    args=SFTConfig(
        output_dir=args.out,
        learning_rate=args.lr,
        per_device_train_batch_size=args.bs,
        max_steps=args.steps,
        eval_strategy="steps",
        eval_steps=args.steps,
        eval_on_start=True,
        save_strategy="no",
        seed=args.seed,
        report_to="none",
        disable_tqdm=True,
        bf16=False,
        model_init_kwargs={"dtype": "float32"},
    ),
    train_dataset=rows(data.train[:640]),
    eval_dataset=rows(data.evaluation),
    processing_class=AutoTokenizer.from_pretrained(base_model_path()),
    peft_config=LoraConfig(r=args.rank, lora_alpha=32, target_modules="all-linear"),
    callbacks=[PrintMetrics()],
)
trainer.train()
