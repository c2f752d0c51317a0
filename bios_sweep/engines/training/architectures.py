"""Which architectures are trained: a table, and for what is not in it a look in a process of its own.

Light: a plan reads config.json. The look (`probe`) builds the model without its weights, on torch's meta
device, and is remembered by the content of config.json and the versions that decide what it sees.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import util
from pathlib import Path
from typing import Any

from bios_sweep.engines.training.cache import cache_folder, read_json_cache, write_json_cache
from bios_sweep.engines.training.facts import ENGINE_VERSION, read_config, software_versions
from bios_sweep.errors import ModelError
from bios_sweep.interpreter import python, with_package

# Model types whose losses and gradients were equal to those of the model's own forward pass, in float32, on
# tiny random models of transformers 5.23.
TRAINED = frozenset(
    {
        "apertus", "arcee", "bamba", "bitnet", "bloom", "codegen", "cohere", "cohere2", "deepseek_v2",
        "deepseek_v3", "ernie4_5", "exaone4", "falcon", "falcon_h1", "falcon_mamba", "gemma", "gemma2",
        "gemma3", "gemma3_text", "gemma3n_text", "gemma4_text", "glm4", "glm4_moe", "gpt2", "gpt_bigcode",
        "gpt_neo", "gpt_neox", "gpt_oss", "gptj", "granite", "granitemoe", "granitemoehybrid",
        "hunyuan_v1_dense", "jamba", "lfm2", "llama", "llama4_text", "llava", "mamba", "mamba2", "minicpm3",
        "ministral3", "mistral", "mistral3", "mixtral", "mpt", "nanochat", "nemotron", "nemotron_h",
        "olmo2", "olmo3", "olmoe", "opt", "phi", "phi3", "phimoe", "qwen2", "qwen2_5_vl", "qwen3",
        "qwen3_5", "qwen3_5_text", "qwen3_moe", "qwen3_next", "qwen3_vl", "recurrent_gemma", "rwkv",
        "seed_oss", "smollm3", "stablelm", "starcoder2", "zamba2",
    }
)  # fmt: skip
EXPERT_COUNTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "num_moe_experts")
# Raised when the numbers of mixtures of experts alone change. 2: no router, all experts.
EXPERTS = "experts 2"
# The same of those with dense or shared layers beside their experts. 3: these layers are adapted, too.
EXPERTS_AND_OTHERS = "experts 3"
# What the text config of such a mixture has: DeepSeek, GLM-4 MoE, Qwen MoE.
OTHERS = ("n_shared_experts", "first_k_dense_replace", "shared_expert_intermediate_size", "mlp_only_layers")
ROUTED = "routers"  # where these are adapted, too
PROBE = "bios_sweep.engines.training.probe"
LOOK = 3  # raise it when the probe says something else of an architecture; what is remembered is asked anew


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What an adapter is put on, full names. refused: why nothing can be trained, or ''.

    outside: linear layers beside the text decoder, of a vision tower. left: those that a kernel reads past an
    adapter. routed: routers are adapted, too.
    """

    linear: Sequence[str] = ()
    experts: Sequence[str] = ()
    routers: Sequence[str] = ()
    left: Sequence[str] = ()
    outside: Sequence[str] = ()
    refused: str = ""
    routed: bool = False

    @property
    def words(self) -> str:
        """`an adapter reaches q_proj (32 times), ...; it leaves alone gate (32 times: routers)`."""
        routers = _counted(self.routers, "routers")
        reached = [
            *_counted(self.linear),
            *_counted(self.experts, "fused experts"),
            *(routers if self.routed else ()),
        ]
        others = [
            *(() if self.routed else routers),
            *_counted(self.left, "read past an adapter"),
            *([f"{len(self.outside)} layers beside the text decoder"] if self.outside else []),
        ]
        alone = f"; it leaves alone {', '.join(others)}" if others else ""
        return f"an adapter reaches {', '.join(reached)}{alone}"


def engine_version(folder: Path, *, routed: bool = False) -> str:
    """The engine's version for a model, part of its trials' identity. routed: routers are adapted, too."""
    text = text_of(read_config(folder))
    if not experts_of(text):
        return ENGINE_VERSION
    experts = EXPERTS_AND_OTHERS if any(text.get(key) for key in OTHERS) else EXPERTS
    return ", ".join((ENGINE_VERSION, experts, *([ROUTED] if routed else [])))


def look_at(folder: Path, *, routed: bool = False) -> Reached | None:
    """What an adapter reaches, where that is not plain to see or not known; None elsewhere.

    routed: routers, too.

    Raises:
        ModelError: the architecture cannot be trained, and why.
    """
    config = read_config(folder)
    plain = config.get("model_type") in TRAINED and not experts_of(text_of(config))
    if (plain and "vision_config" not in config) or util.find_spec("transformers") is None:
        return None
    found = _remembered(folder)
    if found.refused:
        raise ModelError(
            f"model {folder}: {config.get('model_type')} cannot be trained here ({found.refused}); choose "
            "another model, or train it with a script of yours (method=command)"
        )
    return replace(found, routed=routed)


def text_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config.json that is about text."""
    nested = config.get("text_config")
    return nested if isinstance(nested, Mapping) else config


def experts_of(config: Any) -> int:
    """How many experts a layer has by the text config (an object or plain values); 0 where it has none."""
    values = config if isinstance(config, Mapping) else vars(config)
    counts = [values.get(key) for key in EXPERT_COUNTS]
    return max([count for count in counts if isinstance(count, int) and count > 1], default=0)


def _remembered(folder: Path) -> Reached:
    versions = json.dumps([software_versions(), ENGINE_VERSION, EXPERTS, EXPERTS_AND_OTHERS, LOOK])
    content = (folder / "config.json").read_bytes() + versions.encode()
    cache, name = cache_folder(), f"{hashlib.sha256(content).hexdigest()[:32]}.json"
    file = None if cache is None else cache / "architectures" / name
    known = read_json_cache(file)
    if isinstance(known, dict):
        return _read(known)
    found = _probed(folder)
    write_json_cache(file, asdict(found))
    return found


def _probed(folder: Path) -> Reached:
    done = subprocess.run(
        python("-m", PROBE, str(folder)), env=with_package(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Reached(refused=last)
    return _read(json.loads(done.stdout.splitlines()[-1]))


def _read(values: Mapping[str, Any]) -> Reached:
    """Back from JSON, which has lists."""
    names = ("linear", "experts", "routers", "left", "outside")
    found: dict[str, Any] = {name: tuple(values[name]) for name in names}
    return Reached(**found, refused=str(values["refused"]))


def _counted(names: Sequence[str], what: str = "") -> list[str]:
    """`gate_up_proj (2 times: fused experts)` for each last part of the names."""
    counts = Counter(name.rpartition(".")[2] for name in names)
    told = f": {what}" if what else ""
    return [f"{name} ({count} time{'' if count == 1 else 's'}{told})" for name, count in counts.items()]
