"""The embedded base model: what it was trained on and what it learned."""

from __future__ import annotations

import hashlib
import json
import platform
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from bios_sweep.assets import base_model_path
from bios_sweep.engines.training.corpus import embedded_examples, is_evaluation_module
from scripts.pretrain import (
    REPORT,
    count_bytes,
    encode,
    model_bits,
    unigram_bits,
    untrained_model,
)
from scripts.pretrain_text import (
    TOPICS_MODULE,
    Document,
    is_validation_unit,
    pretraining_documents,
    text_hash,
)

SAMPLE = 80  # held-out documents scored here; all of them are in the report


@pytest.fixture(scope="module")
def documents() -> tuple[Document, ...]:
    return pretraining_documents()


@pytest.fixture(scope="module")
def held_out(documents: tuple[Document, ...]) -> list[Document]:
    found = [document for document in documents if is_validation_unit(document.unit)]
    return sorted(found, key=lambda document: hashlib.sha256(document.text.encode()).digest())[:SAMPLE]


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return AutoModelForCausalLM.from_pretrained(base_model_path(), dtype="float32")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(base_model_path() / "tokenizer.json"))


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return json.loads((base_model_path() / REPORT).read_text(encoding="utf-8"))


def test_it_is_a_llama_of_at_most_400_000_parameters(model: LlamaForCausalLM, report: dict[str, Any]) -> None:
    assert model.config.model_type == "llama"
    assert model.num_parameters() == report["parameters"] <= 400_000
    assert model.config.tie_word_embeddings


def test_transformers_reads_the_same_tokens_as_the_tokenizers_library(tokenizer: Tokenizer) -> None:
    text = "Return größe of the file."
    fast = AutoTokenizer.from_pretrained(base_model_path())
    assert fast(text)["input_ids"] == tokenizer.encode(text).ids
    assert fast.decode(fast(text)["input_ids"], skip_special_tokens=True) == text
    assert (fast.bos_token_id, fast.eos_token_id, fast.pad_token_id) == (0, 1, 2)


def test_it_beats_its_untrained_copy_and_token_frequencies_on_held_out_text(
    model: LlamaForCausalLM, tokenizer: Tokenizer, documents: tuple[Document, ...], held_out: list[Document]
) -> None:
    ids, size = encode(tokenizer, held_out), count_bytes(held_out)
    train = [document for document in documents if not is_validation_unit(document.unit)]
    trained = model_bits(model, ids) / size
    assert trained < 0.65 * unigram_bits(encode(tokenizer, train), ids) / size
    assert trained < 0.6 * model_bits(untrained_model(), ids) / size


def test_the_report_says_what_the_weights_do(
    model: LlamaForCausalLM, tokenizer: Tokenizer, documents: tuple[Document, ...], report: dict[str, Any]
) -> None:
    held_out = [document for document in documents if is_validation_unit(document.unit)]
    measured = model_bits(model, encode(tokenizer, held_out)) / count_bytes(held_out)
    # Another Python has other words in its library; the same one must give the same number.
    tolerance = 1e-3 if platform.python_version() == report["python"] else 0.15
    assert measured == pytest.approx(report["bits_per_byte"]["held_out"], rel=tolerance)


def test_held_out_text_was_still_improving_when_pretraining_ended(report: dict[str, Any]) -> None:
    curve = list(report["held_out_bits_per_byte_by_step"].values())
    assert curve == sorted(curve, reverse=True)
    bits = report["bits_per_byte"]
    assert bits["held_out"] < 1.15 * bits["training_sample"]


def test_the_report_names_the_text_it_was_made_from(
    documents: tuple[Document, ...], report: dict[str, Any]
) -> None:
    if platform.python_version() != report["python"]:
        pytest.skip(f"the text comes with CPython {report['python']}")
    assert text_hash(documents) == report["text_sha256"]


def test_no_document_comes_from_an_evaluation_module(documents: tuple[Document, ...]) -> None:
    units = {document.unit for document in documents}
    assert len(units) > 200
    assert not [unit for unit in units if is_evaluation_module(unit.split(":")[0])]
    assert any(unit.startswith(f"{TOPICS_MODULE}:") for unit in units)


def test_no_document_quotes_an_evaluation_answer(documents: tuple[Document, ...]) -> None:
    text = "\n".join(" ".join(document.text.casefold().split()) for document in documents)
    answers = [" ".join(e.completion.casefold().split()) for e in embedded_examples().evaluation]
    assert len(answers) > 1000
    assert not [answer for answer in answers if answer in text]


def test_no_unit_and_no_text_is_on_both_sides_of_the_validation_split(
    documents: tuple[Document, ...],
) -> None:
    sides: tuple[set[str], set[str]] = (set(), set())
    for document in documents:
        sides[is_validation_unit(document.unit)].add(" ".join(document.text.casefold().split()))
    assert sides[0].isdisjoint(sides[1])
    assert 0.04 < len(sides[1]) / len(documents) < 0.15
