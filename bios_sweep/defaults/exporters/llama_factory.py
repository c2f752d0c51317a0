"""LLaMA-Factory: one flat YAML file."""

from __future__ import annotations

from bios_sweep.defaults.exporters.peft import TRAINING_ARGUMENTS
from bios_sweep.defaults.exporters.tool import EVERY_LINEAR_LAYER, PLAIN_ALPHA, THE_DATA, Fixed, Tool

LLAMA_FACTORY = Tool(
    name="llama-factory",
    title="LLaMA-Factory",
    source="llamafactory 0.9.5 hparams/finetuning_args.py, data_args.py, training_args.py (those of "
    "transformers), github.com/hiyouga/LLaMA-Factory",
    use="add model_name_or_path, dataset, template and output_dir, then llamafactory-cli train FILE",
    keys={
        "": {
            "stage": Fixed(value="sft", reason="what the evidence was made for"),
            "do_train": Fixed(value=True, reason="train, not only evaluate"),
            "finetuning_type": "method",
            "lora_rank": "lora_rank",
            "lora_alpha": "alpha",
            "lora_dropout": "lora_dropout",
            "lora_target": Fixed(value="all", reason=EVERY_LINEAR_LAYER, adapter=True),
            "use_rslora": Fixed(value=False, reason=PLAIN_ALPHA, adapter=True),
            "cutoff_len": "max_length",
            "packing": Fixed(value=False, reason="packed examples would change the batch"),
            "train_on_prompt": Fixed(value=False, reason="the loss is on completions alone"),
            **TRAINING_ARGUMENTS,
        }
    },
    left_out={"alpha_rule": "written as use_rslora: false", "train_examples": THE_DATA},
    whole_alpha=True,
)
