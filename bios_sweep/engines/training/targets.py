"""Which layers get an adapter: all, those of attention, those of the MLP, or those that are named. Light.

By the names that transformers' architectures give their modules; a plan reads them from the headers of the
weights, a trial from the model itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bios_sweep.errors import ConfigError
from bios_sweep.own_settings import near
from bios_sweep.settings import ALL_LINEAR, TARGETS

KEY = "method.targets"
OF_ATTENTION = ("attn", "attention")
OF_MLP = ("mlp", "ffn", "feed_forward", "expert", "moe")
MLP_LEAVES = ("fc1", "fc2", "fc_in", "fc_out")  # of layers without a module for them, as OPT's


def chosen(names: Sequence[str], targets: str, key: str = KEY) -> tuple[str, ...]:
    """Those of the full names that `targets` means, in their order.

    Raises:
        ConfigError: it reaches nothing, or a name is none of the model's; with the nearest ones.
    """
    if targets == ALL_LINEAR:
        return tuple(names)
    if targets in TARGETS:
        kind = {"attention": is_attention, "mlp": is_mlp}[targets]
        found = tuple(name for name in names if kind(name))
        if not found:
            raise ConfigError(f"{key}: this model has no layers of {targets}; name some of {_leaves(names)}")
        return found
    wanted = targets.split(",")
    for one in wanted:
        if not any(_is_called(name, one) for name in names):
            close = near(one, leaves(names))
            raise ConfigError(
                f"{key}: this model has no linear layer called {one!r}{close}; choose from "
                f"{', '.join(TARGETS)}, or from {_leaves(names)}"
            )
    return tuple(name for name in names if any(_is_called(name, one) for one in wanted))


def is_attention(name: str) -> bool:
    """Whether a layer is part of attention, by the modules that it lies in."""
    return any(word in part for part in name.split(".") for word in OF_ATTENTION)


def is_mlp(name: str) -> bool:
    """Whether a layer is part of an MLP or of an expert, by the modules that it lies in."""
    parts = name.split(".")
    inside = any(word in part for part in parts for word in OF_MLP)
    return (inside or parts[-1] in MLP_LEAVES) and not is_attention(name)


def leaves(names: Iterable[str]) -> tuple[str, ...]:
    """The last parts of full names, each once."""
    return tuple(dict.fromkeys(name.rpartition(".")[2] for name in names))


def _is_called(name: str, wanted: str) -> bool:
    """As PEFT matches: the full name, or its last parts."""
    return name == wanted or name.endswith(f".{wanted}")


def _leaves(names: Iterable[str]) -> str:
    return ", ".join(leaves(names))
