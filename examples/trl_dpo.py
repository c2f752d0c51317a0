"""Preference training as people have it: TRL's DPOTrainer, which needs `pip install trl` (1.16.0 was tried).

It knows nothing of bios-sweep. `bios-sweep run --config-dir examples sweeps=trl_dpo` sweeps it; the metric is
read from the `trainer_state.json` that it leaves, and agrees with the dicts that it prints.
"""

import argparse

from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoTokenizer
from trl import DPOConfig, DPOTrainer

MODEL = "bios_sweep/assets/base_model"

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, required=True)
parser.add_argument("--beta", type=float, default=0.1)
parser.add_argument("--bs", type=int, default=8)
parser.add_argument("--rank", type=int, default=8)
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", required=True)
args = parser.parse_args()

files = {"train": "examples/data/pairs_train.jsonl", "test": "examples/data/pairs_eval.jsonl"}
data = load_dataset("json", data_files=files, cache_dir=f"{args.out}/cache")
trainer = DPOTrainer(
    model=MODEL,
    args=DPOConfig(
        output_dir=args.out,
        learning_rate=args.lr,
        beta=args.beta,
        per_device_train_batch_size=args.bs,
        max_steps=args.steps,
        eval_strategy="steps",
        eval_steps=args.steps,
        eval_on_start=True,
        save_strategy="no",
        seed=args.seed,
        report_to="none",
        bf16=False,
        model_init_kwargs={"dtype": "float32"},
    ),
    train_dataset=data["train"],
    eval_dataset=data["test"],
    processing_class=AutoTokenizer.from_pretrained(MODEL),
    peft_config=LoraConfig(r=args.rank, lora_alpha=32, target_modules="all-linear"),
)
trainer.train()
trainer.save_state()
