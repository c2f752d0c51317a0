"""Makes the embedded base model: `python -m scripts.pretrain` on two CPU threads.

A model of this size learns spelling, names and the tone of reference text, and nothing of the task
that sweeps fine-tune it on (signature -> summary): so fine-tuning has something to gain.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from bios_sweep.assets import base_model_path
from scripts.pretrain_text import Document, is_validation_unit, pretraining_documents, text_hash

SEED = 0
THREADS = 2  # part of the recipe: another number sums in another order
VOCABULARY = 1024  # chosen: a larger one would spend most parameters on embeddings
CONTEXT = 256  # tokens
BATCH = 16  # sequences of CONTEXT tokens per step
STEPS = 2400  # about 12 passes over the text; chosen for a run of some ten minutes
PEAK_LEARNING_RATE = 4e-3  # best held-out text of 2e-3, 4e-3, 8e-3 after 300 steps (README)
WARMUP = 100  # steps
LOOK = 400  # steps between two looks at the held-out text
REPORT = "pretrain_report.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Pretrain, write model and tokenizer, measure them and print the report."""
    parser = argparse.ArgumentParser(prog="python -m scripts.pretrain", description=__doc__)
    parser.add_argument("--out", type=Path, default=base_model_path(), help="folder to write")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--learning-rate", type=float, default=PEAK_LEARNING_RATE)
    options = parser.parse_args(arguments)
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    report = pretrain(options.out, steps=options.steps, learning_rate=options.learning_rate)
    text = json.dumps(report, indent=2)
    (options.out / REPORT).write_text(f"{text}\n", encoding="utf-8")
    print(text)


def pretrain(folder: Path, *, steps: int, learning_rate: float) -> dict[str, Any]:
    """Make tokenizer and model from the library's text and return what the README states."""
    started = time.perf_counter()
    documents = pretraining_documents()
    train = [document for document in documents if not is_validation_unit(document.unit)]
    held_out = [document for document in documents if is_validation_unit(document.unit)]
    tokenizer = make_tokenizer(train)
    ids = encode(tokenizer, train)
    model = untrained_model()
    held_out_ids, held_out_bytes = encode(tokenizer, held_out), count_bytes(held_out)
    curve: dict[int, float] = {}
    for step in train_model(model, ids, steps=steps, learning_rate=learning_rate):
        curve[step] = round(model_bits(model, held_out_ids) / held_out_bytes, 4)
        print(f"step {step} of {steps}: {curve[step]} bits per held-out byte", flush=True)
    save(model, tokenizer, folder)
    seconds = time.perf_counter() - started
    return {
        **_facts(documents, train, held_out),
        "tokens_in_training_text": sum(len(row) for row in ids),
        "parameters": model.num_parameters(),
        "recipe": {
            "seed": SEED,
            "threads": THREADS,
            "steps": steps,
            "tokens_per_step": BATCH * CONTEXT,
            "peak_learning_rate": learning_rate,
        },
        "wall_seconds": round(seconds, 1),
        "bits_per_byte": measure(model, tokenizer, train, held_out),
        "held_out_bits_per_byte_by_step": curve,
    }


def make_tokenizer(documents: Iterable[Document]) -> Tokenizer:
    """A byte-level BPE of VOCABULARY tokens that puts <bos> before a text and knows <eos>."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<bos>", "<eos>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((document.text for document in documents), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.token_to_id("<bos>"))]
    )
    return tokenizer


def encode(tokenizer: Tokenizer, documents: Iterable[Document]) -> list[list[int]]:
    """<bos> text <eos> of every document, as token ids."""
    eos: Any = tokenizer.token_to_id("<eos>")
    encodings = tokenizer.encode_batch([document.text for document in documents])
    return [[*encoding.ids, eos] for encoding in encodings]


def untrained_model() -> LlamaForCausalLM:
    """The architecture at its initialisation: always the same one, the report's first yardstick."""
    torch.manual_seed(SEED)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=3,
            num_key_value_heads=1,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
            dtype="float32",
        )
    )


def train_model(
    model: LlamaForCausalLM, ids: list[list[int]], *, steps: int, learning_rate: float
) -> Iterator[int]:
    """AdamW with a cosine decay over windows of the shuffled, concatenated documents.

    Yields the steps done after every LOOK of them and at the end, so that the caller can watch
    whether held-out text still improves: where it stops, memorising begins.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.1)
    for step, batch in enumerate(_batches(ids, steps)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * _schedule(step, steps)
        model(input_ids=batch, labels=batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % LOOK == 0 or step + 1 == steps:
            yield step + 1


def _batches(ids: list[list[int]], steps: int) -> Iterator[torch.Tensor]:
    """Windows of shape (BATCH, CONTEXT); every pass shuffles the documents and cuts them anew."""
    random = np.random.default_rng(SEED)
    stream = np.empty(0, dtype=np.int64)
    for _ in range(steps):
        while stream.size < BATCH * CONTEXT:
            order = random.permutation(len(ids))
            stream = np.concatenate([stream, *(np.asarray(ids[index]) for index in order)])
        yield torch.from_numpy(stream[: BATCH * CONTEXT].reshape(BATCH, CONTEXT))
        stream = stream[BATCH * CONTEXT :]


def _schedule(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / WARMUP)
    return warm * 0.5 * (1 + math.cos(math.pi * step / steps))


def save(model: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write what `from_pretrained` reads: safetensors, config, tokenizer."""
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        model_max_length=CONTEXT,
    ).save_pretrained(folder)


def measure(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    train: Sequence[Document],
    held_out: Sequence[Document],
) -> dict[str, float]:
    """Bits per byte of held-out text under the model and two yardsticks, and of text it trained on.

    The training sample is every twelfth document, about as much text as the held-out side.
    """
    train_ids, held_out_ids = encode(tokenizer, train), encode(tokenizer, held_out)
    held_out_bytes = count_bytes(held_out)
    bits = {
        "held_out": model_bits(model, held_out_ids) / held_out_bytes,
        "held_out_untrained_copy": model_bits(untrained_model(), held_out_ids) / held_out_bytes,
        "held_out_unigram_tokens": unigram_bits(train_ids, held_out_ids) / held_out_bytes,
        "training_sample": model_bits(model, train_ids[::12]) / count_bytes(train[::12]),
    }
    return {name: round(value, 4) for name, value in bits.items()}


def count_bytes(documents: Iterable[Document]) -> int:
    """UTF-8 bytes of the texts."""
    return sum(len(document.text.encode()) for document in documents)


@torch.no_grad()
def model_bits(model: LlamaForCausalLM, ids: Iterable[Sequence[int]]) -> float:
    """Bits that the model needs for the documents, every token but <bos> counted once.

    Longer documents are cut into windows of CONTEXT tokens that overlap by one, so that the first
    token of a window is context and never scored twice.
    """
    nats = 0.0
    for row in ids:
        for start in range(0, len(row) - 1, CONTEXT - 1):
            window = torch.tensor([row[start : start + CONTEXT]])
            logits = model(input_ids=window).logits[0, :-1]
            nats += torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="sum").item()
    return nats / math.log(2)


def unigram_bits(train_ids: Iterable[Sequence[int]], ids: Iterable[Sequence[int]]) -> float:
    """Bits for the same tokens under their frequencies in the training text, plus one each."""
    counts = np.ones(VOCABULARY)
    for row in train_ids:
        np.add.at(counts, np.asarray(row[1:]), 1)
    cost = -np.log2(counts / counts.sum())
    return float(sum(cost[np.asarray(row[1:])].sum() for row in ids))


def _facts(
    documents: Sequence[Document], train: Sequence[Document], held_out: Sequence[Document]
) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "versions": {lib.__name__: lib.__version__ for lib in (torch, transformers, tokenizers)},
        "text_sha256": text_hash(documents),
        "documents": {"train": len(train), "held_out": len(held_out)},
        "bytes": {"train": count_bytes(train), "held_out": count_bytes(held_out)},
        "units": len({document.unit for document in documents}),
    }


if __name__ == "__main__":
    main()
