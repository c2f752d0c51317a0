"""A model's own tokenizer, without transformers: its encoder, what begins a text and what ends one.

What ends a generation is what an answer must end with: the generation config's end comes first, then the
tokenizer's, then the model config's, whose list may begin with the end of a document and not of a turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from bios_sweep.engines.training.facts import token_ids
from bios_sweep.engines.training.templates import read_json
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


@dataclass(frozen=True, kw_only=True)
class TextTokenizer:
    """A model's own tokenizer, the token that ends a text, and the special tokens that begin one.

    begins_with_blank: a text begins with a blank of the tokenizer's, as by sentencepiece, so that the tokens
    of a part are not those that it has within the whole.
    """

    encoder: Tokenizer
    end: End
    start: tuple[int, ...]
    begins_with_blank: bool = False

    @property
    def end_text(self) -> str:
        """The end as text."""
        return str(self.encoder.id_to_token(self.end.id))


def load_tokenizer(model_dir: Path | str) -> TextTokenizer:
    """The tokenizer in a model's folder.

    Raises:
        ModelError: there is no tokenizer.json, it cannot be read, or no file names an end token.
    """
    path = Path(model_dir) / "tokenizer.json"
    if not path.is_file():
        raise ModelError(f"{model_dir}: no tokenizer.json; save the model with its fast tokenizer")
    try:
        encoder = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exceptions for any bad file
        raise ModelError(f"{path}: cannot be read as a tokenizer ({error})") from error
    # A file may carry the truncation and padding of its training; ours are decided per example.
    encoder.no_truncation()
    encoder.no_padding()
    end = _find_end(Path(model_dir), encoder)
    return TextTokenizer(
        encoder=encoder, end=end, start=_start(encoder, end), begins_with_blank=_begins_with_blank(encoder)
    )


def special_tokens(model_dir: Path) -> dict[str, str]:
    """Named special tokens of the tokenizer's files, such as `bos_token`, as a chat template sees them."""
    found: dict[str, str] = {}
    for name in reversed(TOKENIZER_FILES):
        for key, value in read_json(model_dir / name).items():
            text = _text(value)
            if key.endswith("_token") and text is not None:
                found[key] = text
    return found


def _find_end(model_dir: Path, encoder: Tokenizer) -> End:
    """Of a generation config's list the tokenizer's own end counts where it is there, else the first."""
    generation = token_ids(read_json(model_dir / GENERATION).get("eos_token_id"))
    tokenizer, tokenizer_file = _tokenizer_end(model_dir, encoder)
    config = read_json(model_dir / CONFIG)
    text = config.get("text_config")  # of models of several kinds of input
    inner = text.get("eos_token_id") if isinstance(text, Mapping) else None
    ends = token_ids(config.get("eos_token_id")) or token_ids(inner)
    known = frozenset((*generation, *tokenizer, *ends))
    for found, source in ((generation, GENERATION), (tokenizer, tokenizer_file), (ends, CONFIG)):
        if found:
            chosen = tokenizer if source == GENERATION and set(tokenizer) & set(found) else found
            return End(id=chosen[0], source=source, known=known)
    files = ", ".join((CONFIG, GENERATION, *TOKENIZER_FILES[:1]))
    raise ModelError(f"{model_dir}: no eos_token_id in {files}; add it to config.json")


def _tokenizer_end(model_dir: Path, encoder: Tokenizer) -> tuple[tuple[int, ...], str]:
    for name in TOKENIZER_FILES:
        text = _text(read_json(model_dir / name).get("eos_token"))
        found = None if text is None else encoder.token_to_id(text)
        if found is not None:
            return (found,), name
    return (), ""


def _text(value: Any) -> str | None:
    content = value.get("content") if isinstance(value, Mapping) else value
    return content if isinstance(content, str) else None


def _begins_with_blank(encoder: Tokenizer) -> bool:
    """Whether a word at the beginning of a text has other tokens than at the beginning of a line."""
    alone, within = (encoder.encode(text, add_special_tokens=False).ids for text in ("a", "\na"))
    return within[-len(alone) :] != alone


def _start(encoder: Tokenizer, end: End) -> tuple[int, ...]:
    """The special tokens that the tokenizer puts before a text; what it puts behind one is left to us."""
    bare, whole = encoder.encode("a", add_special_tokens=False).ids, encoder.encode("a").ids
    places = [place for place in range(len(whole)) if bare and whole[place : place + len(bare)] == bare]
    return tuple(whole[: places[0]]) if places else tuple(token for token in whole if token not in end.known)
