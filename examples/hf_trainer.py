"""A fine-tuning script as people have them: a Hugging Face Trainer with a PEFT adapter.

It knows nothing of bios-sweep. `bios-sweep run --config-dir examples sweeps=hf_trainer` sweeps it; the metric
is read from the `trainer_state.json` that it leaves in its output folder.
"""

import argparse

from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
    set_seed,
)

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

set_seed(args.seed)  # before the adapter is made: its initialisation belongs to the seed
tokenizer = AutoTokenizer.from_pretrained(base_model_path())
model = AutoModelForCausalLM.from_pretrained(base_model_path())
model = get_peft_model(model, LoraConfig(r=args.rank, lora_alpha=32, target_modules="all-linear"))


def tokenized(example):
    """Only the completion is learnt: -100 is what the loss leaves out."""
    prompt = tokenizer(example.prompt)["input_ids"]
    completion = tokenizer(example.completion + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
    return {"input_ids": prompt + completion, "labels": [-100] * len(prompt) + completion}


data = embedded_examples(64)
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        output_dir=args.out,
        learning_rate=args.lr,
        per_device_train_batch_size=args.bs,
        max_steps=args.steps,
        lr_scheduler_type="linear",
        eval_strategy="steps",
        eval_steps=args.steps,
        eval_on_start=True,  # the untouched model: what fine-tuning gains is measured from here
        save_strategy="no",
        seed=args.seed,
        report_to="none",
        disable_tqdm=True,
    ),
    train_dataset=[tokenized(example) for example in data.train[:640]],
    eval_dataset=[tokenized(example) for example in data.evaluation],
    data_collator=DataCollatorForSeq2Seq(tokenizer),
)
trainer.train()
trainer.save_state()
