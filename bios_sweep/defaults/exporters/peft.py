"""PEFT `LoraConfig` with transformers `TrainingArguments`."""

from __future__ import annotations

from collections.abc import Mapping

from bios_sweep.defaults.exporters.tool import (
    EVERY_LINEAR_LAYER,
    OPTIMIZER,
    PLAIN_ALPHA,
    THE_DATA,
    Fixed,
    KeyValue,
    Tool,
)
from bios_sweep.settings import LORA

LORA_CONFIG: Mapping[str, KeyValue] = {
    "r": "lora_rank",
    "lora_alpha": "alpha",
    "lora_dropout": "lora_dropout",
    "target_modules": Fixed(value="all-linear", reason=EVERY_LINEAR_LAYER, adapter=True),
    "use_rslora": Fixed(value=False, reason=PLAIN_ALPHA, adapter=True),
    "bias": Fixed(value="none", reason="no bias is trained, as in the evidence", adapter=True),
    "task_type": Fixed(value="CAUSAL_LM", reason="what the evidence was made for", adapter=True),
}
OPTIMIZATION: Mapping[str, KeyValue] = {  # keys that other tools took over
    "adam_beta1": "adam_beta1",
    "adam_beta2": "adam_beta2",
    "adam_epsilon": "adam_eps",
    "weight_decay": "weight_decay",
    "max_grad_norm": "max_grad_norm",
    "neftune_noise_alpha": "neftune_alpha",
}
TRAINING_ARGUMENTS: Mapping[str, KeyValue] = {
    "learning_rate": "learning_rate",
    "per_device_train_batch_size": "micro_batch",
    "gradient_accumulation_steps": "accumulation",
    "max_steps": "max_steps",
    "warmup_steps": "warmup_steps",
    "lr_scheduler_type": "scheduler",
    "optim": Fixed(value="adamw_torch", reason=OPTIMIZER),
    **OPTIMIZATION,
    "bf16": "bf16",
    "fp16": Fixed(value=False, reason="not a number format of the evidence"),
}

PEFT = Tool(
    name="peft",
    title="PEFT and transformers",
    source="peft 0.21.2 LoraConfig, transformers 5.23.0 TrainingArguments",
    use="LoraConfig(**values['LoraConfig']) and "
    "TrainingArguments(output_dir=..., **values['TrainingArguments'])",
    keys={"LoraConfig": LORA_CONFIG, "TrainingArguments": TRAINING_ARGUMENTS},
    left_out={
        "method": "LoraConfig itself is the method",
        "alpha_rule": "written as use_rslora: false",
        "max_length": "the tokenizer's call has it",
        "train_examples": THE_DATA,
    },
    methods=(LORA,),
)
