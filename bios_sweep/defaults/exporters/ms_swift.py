"""ms-swift: one flat YAML file."""

from __future__ import annotations

from bios_sweep.defaults.exporters.peft import TRAINING_ARGUMENTS
from bios_sweep.defaults.exporters.tool import EVERY_LINEAR_LAYER, PLAIN_ALPHA, THE_DATA, Fixed, Tool

MS_SWIFT = Tool(
    name="ms-swift",
    title="ms-swift",
    source="ms-swift 4 command-line parameters (its training arguments are those of transformers), "
    "swift.readthedocs.io/en/latest/Instruction/Command-line-parameters.html",
    use="add model, dataset and output_dir, then swift sft --config FILE",
    keys={
        "": {
            "tuner_type": "method",
            "lora_rank": "lora_rank",
            "lora_alpha": "alpha",
            "lora_dropout": "lora_dropout",
            "target_modules": Fixed(value="all-linear", reason=EVERY_LINEAR_LAYER, adapter=True),
            "use_rslora": Fixed(value=False, reason=PLAIN_ALPHA, adapter=True),
            "max_length": "max_length",
            "truncation_strategy": Fixed(value="left", reason="the prompt gives way first, from its start"),
            "packing": Fixed(value=False, reason="packed examples would change the batch"),
            "loss_scale": Fixed(value="default", reason="the loss is on completions alone"),
            "torch_dtype": "dtype",
            **TRAINING_ARGUMENTS,
        }
    },
    left_out={"alpha_rule": "written as use_rslora: false", "train_examples": THE_DATA},
    whole_alpha=True,
)
