"""In a process of its own: what the hub's client is asked, and its refusals as sentences."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi, constants, get_token, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    SafetensorsParsingError,
)
from huggingface_hub.hf_api import RepoFile

from bios_sweep.containers.child import MARK
from bios_sweep.hub.cache import UNREACHED

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
# what a model is read by, beside its weights
TEXTS = (
    *(CONFIG, "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "chat_template.jinja"),
)
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
AGAIN = "; the same command goes on from there"


class Refusal(Exception):
    """A sentence of ours."""


def main(words: Sequence[str]) -> int:
    """`look KIND NAME REVISION` or `fetch KIND NAME COMMIT`: an answer as JSON, or 1 after a sentence."""
    task, _, name, revision = words
    try:
        answer = {"look": look, "fetch": fetch}[task](name, revision)
    except Refusal as error:
        return fail(str(error))
    except Exception as error:  # noqa: BLE001 - any failure of the client is told as one sentence
        return fail(refusal_of(error, name, revision))
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def fail(sentence: str) -> int:
    """Leave the sentence where the parent looks for it."""
    sys.stderr.write(f"\n{MARK}{sentence}\n")
    return 1


def look(name: str, revision: str) -> dict[str, Any]:
    """What a plan needs of a model: its commit, texts in the cache, size, sha256, count of its weights."""
    commit = Path(hf_hub_download(name, CONFIG, revision=revision)).parent.name
    files = _files(name, commit)
    for text in (*TEXTS, INDEX):
        if text in files:
            hf_hub_download(name, text, revision=commit)
    weights = _weights(name, commit, files)
    parameters = 0
    for weight in weights:
        found = HfApi().parse_safetensors_file_metadata(name, weight, revision=commit)
        parameters += sum(found.parameter_count.values())
    return {
        "commit": commit,
        "parameters": parameters,
        "weights": {one: {"bytes": files[one].size, "sha256": _sha256(files[one])} for one in weights},
    }


def fetch(name: str, commit: str) -> str:
    """Bring all files of a model at a commit into the cache."""
    files = _files(name, commit)
    wanted = [one for one in (*TEXTS, INDEX) if one in files]
    if INDEX in files:
        hf_hub_download(name, INDEX, revision=commit)
    return snapshot_download(name, revision=commit, allow_patterns=[*wanted, *_weights(name, commit, files)])


def _files(name: str, commit: str) -> dict[str, RepoFile]:
    tree = HfApi().list_repo_tree(name, revision=commit, recursive=False)
    return {one.path: one for one in tree if isinstance(one, RepoFile)}


def _weights(name: str, commit: str, files: dict[str, RepoFile]) -> list[str]:
    """The files that loading reads: one, or the shards of the index, which is in the cache by then."""
    if WEIGHTS in files:
        return [WEIGHTS]
    if INDEX not in files:
        pickles = [path for path in files if path.endswith(PICKLES)]
        found = f" (it has {', '.join(pickles[:3])}, and pickle files can run code)" if pickles else ""
        raise Refusal(f"has no {WEIGHTS}{found}; only safetensors weights are allowed, choose another model")
    index = json.loads(Path(hf_hub_download(name, INDEX, revision=commit)).read_text(encoding="utf-8"))
    shards = sorted(set(index.get("weight_map", {}).values()))
    missing = [one for one in shards if one not in files]
    if missing or not shards:
        raise Refusal(f"its {INDEX} lists {missing[0] if missing else 'no shard'}, which is not there")
    return shards


def _sha256(file: RepoFile) -> str | None:
    return None if file.lfs is None else file.lfs.sha256


def refusal_of(error: Exception, name: str, revision: str) -> str:
    """What an error of the client means, as the end of a sentence that begins with the repository."""
    for cause in _causes(error):
        if isinstance(cause, Refusal):
            return str(cause)
        told = _told(cause, name, revision)
        if told:
            return told
    return f"cannot be downloaded ({(str(error).splitlines() or [''])[0] or type(error).__name__})"


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _told(error: BaseException, name: str, revision: str) -> str:
    where = constants.ENDPOINT
    token = "the token is not allowed to see it" if get_token() else "set HF_TOKEN"
    if isinstance(error, GatedRepoError):
        return f"is gated; accept its terms at {where}/{name} with your account, and {_with_token()}"
    if isinstance(error, RevisionNotFoundError):
        return f"has no revision {revision!r}; give a branch, a tag or a commit that it has"
    if isinstance(error, RepositoryNotFoundError):
        return f"{where} has none of that name, or hides it from strangers; check the name, or {token}"
    if isinstance(error, RemoteEntryNotFoundError):
        return f"has no {CONFIG}; it is no model that transformers loads"
    if isinstance(error, SafetensorsParsingError):
        return f"its weights are no safetensors files ({str(error).splitlines()[0]}); choose another model"
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        return _status(error.response.status_code, where)
    if isinstance(error, httpx2.RemoteProtocolError | httpx2.ReadError):
        return f"the connection to {where} broke in the middle of a file{AGAIN}"
    if isinstance(error, OSError) and "Consistency check" in str(error):
        return f"{where} sent less of a file than it had said{AGAIN}"
    if isinstance(error, httpx2.TimeoutException):
        return f"{where} does not answer in time{AGAIN}"
    if isinstance(error, httpx2.ConnectError):
        return f"{where} {UNREACHED.format(error)}"
    return ""


def _with_token() -> str:
    return "ask for access for this token" if get_token() else "set HF_TOKEN to a token of it"


def _status(code: int, where: str) -> str:
    if code in (401, 403):
        return f"{where} refuses it (HTTP {code}); {_with_token()}"
    if code == 429:
        return f"{where} asks to wait (HTTP 429, too many requests); try again later, or set HF_TOKEN"
    return f"{where} answers with HTTP {code}; try again later"
