"""What the plan must know of a base model, read from its files: standard library only, nothing is loaded.

A plan takes a fraction of a second; loading torch alone would take longer. So the architecture comes
from config.json as JSON, the parameter count from the safetensors headers, versions from package metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from bios_sweep.assets import base_model_path
from bios_sweep.checks import is_whole
from bios_sweep.engines.training.cache import files_fingerprint
from bios_sweep.engines.training.headers import count_parameters
from bios_sweep.errors import ModelError
from bios_sweep.hub.cache import HUB_ID, unpinned
from bios_sweep.hub.models import HubModel, fetched, find_model
from bios_sweep.paths import expanded, resolved
from bios_sweep.settings import BFLOAT16
from bios_sweep.study.scenario import ModelFacts

SOFTWARE = ("torch", "transformers", "peft")  # the packages whose numerics decide a trial's outcome
READERS = ("tokenizers", "transformers", "jinja2")  # those that decide which tokens a text has
ABSENT = "absent"
# Raised when the numbers change; part of every trial's identity. 2: a trial also ends with the loss on
# general text, so that one without it is not taken for one with it. 3: an answer ends with what ends a
# generation, and all arms of a study are judged on evaluation examples cut at one length. 4: in float32 an
# adapter is folded into its layer's weight where that takes fewer operations, and gradients are added up in
# another order: losses differ from those of 3 by rounding.
ENGINE_VERSION = "4"
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


def describe_model(path_or_hub_id: str, name: str | None = None, *, download: bool = False) -> ModelFacts:
    """Facts of a local causal language model: a folder, or a hub id, see `resolve_model`.

    The fingerprint covers every file that decides a number (config, weights, tokenizer, chat template)
    by content, so a moved or renamed model keeps its finished trials.

    Raises:
        ModelError: missing or incomplete files, pickle weights, remote code, or no causal language model.
    """
    folder = resolve_model(path_or_hub_id, download=download)
    shown = name or (path_or_hub_id if not Path(path_or_hub_id).is_dir() else folder.name)
    config, weights = read_config(folder), weight_files(folder)
    return _facts(
        folder, config, shown, files_fingerprint([*_texts(folder), *weights]), count_parameters(weights)
    )


def describe_hub_model(found: HubModel, name: str | None = None) -> ModelFacts:
    """The same of a model of the hub, whose weights may not be here yet: then by what the hub says of them.

    Raises:
        ModelError: as of `describe_model`.
    """
    config, shown = read_config(found.folder), name or found.name
    if not found.weights:
        facts = describe_model(str(found.folder), shown)
    else:
        fingerprint = files_fingerprint(_texts(found.folder), found.weights)
        facts = _facts(found.folder, config, shown, fingerprint, found.parameters)
    return replace(facts, hub=found.pinned)


def _texts(folder: Path) -> list[Path]:
    return [folder / name for name in ("config.json", *TEXT_FILES) if (folder / name).is_file()]


def _facts(
    folder: Path, config: Mapping[str, Any], name: str, fingerprint: str, parameters: int | None
) -> ModelFacts:
    # It decides how an answer ends; the rest of the generation config decides nothing here.
    path = folder / "generation_config.json"
    generation = _read_json(path, "") if path.is_file() else {}
    return ModelFacts(
        name=name,
        path=str(folder),
        family=_family(config),
        hidden_size=_hidden_size(config, folder),
        fingerprint=fingerprint,
        parameters=parameters,
        ends=token_ids(generation.get("eos_token_id")),
    )


def is_complete(folder: Path) -> bool:
    """Whether a model's folder has all that loading reads."""
    try:
        weight_files(folder)
        return (folder / "config.json").is_file() and (folder / TOKENIZER).is_file()
    except ModelError:
        return False


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


def resolve_model(path_or_hub_id: str, *, download: bool = False) -> Path:
    """The absolute folder of a model.

    A hub id `org/name`, or `org/name@COMMIT`, is looked up in the local Hugging Face cache; with `download`
    what is not there is brought, once per node. `EMBEDDED` is the model of this package, wherever that is.

    Raises:
        ModelError: no such folder, or the model was not downloaded.
        HubError: the hub did not give it.
    """
    if path_or_hub_id == EMBEDDED:
        return base_model_path()
    folder = expanded(path_or_hub_id)
    if folder.is_dir():
        return resolved(folder)
    if folder.exists():
        raise ModelError(f"model {path_or_hub_id}: is a file; give the folder that holds config.json")
    name, commit = unpinned(path_or_hub_id)
    if not HUB_ID.fullmatch(name):
        raise ModelError(
            f"model {path_or_hub_id}: no such folder; give a folder with config.json, or a hub id org/name"
        )
    if commit and download:
        return fetched(name, commit, is_complete)
    found = find_model(name, commit, download=download, first=None, is_complete=is_complete)
    return fetched(name, found.commit, is_complete) if found.weights else found.folder


def portable_model(path_or_hub_id: str) -> str:
    """A model by a name that means the same on every node: a hub id stays one, a folder becomes absolute.

    Nodes keep their hub caches, and the package, in places of their own.
    """
    if path_or_hub_id == EMBEDDED or not expanded(path_or_hub_id).is_dir():
        return path_or_hub_id
    return str(resolved(expanded(path_or_hub_id)))


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
