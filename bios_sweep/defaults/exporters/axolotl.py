"""Axolotl: one flat YAML file."""

from __future__ import annotations

from bios_sweep.defaults.exporters.peft import OPTIMIZATION
from bios_sweep.defaults.exporters.tool import (
    EVERY_LINEAR_LAYER,
    OPTIMIZER,
    PLAIN_ALPHA,
    THE_DATA,
    Fixed,
    Tool,
)

AXOLOTL = Tool(
    name="axolotl",
    title="Axolotl",
    source="axolotl 0.19.0 AxolotlInputConfig (axolotl/utils/schemas/config.py, training.py, peft.py), "
    "github.com/axolotl-ai-cloud/axolotl",
    use="add base_model, datasets and output_dir, then axolotl train FILE",
    keys={
        "": {
            "adapter": "adapter",
            "lora_r": "lora_rank",
            "lora_alpha": "alpha",
            "lora_dropout": "lora_dropout",
            "lora_target_linear": Fixed(value=True, reason=EVERY_LINEAR_LAYER, adapter=True),
            "peft_use_rslora": Fixed(value=False, reason=PLAIN_ALPHA, adapter=True),
            "learning_rate": "learning_rate",
            "micro_batch_size": "micro_batch",
            "gradient_accumulation_steps": "accumulation",
            "max_steps": "max_steps",
            "warmup_steps": "warmup_steps",
            "lr_scheduler": "scheduler",
            "optimizer": Fixed(value="adamw_torch", reason=OPTIMIZER),
            **OPTIMIZATION,
            "sequence_len": "max_length",
            "sample_packing": Fixed(value=False, reason="packed examples would change the batch"),
            "train_on_inputs": Fixed(value=False, reason="the loss is on completions alone"),
            "bf16": "bf16",
            "fp16": Fixed(value=False, reason="not a number format of the evidence"),
            "float32": "float32",
        }
    },
    left_out={"alpha_rule": "written as peft_use_rslora: false", "train_examples": THE_DATA},
    whole_alpha=True,
)
