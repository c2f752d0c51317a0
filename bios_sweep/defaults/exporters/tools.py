"""The keys of other trainers: a table per tool. A further one is one more `Tool` in `TOOLS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from bios_sweep.defaults.exporters.quantities import PACKING
from bios_sweep.method import Objective
from bios_sweep.settings import DORA, LORA, METHODS, QLORA, baseline_values


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """A key that has the same value whatever the settings are.

    adapter: whether the key is an adapter's, so that full fine-tuning leaves it out. evidence: whether the
    evidence was made that way; False where the tool is only told what to do. ran: of a key that merely stood
    so beside the evidence (`quantities.RAN_HERE`), the setting it goes with. warning: what to bear in mind.
    """

    value: Any
    adapter: bool = False
    evidence: bool = True
    ran: str = ""
    warning: str = ""


KeyValue: TypeAlias = str | Fixed  # the name of a quantity (`quantities.py`), or a fixed value


@dataclass(frozen=True, kw_only=True)
class Preference:
    """A tool's keys and use in preference training. left_out: settings that it has no key for, and why."""

    use: str
    keys: Mapping[str, Mapping[str, KeyValue]]
    use_in_full: str = ""
    source: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Tool:
    """Another trainer, as the keys that its configuration has for our settings.

    keys: section -> exact key -> where its value comes from. The section "" is the top of a flat file;
    other sections are the names of the tool's own classes or groups.
    source: where the keys were read, with the version; keys are renamed between versions.
    use: how the file is used, in one sentence. first_line: what must open the file, if anything.
    left_out: setting -> why the tool has no key for it. Every setting is in `keys` or here.
    splits_batch: whether the tool is told micro-batch and accumulation, or the whole batch. exact: whether
    numbers keep all their digits, because they name trials that need not run again.
    whole_alpha: whether the tool's alpha is an integer. methods, objectives: those it can be told of;
    use_in_full, use_by_script: how the file is used for full fine-tuning and where a script must train, if
    that is another way. needed: keys that must be there; they are `auto` where there is no value. preference:
    how it is told of preference pairs, where its keys are others then.
    """

    name: str
    title: str
    source: str
    use: str
    keys: Mapping[str, Mapping[str, KeyValue]]
    left_out: Mapping[str, str]
    first_line: str = ""
    splits_batch: bool = True
    exact: bool = False
    whole_alpha: bool = False
    methods: tuple[str, ...] = METHODS
    objectives: tuple[str, ...] = (Objective.SFT,)
    use_in_full: str = ""
    use_by_script: str = ""
    preference: Preference | None = None
    needed: tuple[str, ...] = ()

    def by(self, objective: str) -> Tool:
        """The tool as it is told of an objective."""
        told = self.preference
        if objective == Objective.SFT or told is None:
            return self
        ours = {name: why for name, why in self.left_out.items() if name not in OF_PAIRS}
        return replace(
            self,
            keys=told.keys,
            use=told.use,
            use_in_full=told.use_in_full,
            source=told.source or self.source,
            left_out={**ours, **told.left_out},
            preference=None,
        )


OF_PAIRS = dict.fromkeys(("dpo_beta", "dpo_length_normalised"), "of preference training alone")
BOTH = (Objective.SFT, Objective.DPO)
THE_DATA = "the project's own data decide it"
PLAIN_ALPHA = "written into alpha, at this rank, with use_rslora: false"
HAS_NO_KEY = "the tool has no key for it"
AUTO = Fixed(value="auto", evidence=False, warning="computed where the file is used")
OPTIMIZER = Fixed(value="adamw_torch")
NO_PACKING = Fixed(value=False, ran=PACKING, warning="the batch counts examples; packed, several are one")
LOSS_ON_COMPLETIONS = Fixed(value=False)
NO_RSLORA = Fixed(value=False, adapter=True)


LORA_CONFIG: Mapping[str, KeyValue] = {
    "r": "lora_rank",
    "lora_alpha": "alpha",
    "lora_dropout": "lora_dropout",
    "target_modules": "target_modules",
    "modules_to_save": "saved_modules",
    "ensure_weight_tying": "tying",
    "use_rslora": NO_RSLORA,
    "use_dora": "dora",
    "init_lora_weights": "given_init",
    "bias": Fixed(value="none", adapter=True),
    "task_type": Fixed(value="CAUSAL_LM", adapter=True, evidence=False),
}
BITS_AND_BYTES: Mapping[str, KeyValue] = {
    "load_in_4bit": "four_bit",
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": "four_bit",
    "bnb_4bit_compute_dtype": "compute",
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
    "lr_scheduler_kwargs": "scheduler_kwargs",
    "optim": OPTIMIZER,
    **OPTIMIZATION,
    "bf16": "bf16",
}

PEFT = Tool(
    name="peft",
    title="PEFT and transformers",
    source="peft 0.21.2 LoraConfig, transformers 5.23.0 TrainingArguments",
    use="LoraConfig(**values['LoraConfig']) and "
    "TrainingArguments(output_dir=..., **values['TrainingArguments'])",
    keys={
        "LoraConfig": LORA_CONFIG,
        "BitsAndBytesConfig": BITS_AND_BYTES,
        "TrainingArguments": TRAINING_ARGUMENTS,
    },
    left_out={
        "alpha_rule": PLAIN_ALPHA,
        "max_length": "the tokenizer's call has it",
        "train_examples": THE_DATA,
        **OF_PAIRS,
    },
    methods=(LORA, DORA, QLORA),
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
        "BitsAndBytesConfig": BITS_AND_BYTES,
    },
    left_out={
        "alpha_rule": PLAIN_ALPHA,
        "train_examples": THE_DATA,
        **OF_PAIRS,
    },
    objectives=BOTH,
    preference=Preference(
        use="DPOTrainer(args=DPOConfig(output_dir=..., **values['DPOConfig']), "
        "peft_config=LoraConfig(**values['LoraConfig']), ...)",
        source="trl 1.16.0 DPOConfig, peft 0.21.2 LoraConfig",
        keys={
            "DPOConfig": {
                **TRAINING_ARGUMENTS,
                "max_length": "max_length",
                "beta": "dpo_beta",
                "loss_type": "loss_type",
            },
            "LoraConfig": LORA_CONFIG,
            "BitsAndBytesConfig": BITS_AND_BYTES,
        },
        use_in_full="DPOTrainer(args=DPOConfig(output_dir=..., **values['DPOConfig']), ...) "
        "with no peft_config",
    ),
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
            "lora_target_linear": "linear",
            "lora_target_modules": "modules",
            "lora_modules_to_save": "saved_modules",
            "peft_ensure_weight_tying": "tying",
            "peft_use_rslora": NO_RSLORA,
            "peft_use_dora": "dora",
            "peft_init_lora_weights": "given_init",
            "load_in_4bit": "four_bit",
            "learning_rate": "learning_rate",
            "micro_batch_size": "micro_batch",
            "gradient_accumulation_steps": "accumulation",
            "max_steps": "max_steps",
            "warmup_steps": "warmup_steps",
            "lr_scheduler": "scheduler",
            "lr_scheduler_kwargs": "scheduler_kwargs",
            "optimizer": OPTIMIZER,
            **OPTIMIZATION,
            "sequence_len": "max_length",
            "sample_packing": NO_PACKING,
            "train_on_inputs": LOSS_ON_COMPLETIONS,
            "bf16": "bf16",
            "float32": "float32",
        }
    },
    left_out={"alpha_rule": PLAIN_ALPHA.replace("use", "peft_use"), "train_examples": THE_DATA, **OF_PAIRS},
    whole_alpha=True,
)
AXOLOTL = replace(
    AXOLOTL,
    objectives=BOTH,
    preference=Preference(
        use="add base_model, datasets of preference pairs and output_dir, then axolotl train FILE",
        keys={
            "": {
                "rl": Fixed(value="dpo", evidence=False),
                "rl_beta": "dpo_beta",
                "dpo_loss_type": "loss_type",
                **{
                    key: cell
                    for key, cell in AXOLOTL.keys[""].items()
                    if key not in ("sample_packing", "train_on_inputs")
                },
            }
        },
    ),
)

LLAMA_FACTORY = Tool(
    name="llama-factory",
    title="LLaMA-Factory",
    source="llamafactory 0.9.5 hparams/finetuning_args.py, data_args.py, training_args.py (those of "
    "transformers), github.com/hiyouga/LLaMA-Factory",
    use="add model_name_or_path, dataset, template and output_dir, then llamafactory-cli train FILE",
    keys={
        "": {
            "stage": Fixed(value="sft", evidence=False),
            "do_train": Fixed(value=True, evidence=False),
            "finetuning_type": "tuner",
            "lora_rank": "lora_rank",
            "lora_alpha": "alpha",
            "lora_dropout": "lora_dropout",
            "lora_target": "target_names",
            "additional_target": "saved_names",
            "use_rslora": NO_RSLORA,
            "use_dora": "dora",
            "quantization_bit": "bits",
            "quantization_method": "bits_by",
            "quantization_type": "nf4",
            "double_quantization": "four_bit",
            "cutoff_len": "max_length",
            "packing": NO_PACKING,
            "train_on_prompt": LOSS_ON_COMPLETIONS,
            **TRAINING_ARGUMENTS,
        }
    },
    left_out={"alpha_rule": PLAIN_ALPHA, "init": HAS_NO_KEY, "train_examples": THE_DATA, **OF_PAIRS},
    whole_alpha=True,
)
LLAMA_FACTORY = replace(
    LLAMA_FACTORY,
    objectives=BOTH,
    preference=Preference(
        use="add model_name_or_path, dataset of ranked pairs, template and output_dir, then llamafactory-cli "
        "train FILE",
        keys={
            "": {
                **{
                    key: cell
                    for key, cell in LLAMA_FACTORY.keys[""].items()
                    if key not in ("packing", "train_on_prompt")
                },
                "stage": Fixed(value="dpo", evidence=False),
                "pref_beta": "dpo_beta",
                "pref_loss": Fixed(value="sigmoid"),
            }
        },
        left_out={"dpo_length_normalised": "it has no such loss"},
    ),
)

MS_SWIFT = Tool(
    name="ms-swift",
    title="ms-swift",
    source="ms-swift 4 command-line parameters (its training arguments are those of transformers), "
    "swift.readthedocs.io/en/latest/Instruction/Command-line-parameters.html",
    use="add model, dataset and output_dir, then swift sft --config FILE",
    keys={
        "": {
            "tuner_type": "tuner",
            "lora_rank": "lora_rank",
            "lora_alpha": "alpha",
            "lora_dropout": "lora_dropout",
            "target_modules": "target_modules",
            "modules_to_save": "saved_modules",
            "use_rslora": NO_RSLORA,
            "use_dora": "dora",
            "init_weights": "given_init",
            "quant_method": "bits_by",
            "quant_bits": "bits",
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": "four_bit",
            "max_length": "max_length",
            "truncation_strategy": Fixed(value="left", ran="max_length"),
            "packing": NO_PACKING,
            "loss_scale": Fixed(value="default"),
            "torch_dtype": "dtype",
            **TRAINING_ARGUMENTS,
        }
    },
    left_out={"alpha_rule": PLAIN_ALPHA, "train_examples": THE_DATA, **OF_PAIRS},
    whole_alpha=True,
)

NO_KEY = "conditions of the evidence that its file has no key for; Studio takes its own"
UNSLOTH = Tool(
    name="unsloth",
    title="Unsloth Studio",
    source="unsloth_cli/config.py of 2026, github.com/unslothai/unsloth",
    use="add model and data to it, then unsloth train --config FILE",
    keys={
        "training": {
            "training_type": "tuner",
            "max_seq_length": "max_length",
            "load_in_4bit": "in_four_bit",
            "learning_rate": "learning_rate",
            "batch_size": "micro_batch",
            "gradient_accumulation_steps": "accumulation",
            "warmup_steps": "warmup_steps",
            "max_steps": "max_steps",
            "weight_decay": "weight_decay",
            "packing": NO_PACKING,
            "train_on_completions": Fixed(value=True),
        },
        "lora": {
            "lora_r": "lora_rank",
            "lora_alpha": "alpha",
            "lora_dropout": "lora_dropout",
            "target_modules": "module_names",
            "use_rslora": NO_RSLORA,
            "use_dora": "dora",
        },
    },
    left_out={
        "alpha_rule": PLAIN_ALPHA,
        **dict.fromkeys(("init", "embeddings"), HAS_NO_KEY),
        "train_examples": THE_DATA,
        "dtype": NO_KEY,
        **dict.fromkeys(("schedule", "decay_fraction"), NO_KEY),
        **dict.fromkeys(("adam_beta1", "adam_beta2", "adam_eps"), NO_KEY),
        **dict.fromkeys(("max_grad_norm", "neftune_alpha"), NO_KEY),
        **OF_PAIRS,
    },
    whole_alpha=True,
)

OF_THE_METHOD = ("trains", "objective", "settings")  # keys of the group that are no settings of ours
LEFT_OUT = {"train_examples": THE_DATA}
WHERE_CHANGED = {"alpha_rule": "rule", "targets": "given_targets", "init": "given_init"}

HYDRA = Tool(
    name="hydra",
    title="Hydra",
    source="bios_sweep conf/baseline, conf/method and conf/budget",
    use="save it as DIR/baseline/tuned.yaml, then bios-sweep run --config-dir DIR baseline=tuned sweeps=NAME",
    first_line="@package _global_",
    keys={
        group: {
            **({name: name for name in OF_THE_METHOD} if group == "method" else {}),
            **{name: WHERE_CHANGED.get(name, name) for name in names if name not in LEFT_OUT},
        }
        for group, names in baseline_values().items()
    },
    left_out=LEFT_OUT,
    splits_batch=False,
    exact=True,
    needed=("learning_rate", "batch_size", "lora_rank"),
    objectives=BOTH,
    use_by_script="save it as DIR/baseline/tuned.yaml, then bios-sweep run --config-dir DIR method=command "
    "method.command=... baseline=tuned sweeps=NAME",
)

TOOLS: Mapping[str, Tool] = {
    tool.name: tool for tool in (PEFT, TRL, AXOLOTL, LLAMA_FACTORY, MS_SWIFT, UNSLOTH, HYDRA)
}
