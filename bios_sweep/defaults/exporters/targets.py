"""What learns of a model, by the names that other trainers ask for: they know no `attention` and no `mlp`."""

from __future__ import annotations

from typing import Any

from bios_sweep.settings import ALL_LINEAR, FULL, TrainingSettings

# As most decoders call them (Llama, Qwen, Mistral, Gemma, ...).
USUAL = {
    "attention": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "mlp": ["gate_proj", "up_proj", "down_proj"],
}
EMBEDDINGS = ["embed_tokens", "lm_head"]
OTHERWISE = "as Llama and its kin call these layers; another architecture may call them otherwise"


def targets_of(settings: TrainingSettings) -> dict[str, tuple[Any, str]]:
    """Name of the quantity -> its value and the setting it stands for; None where there is nothing to say.

    target_modules: PEFT's word or a list. linear, modules: Axolotl's switch and list. target_names: a text;
    module_names: one in which every layer is named.
    """
    if settings.method == FULL or settings.targets is None:
        nothing = ("target_modules", "linear", "modules", "target_names", "module_names")
        return dict.fromkeys(nothing, (None, "targets"))
    every = settings.targets == ALL_LINEAR
    listed = USUAL.get(settings.targets, settings.targets.split(","))
    return {
        "target_modules": (ALL_LINEAR if every else listed, "targets"),
        "linear": (True if every else None, "targets"),
        "modules": (None if every else listed, "targets"),
        "target_names": ("all" if every else ",".join(listed), "targets"),
        "module_names": (
            ",".join([name for layers in USUAL.values() for name in layers] if every else listed),
            "targets",
        ),
    }


def embeddings_of(settings: TrainingSettings) -> dict[str, tuple[Any, str]]:
    """The same of embeddings and head that learn beside it: a list, a text, and that tied ones are one."""
    named = EMBEDDINGS if settings.embeddings else None
    return {
        "saved_modules": (named, "embeddings"),
        "saved_names": (named and ",".join(named), "embeddings"),
        "tying": (named and True, "embeddings"),
    }


def doubts_of_names(settings: TrainingSettings) -> dict[str, str]:
    """Setting, or quantity that names more layers than it -> what to bear in mind with it."""
    named = settings.targets in USUAL
    return {
        "targets": OTHERWISE if named else "",
        "module_names": OTHERWISE if named or settings.targets == ALL_LINEAR else "",
        "embeddings": OTHERWISE if settings.embeddings else "",
    }
