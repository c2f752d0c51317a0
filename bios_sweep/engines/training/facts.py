"""What the plan must know of a base model, read from its files: standard library only, nothing is loaded.

A plan takes a fraction of a second; loading torch alone would take longer. So the architecture comes
from config.json as JSON, the parameter count from the safetensors headers, versions from package metadata.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from bios_sweep.assets import base_model_path
from bios_sweep.checks import is_whole
from bios_sweep.engines.training.cache import files_fingerprint, user_cache
from bios_sweep.errors import ModelError
from bios_sweep.settings import BFLOAT16
from bios_sweep.study.scenario import ModelFacts

SOFTWARE = ("torch", "transformers", "peft")  # the packages whose numerics decide a trial's outcome
READERS = ("tokenizers", "transformers", "jinja2")  # those that decide which tokens a text has
ABSENT = "absent"
# Raised when the numbers change; part of every trial's identity. 2: a trial also ends with the loss on
# general text, so that one without it is not taken for one with it. 3: an answer ends with what ends a
# generation, and all arms of a study are judged on evaluation examples cut at one length.
ENGINE_VERSION = "3"
# The same where the numbers of one format alone changed. 2: an adapter's products are computed in bfloat16.
FORMAT_VERSIONS = {BFLOAT16: "bfloat16 2"}
EMBEDDED = "embedded:base_model"  # no folder: the package lies elsewhere on other nodes
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
TOKENIZER = "tokenizer.json"
# Beside config and weights, what decides the tokens and how messages are rendered.
TEXT_FILES = (TOKENIZER, "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
CAUSAL_ARCHITECTURES = ("GPT2LMHeadModel",)  # decoders whose class was named before `ForCausalLM`
WIDTH_KEYS = ("hidden_size", "n_embd", "d_model")  # what architectures call the residual stream's width
HEADER_LENGTH_BYTES = 8  # safetensors: little-endian length of the JSON header
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def describe_model(path_or_hub_id: str, name: str | None = None) -> ModelFacts:
    """Facts of a local causal language model: a folder, or a hub id that is already in the local cache.

    The fingerprint covers every file that decides a number (config, weights, tokenizer, chat template)
    by content, so a moved or renamed model keeps its finished trials. Nothing is ever downloaded.

    Raises:
        ModelError: missing or incomplete files, pickle weights, remote code, or no causal language model.
    """
    folder = resolve_model(path_or_hub_id)
    config = read_config(folder)
    weights = weight_files(folder)
    texts = [folder / name for name in ("config.json", *TEXT_FILES) if (folder / name).is_file()]
    # It decides how an answer ends; the rest of the generation config decides nothing here.
    path = folder / "generation_config.json"
    generation = _read_json(path, "") if path.is_file() else {}
    return ModelFacts(
        name=name or (path_or_hub_id if not Path(path_or_hub_id).is_dir() else folder.name),
        path=str(folder),
        family=_family(config),
        hidden_size=_hidden_size(config, folder),
        fingerprint=files_fingerprint([*texts, *weights]),
        parameters=count_parameters(weights),
        ends=token_ids(generation.get("eos_token_id")),
    )


def reads_by(folder: Path) -> str:
    """Sha256 over the files that decide how a model in a folder reads and writes text."""
    names = ("config.json", "generation_config.json", *TEXT_FILES)
    return files_fingerprint([folder / name for name in names if (folder / name).is_file()])


def software_versions(packages: Iterable[str] = SOFTWARE) -> dict[str, str]:
    """Installed version per package that decides the numbers, `absent` where there is none."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = ABSENT
    return found


def resolve_model(path_or_hub_id: str) -> Path:
    """The absolute folder of a model; a hub id `org/name` is looked up in the local Hugging Face cache.

    `EMBEDDED` is the model of this package, wherever it is installed.

    Raises:
        ModelError: no such folder, or the model was not downloaded.
    """
    if path_or_hub_id == EMBEDDED:
        return base_model_path()
    folder = Path(path_or_hub_id).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.exists():
        raise ModelError(f"model {path_or_hub_id}: is a file; give the folder that holds config.json")
    if not HUB_ID.fullmatch(path_or_hub_id):
        raise ModelError(
            f"model {path_or_hub_id}: no such folder; give a folder with config.json, or a hub id org/name"
        )
    return _cached_snapshot(path_or_hub_id)


def portable_model(path_or_hub_id: str) -> str:
    """A model by a name that means the same on every node: a hub id stays one, a folder becomes absolute.

    Nodes keep their hub caches, and the package, in places of their own.
    """
    if path_or_hub_id == EMBEDDED or not Path(path_or_hub_id).expanduser().is_dir():
        return path_or_hub_id
    return str(Path(path_or_hub_id).expanduser().resolve())


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a causal language model whose code ships with transformers.

    Raises:
        ModelError: no readable config.json, remote code, no causal language model, or no tokenizer.json.
    """
    config = _read_json(folder / "config.json", "a Hugging Face model folder has one")
    if "auto_map" in config:
        raise ModelError(
            f"model {folder}: config.json has auto_map, code that would run from the model's folder; only "
            "architectures inside transformers are allowed (remove the key if yours is one)"
        )
    architectures = config.get("architectures") or []
    causal = [name for name in architectures if name.endswith("ForCausalLM") or name in CAUSAL_ARCHITECTURES]
    if not causal and not isinstance(config.get("text_config"), dict):
        raise ModelError(
            f"model {folder}: architectures {architectures} in config.json is no causal language model; "
            "the entry must end with ForCausalLM"
        )
    if not (folder / TOKENIZER).is_file():
        raise ModelError(
            f"model {folder}: no tokenizer.json; save the tokenizer there with "
            "AutoTokenizer.from_pretrained(...).save_pretrained(folder)"
        )
    return config


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files that loading would read: one file, or the shards of the index.

    Raises:
        ModelError: none there (pickle weights are not read), or a shard of the index is missing.
    """
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if not (folder / INDEX).is_file():
        pickled = [name for kind in ("*.bin", "*.pt*") for name in sorted(p.name for p in folder.glob(kind))]
        found = f" (found {', '.join(pickled)}, and pickle files can run code)" if pickled else ""
        raise ModelError(f"model {folder}: no {WEIGHTS}{found}; only safetensors weights are allowed")
    shards = _read_json(folder / INDEX, "it lists the shards").get("weight_map") or {}
    paths = tuple(folder / shard for shard in sorted(set(shards.values())))
    missing = [path.name for path in paths if not path.is_file()]
    if missing or not paths:
        raise ModelError(
            f"model {folder}: {INDEX} lists {missing[0] if missing else 'no shard'} but it is not there; "
            "download the model again"
        )
    return paths


def count_parameters(weights: Iterable[Path]) -> int:
    """By the headers of safetensors files; not one weight is read.

    Raises:
        ModelError: a file is cut off.
    """
    return sum(math.prod(tensor["shape"]) for path in weights for tensor in _tensors(path))


def _cached_snapshot(hub_id: str) -> Path:
    repository = hub_cache() / f"models--{hub_id.replace('/', '--')}"
    reference = repository / "refs" / "main"
    revision = reference.read_text().strip() if reference.is_file() else ""
    snapshot = repository / "snapshots" / revision
    if not revision or not snapshot.is_dir():
        raise ModelError(
            f"model {hub_id}: neither a folder nor in the Hugging Face cache {hub_cache()}; "
            f"download it first: hf download {hub_id}"
        )
    return snapshot.absolute()


def hub_cache() -> Path:
    """Where the hub client keeps models, by its own environment variables."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    home = os.environ.get("HF_HOME") or user_cache() / "huggingface"
    return Path(home).expanduser() / "hub"


def _family(config: Mapping[str, Any]) -> str:
    """The name the learning-rate rules know: Qwen 2 and 3 with their variants share one exponent."""
    kind = str(config.get("model_type") or "unknown")
    return "qwen" if re.match(r"qwen[23]", kind) else kind


def _hidden_size(config: Mapping[str, Any], folder: Path) -> int:
    text = config.get("text_config") or config
    for key in WIDTH_KEYS:
        if isinstance(text.get(key), int):
            return int(text[key])
    raise ModelError(f"model {folder}: config.json gives no hidden_size (nor {', '.join(WIDTH_KEYS[1:])})")


def position_limit(folder: Path) -> int | None:
    """Tokens a sequence may have by the model's config.json, None where it sets no limit."""
    config = read_config(folder)
    limit = (config.get("text_config") or config).get("max_position_embeddings")
    return limit if isinstance(limit, int) else None


def token_ids(value: Any) -> tuple[int, ...]:
    """The ids that a config's entry names: one, several or none."""
    return tuple(filter(is_whole, value if isinstance(value, list) else [value]))


def _read_json(path: Path, why: str) -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(f"model {path.parent}: no {path.name}; {why}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(f"model {path.parent}: {path.name} cannot be read as JSON ({error})") from None
    if not isinstance(value, dict):
        raise ModelError(f"model {path.parent}: {path.name} must hold a JSON object")
    return value


def _tensors(path: Path) -> list[dict[str, Any]]:
    """The JSON header's entry of each tensor; the file must be exactly as long as they need."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(HEADER_LENGTH_BYTES), "little")
        start = HEADER_LENGTH_BYTES + length
        tensors = _parse_header(file.read(length)) if start <= size else None
    if tensors is None:
        raise ModelError(f"model {path.parent}: {path.name} is cut off in its header; download it again")
    needed = start + max((tensor["data_offsets"][1] for tensor in tensors), default=0)
    if needed != size:
        raise ModelError(
            f"model {path.parent}: {path.name} has {size} bytes where its header needs {needed}; "
            "download it again"
        )
    return tensors


def _parse_header(raw: bytes) -> list[dict[str, Any]] | None:
    """None unless it is an object whose entries have a shape and offsets."""
    try:
        tensors = [entry for name, entry in json.loads(raw).items() if name != "__metadata__"]
        for entry in tensors:
            math.prod(entry["shape"]) + entry["data_offsets"][1]
    except (ValueError, AttributeError, TypeError, KeyError, IndexError):
        return None
    return tensors
