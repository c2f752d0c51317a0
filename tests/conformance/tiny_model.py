"""A random Llama of a few thousand parameters, its tokenizer, twelve examples: the least real scenario."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from bios_sweep.engines.training.data import DataSet, Example, write_dataset

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def tiny_scenario(folder: Path) -> dict[str, Any]:
    """Write model and data into a folder; returns the options of the engine that reads them."""
    model, data = folder / "model", folder / "data.jsonl"
    tokens = ["</s>", *string.ascii_letters, *string.digits, *string.punctuation, "Ġ"]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>").save_pretrained(model)
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokens),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=64,
            bos_token_id=None,
            eos_token_id=0,
            tie_word_embeddings=False,
        )
    ).save_pretrained(model)
    examples = tuple(
        Example(prompt=f"{word} is", completion=f" {word[::-1]}.", cluster=word) for word in WORDS
    )
    dataset = DataSet(name="words", train=examples[:8], evaluation=examples[8:], source="written here")
    write_dataset(dataset, data)
    return {"model_path": str(model), "data_file": str(data), "data_fingerprint": dataset.fingerprint}
