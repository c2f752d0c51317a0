"""One example through the tokens that training reads."""

from __future__ import annotations

from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.tokenizer import TextTokenizer
from bios_sweep.engines.training.tokens import Render, TokenizedExample, tokenize_all


def tokenize(
    example: Example, tokenizer: TextTokenizer, max_length: int, render: Render | None = None
) -> TokenizedExample:
    """One example; see `tokenize_all`."""
    return next(tokenize_all([example], tokenizer, max_length, render))
