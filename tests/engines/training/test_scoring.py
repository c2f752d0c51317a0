"""Scored answers: greedy, batched, equal to the plainest generation there is; kept per item."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from peft import PeftModel
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from bios_sweep.engines.training import scoring as module
from bios_sweep.engines.training.chat import ChatTemplate
from bios_sweep.engines.training.data import Example, Message
from bios_sweep.engines.training.engine import LoraEngine
from bios_sweep.engines.training.model import load_base
from bios_sweep.engines.training.scorers import exact_match, pattern_match, scorer_of
from bios_sweep.engines.training.scoring import ends_of_answers, generated, pads_safely, questions_of
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.errors import ConfigError
from bios_sweep.sealed import unlike
from bios_sweep.study.trials import ANSWER_SECONDS
from bios_sweep.vocabulary import Status
from tests.engines.training.test_training import (
    CPU,
    model_path,  # noqa: F401 - a fixture
    options,  # noqa: F401 - a fixture
    run,
    save_model,
    sentences,
    spec,
    tiny_config,
)

NEW = 12
ITEMS = 15
SOURCE = (
    "def shared(prompt, completion, reference):\n    return len(set(completion) & set(reference)) / 100\n"
)
BY = {
    "kind": "function",
    "asked": "own.py:shared",
    "name": "shared",
    "path": [],
    "source": SOURCE,
    "file": "own.py",
}
SCORED = {"metric": "shared", "items": ITEMS, "new_tokens": NEW, "by": BY}


@pytest.fixture(scope="module")
def engine(options):  # noqa: F811
    return LoraEngine({**options, "score": SCORED})


@pytest.fixture(scope="module")
def trained(engine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored")
    return run(engine, spec(), folder), folder


def answers(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]


def naively(model, ids, ends, new):
    """One prompt at a time through transformers, without a batch and without padding."""
    found = model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
        max_new_tokens=new, eos_token_id=list(ends), pad_token_id=ends[0],
    )[0, len(ids):].tolist()  # fmt: skip
    return [token for token in found if token not in ends]


def test_answers_are_those_of_the_saved_adapter_without_a_batch(trained, model_path):  # noqa: F811
    """In float32, item by item, by transformers and PEFT from the files that the trial left."""
    _, folder = trained
    tokenizer = load_tokenizer(model_path)
    plain = transformers.AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
    model = PeftModel.from_pretrained(plain, str(folder / "adapter")).eval()
    found = answers(folder)
    ends = (tokenizer.end.id, *(tokenizer.end.known - {tokenizer.end.id}))
    examples = sentences(21, 200)[:ITEMS]
    for example, answer in zip(examples, found, strict=True):
        ids = [*tokenizer.start, *tokenizer.encoder.encode(example.prompt, add_special_tokens=False).ids]
        said = naively(model, ids, ends, NEW)
        assert answer["answer"] == tokenizer.encoder.decode(said, skip_special_tokens=True)
        assert answer["reference"] == example.completion
    assert len({answer["answer"] for answer in found}) > 5  # they do differ


def test_a_score_is_a_final_metric_with_its_values_per_item_and_that_of_the_untouched_model(trained):
    result, folder = trained
    assert result.status == Status.COMPLETED
    with np.load(folder / "score.npz") as kept:
        values, cluster = kept["score"], kept["cluster"]
    assert values.tolist() == [answer["score"] for answer in answers(folder)]
    assert cluster.tolist() == [number // 4 for number in range(ITEMS)]
    assert result.final["shared"] == values.mean()
    assert result.curve[0].metrics["shared"] != result.final["shared"]
    assert all(not point.metrics for point in result.curve[1:])
    assert result.provenance[ANSWER_SECONDS] > 0
    assert set(result.files) == {"eval.npz", "score.npz"}
    assert unlike(folder, result.files) is None


def test_scoring_changes_no_other_number(trained, options, tmp_path):  # noqa: F811
    result, _ = trained
    plain = run(LoraEngine(options), spec(), tmp_path)
    assert [point.eval_loss for point in plain.curve] == [point.eval_loss for point in result.curve]
    assert {**result.final, "shared": None} == {**plain.final, "shared": None}


def test_the_next_trial_of_a_warm_engine_answers_as_the_first(engine, trained, tmp_path):
    run(engine, spec(seed=4), tmp_path / "other")
    again = run(engine, spec(), tmp_path / "again")
    assert answers(tmp_path / "again") == answers(trained[1])
    assert again.final == trained[0].final


def test_answers_end_at_a_stop_text(options, tmp_path):  # noqa: F811
    told = {**SCORED, "stop": ["e"]}
    run(LoraEngine({**options, "score": told}), spec(), tmp_path)
    assert not any("e" in answer["answer"] for answer in answers(tmp_path))


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (LlamaForCausalLM, LlamaConfig(**tiny_config())),
        (GPT2LMHeadModel, GPT2Config(vocab_size=400, n_positions=128, n_embd=32, n_layer=2, n_head=4,
                                     bos_token_id=0, eos_token_id=1, initializer_range=0.3)),
    ],
    ids=["rotary", "learned positions"],
)  # fmt: skip
def test_a_padded_batch_says_what_each_prompt_says_alone(kind, config, tmp_path):
    """Also where the model's own generation config would sample and punish repetition."""
    folder = save_model(tmp_path, config, kind)
    wishes = GenerationConfig(do_sample=True, temperature=2.0, repetition_penalty=1.5, min_new_tokens=3)
    wishes.save_pretrained(folder)
    base = load_base(folder, "float32", CPU)
    random = np.random.default_rng(5)
    prompts = [random.integers(2, 400, size=length).tolist() for length in (3, 17, 9, 30, 5)]
    own = base.model.generation_config
    together = generated(base, prompts, (1,), 10)
    assert base.model.generation_config is own
    base.model.generation_config = GenerationConfig()
    assert together == [naively(base.model, prompt, (1,), 10) for prompt in prompts]
    assert pads_safely(base, prompts, (1,), "float32")


def test_a_model_that_reads_its_padding_is_seen_and_prompts_of_one_length_go_together(
    engine,
    options,  # noqa: F811
    monkeypatch,
    tmp_path,
    trained,
):
    """A mask that is not heard: the answers are still those without a batch."""
    made = engine._judge(*_place(engine))
    monkeypatch.setattr(module, "_generate", _deaf(module._generate))
    deaf = LoraEngine({**options, "score": SCORED})
    run(deaf, spec(), tmp_path)
    assert made.scoring.padded
    assert not deaf._judge(*_place(deaf)).scoring.padded
    assert answers(tmp_path) == answers(trained[1])


def _place(engine):
    (dtype, length) = next(iter(engine._judges))
    return engine._base(dtype), dtype, length


def _deaf(generate):
    def call(base, prompts, ends, new_tokens):
        width = max(map(len, prompts))
        return generate(base, [[5] * (width - len(one)) + list(one) for one in prompts], ends, new_tokens)

    return call


@pytest.mark.parametrize(
    ("pattern", "said", "reference", "value"),
    [
        (r"answer is (\d+)", "So the answer is 12. The answer is 13.", "#### 12", 0.0),
        (r"(\d+)", "it is 12.", "12", 1.0),
        (r"#### (\d+)", "thus #### 12", "3 * 4 #### 12", 1.0),
        (r"(?s).*answer is (\d+)", "answer is 1, no: answer is 2", "2", 1.0),
        (r"\bB\b", "B, for sure", "B", 1.0),
        (r"(\d+)", "none", "12", 0.0),
    ],
)
def test_a_pattern_compares_what_it_finds_with_what_it_finds_in_the_reference(
    pattern, said, reference, value
):
    assert pattern_match(pattern)("", said, reference) == value


def test_an_exact_match_forgives_blanks_around_it_alone():
    assert exact_match("", " four\n", "four") == 1.0
    assert exact_match("", "Four", "four") == 0.0


@pytest.mark.parametrize(
    ("source", "name", "sentence"),
    [
        (
            "import nothing_here",
            "f",
            "cannot be imported (ModuleNotFoundError: No module named 'nothing_here')",
        ),
        ("x = 1", "f", "there is no function 'f'"),
        ("def f(a, b): ...", "f", r"takes (a, b); a scorer is score(prompt, completion, reference) -> float"),
        ("def f(a, b, c): return None", "f", "returned None, not a finite number"),
        ("def f(a, b, c): return '1'", "f", "returned '1', not a finite number"),
        ("def f(a, b, c): return float('nan')", "f", "returned nan, not a finite number"),
        ("def f(a, b, c): return 1 / 0", "f", "raised ZeroDivisionError: division by zero"),
    ],
)
def test_a_function_that_cannot_score_says_why_in_a_sentence(source, name, sentence):
    by = {
        "kind": "function",
        "asked": "own.py:f",
        "name": name,
        "path": [],
        "source": source,
        "file": "own.py",
    }
    with pytest.raises(ConfigError) as refused:
        scorer_of(by)("", "", "")
    assert str(refused.value).startswith("data.score: own.py:f")
    assert sentence in str(refused.value)


def test_numbers_of_numpy_and_truths_are_values():
    for source in ("def f(a, b, c): return True", "import numpy\ndef f(a, b, c): return numpy.float32(1)"):
        by = {"kind": "function", "asked": "o", "name": "f", "path": [], "source": source, "file": "own.py"}
        assert scorer_of(by)("", "", "") == 1.0


def test_a_scorer_that_fails_in_a_trial_names_itself(options, tmp_path):  # noqa: F811
    broken = {**BY, "source": "def shared(p, c, r):\n    raise ValueError('odd answer')\n"}
    engine = LoraEngine({**options, "score": {**SCORED, "by": broken}})
    with pytest.raises(ConfigError, match=r"data\.score: own\.py:shared raised ValueError: odd answer"):
        run(engine, replace(spec()), tmp_path)


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize("known", [True, False])
def test_a_conversation_ends_where_its_template_ends_a_turn(tmp_path, model_path, known):  # noqa: F811
    """Also where no file of the model calls that an end: as a token if it is one, else as a text."""
    if known:
        fast = transformers.AutoTokenizer.from_pretrained(model_path)
        fast.add_special_tokens({"additional_special_tokens": ["<|im_end|>"]})
        fast.save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path if known else model_path)
    turns = (Message(role="user", content="What of it?"), Message(role="assistant", content="Nothing."))
    talk = Example(prompt="", completion="Nothing.", cluster="c", messages=turns)
    template = ChatTemplate(CHATML, {}, "a model")
    ends, stop = ends_of_answers([talk], tokenizer, template)
    mark = tokenizer.encoder.token_to_id("<|im_end|>")
    assert (mark in ends, stop) == ((True, ()) if known else (False, ("<|im_end|>",)))
    assert ends[0] == tokenizer.end.id
    (asked,) = questions_of([talk], tokenizer, template, 100)
    assert asked.prompt.endswith("<|im_start|>assistant\n")
    assert tokenizer.encoder.decode(list(asked.ids), skip_special_tokens=False) == asked.prompt
    assert asked.reference == "Nothing."


def test_a_prompt_that_is_too_long_is_read_from_its_end(model_path):  # noqa: F811
    tokenizer = load_tokenizer(model_path)
    (example,) = sentences(1, 202)
    (whole,), (cut,) = (questions_of([example], tokenizer, None, room) for room in (500, 6))
    assert (len(cut.ids), cut.ids[-5:]) == (6, whole.ids[-5:])
    assert (cut.prompt, cut.reference) == (example.prompt, example.completion)
