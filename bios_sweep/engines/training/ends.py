"""Where a model folder says that a text ends: by which token, and in which file.

What ends a generation is what an answer must end with: the generation config's end comes first, then the
tokenizer's, then the model config's, whose list may begin with the end of a document and not of a turn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from bios_sweep.checks import is_whole
from bios_sweep.errors import ModelError

GENERATION = "generation_config.json"
TOKENIZER_FILES = ("tokenizer_config.json", "special_tokens_map.json")
CONFIG = "config.json"


@dataclass(frozen=True, kw_only=True)
class End:
    """The token that ends a text. source: the file that says so. known: every token that may end one."""

    id: int
    source: str
    known: frozenset[int]


def find_end(model_dir: Path, encoder: Tokenizer) -> End:
    """The end that is appended to a completion.

    Of a generation config's list the tokenizer's own end counts, where it is in the list, else the first.

    Raises:
        ModelError: no file names an end token.
    """
    generation = _ids(read_json(model_dir / GENERATION).get("eos_token_id"))
    tokenizer, tokenizer_file = _tokenizer_end(model_dir, encoder)
    config = _config_ends(model_dir)
    known = frozenset((*generation, *([] if tokenizer is None else [tokenizer]), *config))
    if generation:
        chosen = tokenizer if tokenizer is not None and tokenizer in generation else generation[0]
        return End(id=chosen, source=GENERATION, known=known)
    if tokenizer is not None:
        return End(id=tokenizer, source=tokenizer_file, known=known)
    if config:
        return End(id=config[0], source=CONFIG, known=known)
    files = ", ".join((CONFIG, GENERATION, *TOKENIZER_FILES[:1]))
    raise ModelError(f"{model_dir}: no eos_token_id in {files}; add it to config.json")


def special_tokens(model_dir: Path) -> dict[str, str]:
    """Named special tokens of the tokenizer's files, such as `bos_token`, as a chat template sees them."""
    found: dict[str, str] = {}
    for name in reversed(TOKENIZER_FILES):
        for key, value in read_json(model_dir / name).items():
            text = _text(value)
            if key.endswith("_token") and text is not None:
                found[key] = text
    return found


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is no such file.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error})") from error
    return value if isinstance(value, dict) else {}


def _tokenizer_end(model_dir: Path, encoder: Tokenizer) -> tuple[int | None, str]:
    for name in TOKENIZER_FILES:
        text = _text(read_json(model_dir / name).get("eos_token"))
        found = None if text is None else encoder.token_to_id(text)
        if found is not None:
            return found, name
    return None, ""


def _config_ends(model_dir: Path) -> Sequence[int]:
    """Models of several kinds of input keep it in the part of their text."""
    config = read_json(model_dir / CONFIG)
    text = config.get("text_config")
    own = _ids(config.get("eos_token_id"))
    return own or _ids(text.get("eos_token_id") if isinstance(text, Mapping) else None)


def _text(value: Any) -> str | None:
    content = value.get("content") if isinstance(value, Mapping) else value
    return content if isinstance(content, str) else None


def _ids(value: Any) -> tuple[int, ...]:
    listed = value if isinstance(value, list) else [value]
    return tuple(filter(is_whole, listed))
