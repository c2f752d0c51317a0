"""The keys of other trainers: a table per tool. A further one is one more `Tool` in `TOOLS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from bios_sweep.method import Objective
from bios_sweep.settings import LORA, METHODS, baseline_values


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """A key that has the same value whatever the settings are, because the evidence was made that way.

    adapter: whether the key is an adapter's, so that full fine-tuning leaves it out.
    """

    value: Any
    reason: str
    adapter: bool = False


KeyValue: TypeAlias = str | Fixed  # the name of a quantity (`quantities.py`), or a fixed value


@dataclass(frozen=True, kw_only=True)
class Tool:
    """Another trainer, as the keys that its configuration has for our settings.

    keys: section -> exact key -> where its value comes from. The section "" is the top of a flat file;
    other sections are the names of the tool's own classes or groups.
    source: where the keys were read, with the version; keys are renamed between versions.
    use: how the file is used, in one sentence. first_line: what must open the file, if anything.
    left_out: setting -> why the tool has no key for it. Every setting is in `keys` or here.
    splits_batch: whether the tool is told micro-batch and accumulation, or the whole batch.
    whole_alpha: whether the tool's alpha is an integer. methods, objectives: those it can be told of;
    use_in_full: how the file is used where a script must train, if that is another way. needed: keys that
    must be there; they are `auto` where there is no value.
    """

    name: str
    title: str
    source: str
    use: str
    keys: Mapping[str, Mapping[str, KeyValue]]
    left_out: Mapping[str, str]
    first_line: str = ""
    splits_batch: bool = True
    whole_alpha: bool = False
    methods: tuple[str, ...] = METHODS
    objectives: tuple[str, ...] = (Objective.SFT,)
    use_in_full: str = ""
    needed: tuple[str, ...] = ()


THE_DATA = "the project's own data decide it"
PLAIN_ALPHA = "written as use_rslora: false"
AUTO = Fixed(value="auto", reason="computed where the file is used")
OPTIMIZER = Fixed(value="adamw_torch", reason="the optimizer of the evidence")
NO_FP16 = Fixed(value=False, reason="not a number format of the evidence")
NO_PACKING = Fixed(value=False, reason="packed examples would change the batch")
NOT_ON_PROMPTS = Fixed(value=False, reason="the loss is on completions alone")
NO_RSLORA = Fixed(value=False, reason="scale alpha / rank, as in the evidence", adapter=True)


def _every_layer(value: Any) -> Fixed:
    return Fixed(value=value, reason="every linear layer, as in the evidence", adapter=True)


LORA_CONFIG: Mapping[str, KeyValue] = {
    "r": "lora_rank",
    "lora_alpha": "alpha",
    "lora_dropout": "lora_dropout",
    "target_modules": _every_layer("all-linear"),
    "use_rslora": NO_RSLORA,
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
    "optim": OPTIMIZER,
    **OPTIMIZATION,
    "bf16": "bf16",
    "fp16": NO_FP16,
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
        "alpha_rule": PLAIN_ALPHA,
        "max_length": "the tokenizer's call has it",
        "train_examples": THE_DATA,
    },
    methods=(LORA,),
)

TRL = Tool(
    name="trl",
    title="TRL",
    source="trl 1.16.0 SFTConfig, peft 0.21.2 LoraConfig",
    use="SFTTrainer(args=SFTConfig(output_dir=..., **values['SFTConfig']), "
    "peft_config=LoraConfig(**values['LoraConfig']), ...)",
    keys={
        "SFTConfig": {**TRAINING_ARGUMENTS, "max_length": "max_length", "packing": NO_PACKING},
        "LoraConfig": LORA_CONFIG,
    },
    left_out={
        "method": "LoraConfig itself is the method",
        "alpha_rule": PLAIN_ALPHA,
        "train_examples": THE_DATA,
    },
    use_in_full="SFTTrainer(args=SFTConfig(output_dir=..., **values['SFTConfig']), ...) with no peft_config",
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
            "lora_target_linear": _every_layer(True),
            "peft_use_rslora": NO_RSLORA,
            "learning_rate": "learning_rate",
            "micro_batch_size": "micro_batch",
            "gradient_accumulation_steps": "accumulation",
            "max_steps": "max_steps",
            "warmup_steps": "warmup_steps",
            "lr_scheduler": "scheduler",
            "optimizer": OPTIMIZER,
            **OPTIMIZATION,
            "sequence_len": "max_length",
            "sample_packing": NO_PACKING,
            "train_on_inputs": NOT_ON_PROMPTS,
            "bf16": "bf16",
            "fp16": NO_FP16,
            "float32": "float32",
        }
    },
    left_out={"alpha_rule": "written as peft_use_rslora: false", "train_examples": THE_DATA},
    whole_alpha=True,
)

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
            "lora_target": _every_layer("all"),
            "use_rslora": NO_RSLORA,
            "cutoff_len": "max_length",
            "packing": NO_PACKING,
            "train_on_prompt": NOT_ON_PROMPTS,
            **TRAINING_ARGUMENTS,
        }
    },
    left_out={"alpha_rule": PLAIN_ALPHA, "train_examples": THE_DATA},
    whole_alpha=True,
)

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
            "target_modules": _every_layer("all-linear"),
            "use_rslora": NO_RSLORA,
            "max_length": "max_length",
            "truncation_strategy": Fixed(value="left", reason="the prompt gives way first, from its start"),
            "packing": NO_PACKING,
            "loss_scale": Fixed(value="default", reason="the loss is on completions alone"),
            "torch_dtype": "dtype",
            **TRAINING_ARGUMENTS,
        }
    },
    left_out={"alpha_rule": PLAIN_ALPHA, "train_examples": THE_DATA},
    whole_alpha=True,
)

OF_THE_METHOD = ("trains", "objective", "settings")  # keys of the group that are no settings of ours
LEFT_OUT = {"alpha_rule": "there is no other", "train_examples": THE_DATA}

HYDRA = Tool(
    name="hydra",
    title="Hydra",
    source="bios_sweep conf/baseline, conf/method and conf/budget",
    use="save it as DIR/baseline/tuned.yaml, then bios-sweep run --config-dir DIR baseline=tuned sweeps=NAME",
    first_line="@package _global_",
    keys={
        group: {
            **({name: name for name in OF_THE_METHOD} if group == "method" else {}),
            **{name: name for name in names if name not in LEFT_OUT},
        }
        for group, names in baseline_values().items()
    },
    left_out=LEFT_OUT,
    splits_batch=False,
    needed=("learning_rate", "batch_size", "lora_rank"),
    objectives=tuple(Objective),
    use_in_full="save it as DIR/baseline/tuned.yaml, then bios-sweep run --config-dir DIR method=command "
    "method.command=... baseline=tuned sweeps=NAME",
)

TOOLS: Mapping[str, Tool] = {tool.name: tool for tool in (PEFT, TRL, AXOLOTL, LLAMA_FACTORY, MS_SWIFT, HYDRA)}
