"""What a recommendation needs to know of a model, read from its config.json alone.

A model is a local folder, an id in the local Hugging Face cache, one of the well-known ids in
known_models.json, or, where none of these knows it, an id of the hub.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bios_sweep.defaults.hub import NotOnHubError, hub_config
from bios_sweep.defaults.rules import family_of
from bios_sweep.errors import ModelError
from bios_sweep.paths import expanded
from bios_sweep.settings import COUNT

HUB_ID = re.compile(r"(?!.*\.\.)[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")  # no way out of the cache folder
TEXT_KEYS = ("text_config", "llm_config", "language_config")  # of Transformers; InternVL; DeepSeek-VL
# Of the keys of a gated MLP, but with layers fused (`qkv_proj`, `gate_up_proj`) or without a gate.
OTHER_LAYERS = (
    "phi3",
    "phi4_multimodal",
    "glm",
    "glm4",
    "phi",
    "starcoder2",
    "gpt_neox",
    "nemotron",
    "persimmon",
)
EXPERT_KEYS = ("num_experts", "num_local_experts", "n_routed_experts")  # a mixture of experts names one


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """A model's architecture and size. `origin` says where they were read.

    family: `llama`, `qwen`, or the config's own model_type. hidden_size: width of the residual stream.
    lora_parameters_per_rank: adapter parameters that one unit of rank adds over all linear layers of
    the text model; None where the config does not tell (mixtures of experts, missing keys).
    """

    family: str
    hidden_size: int
    origin: str
    lora_parameters_per_rank: int | None = None


def model_shape(model: str | os.PathLike[str]) -> ModelShape:
    """Find a model and read its shape: a folder, then the local cache, the shipped table, the hub.

    Raises:
        ModelError: nothing found (every place searched is named), or a config that cannot be used.
    """
    name = os.fspath(model)
    folder = expanded(name)
    if folder.is_dir():
        return read_config(folder / "config.json")
    cached = _cached_config(name)
    if cached is not None:
        return read_config(cached)
    return _known_model(name) or _shape_on_hub(name)


def _shape_on_hub(name: str) -> ModelShape:
    if not HUB_ID.fullmatch(name):
        raise ModelError(f"model {name!r} was not found: no such folder, and no id of a model either")
    try:
        text, address = hub_config(name)
    except NotOnHubError as reason:
        raise ModelError(
            f"model {name!r} was not found: no such folder, not in the Hugging Face cache {hub_cache()}, not "
            f"among the well-known models{_alike(name)}, and the hub {reason}; give a folder with its "
            "config.json, or family and hidden_size"
        ) from reason
    return _shape(text, address)


def read_config(path: Path) -> ModelShape:
    """Read a Hugging Face config.json. A nested text model is what gets fine-tuned, so it wins.

    Raises:
        ModelError: the file is missing, not JSON, or has no usable model_type and hidden_size.
    """
    if not path.is_file():
        raise ModelError(f"{path}: not found; a model folder needs its config.json")
    return _shape(path.read_text(encoding="utf-8", errors="replace"), str(path))


def hub_cache() -> Path:
    """Where Hugging Face keeps models here, by its own environment variables."""
    if os.environ.get("HF_HUB_CACHE"):
        return expanded(os.environ["HF_HUB_CACHE"])
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or Path(caches, "huggingface")
    return expanded(Path(home, "hub"))


def lora_parameters_per_rank(config: Mapping[str, Any]) -> int | None:
    """Adapter parameters per unit of rank: inputs plus outputs of every linear layer (q, k, v, o and MLP).

    Computed for dense models with gated MLPs (Llama, Qwen and their like); None for the others.
    """
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    if any(key in config for key in EXPERT_KEYS) or config.get("model_type") in OTHER_LAYERS:
        return None
    if not all(COUNT.holds(config.get(name)) for name in names):
        return None
    hidden, inner, layers, heads = (config[name] for name in names)
    head = config.get("head_dim") or hidden // heads
    queries, keys = heads * head, (config.get("num_key_value_heads") or heads) * head
    attention = 2 * (hidden + queries) + 2 * (hidden + keys)
    return int(layers * (attention + 3 * (hidden + inner)))


def _shape(text: str, origin: str) -> ModelShape:
    """Of a config.json that was read from `origin`."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{origin}: is not JSON ({error})") from error
    if not isinstance(config, dict):
        raise ModelError(
            f"{origin}: holds {type(config).__name__}, not an object with model_type and hidden_size"
        )
    nested = (config.get(key) for key in TEXT_KEYS)
    inner = next((one for one in nested if isinstance(one, dict) and "hidden_size" in one), config)
    model_type = inner.get("model_type") or config.get("model_type")
    hidden_size: Any = inner.get("hidden_size")
    if not isinstance(model_type, str) or not model_type.strip():
        raise ModelError(
            f"{origin}: model_type is {model_type!r}; it must name the architecture, such as llama"
        )
    if not COUNT.holds(hidden_size):
        raise ModelError(f"{origin}: hidden_size is {hidden_size!r}; it must be a whole number of at least 1")
    return ModelShape(
        family=family_of(model_type),
        hidden_size=hidden_size,
        origin=origin,
        lora_parameters_per_rank=lora_parameters_per_rank(inner),
    )


def _cached_config(name: str) -> Path | None:
    """config.json of the revision that `main` points to, else of the newest one that has it."""
    if not HUB_ID.fullmatch(name):
        return None
    folder = hub_cache() / ("models--" + name.replace("/", "--"))
    reference = folder / "refs" / "main"
    if reference.is_file():
        revision = reference.read_text(encoding="utf-8").strip()
        found = folder / "snapshots" / Path(revision).name / "config.json"
        if found.is_file():
            return found
    found_any = sorted(folder.glob("snapshots/*/config.json"), key=lambda path: path.stat().st_mtime)
    return found_any[-1] if found_any else None


@cache
def _known_models() -> Mapping[str, Any]:
    text = Path(__file__).with_name("known_models.json").read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def _known_model(name: str) -> ModelShape | None:
    table = _known_models()
    organisation = name.rpartition("/")[0]
    names = _by_last_part() if organisation in table["mirrors"] else {}
    facts = table["models"].get(names.get(_last_part(name), "") or _stem(name))
    return ModelShape(origin="known_models.json", **facts) if facts else None


def _stem(name: str) -> str:
    """A model's name without what says how it was trained further, or stored."""
    for suffix in _known_models()["suffixes"]:
        name = name.removesuffix(suffix)
    return name


def _last_part(name: str) -> str:
    """What stays of a name in a mirror: `unsloth/llama-3-8b-bnb-4bit` is meta-llama/Meta-Llama-3-8B."""
    return _stem(name.rpartition("/")[2]).casefold().removeprefix("meta-")


@cache
def _by_last_part() -> Mapping[str, str]:
    return {_last_part(model): model for model in _known_models()["models"]}


def _alike(name: str) -> str:
    """The well-known model that the name may have meant, as part of a sentence; empty where none is near."""
    from difflib import get_close_matches  # only a miss needs it

    known = _by_last_part()
    near = get_close_matches(_last_part(name), known, n=1, cutoff=0.8)
    return f" (the nearest is {known[near[0]]})" if near else ""
