"""A model's own tokenizer, without transformers: its encoder, what begins a text and what ends one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from bios_sweep.engines.training.ends import End, find_end
from bios_sweep.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class TextTokenizer:
    """A model's own tokenizer, the token that ends a text, and the special tokens that begin one."""

    encoder: Tokenizer
    end: End
    start: tuple[int, ...]
    vocabulary: int

    @property
    def eos_id(self) -> int:
        """What is appended to a completion that has no end."""
        return self.end.id

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
    end = find_end(Path(model_dir), encoder)
    return TextTokenizer(
        encoder=encoder, end=end, start=_start(encoder, end), vocabulary=encoder.get_vocab_size()
    )


def _start(encoder: Tokenizer, end: End) -> tuple[int, ...]:
    """The special tokens that the tokenizer puts before a text; what it puts behind one is left to us."""
    bare, whole = encoder.encode("a", add_special_tokens=False).ids, encoder.encode("a").ids
    places = [place for place in range(len(whole)) if bare and whole[place : place + len(bare)] == bare]
    return tuple(whole[: places[0]]) if places else tuple(token for token in whole if token not in end.known)
