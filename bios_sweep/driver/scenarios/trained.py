"""The scenario of our own training: the facts of a base model and of a data set, read from their files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bios_sweep.checks import not_allowed, one_of, or_null, positive, require, truth, whole
from bios_sweep.config.method import method_of
from bios_sweep.defaults.rules import preference
from bios_sweep.driver.scenarios.base_model import model_options, read_model
from bios_sweep.driver.scenarios.examples import (
    EVERY_ANSWER,
    LAST,
    TRAIN_ON,
    optional_count,
    preferring,
    read_data,
)
from bios_sweep.driver.scenarios.scored import scored
from bios_sweep.engines.training.architectures import engine_version, experts_of, look_at, text_of
from bios_sweep.engines.training.data import CONVERSATION, SEVERAL_ANSWERS, DataSet
from bios_sweep.engines.training.facts import (
    FORMAT_VERSIONS,
    position_limit,
    read_config,
    software_versions,
)
from bios_sweep.engines.training.fitting import DEFAULT_MICRO_BATCH
from bios_sweep.engines.training.four_bit import version as four_bit_version
from bios_sweep.errors import ConfigError
from bios_sweep.hub.pins import pins_of
from bios_sweep.records.workspace import Workspace
from bios_sweep.request import CUDA, Request
from bios_sweep.settings import AUTO, FLOAT32, QLORA
from bios_sweep.study.preference import (
    ACCURACY,
    CHOSEN_LOSS,
    REWARD_CHOSEN,
    REWARD_MARGIN,
    REWARD_REJECTED,
    PairJudge,
)
from bios_sweep.study.scenario import DataFacts, Scenario

if TYPE_CHECKING:
    from bios_sweep.engines.training.counts import Tokens

LORA_ENGINE = "bios_sweep.engines.training.engine:LoraEngine"
# what a LoRA trial ends with
FINAL_METRICS = ("eval_loss", "eval_bits_per_byte", "train_loss", "general_loss")
# the same of preference pairs, whose rejected answers may gain or lose
PAIR_METRICS = (
    "eval_loss",
    ACCURACY,
    REWARD_MARGIN,
    REWARD_CHOSEN,
    CHOSEN_LOSS,
    "train_loss",
    "general_loss",
)
FLASH = "flash"
ATTENTIONS = (AUTO, "sdpa", FLASH, "eager")
NOT_CHECKED = (
    "the examples are not checked yet against the model's chat template and lengths, for which "
    "bios-sweep[run] has to be installed; run checks them before anything starts"
)
JOINED = "joined"  # how a border is read that a token of a sentencepiece model reaches over


def trained_scenario(
    values: Mapping[str, Any], workspace: Workspace, request: Request, typed: Sequence[str] = ()
) -> tuple[Scenario, DataSet]:
    """The scenario and its examples; where they are cut is known with the arms, see `judged_alike`.

    typed: the overrides of the command line.
    """
    method = values["method"]
    if method["max_length"] != AUTO:
        whole("method.max_length", method["max_length"])
    pins = pins_of(workspace.root)
    model = read_model(values["model"], pins)
    dataset, hub = read_data(values, Path(model.path), typed, pins)
    reading = _reading(values["data"], dataset, Path(model.path), pairs=preferring(values))
    data = replace(_data_facts(dataset, workspace), reading=reading, hub=hub)
    routed = _routed(method, Path(model.path))
    judge = pair_judge(values)
    measured = FINAL_METRICS if judge is None else (*PAIR_METRICS, REWARD_REJECTED)
    score = scored(values["data"], dataset.evaluation, measured, position_limit(Path(model.path)))
    if judge is not None:
        data = replace(data, preference=judge)
    if score is not None:
        data = replace(data, score=score[0])
    return (
        Scenario(
            model=model,
            data=data,
            method=method_of(method),
            engine=LORA_ENGINE,
            engine_version=engine_version(Path(model.path), routed=routed),
            engine_options={
                **model_options(values["model"], model),
                "data_file": data.file,
                "data_fingerprint": data.fingerprint,
                "threads": request.cpus_per_trial,
                "device": request.trial_device,
                **_cutting(method, request),
                **_spread(request),
                **_checkpoints(values["budget"]),
                "measurements": values["budget"]["measurements"],
                **reading,
                **({} if judge is None else {"objective": judge.to_dict()}),
                **({} if score is None else {"score": score[1]}),
                **_attention(method, request),
                **({"routers": True} if routed else {}),
            },
            software=software_versions(),
            format_versions={
                **(FORMAT_VERSIONS if _in_another_format(method, request) else {}),
                **(
                    {QLORA: four_bit_version()}
                    if QLORA in _methods(values["method"], values["sweeps"])
                    else {}
                ),
            },
        ),
        dataset,
    )


def _spread(request: Request) -> dict[str, int]:
    """Over how many GPUs a trial's base lies, where that is more than one."""
    over = int(request.gpus_per_trial) if request.trial_device == CUDA else 1
    return {"gpus": over} if over > 1 else {}


def _methods(method: Mapping[str, Any], sweep: Mapping[str, Any]) -> tuple[Any, ...]:
    """What trials may train: the baseline's, and the levels of a factor or of a moderator."""
    factor, crossed = (sweep.get("factors") or {}).get("method"), (sweep.get("cross") or {}).get("method")
    levels = factor.get("values") if isinstance(factor, Mapping) else ()
    found = [one for some in (levels, crossed) if isinstance(some, list) for one in some]
    return (method.get("trains"), *found)


def pair_judge(values: Mapping[str, Any]) -> PairJudge | None:
    """How held-out preference pairs are judged: as the baseline trains, unless a beta is given for it.

    None of supervised training.

    Raises:
        ConfigError: a beta that is none.
    """
    method = values["method"]
    if not preferring(values):
        return None
    given = or_null(positive)("method.dpo_eval_beta", method.get("dpo_eval_beta"))
    trained = method["dpo_beta"]
    if trained in (AUTO, None):
        trained = preference("beta").value
    normalised = truth("method.dpo_length_normalised", method["dpo_length_normalised"] or False)
    beta = positive("method.dpo_beta", trained) if given is None else given
    return PairJudge(beta=float(beta), length_normalised=normalised)


def measured_by(scenario: Scenario) -> tuple[str, ...]:
    """What a trial of our own ends with, scores of answers included."""
    score = scenario.data.score
    own = FINAL_METRICS if scenario.data.preference is None else PAIR_METRICS
    return own if score is None else (*own, score.metric)


def _in_another_format(method: Mapping[str, Any], request: Request) -> bool:
    """Whether trials may compute in anything but float32: on GPUs `method.dtype=auto` is not decided yet."""
    return bool(method["dtype"] != FLOAT32) or request.trial_device == CUDA


def _cutting(method: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """How batches are cut to fit: on CPUs as ever, on GPUs by the trainer where it is left to it."""
    size = method.get("micro_batch_size", AUTO)
    twice = method.get("activation_checkpointing", AUTO)
    if twice != AUTO and not isinstance(twice, bool):
        raise not_allowed("method.activation_checkpointing", twice, "auto, true or false")
    on_gpu = request.trial_device == CUDA
    if size != AUTO:
        whole("method.micro_batch_size", size)
    elif not on_gpu:
        size = DEFAULT_MICRO_BATCH
    chosen: dict[str, Any] = {"micro_batch_size": None if size == AUTO else size}
    if twice != AUTO:
        chosen["activation_checkpointing"] = twice
    return {**chosen, "sharers": request.sharers} if on_gpu else chosen


def _checkpoints(budget: Mapping[str, Any]) -> dict[str, float]:
    minutes = or_null(positive)("budget.checkpoint_minutes", budget["checkpoint_minutes"])
    return {} if minutes is None else {"checkpoint_minutes": float(minutes)}


def _attention(method: Mapping[str, Any], request: Request) -> dict[str, str]:
    """Said only where it is chosen, so that `auto` is what it was before there was a choice."""
    attention = one_of("method.attention", method.get("attention", AUTO), ATTENTIONS)
    if attention == FLASH and (request.trial_device != CUDA or method["dtype"] == FLOAT32):
        raise ConfigError(
            "method.attention: flash computes in bfloat16 on GPUs alone; use sdpa, or leave it auto"
        )
    return {} if attention == AUTO else {"attention": attention}


def _routed(method: Mapping[str, Any], model: Path) -> bool:
    """Whether routers learn, too.

    Raises:
        ConfigError: no truth value, or the model has none.
    """
    asked = method.get("routers", False)
    if not isinstance(asked, bool):
        raise not_allowed("method.routers", asked, "true or false")
    if asked and not experts_of(text_of(read_config(model))):
        raise ConfigError("method.routers: this model has no experts, and so no routers; leave it out")
    return asked


def _reading(values: Mapping[str, Any], dataset: DataSet, model: Path, *, pairs: bool) -> dict[str, str]:
    """How conversations are read, where that is not as it was before there was a choice; the engine's words.

    Raises:
        ConfigError: a value is not allowed or without effect.
    """
    asked = values.get("train_on")
    if asked is not None:
        one_of("data.train_on", asked, TRAIN_ON)
    if pairs and asked is not None:
        raise ConfigError("data.train_on: both answers of a preference pair are learned whole; leave it out")
    several = dataset.any(CONVERSATION) if pairs else dataset.any(SEVERAL_ANSWERS)
    if asked is not None and not several:
        raise ConfigError("data.train_on: no conversation of these data has several answers; leave it out")
    reading = {"train_on": EVERY_ANSWER} if several and asked != LAST else {}
    given = values.get("chat_date")
    return reading if given is None else {**reading, "chat_date": _day(given, dataset, model)}


def _day(given: Any, dataset: DataSet, model: Path) -> str:
    from bios_sweep.engines.training.chat import chat_template  # no plan without a date needs jinja2

    try:
        day = date.fromisoformat(str(given))
    except ValueError:
        raise not_allowed("data.chat_date", given, "a day such as 2026-01-31") from None
    template = chat_template(model)
    if template is None or not dataset.any(CONVERSATION) or not template.dated:
        raise ConfigError("data.chat_date: no chat template writes a date here; leave it out")
    return day.isoformat()


def count_tokens(scenario: Scenario, dataset: DataSet) -> Tokens | None:
    """The tokens of every example; None where `tokenizers` is not installed, which run brings.

    Raises:
        DataError: a conversation cannot be written.
    """
    if util.find_spec("tokenizers") is None or util.find_spec("jinja2") is None:
        return None
    from bios_sweep.engines.training.chat import reading_of
    from bios_sweep.engines.training.counts import tokens_of

    pairs = scenario.data.preference is not None
    return tokens_of(dataset, Path(scenario.model.path), reading_of(scenario.data.reading), pairs=pairs)


def auto_length(scenario: Scenario, tokens: Tokens | None) -> int:
    """`method.max_length=auto`: what holds 99 % of the training examples, at most what the model reads.

    Raises:
        ConfigError: nothing here counts tokens.
    """
    if tokens is None:
        raise ConfigError("method.max_length: auto counts tokens; install bios-sweep[run], or give a number")
    return tokens.auto_length(position_limit(Path(scenario.model.path)))


def judged_alike(
    scenario: Scenario, tokens: Tokens | None, lengths: Sequence[int], eval_max_length: Any
) -> Scenario:
    """The scenario whose arms, with these `max_length`s, are all judged on the very same tokens.

    The evaluation examples are cut once: where `data.eval_max_length` says, else at the largest length. The
    cut is part of what a trial is measured on, so that trials of two cuts never mix.

    Args:
        scenario: of `trained_scenario`.
        tokens: of its examples, where they could be counted.
        lengths: `max_length` of every arm, the baseline's first.
        eval_max_length: as configured.

    Raises:
        InputError: the cut is no length, an example leaves nothing to learn or is longer than the model
            reads, or its conversation cannot be written.
    """
    given = optional_count(eval_max_length, "data.eval_max_length")
    eval_length = max(lengths) if given is None else given
    cuts = () if tokens is None else tokens.cuts(lengths, eval_length)
    if cuts:
        from bios_sweep.engines.training.counts import require_positions

        require_positions(cuts, scenario.model.name, position_limit(Path(scenario.model.path)), lengths[0])
    joined = {JOINED: "whole"} if tokens is not None and tokens.joined else {}
    judge = scenario.data.preference
    by = "" if judge is None else f" by {judge.words}"
    at = f"{scenario.data.evaluation_fingerprint} cut at {eval_length}{by}"
    data = replace(
        scenario.data,
        evaluation_fingerprint=hashlib.sha256(at.encode()).hexdigest(),
        eval_max_length=eval_length,
        tokens_per_example=cuts[0].tokens_per_example if cuts else None,
        eval_tokens=cuts[-1].tokens - cuts[-1].lost if cuts else None,
        cuts=cuts,
        ends=() if tokens is None else tokens.ends,
        told=_told(scenario, tokens),
        reading={**scenario.data.reading, **joined},
    )
    options = {**scenario.engine_options, "eval_max_length": eval_length}
    return replace(scenario, data=data, engine_options=options)


def _told(scenario: Scenario, tokens: Tokens | None) -> tuple[str, ...]:
    """What reading the data found, an example as the model reads it, and whether all were checked."""
    told = scenario.data.told
    if tokens is None:
        return (*told, NOT_CHECKED)
    return (*told, *tokens.shown) if told else told


def reach_notes(scenario: Scenario) -> tuple[str, ...]:
    """What an adapter reaches, where that is not every linear layer; nothing of a model that is not loaded.

    Raises:
        ModelError: the architecture cannot be trained here, and why.
    """
    if scenario.engine != LORA_ENGINE:
        return ()
    routed = bool(scenario.engine_options.get("routers"))
    found = look_at(Path(scenario.model.path), routed=routed)
    return () if found is None else (found.words,)


def optional_text(key: str, value: Any) -> str | None:
    """A text, or None where it is not given."""
    require(value is None or isinstance(value, str), key, value, "give a text, or null")
    return None if value is None else str(value)


def _data_facts(dataset: DataSet, workspace: Workspace) -> DataFacts:
    return DataFacts(
        name=dataset.name,
        file=str(workspace.data_file(dataset.fingerprint)),
        fingerprint=dataset.fingerprint,
        evaluation_fingerprint=dataset.evaluation_fingerprint,
        train_examples=len(dataset.train),
        eval_examples=len(dataset.evaluation),
        eval_clusters=dataset.eval_clusters,
        source=dataset.source,
        told=dataset.told,
    )
