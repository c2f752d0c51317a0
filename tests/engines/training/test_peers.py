"""Beside transformers' Trainer and TRL's SFTTrainer: the same tokens under the loss, losses and adapters.

TRL reads the user's rows by itself. For transformers' Trainer, which reads no text, the rows are made by
transformers' own tokenizer and chat template, with none of the engine's code.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import PeftModel
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from bios_sweep.engines.training.chat import Reading, chat_renderer
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import TokenizedExample, tokenize_all
from bios_sweep.settings import TrainingSettings
from tests.engines.training import oracle, peers
from tests.engines.training.records import read_examples
from tests.engines.training.test_chat import encoder, model_folder
from tests.engines.training.test_conversations import CHATML, LLAMA, MISTRAL

needs_trl = pytest.mark.skipif(
    importlib.util.find_spec("trl") is None, reason="TRL is not installed: pip install trl==1.16.0"
)
SETTINGS = TrainingSettings(
    learning_rate=3e-3, batch_size=6, lora_rank=4, max_steps=5, schedule="linear", warmup_fraction=0.0,
    weight_decay=0.1,
)  # fmt: skip
SEED = 3
WITHIN = 1e-5  # relative, float32
COLOURS, THINGS = ("Red", "Blue", "What", "Why"), ("colour", "user", "it", "Red it is", "blue")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of data. template, eos, start: of the model; asked: what TRL is told beside; room: max_length.

    last: the last answer alone is learned.
    """

    rows: list[dict[str, Any]]
    template: str = CHATML
    eos: str = "<|im_end|>"
    start: str | None = None
    room: int = 200
    last: bool = False
    asked: dict[str, Any] = field(default_factory=dict)


def talk(number: int, answers: int) -> list[dict[str, str]]:
    turns = [{"role": "system", "content": f"Case {number}. " * (number % 3)}] if number % 3 else []
    for turn in range(answers):
        thing, colour = THINGS[(number + turn) % 5], COLOURS[(number * 2 + turn) % 4]
        turns.append({"role": "user", "content": f"What of {thing}, case {number}?" * (1 + turn % 2)})
        turns.append({"role": "assistant", "content": f"{colour} is {thing} " + "it is. " * (number % 5)})
    return turns


def pairs(longest: int = 3) -> list[dict[str, Any]]:
    return [
        {
            "prompt": f"What of {THINGS[number % 5]} in case {number}?" * (1 + number % longest),
            "completion": f" {COLOURS[number % 4]} is {number}." + " it is" * (number % 4),
        }
        for number in range(14)
    ]


def without_system(turns: list[dict[str, str]]) -> list[dict[str, str]]:
    return [turn for turn in turns if turn["role"] != "system"]


MESSAGES = [{"messages": talk(number, 1)} for number in range(14)]
SEVERAL = [{"messages": talk(number, 1 + number % 3)} for number in range(14)]
PLAIN = [{"messages": without_system(row["messages"])} for row in SEVERAL]
TEXTS = [{"text": f"{COLOURS[n % 4]} is {THINGS[n % 5]} " + "it is. " * (1 + n % 6)} for n in range(14)]
ANSWERS = {"assistant_only_loss": True}
EOT = "<|eot_id|>"
KINDS = {
    "prompt and completion": Kind(rows=pairs()),
    "prompt and completion, a token that begins a text": Kind(rows=pairs(), start="<s>"),
    "messages": Kind(rows=MESSAGES, asked=ANSWERS),
    "several answers, ChatML": Kind(rows=SEVERAL, asked=ANSWERS),
    "several answers, Llama": Kind(rows=SEVERAL, asked=ANSWERS, template=LLAMA, eos=EOT, start="<s>"),
    "several answers, Mistral": Kind(rows=PLAIN, asked=ANSWERS, template=MISTRAL, eos="</s>", start="<s>"),
    "the last of several answers": Kind(rows=SEVERAL, last=True),
    "text": Kind(rows=TEXTS, start="<s>"),
    "text without a token that begins it": Kind(rows=TEXTS),
    "text, cut": Kind(rows=TEXTS, start="<s>", room=12),
    "later answers, cut": Kind(rows=SEVERAL, room=110, asked=ANSWERS),
    "prompts, cut": Kind(rows=pairs(6), room=48, asked={"truncation_mode": "keep_end"}),
}  # fmt: skip


def model(kind: Kind, folder: Path) -> Path:
    torch.manual_seed(1)
    made = encoder(start=kind.start)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=512,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=made.token_to_id(kind.eos),
        **sizes,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    return model_folder(folder, made, kind.template, kind.eos, kind.eos, config=config.to_dict())


def read(kind: Kind, folder: Path) -> list[TokenizedExample]:
    """As a study reads the file."""
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in kind.rows), encoding="utf-8")
    template = chat_renderer(folder, Reading(every_answer=not kind.last))
    return list(tokenize_all(read_examples(file), load_tokenizer(folder), kind.room, template))


def own_row(kind: Kind, row: dict[str, Any], tokenizer: Any) -> dict[str, list[int]]:
    """The row by transformers' tokenizer: ids, and which of them are under the loss."""
    if "messages" in row:
        turns = row["messages"]
        found = tokenizer.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
        ids, learned = found["input_ids"], [bool(one) for one in found["assistant_masks"]]
        if kind.last:
            before = tokenizer.apply_chat_template(turns[:-1], add_generation_prompt=True, return_dict=False)
            learned = [place >= len(before) for place in range(len(ids))]
    else:
        prompt = tokenizer(row["prompt"])["input_ids"] if "prompt" in row else []
        ids = tokenizer(row.get("prompt", "") + row.get("completion", row.get("text", "")))["input_ids"]
        ids = [*ids, tokenizer.eos_token_id]
        learned = [place >= len(prompt) for place in range(len(ids))]
    from_end = kind.asked.get("truncation_mode") == "keep_end"
    kept = slice(-kind.room, None) if from_end else slice(None, kind.room)
    return peers.labelled(ids[kept], learned[kept])


def our_row(done: TokenizedExample) -> dict[str, list[int]]:
    learned = {place for begin, end in done.learned for place in range(begin, end)}
    ids = list(done.input_ids)
    return peers.labelled(ids, [place in learned for place in range(len(ids))])


def without_first(row: dict[str, list[int]]) -> dict[str, list[int]]:
    """Nothing predicts the first token of a sequence, whatever its label."""
    return {**row, "labels": [peers.IGNORED, *row["labels"][1:]]}


def agrees(ours: peers.Trained, unfolded: peers.Trained, theirs: peers.Trained) -> None:
    assert theirs.losses == pytest.approx(ours.losses, rel=WITHIN)
    assert ours.losses[-1] < ours.losses[0]
    assert theirs.adapter.keys() == ours.adapter.keys()
    for name, value in unfolded.adapter.items():
        torch.testing.assert_close(theirs.adapter[name], value, rtol=1e-3, atol=1e-5)


QUICK = ("prompt and completion, a token that begins a text", "several answers, ChatML", "prompts, cut")


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in KINDS],
)
def kind(request):
    return KINDS[request.param]


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    return model(kind, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def examples(kind, folder):
    return read(kind, folder)


@pytest.fixture(scope="module")
def ours(folder, examples):
    return peers.engine(folder, SETTINGS, SEED, examples, folder)


@pytest.fixture(scope="module")
def unfolded(folder, examples, ours):
    """As others multiply: AdamW's first steps are as long for a gradient near nothing as for any other.

    What folding rounds there is seen in a weight, and in no loss.
    """
    made = peers.engine(folder, SETTINGS, SEED, examples, folder / "unfolded", folding=False)
    assert made.losses == pytest.approx(ours.losses, rel=WITHIN)
    return made


def test_transformers_trainer_learns_the_same_tokens_to_the_same_losses(
    kind, folder, examples, ours, unfolded, tmp_path
):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [own_row(kind, row, tokenizer) for row in kind.rows]
    assert [our_row(done) for done in examples] == [without_first(row) for row in rows]
    assert [done.supervised_tokens for done in examples] == [
        sum(label != peers.IGNORED for label in row["labels"][1:]) for row in rows
    ]
    if kind.room < 200:
        assert sum(len(row["input_ids"]) == kind.room for row in rows) > 2, "something is cut"
    trainer = transformers.Trainer(
        model=peers.adapted_model(folder, SETTINGS, folder / "first"),
        args=transformers.TrainingArguments(**peers.arguments(SETTINGS, tmp_path)),
        train_dataset=peers.in_order(rows, SETTINGS, SEED),
        data_collator=peers.collated,
    )
    agrees(ours, unfolded, peers.ended(trainer))


@needs_trl
def test_trl_reads_the_same_rows_to_the_same_tokens_and_losses(
    kind, folder, examples, ours, unfolded, tmp_path
):
    import datasets
    import trl

    rows = peers.in_order(kind.rows, SETTINGS, SEED)
    if kind.last:  # as TRL is told that the last answer alone is learned
        rows = [{"prompt": row["messages"][:-1], "completion": row["messages"][-1:]} for row in rows]
    trainer = trl.SFTTrainer(
        model=peers.adapted_model(folder, SETTINGS, folder / "first"),
        args=trl.SFTConfig(**peers.arguments(SETTINGS, tmp_path), max_length=kind.room, **kind.asked),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(folder, pad_token="<eos>"),
    )
    prepared = [
        without_first({key: row[key] for key in ("input_ids", "labels")}) for row in trainer.train_dataset
    ]
    assert prepared == [our_row(done) for done in peers.in_order(examples, SETTINGS, SEED)]
    agrees(ours, unfolded, peers.ended(trainer))


def test_the_saved_adapter_has_the_same_loss_in_plain_peft(folder, examples, ours):
    loaded = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    before = oracle.mean_loss(loaded.eval(), examples).item()
    again = PeftModel.from_pretrained(loaded, folder / "last").eval()
    weights = {name: value for name, value in again.named_parameters() if "lora_" in name}
    assert weights.keys() == ours.adapter.keys()
    assert all(torch.equal(weights[name], value) for name, value in ours.adapter.items())
    with torch.no_grad():
        assert oracle.mean_loss(again, examples).item() < before
