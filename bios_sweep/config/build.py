"""Plain configuration values and facts -> `Study`. Every value is validated by the class that owns it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bios_sweep.checks import is_finite, is_whole, not_allowed, one_of, positive
from bios_sweep.config.epochs import in_epochs
from bios_sweep.config.metrics import companions_of, items_of
from bios_sweep.defaults import Recommendation, Why, max_steps
from bios_sweep.errors import ConfigError, InputError
from bios_sweep.own_settings import Own
from bios_sweep.settings import AUTO, DEFAULTS, FULL, HEURISTIC, KNOWN, TrainingSettings, key_of
from bios_sweep.study.design import EPOCHS, MOST_SEEDS, Budget, DecisionRule, Origin, Study
from bios_sweep.study.factors import Cross, Factor, Nuisance, require_setting
from bios_sweep.study.margins import MARGINS, margins_of
from bios_sweep.study.metric_names import DIRECTIONS, ask_for, direction_of
from bios_sweep.study.scenario import Metric, Scenario

SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}  # of a duration's unit
NOT_OF_THE_RULE = ("gpu_hours", "undecidable")  # keys of `decision` on which no verdict depends
UNCHOSEN = (
    "version",
    "companions",
    "items",
    "differing",
)  # fields of the decision rule that no key of its own sets
# of `budget`: no part of the study's own
HOW_TO_RUN = ("max_steps", "keep_adapters", "checkpoint_minutes", "least_free_gb")
FACTOR_LISTS = ("multiply", "values", "claims")


def build_study(
    values: Mapping[str, Any], *, sweep: str, scenario: Scenario, recommendation: Recommendation
) -> Study:
    """The study that a configuration describes, for a scenario whose defaults are recommended.

    Raises:
        InputError: a value is not allowed; the message names its key.
    """
    baseline, origins = _baseline(values, recommendation, scenario.data.train_examples or None)
    if values["budget"]["hold"] == EPOCHS:
        baseline, origins = in_epochs(baseline, origins, scenario)
    seeds = _seeds(values)
    gpu_hours(values)
    rule = {name: value for name, value in values["decision"].items() if name not in NOT_OF_THE_RULE}
    rule["guardrails"] = rule["guardrails"] or {}
    metrics = rule.pop("metrics", None)
    rule["deadline"] = seconds("decision.deadline", rule.get("deadline"))
    rule = _fields(DecisionRule, rule, "decision")
    metric = build_metric(values["method"], scenario.data.loss_unit)
    rule |= margins_of(rule["purpose"], metric.name, {name: rule.get(name) for name in MARGINS})
    looks = rule.pop("looks")
    if not (isinstance(looks, list) and looks and all(map(is_whole, looks))):
        raise not_allowed("decision.looks", looks, "give a list such as [3, 5, 8]")
    if max(looks) > MOST_SEEDS:
        raise not_allowed("decision.looks", looks, f"at most {MOST_SEEDS:,} seeds")
    budget = {k: v for k, v in values["budget"].items() if k not in HOW_TO_RUN}
    return Study(
        name=sweep,
        question=_question(values["sweeps"].get("question")),
        scenario=scenario,
        baseline=baseline,
        factors=factors_of(values["sweeps"], baseline),
        cross=_cross(values["sweeps"], baseline),
        seeds=tuple(range(looks[-1])) if seeds is None else seeds,
        budget=Budget(**_fields(Budget, budget, "budget")),
        decision=DecisionRule(
            **rule,
            looks=_looks(looks, seeds),
            companions=companions_of(metrics),
            **items_of(metrics),
        ),
        metric=metric,
        origins=origins,
    )


def _question(given: Any) -> str:
    """What a sweep asks, in words; it may leave that open."""
    if given is not None and not isinstance(given, str):
        raise not_allowed("sweeps.question", given, "a text")
    return given or ""


def build_metric(method: Mapping[str, Any], unit: str = Metric().unit) -> Metric:
    """The number the study is judged on: a script's own, else the loss of our training, in its unit.

    Which way it is better its name tells, unless `method.direction` says; nobody guesses.

    Raises:
        ConfigError: a name that is none, a direction that is none, or a name that tells none.
    """
    own = Metric()
    name, given = method.get("metric", own.name), method.get("direction")
    if not isinstance(name, str) or not name.strip():
        raise not_allowed("method.metric", name, "the name of a metric")
    if given is not None:
        one_of("method.direction", given, DIRECTIONS)
    direction = given or direction_of(name)
    if direction is None:
        raise ConfigError(f"method.direction: {ask_for(name, 'method.direction=')}")
    return Metric(name=name, direction=direction, unit=unit if name == own.name else "")


def seconds(key: str, value: Any) -> Any:
    """A duration in seconds: a text with a unit is read, anything else is left for its field to judge.

    Raises:
        ConfigError: a text that is no duration.
    """
    if not isinstance(value, str):
        return value
    told = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)?\s*", value)
    if told is None:
        raise ConfigError(f"{key}: {value!r} is not allowed; seconds, or a text such as 90s, 30min, 2h")
    return float(told[1]) * SECONDS[told[2] or "s"]


def gpu_hours(values: Mapping[str, Any]) -> float | None:
    """The hours that `rehearse` may design a study for; no part of the rule, so not of the plan's identity.

    Raises:
        ConfigError: no number above 0.
    """
    hours: float | None = values["decision"].get("gpu_hours")
    _require_kind("decision.gpu_hours", hours, "float | None")
    if hours is not None:
        positive("decision.gpu_hours", hours)
    return hours


def _baseline(
    values: Mapping[str, Any], recommendation: Recommendation, train_examples: int | None
) -> tuple[TrainingSettings, dict[str, Origin]]:
    """The baseline's settings and, for each setting with a heuristic, where its value came from.

    An origin carries the heuristic's own value as `recommended` also where the configuration overrides
    it, so that the plan can say "below the default". The steps follow the batch size that is used.
    """
    given = {name: values[known.group][name] for name, known in KNOWN.items() if known.group}
    changes = {name: given[name] for name in given if name not in HEURISTIC}
    if recommendation.settings.method == FULL:  # a value that is the default's is of LoRA
        of_lora = [n for n in changes if KNOWN[n].adapter and changes[n] == DEFAULTS[n]]
        changes |= dict.fromkeys(of_lora)
    origins: dict[str, Origin] = {}
    for name in HEURISTIC:
        value, why = getattr(recommendation.settings, name), recommendation.why[name]
        if name == "max_steps":
            batch = dataclasses.replace(recommendation.settings, **changes).batch_size
            choice = max_steps(batch_size=batch, examples=changes["train_examples"] or train_examples)
            value, why = choice.value, choice.why
        if given[name] not in (AUTO, None):
            why = Why(rule=f"set by {key_of(name)}", source="configuration", evidence="", confidence="given")
        changes[name] = value if given[name] in (AUTO, None) else given[name]
        if KNOWN[name].silent and changes[name] is None:
            continue  # off, as in every study of before there was such a setting
        origins[name] = Origin(**why, recommended=value)
    own = Own(values["method"].get("settings"))
    return dataclasses.replace(recommendation.settings, **changes, own=own), origins


def factors_of(sweep: Mapping[str, Any], baseline: TrainingSettings) -> tuple[Factor, ...]:
    """The factors of a configuration's `sweeps`."""
    unknown = sorted(set(sweep) - {"question", "factors", "cross"})
    if unknown:
        raise ConfigError(f"sweeps.{unknown[0]}: unknown key; a sweep has question, factors and cross")
    factors = sweep.get("factors") or {}
    if not isinstance(factors, Mapping) or not factors:
        raise ConfigError(
            "sweeps.factors: no variation is given; for example learning_rate: {multiply: [0.5, 2]}"
        )
    return tuple(_factor(str(name), levels, baseline) for name, levels in factors.items())


def _cross(sweep: Mapping[str, Any], baseline: TrainingSettings) -> tuple[Cross, ...]:
    """`cross: {data.train_examples: [500, 4000]}` or `{lora_rank: [8, 32]}`."""
    given = sweep.get("cross") or {}
    if not isinstance(given, Mapping):
        raise ConfigError(f"sweeps.cross: {given!r} is not allowed; for example {{lora_rank: [8, 32]}}")
    # a key with a dot stays one key in a YAML file but is nested when it comes from the command line
    flat = {
        name: values
        for key, item in given.items()
        for name, values in (
            item.items() if isinstance(item, Mapping) else [(str(key).rpartition(".")[2], item)]
        )
    }
    try:
        for name in flat:
            require_setting("cross", str(name), baseline)
        return tuple(
            Cross(setting=str(name), values=_list(f"sweeps.cross.{name}", values))
            for name, values in flat.items()
        )
    except InputError as error:
        raise ConfigError(f"sweeps.{error}") from error


def _factor(name: str, levels: Any, baseline: TrainingSettings) -> Factor:
    if not isinstance(levels, Mapping):
        raise ConfigError(
            f"sweeps.factors.{name}: {levels!r} is not allowed; give {{multiply: [...]}} or {{values: [...]}}"
        )
    unknown = sorted(set(levels) - {*FACTOR_LISTS, "nuisance"})
    if unknown:
        allowed = ", ".join((*FACTOR_LISTS, "nuisance"))
        raise ConfigError(f"sweeps.factors.{name}.{unknown[0]}: unknown key; allowed are {allowed}")
    lists = {key: _list(f"sweeps.factors.{name}.{key}", levels[key]) for key in FACTOR_LISTS if key in levels}
    try:
        require_setting("factor", name, baseline)
        nuisance = _nuisance(f"sweeps.factors.{name}.nuisance", levels.get("nuisance"))
        return Factor(name=name, nuisance=nuisance, **lists)
    except InputError as error:
        raise ConfigError(f"sweeps.factors: {error}") from error


def _nuisance(path: str, given: Any) -> Nuisance | None:
    """`{learning_rate: {multiply: [0.5, 1, 2]}}` or `{learning_rate: {scale: sqrt}}`."""
    if given is None:
        return None
    if not isinstance(given, Mapping) or len(given) != 1:
        raise ConfigError(f"{path}: {given!r} is not allowed; for example {{learning_rate: {{scale: sqrt}}}}")
    [(setting, how)] = given.items()
    if not isinstance(how, Mapping) or set(how) - {"multiply", "scale"}:
        raise ConfigError(
            f"{path}.{setting}: {how!r} is not allowed; give {{multiply: [0.5, 1, 2]}} or {{scale: sqrt}}"
        )
    multiply = _list(f"{path}.{setting}.multiply", how["multiply"]) if "multiply" in how else ()
    return Nuisance(setting=str(setting), multiply=multiply, scale=how.get("scale"))


def _list(path: str, listed: Any) -> tuple[Any, ...]:
    if not isinstance(listed, list):
        raise ConfigError(f"{path}: {listed!r} is not a list")
    return tuple(listed)


def _seeds(values: Mapping[str, Any]) -> tuple[int, ...] | None:
    seeds = values["seeds"]
    if seeds is None:
        return None
    if not isinstance(seeds, list) or not seeds:
        raise ConfigError(f"seeds: {seeds!r} is not allowed; give a list such as seeds=[0,1,2]")
    if len(seeds) > MOST_SEEDS:
        raise ConfigError(f"seeds: {len(seeds):,} are too many; at most {MOST_SEEDS:,} are used")
    return tuple(seeds)


def _looks(looks: Sequence[int], seeds: Sequence[int] | None) -> tuple[int, ...]:
    """A list of seeds decides the last look; looks beyond it cannot be reached and fall away.

    Where one look is planned, it is at all the seeds that were given: they were given to be used.
    """
    if seeds is None:
        return tuple(looks)
    if len(looks) == 1:
        return (len(seeds),)
    return (*(look for look in looks if look < len(seeds)), len(seeds))


def _fields(kind: type[Any], values: Mapping[str, Any], group: str) -> dict[str, Any]:
    types = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    for name in UNCHOSEN:
        types.pop(name, None)
    unknown = sorted(set(values) - set(types))
    if unknown:
        raise ConfigError(f"{group}.{unknown[0]}: unknown key; allowed are {', '.join(types)}")
    for name, value in values.items():
        _require_kind(f"{group}.{name}", value, types[name])
    return dict(values)


def _require_kind(key: str, value: Any, kind: str) -> None:
    """Refuse a value of another type than its field's; what it may be beyond that its class knows."""
    if value is None and kind.endswith("| None"):
        return
    if kind == "int" and not is_whole(value):
        raise not_allowed(key, value, "a whole number")
    if kind.startswith("float") and not is_finite(value):
        raise not_allowed(key, value, "a finite number")
    if kind.startswith("str") and not isinstance(value, str):
        raise not_allowed(key, value, "a text")
    if kind.startswith("Mapping") and not isinstance(value, Mapping):
        raise not_allowed(key, value, "for example {general_loss: 1}")
