"""How conversations and completions end, beside what Hugging Face's own templates and tokenizers give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from bios_sweep.engines.training.chat import ChatTemplate, chat_template
from bios_sweep.engines.training.counts import ends_of
from bios_sweep.engines.training.data import DataSet, Example, Message
from bios_sweep.engines.training.tokenizer import TextTokenizer, load_tokenizer
from bios_sweep.errors import DataError, ModelError
from tests.engines.training.tokenizing import tokenize

SPECIAL = [
    "<s>",
    "</s>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<eos>",
    "<|im_start|>",
    "<|im_end|>",
]
LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>\n\n{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + ('model' if m.role == 'assistant' else m.role) + '\n' }}"
    "{{ m.content | trim }}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>model\n' }}{% endif %}"
)
CHATML = (
    "{% for m in messages %}{% generation %}<|im_start|>{{ m.role + '\n' + m.content }}<|im_end|>\n"
    "{% endgeneration %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
WORDS = (
    "{% for m in messages %}# {{ m.role }}:\n{{ m.content }}\n# End\n{% endfor %}"
    "{% if add_generation_prompt %}# assistant:\n{% endif %}"
)
NO_END = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
CALL = "{% if add_generation_prompt %}assistant: {% endif %}"
TALK = (("user", "What colour is it?"), ("assistant", "Red it is."), ("user", "Why?"), ("assistant", "Blue"))


def only(example: Example) -> DataSet:
    return DataSet(name="d", train=(example,), evaluation=(), source="")


def encoder(*, spaced: bool = False, start: str | None = None) -> Tokenizer:
    """A small BPE: by bytes, or as Llama 2's with a blank before every text; start: added by itself."""
    made = Tokenizer(models.BPE())
    if spaced:
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        alphabet = sorted({*"▁\n#[]|<>:?.", *map(chr, range(65, 91)), *map(chr, range(97, 123))})
    else:
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    text = ["What colour is it? Red it is. Why? Blue user assistant"] * 3
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=SPECIAL, initial_alphabet=alphabet)
    made.train_from_iterator(text, trainer)
    if start is not None:
        made.post_processor = processors.TemplateProcessing(
            single=f"{start} $A", pair=f"{start} $A $B", special_tokens=[(start, made.token_to_id(start))]
        )
    return made


def model_folder(folder: Path, made: Tokenizer, template: str, eos: str, ends: Any, **files: Any) -> Path:
    """A folder with what decides how a text ends. ends: `config.eos_token_id`, as tokens."""
    folder.mkdir(exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    ids = [made.token_to_id(end) for end in ends] if isinstance(ends, list) else made.token_to_id(ends)
    tokenizer = {"tokenizer_class": "TokenizersBackend", "bos_token": "<s>", "eos_token": eos}
    written = {
        "config": {"model_type": "llama", "eos_token_id": ids},
        "tokenizer_config": {**tokenizer, "chat_template": template},
        **files,
    }
    for name, content in written.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def conversation(*turns: tuple[str, str]) -> Example:
    messages = tuple(Message(role=role, content=content) for role, content in turns)
    return Example(
        prompt="", completion=messages[-1].content, cluster="c", messages=messages, origin="a.jsonl:1"
    )


def said(tokenizer: TextTokenizer, example: Example, template: ChatTemplate | None = None) -> str:
    done = tokenize(example, tokenizer, 500, template)
    ids = list(done.input_ids[done.prompt_length :])
    return "".join(str(tokenizer.encoder.decode([i], skip_special_tokens=False)) for i in ids)


@pytest.mark.parametrize(
    "template,eos,ends",
    [
        (LLAMA, "<|eot_id|>", ["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"]),
        (GEMMA, "<eos>", ["<eos>", "<|im_end|>"]),
        (CHATML, "<|im_end|>", "<|end_of_text|>"),
        (MISTRAL, "</s>", "</s>"),
        (WORDS, "</s>", "</s>"),
    ],
    ids=["llama", "gemma", "chatml", "mistral", "words"],
)
@pytest.mark.parametrize("spaced", [False, True], ids=["bytes", "spaced"])
@pytest.mark.parametrize("start", [None, "<s>"], ids=["bare", "bos"])
def test_a_conversation_has_the_tokens_of_the_reference(tmp_path, template, eos, ends, spaced, start):
    from transformers import AutoTokenizer

    from bios_sweep.engines.training.chat import chat_renderer

    folder = model_folder(tmp_path / "m", encoder(spaced=spaced, start=start), template, eos, ends)
    reference = AutoTokenizer.from_pretrained(folder)
    turns = [{"role": role, "content": content} for role, content in TALK]
    done = tokenize(conversation(*TALK), load_tokenizer(folder), 500, chat_renderer(folder))
    assert list(done.input_ids) == reference.apply_chat_template(turns, return_dict=False)
    prompt = reference.apply_chat_template(turns[:-1], add_generation_prompt=True, return_dict=False)
    assert done.prompt_length == len(prompt)
    assert done == tokenize(conversation(*TALK), load_tokenizer(folder), 500, chat_template(folder))


def test_a_list_of_ends_appends_nothing_behind_the_end_of_a_turn(tmp_path):
    ends = ["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"]
    folder = model_folder(tmp_path / "m", encoder(), LLAMA, "<|eot_id|>", ends)
    tokenizer, template = load_tokenizer(folder), chat_template(folder)
    assert said(tokenizer, conversation(*TALK), template) == "Blue<|eot_id|>"
    assert said(tokenizer, Example(prompt="Why? ", completion="Blue", cluster="c")) == "Blue<|eot_id|>"
    assert said(tokenizer, Example(prompt="", completion="Blue", cluster="c")).endswith("e<|eot_id|>")
    assert ends_of(only(conversation(*TALK)), tokenizer, template) == (
        "an answer in messages ends with '<|eot_id|>', as the chat template writes it",
    )


def test_a_template_without_an_end_gets_the_end_of_a_generation_and_the_plan_says_so(tmp_path):
    folder = model_folder(tmp_path / "m", encoder(), NO_END + CALL, "</s>", "</s>")
    tokenizer, template = load_tokenizer(folder), chat_template(folder)
    assert said(tokenizer, conversation(*TALK), template) == "Blue\n</s>"
    [told] = ends_of(only(conversation(*TALK)), tokenizer, template)
    assert told == (
        "the chat template writes no end behind an answer, so '</s>', the end in tokenizer_config.json, "
        "is appended to it"
    )


@pytest.mark.parametrize(
    "generation,eos,config,expected,source",
    [
        (["<eos>", "<|im_end|>"], "<|im_end|>", "<s>", "<|im_end|>", "generation_config.json"),
        (["<eos>", "<|im_end|>"], "</s>", "</s>", "<eos>", "generation_config.json"),
        ("<|im_end|>", "</s>", "</s>", "<|im_end|>", "generation_config.json"),
        (None, "<|eot_id|>", ["<|end_of_text|>", "<|eot_id|>"], "<|eot_id|>", "tokenizer_config.json"),
        (None, None, ["<|end_of_text|>", "<|eot_id|>"], "<|end_of_text|>", "config.json"),
    ],
)
def test_a_completion_ends_as_a_generation_does(tmp_path, generation, eos, config, expected, source):
    made = encoder()
    ids = [made.token_to_id(end) for end in generation] if isinstance(generation, list) else generation
    ids = made.token_to_id(ids) if isinstance(ids, str) else ids
    folder = model_folder(tmp_path / "m", made, "", eos, config, generation_config={"eos_token_id": ids})
    tokenizer = load_tokenizer(folder)
    assert (tokenizer.end_text, tokenizer.end.source) == (expected, source)
    for text in ("Blue", f"Blue{expected}", f"Blue{expected}\n"):
        assert said(tokenizer, Example(prompt="Why?\n", completion=text, cluster="c")).count(expected) == 1
    inside = Example(prompt="Why?\n", completion=f"a{expected}b", cluster="c")
    assert said(tokenizer, inside).endswith(f"b{expected}")


def test_an_answer_is_learned_behind_the_prompt_as_a_generation_reads_it(tmp_path):
    """Where a token would reach over the border, the prompt keeps the tokens that it has alone."""
    folder = model_folder(tmp_path / "m", encoder(), NO_END + CALL, "</s>", "</s>")
    tokenizer, template = load_tokenizer(folder), chat_template(folder)
    done = tokenize(conversation(*TALK), tokenizer, 500, template)
    prompt = template(conversation(*TALK)).prompt
    assert prompt.endswith("assistant: ")
    assert list(done.input_ids[: done.prompt_length]) == tokenizer.encoder.encode(prompt).ids


def test_a_start_that_the_text_has_already_is_not_written_twice(tmp_path):
    folder = model_folder(tmp_path / "m", encoder(start="<s>"), MISTRAL, "</s>", "</s>")
    tokenizer, template = load_tokenizer(folder), chat_template(folder)
    for example in (
        conversation(*TALK),
        Example(prompt="<s>Why?\n", completion="Blue", cluster="c"),
        Example(prompt="", completion="<s>Blue", cluster="c"),
    ):
        done = tokenize(example, tokenizer, 500, template)
        assert done.input_ids[:2].count(0) == 1
        assert done.prompt_length >= 1


def test_a_completion_is_not_begun_with_a_blank_that_joined_text_lacks(tmp_path):
    made = encoder(spaced=True)
    folder = model_folder(tmp_path / "m", made, "", "</s>", "</s>")
    done = tokenize(Example(prompt="Why?\n", completion="Blue", cluster="c"), load_tokenizer(folder), 500)
    assert list(done.input_ids[:-1]) == made.encode("Why?\nBlue").ids


def test_a_template_that_drops_a_turn_is_refused_by_file_line_and_turn(tmp_path):
    dropping = CHATML.replace("{% generation %}", "{% if m.role != 'system' %}").replace(
        "{% endgeneration %}", "{% endif %}"
    )
    folder = model_folder(tmp_path / "m", encoder(), dropping, "</s>", "</s>")
    talk = conversation(("system", "Be brief."), *TALK)
    with pytest.raises(DataError, match=r"^a\.jsonl:1: messages\[0\]: the chat template of .* leaves out"):
        tokenize(talk, load_tokenizer(folder), 500, chat_template(folder))
    kept = conversation(("system", ""), *TALK)
    assert said(load_tokenizer(folder), kept, chat_template(folder)) == "Blue<|im_end|>\n"


@pytest.mark.parametrize(
    "template,turns,message",
    [
        (GEMMA, (("system", "Be brief."), *TALK), "refuses them (no system role)"),
        (NO_END + "{% if add_generation_prompt %}<think>{% endif %}", TALK, "differently from its prompt"),
        (CHATML, TALK[1:2], "a conversation of one message has no prompt"),
    ],
)
def test_a_conversation_that_cannot_be_written_is_refused_with_file_and_line(
    tmp_path, template, turns, message
):
    folder = model_folder(tmp_path / "m", encoder(), template, "</s>", "</s>")
    with pytest.raises(DataError) as refused:
        tokenize(conversation(*turns), load_tokenizer(folder), 500, chat_template(folder))
    assert str(refused.value).startswith("a.jsonl:1: messages: ")
    assert message in str(refused.value)


def test_a_template_with_a_clock_gives_every_day_the_same_tokens():
    template = ChatTemplate("{{ strftime_now('%d %b %Y') }} " + NO_END + CALL, {}, "model")
    assert template.dated
    assert template(conversation(*TALK)).prompt.startswith("26 Jul 2024 user: What")


def test_a_template_that_is_no_template_is_refused_by_name():
    with pytest.raises(ModelError, match="model: its chat template cannot be read"):
        ChatTemplate("{% for %}", {}, "model")
