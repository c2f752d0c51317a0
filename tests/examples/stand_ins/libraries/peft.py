"""A stand-in."""

from dataclasses import dataclass


@dataclass(kw_only=True)
class LoraConfig:
    """The names that the example gives."""

    r: int
    lora_alpha: int
    target_modules: str
