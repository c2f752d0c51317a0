"""What `keys` says of every key is what a configuration takes and refuses."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import yaml

from bios_sweep.config.compose import compose_config
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.prepare import prepare_config
from bios_sweep.driver.tracking import tracking_of
from bios_sweep.errors import InputError
from bios_sweep.records.workspace import Workspace
from bios_sweep.reference.declared import OTHERS, UNITS, kinds
from bios_sweep.reference.kinds import ANY, Kind, kind_of_check
from bios_sweep.reference.listed import keys_about, listed_keys
from bios_sweep.settings import AUTO

CONF = Path(__file__).resolve().parents[2] / "conf"
KEYS = listed_keys(CONF)
TYPES = {"text": str, "whole number": int, "number": int | float, "true or false": bool}
TYPES["names with values"] = dict
OF_FILES = ("data.kind", "model.kind", "method.runner", "method.name")  # here the chosen file decides
# nothing reads them in a planted world
OF_THE_TRAINER = ("method.attention", "data.train_on", "data.shape", "data.on_bad", "data.split")
NEEDED = "submit.image"  # null until a person gives it


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key.option} {key.path}")
def test_every_key_has_a_type_that_its_default_is_of_and_a_sentence(key):
    assert key.kind.type not in ("", ANY), "its line in OTHERS of bios_sweep/reference/declared.py is missing"
    assert key.comment, "the comment beside it in conf/ is missing"
    value, kind = yaml.safe_load(key.value), key.kind
    if value is None:
        assert kind.nullable or key.path == NEEDED
    elif kind.type.startswith("list"):
        assert isinstance(value, list)
    elif key.value.startswith("${"):
        assert kind.type == "text"
    elif value not in kind.choices:
        assert not (kind.choices and kind.type == "text")
        number = float(value) if kind.type == "number" else value  # YAML 1.1 takes 1e-08 for a text
        assert isinstance(number, TYPES[kind.type])


def test_nothing_is_said_of_a_key_that_is_not_there():
    there = {key.path for key in KEYS}
    assert {*OTHERS, *UNITS} <= there | {"model.planted.tokens_per_example"}


def test_what_an_open_key_may_be_is_declared_for_its_default_does_not_tell():
    """Of a key that is `null` or `auto` in some file a kind by its default alone would say too little."""
    open_keys = [key for key in KEYS if yaml.safe_load(key.value) in (None, AUTO)]
    assert {key.path for key in open_keys} >= {"method.dtype", "cluster.gpus_per_trial", "data.eval_examples"}
    assert [key.path for key in open_keys if key.path not in kinds(key.option)] == []


def test_kinds_of_files_are_the_files():
    for group in ("data", "model"):
        names = {file.stem for file in (CONF / group).glob("*.yaml")}
        assert set(kinds("")[f"{group}.kind"].choices) == names


@cache
def composed():
    return compose_config(["sweeps=learning_rate", "model=planted", "cluster=ray", "tracking=sqlite"])


def refusal(key, value, **beside):
    """What a real configuration says to a value; empty where it takes it."""
    values = copy.deepcopy(dict(composed().values))
    for path, one in {**beside, key: value}.items():
        group, _, name = path.partition(".")
        values[group][name] = one
    config = replace(composed(), values=values)
    try:
        prepare_config(config, Invocation())
        tracking_of(config, Workspace(Path("runs")))
    except InputError as error:
        return str(error)
    return ""


TAKEN_AND_REFUSED = {
    "decision.alpha": ((0.001, 0.499), (0, 0.5)),
    "decision.looks": (([1], [2, 3], [3, 5, 8]), ([1, 3], [5, 3], [0, 2], [])),
    "decision.confirmation_seeds": ((0, 2), (1, -1, 2.5)),
    "decision.margin_percent": ((0.001, None), (0, -1)),
    "decision.margin_share": ((0.001, None), (0, -1)),
    "decision.margin_absolute": ((0.001, None), (0, -1)),
    "decision.cost_ratio": ((1.001,), (1, 0.5)),
    "decision.speed_loss_percent": ((0.001,), (0, -1)),
    "decision.minimum_share": ((0.001, 0.999), (0, 1)),
    "decision.refine_trials": ((2,), (1, 2.5)),
    "decision.target": ((-1.5, 0, None), ("low",)),
    "decision.deadline": ((0.5, "90s", "2h", None), (0, "soon")),
    "decision.gpu_hours": ((0.5, None), (0, -1)),
    "decision.guardrails": (({"eval_loss": 0.5}, None), ({"eval_loss": 0}, 3)),
    "budget.measurements": ((1,), (0, 1.5)),
    "budget.max_trials": ((200,), (200.5, "many")),
    "budget.max_hours": ((1.5, None), ("long",)),
    "data.eval_examples": ((1, None), (0, 1.5)),
    "data.train_examples": ((1,), (0, 1.5)),
    "tracking.flush_seconds": ((0, 0.5), (-1, "long")),
    "tracking.enabled": ((True, False), ("yes",)),
    "cluster.gpus_per_trial": ((0, 0.5, "auto"), (-1, "one")),
    "cluster.max_concurrent": ((1, None), (0, 1.5)),
    "method.warmup_fraction": ((0, 0.999), (1, -0.1)),
    "method.max_length": ((1,), (0, 1.5)),
    "baseline.train_examples": ((1, None), (0, 1.5)),
}


@pytest.mark.parametrize("key", TAKEN_AND_REFUSED)
def test_a_range_is_what_a_configuration_takes_and_refuses(key):
    taken, refused = TAKEN_AND_REFUSED[key]
    assert [refusal(key, value) for value in taken] == [""] * len(taken)
    for value in refused:
        assert key.rpartition(".")[2] in refusal(key, value), value
    (kind,) = {one.kind for one in KEYS if one.path == key}
    assert kind.nullable == (None in taken or key == "data.train_examples")


@pytest.mark.parametrize(
    "key",
    [
        key
        for key, kind in kinds("").items()
        if kind.type == "text" and kind.choices and key not in (*OF_FILES, *OF_THE_TRAINER)
    ],
)
def test_choices_are_those_that_a_refusal_names(key):
    said = refusal(key, "no such word")
    assert key.rpartition(".")[2] in said
    assert all(choice in said for choice in kinds("")[key].choices if choice != AUTO)


def test_a_word_of_the_rule_or_the_budget_is_one_of_several():
    rules = {key.path: key.kind for key in KEYS if key.path.startswith(("decision.", "budget."))}
    assert [path for path, kind in rules.items() if kind.type == "text" and not kind.choices] == []


def test_a_check_is_read_for_what_it_refuses():
    of = {key.path: key.kind for key in KEYS if key.option == "submit=kuberay"}
    assert of["submit.submission_mode"].choices == ("K8sJobMode", "HTTPMode")
    assert of["submit.gpus"].range == "of at least 0"
    assert of["submit.replicas"].range == "of at least 1"
    assert of["submit.deadline_seconds"].allowed == "whole number of at least 1 | null; seconds"
    slurm = {key.path: key.kind for key in KEYS if key.option == "submit=slurm"}
    assert slurm["submit.memory"] != of["submit.memory"]
    assert kinds("")["cluster.placement"].choices == ("pack", "spread")
    assert kind_of_check(None, "Sequence[str]") == Kind(type="list of texts")


def test_a_comment_that_goes_on_in_the_next_line_is_of_its_own_key():
    found = {key.path: key.comment for key in KEYS if key.option in ("data=file", "decision=default")}
    assert "module:function, called as score(" in found["data.score"]
    assert "module:function" not in found["data.score_pattern"]
    assert found["decision.margin_percent"] == "percent of the baseline's metric"
    assert "items, where it is a mean" in found["decision.metrics"]


def test_words_are_met_in_sentences_choices_and_the_names_of_trackers():
    assert {key.path for key in keys_about(KEYS, ["lr"])} >= {"baseline.learning_rate"}
    assert {key.path for key in keys_about(KEYS, ["cosine"])} == {"method.schedule"}
    with pytest.raises(InputError, match=r"^no key is about 'learning_rte' \(did you mean learning_rate or"):
        keys_about(KEYS, ["learning_rte"])
    with pytest.raises(InputError, match=r"did you mean cluster.gpus_per_trial or cluster.cpus_per_trial"):
        keys_about(KEYS, ["cluster.gpu_per_trial"])
