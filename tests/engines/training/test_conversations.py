"""Conversations of several answers, beside transformers' own masks; borders that tokens reach over; dates."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

from bios_sweep.cli.main import main
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.prepare import prepare
from bios_sweep.engines.training.batches import micro_batches
from bios_sweep.engines.training.chat import ChatTemplate, Reading, chat_renderer, chat_template
from bios_sweep.engines.training.counts import counted, cut_at, tokens_of
from bios_sweep.engines.training.data import DataSet, Example
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import tokenize_all
from bios_sweep.errors import DataError
from bios_sweep.study.scenario import TRAIN
from tests.engines.training.test_chat import CALL, NO_END, conversation, encoder, model_folder
from tests.engines.training.tokenizing import tokenize

EVERY = Reading(every_answer=True)
LONG_TALK = (
    ("user", "What colour is it?"),
    ("assistant", " Red it is.\n"),
    ("user", "Why? Red it is."),
    ("assistant", "Red it is."),
    ("user", "Is it?"),
    ("assistant", "Blue"),
)
# As TRL marks what is learned: the answer and its end.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role + '\n' }}{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}<|im_end|>\n{% endgeneration %}{% else %}{{ m.content }}<|im_end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}<|im_end|>\n\n"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content | trim }}<|eot_id|>{% endgeneration %}"
    "{% else %}{{ m.content | trim }}<|eot_id|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant<|im_end|>\n\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% else %}{% generation %}{{ ' ' + m.content + eos_token }}{% endgeneration %}{% endif %}{% endfor %}"
)
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1] if not loop.last "
    "else m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def learned(done) -> list[int]:
    return [place for begin, end in done.learned for place in range(begin, end)]


@pytest.mark.parametrize(
    ("template", "spaced"),
    # not ChatML with blanks: of a character of two tokens transformers masks the first alone
    [(CHATML, False), (LLAMA, False), (MISTRAL, False), (LLAMA, True), (MISTRAL, True)],
)
def test_every_answer_is_learned_where_transformers_masks_it(tmp_path, template, spaced):
    from transformers import AutoTokenizer

    folder = model_folder(tmp_path / "m", encoder(spaced=spaced), template, "</s>", "</s>")
    turns = [{"role": role, "content": content} for role, content in LONG_TALK]
    reference = AutoTokenizer.from_pretrained(folder).apply_chat_template(
        turns, return_dict=True, return_assistant_tokens_mask=True
    )
    done = tokenize(conversation(*LONG_TALK), load_tokenizer(folder), 500, chat_renderer(folder, EVERY))
    assert list(done.input_ids) == reference["input_ids"]
    assert learned(done) == np.flatnonzero(reference["assistant_masks"]).tolist()
    last = tokenize(conversation(*LONG_TALK), load_tokenizer(folder), 500, chat_renderer(folder))
    assert (last.input_ids, last.asides) == (done.input_ids, ())
    assert learned(last) == [place for place in learned(done) if place >= last.prompt_length]


PHI = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<|assistant|>\n{% generation %}"
    "{{ m.content }}<|end|>\n{% endgeneration %}{% else %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>\n"
    "{% else %}{% generation %}</s>{% endgeneration %}{% endif %}"
)
GPT_OSS = (
    "{% for m in messages %}<|start|>{{ m.role }}<|message|>{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content }}{{ '<|return|>' if loop.last else '<|end|>' }}{% endgeneration %}{% else %}"
    "{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant<|message|>{% endif %}"
)
MARKS = ("<|user|>", "<|assistant|>", "<|end|>", "<|start|>", "<|message|>", "<|return|>")


@pytest.mark.parametrize("template", [PHI, GPT_OSS])
def test_an_answers_end_stops_before_the_mark_that_begins_the_next_turn(tmp_path, template):
    """Marks are single tokens, and the last answer ends otherwise than those before it."""
    from transformers import AutoTokenizer

    made = encoder()
    made.add_special_tokens(list(MARKS))
    folder = model_folder(tmp_path / "m", made, template, "</s>", "</s>")
    turns = [{"role": role, "content": content} for role, content in LONG_TALK]
    reference = AutoTokenizer.from_pretrained(folder).apply_chat_template(
        turns, return_dict=True, return_assistant_tokens_mask=True
    )
    done = tokenize(conversation(*LONG_TALK), load_tokenizer(folder), 500, chat_renderer(folder, EVERY))
    assert list(done.input_ids) == reference["input_ids"]
    assert learned(done) == np.flatnonzero(reference["assistant_masks"]).tolist()


def test_a_single_answer_is_read_as_ever(tmp_path):
    folder = model_folder(tmp_path / "m", encoder(), CHATML, "</s>", "</s>")
    talk, tokenizer = conversation(*LONG_TALK[:2]), load_tokenizer(folder)
    assert tokenize(talk, tokenizer, 500, chat_template(folder, EVERY)) == tokenize(
        talk, tokenizer, 500, chat_template(folder)
    )


def test_reasoning_that_a_template_drops_of_an_earlier_answer_is_not_learned(tmp_path):
    folder = model_folder(tmp_path / "m", encoder(), THINKING, "</s>", "</s>")
    talk = conversation(
        ("user", "Why?"), ("assistant", "<think>it is</think>Red"), ("user", "Is it?"), ("assistant", "Blue")
    )
    done = tokenize(talk, load_tokenizer(folder), 500, chat_template(folder, EVERY))
    made = load_tokenizer(folder).encoder
    assert made.decode([done.input_ids[place] for place in learned(done)]).split("\n") == ["Red", "Blue", ""]


def test_an_answer_whose_place_a_template_hides_is_refused_with_the_way_out(tmp_path):
    hiding = "{{ messages[1].content | length }} " + NO_END + CALL
    template = ChatTemplate(hiding, {}, "model", EVERY)
    with pytest.raises(
        DataError, match=r"^messages\[1\]: .* data.train_on=last learns the last answer alone"
    ):
        template(conversation(*LONG_TALK))


@pytest.mark.parametrize("length", [12, 20, 30, 44, 500])
def test_counts_at_a_length_are_those_of_the_tokens_that_are_learned(tmp_path, length):
    folder = model_folder(tmp_path / "m", encoder(), CHATML, "</s>", "</s>")
    tokenizer, template = load_tokenizer(folder), chat_template(folder, EVERY)
    examples = [conversation(*LONG_TALK), conversation(*LONG_TALK[:2]), conversation(*LONG_TALK[:4])]
    done = list(tokenize_all(examples, tokenizer, length, template))
    whole = list(tokenize_all(examples, tokenizer, 500, template))
    cut = cut_at(TRAIN, counted(examples, tokenizer, template), length)
    assert cut.supervised == sum(one.supervised_tokens for one in whole)
    assert cut.supervised - cut.lost_supervised == sum(one.supervised_tokens for one in done)
    assert cut.tokens - cut.lost == sum(len(one.input_ids) for one in done)
    # the first answer's prompt makes room for it, later turns are cut on the right
    for one, all_of_it in zip(done, whole, strict=True):
        kept = one.input_ids[one.prompt_length :]
        assert kept == all_of_it.input_ids[all_of_it.prompt_length :][: len(kept)]


def test_the_loss_of_a_conversation_is_that_of_labels(tmp_path):
    """Targets of a micro-batch, beside labels with an ignored index as the HF Trainer takes them."""
    folder = model_folder(tmp_path / "m", encoder(), CHATML, "</s>", "</s>")
    template = chat_template(folder, EVERY)
    examples = [conversation(*LONG_TALK), conversation(*LONG_TALK[:4])]
    done = list(tokenize_all(examples, load_tokenizer(folder), 500, template))
    [batch] = micro_batches(done, 2, torch.device("cpu"))
    labels = torch.full((2, batch.input_ids.shape[1] + 1), -100)
    order = sorted(range(2), key=lambda row: len(done[row].input_ids))
    for row, index in enumerate(order):
        for place in learned(done[index]):
            labels[row, place] = done[index].input_ids[place]
    shifted = labels[:, 1:].flatten()
    assert batch.sources.tolist() == torch.nonzero(shifted != -100).flatten().tolist()
    assert batch.targets.tolist() == shifted[shifted != -100].tolist()
    assert np.bincount(batch.owners).tolist() == [one.supervised_tokens for one in done]


def test_bytes_under_the_loss_are_those_of_the_answers(tmp_path):
    folder = model_folder(tmp_path / "m", encoder(), CHATML, "</s>", "</s>")
    done = tokenize(conversation(*LONG_TALK), load_tokenizer(folder), 500, chat_template(folder, EVERY))
    said = [content for role, content in LONG_TALK if role == "assistant"]
    assert done.completion_bytes == sum(len(text) + len("<|im_end|>\n") for text in said)


def test_a_token_that_reaches_over_the_border_of_a_sentencepiece_model_is_that_of_the_whole(tmp_path):
    """A completion alone would begin with a second blank; the word at the border is learned."""
    made = encoder(spaced=True)
    tokenizer = load_tokenizer(model_folder(tmp_path / "m", made, "", "</s>", "</s>"))
    whole = made.encode("Why? Red it is.").ids
    done = tokenize(Example(prompt="Why? Red it ", completion="is.", cluster="c"), tokenizer, 500)
    assert list(done.input_ids[:-1]) == whole
    tokens = [str(made.id_to_token(token)) for token in done.input_ids]
    assert "".join(tokens[done.prompt_length :]) == "▁is.</s>"
    assert "".join(tokens[: done.prompt_length]) == "▁Why?▁Red▁it"
    side = [Example(prompt=f"Red it{blank}", completion="is", cluster="c") for blank in ("", " ", " ")]
    assert (
        tokens_of(
            DataSet(name="d", train=tuple(side), evaluation=tuple(side[:1]), source=""), tmp_path / "m"
        ).joined
        == 2
    )


def test_a_stated_day_is_what_templates_write(tmp_path):
    clock = "{{ strftime_now('%d %b %Y') }} " + NO_END + CALL
    given = "{{ date_string }} " + NO_END + CALL
    reading = Reading(day=date(2026, 1, 31))
    for text in (clock, given):
        template = ChatTemplate(text, {}, "model", reading)
        assert template.dated
        assert template(conversation(*LONG_TALK[:2])).prompt.startswith("31 Jan 2026 user")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """A model whose template writes the date, and conversations of two answers beside it."""
    import shutil

    from bios_sweep.assets import base_model_path

    shutil.copytree(base_model_path(), tmp_path / "model")
    template = "{{ strftime_now('%d %b %Y') }}\n" + NO_END + CALL.replace(": ", ":")
    (tmp_path / "model" / "chat_template.jinja").write_text(template.replace("}}: {{", "}}:{{ ' ' + "))
    lines = [
        {"messages": [{"role": role, "content": f"{content} {number}"} for role, content in LONG_TALK[:4]]}
        for number in range(30)
    ]
    (tmp_path / "talks.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.chdir(tmp_path)
    return tmp_path


GIVEN = ("sweeps=learning_rate", "model.path=model", "data.path=talks.jsonl", "cluster=inline")


def planned(*overrides: str):
    return prepare(Invocation(verb="plan", overrides=(*GIVEN, *overrides))).plan


def test_what_is_learned_and_the_day_are_part_of_a_trial(folder, capsys):
    every, last, dated = planned(), planned("data.train_on=last"), planned("data.chat_date=2026-01-31")
    reading = [plan.study.scenario.identity().get("reading") for plan in (every, last, dated)]
    assert reading == [
        {"train_on": "all_assistant"},
        None,
        {"train_on": "all_assistant", "chat_date": "2026-01-31"},
    ]
    assert planned("data.train_on=all_assistant").sweep_id == every.sweep_id
    one, other = (plan.study.scenario.data.cuts[0].supervised for plan in (every, last))
    assert one > 1.5 * other
    told = [line for line in every.study.scenario.data.ends if "every answer is learned" in line]
    assert told == [
        line for line in every.study.scenario.data.ends if line.startswith("of 30 conversations with several")
    ]
    assert replace(every.study.scenario).from_dict(every.study.scenario.to_dict()) == every.study.scenario
    for words, message in (
        (("data.train_on=first",), "data.train_on: 'first' is not allowed"),
        (("data.chat_date=today",), "data.chat_date: 'today' is not allowed"),
    ):
        assert main(["plan", *GIVEN, *words]) == 2
        assert message in capsys.readouterr().err


def test_the_length_that_holds_all_but_a_hundredth_is_found_and_less_is_warned_of(folder, capsys):
    lengths = planned("method.max_length=auto").max_lengths
    [length] = lengths
    cut = planned(f"method.max_length={length}").study.scenario.data.cuts[0]
    assert cut.truncated <= 0.01 * cut.examples
    shorter = planned(f"method.max_length={length - 8}").study.scenario.data.cuts[0]
    assert shorter.truncated > 0.01 * shorter.examples
    assert main(["plan", *GIVEN, f"method.max_length={length - 8}", "--json"]) == 0
    warned = json.loads(capsys.readouterr().out)["warnings"]
    assert any("method.max_length=auto holds 99% of them whole" in line for line in warned)


def test_a_length_that_is_found_is_at_most_what_the_model_reads(folder):
    config = json.loads(Path("model/config.json").read_text())
    Path("model/config.json").write_text(json.dumps({**config, "max_position_embeddings": 21}))
    assert planned("method.max_length=auto").max_lengths == (21,)
