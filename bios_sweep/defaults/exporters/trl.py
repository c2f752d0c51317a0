"""TRL: `SFTConfig` with PEFT's `LoraConfig`."""

from __future__ import annotations

from bios_sweep.defaults.exporters.peft import LORA_CONFIG, TRAINING_ARGUMENTS
from bios_sweep.defaults.exporters.tool import THE_DATA, Fixed, Tool

TRL = Tool(
    name="trl",
    title="TRL",
    source="trl 1.16.0 SFTConfig, peft 0.21.2 LoraConfig",
    use="SFTTrainer(args=SFTConfig(output_dir=..., **values['SFTConfig']), "
    "peft_config=LoraConfig(**values['LoraConfig']), ...)",
    keys={
        "SFTConfig": {
            **TRAINING_ARGUMENTS,
            "max_length": "max_length",
            "packing": Fixed(value=False, reason="packed examples would change the batch"),
        },
        "LoraConfig": LORA_CONFIG,
    },
    left_out={
        "method": "LoraConfig itself is the method",
        "alpha_rule": "written as use_rslora: false",
        "train_examples": THE_DATA,
    },
    use_in_full="SFTTrainer(args=SFTConfig(output_dir=..., **values['SFTConfig']), ...) with no peft_config",
)
