"""From what was asked to a plan: the facts of model and data are read here, and adapters are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep import defaults
from bios_sweep.checks import is_number, one_of
from bios_sweep.config.build import build_study
from bios_sweep.config.composed import Config
from bios_sweep.config.epochs import with_epochs
from bios_sweep.config.method import method_of
from bios_sweep.config.metrics import with_metrics
from bios_sweep.config.places import sweep_names
from bios_sweep.config.preferences import with_preferences
from bios_sweep.config.stated import refuse_idle
from bios_sweep.defaults import Recommendation
from bios_sweep.defaults.recommendation import TRAINING
from bios_sweep.driver.asked_before import after_earlier
from bios_sweep.driver.evaluation import enough, with_reason
from bios_sweep.driver.invocation import Invocation, workspace_of
from bios_sweep.driver.items_seen import with_items_seen
from bios_sweep.driver.memory import shared_by_memory
from bios_sweep.driver.precision import KEY as DTYPE
from bios_sweep.driver.precision import Precision, as_begun, precision_of
from bios_sweep.driver.room_left import room_left
from bios_sweep.driver.scenarios.base_model import download_notes
from bios_sweep.driver.scenarios.examples import AUTO_COUNT, preferring
from bios_sweep.driver.scenarios.planted import PLANTED_ENGINE, PLANTED_METRICS, planted_scenario
from bios_sweep.driver.scenarios.scripted import (
    honest_origins,
    require_told,
    script_defaults,
    script_warnings,
    scripted_scenario,
)
from bios_sweep.driver.scenarios.trainable import disk_notes, require_trainable
from bios_sweep.driver.scenarios.trained import (
    auto_length,
    count_tokens,
    judged_alike,
    measured_by,
    reach_notes,
    trained_scenario,
)
from bios_sweep.driver.tracking import require_tracking
from bios_sweep.engines.scripted.function import OwnFunction
from bios_sweep.engines.training.data import DataSet
from bios_sweep.engines.training.split import AUTO_EXAMPLES
from bios_sweep.errors import ConfigError
from bios_sweep.procedure.decidable import decidable, undecided_lines
from bios_sweep.records.retention import POLICIES
from bios_sweep.records.workspace import Workspace
from bios_sweep.request import Request, request_of
from bios_sweep.settings import AUTO, LORA, RANGES, key_of
from bios_sweep.study.asking import require_asking
from bios_sweep.study.design import GO_ON, REFUSE, UNDECIDABLE, Origin, Study
from bios_sweep.study.margins import margins_of
from bios_sweep.study.plan import Plan, build_plan
from bios_sweep.study.scenario import Metric, Scenario
from bios_sweep.study.score import FUNCTION

LEARNING_RATE = "learning_rate"
STARTING = ("run", "submit")  # verbs that start trials


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A validated command: nothing was started or written yet.

    plan: with what earlier studies of its questions add to what was asked. answered: the sweep whose words
    are printed again. stopped: arm -> the earlier study in which somebody stopped it by hand.
    function: what trains, where it was handed over. notes: what stands behind the defaults. warnings: what
    was chosen for the user, and the given values that are without effect, as sentences. precision: the number
    format, which a run may have to ask its workers for.
    """

    config: Config
    request: Request
    plan: Plan
    asked: Plan
    answered: str | None
    stopped: Mapping[str, str]
    workspace: Workspace
    dataset: DataSet | None
    function: OwnFunction | None
    invocation: Invocation
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    precision: Precision

    def answer(self, to_run: int) -> str:
        """What to say where the words of another sweep are printed; nothing of a command's own.

        to_run: trials of that sweep that are not there, because it was interrupted.
        """
        if self.answered in (None, self.asked.sweep_id):
            return ""
        if to_run:
            return f"nothing new is asked: {self.answered} compares these trials, and goes on"
        return f"nothing new is asked: {self.answered} has judged all of these trials, and is told again"


def prepare(invocation: Invocation) -> Prepared:
    """Read everything a plan depends on and build it.

    Raises:
        InputError: whatever is wrong with the input, before anything is started.
    """
    return prepare_config(invocation.composed(), invocation)


def prepare_config(config: Config, invocation: Invocation, function: OwnFunction | None = None) -> Prepared:
    """The same for a configuration that is composed already. function: trains, instead of what has a name."""
    if config.sweep is None:
        names = ", ".join(sweep_names(invocation.config_dir))
        raise ConfigError(f"no sweep is chosen; add sweeps=NAME, NAME being one of {names}")
    request = request_of(config.values["cluster"])
    verb = {"verb": invocation.verb}
    refuse_idle(config, verb)
    workspace = workspace_of(config)
    require_tracking(config.values["tracking"])
    room_left(workspace.root, config.values["budget"]["least_free_gb"])
    one_of("budget.keep_adapters", config.values["budget"]["keep_adapters"], POLICIES)
    precision = precision_of(config.values, request)
    values, by_accuracy = with_preferences(with_metrics(with_epochs(_with_dtype(config.values, precision))))
    read = _evaluated(_read(config, values, workspace, request, function), workspace, request)
    plan, scenario, recommendation = read.plan, read.plan.study.scenario, read.recommendation
    # who writes the default's own number out has said no more than `auto`
    recommended = {key_of(name): origin.recommended for name, origin in read.origins.items()}
    recommended[DTYPE] = precision_of(_with_auto(config.values), request).dtype
    plan, precision = as_begun(plan, precision, workspace, config)
    require_trainable(plan)
    plan, request = shared_by_memory(plan, request, config.values["cluster"])
    require_told(plan)
    plan = with_items_seen(plan, workspace)
    _require_decidable(plan, config, invocation.verb, begun=workspace.has_plan(plan.sweep_id))
    idle = refuse_idle(config, {**verb, **facts_of(plan, config)}, same=recommended)
    asked = after_earlier(plan, workspace)
    return Prepared(
        config=config,
        request=request,
        plan=asked.plan,
        asked=plan,
        answered=asked.answered,
        stopped=asked.stopped,
        workspace=workspace,
        dataset=read.dataset,
        function=function,
        invocation=replace(asked.command or invocation, verb=invocation.verb),
        notes=(
            *by_accuracy,
            *recommendation.warnings,
            *reach_notes(scenario),
            *disk_notes(plan),
            *download_notes(scenario),
        ),
        warnings=(*undecided_lines(plan), *config.notes, *idle.values(), *script_warnings(scenario)),
        precision=precision,
    )


@dataclass(frozen=True, kw_only=True)
class _Read:
    """Model and data as they were read, and the plan of them. origins: of the baseline, by the heuristics."""

    config: Config
    values: Mapping[str, Any]
    plan: Plan
    dataset: DataSet | None
    recommendation: Recommendation
    origins: Mapping[str, Origin]


def _read(
    config: Config,
    values: Mapping[str, Any],
    workspace: Workspace,
    request: Request,
    function: OwnFunction | None = None,
) -> _Read:
    scenario, dataset, recommendation = _scenario(values, workspace, request, function, config.overrides)
    given, tokens = values, None
    if dataset is not None and values["method"]["max_length"] == AUTO:
        tokens = count_tokens(scenario, dataset)
        values = {**values, "method": {**values["method"], "max_length": auto_length(scenario, tokens)}}
    told = build_study(values, sweep=config.sweep or "", scenario=scenario, recommendation=recommendation)
    told, recommendation = _at_alpha(told, recommendation)
    study = replace(told, origins=honest_origins(told))
    _require_measured(study, scenario)
    plan = build_plan(study)
    require_asking(plan)
    if dataset is not None:
        length = config.values["data"].get("eval_max_length")
        tokens = tokens or count_tokens(scenario, dataset)
        alike = judged_alike(scenario, tokens, plan.max_lengths, length)
        plan = build_plan(replace(study, scenario=alike))
    return _Read(
        config=config,
        values=given,
        plan=plan,
        dataset=dataset,
        recommendation=recommendation,
        origins=told.origins,
    )


def _at_alpha(study: Study, recommendation: Recommendation) -> tuple[Study, Recommendation]:
    """Both say so where the baseline's alpha is not the rule's, so that its rate is an extrapolation."""
    origin, found = study.origins[LEARNING_RATE], defaults.at_alpha(recommendation, study.baseline)
    if origin.confidence == "given":
        return study, recommendation
    origins = {**study.origins, LEARNING_RATE: replace(origin, **found.why[LEARNING_RATE])}
    return replace(study, origins=origins), found


def _evaluated(read: _Read, workspace: Workspace, request: Request) -> _Read:
    """The same with as many evaluation examples as `data.eval_examples=auto` comes to, once that is known."""
    data = read.values["data"]
    if read.dataset is None or data["eval_examples"] != AUTO:
        return read
    found = enough(read.plan, data["eval_share"], workspace)
    if found.examples != AUTO_EXAMPLES:
        values = {**read.values, "data": {**data, AUTO_COUNT: found.examples}}
        read = _read(read.config, values, workspace, request)
    return replace(read, plan=with_reason(read.plan, found))


def _require_decidable(plan: Plan, config: Config, verb: str, *, begun: bool) -> None:
    """Start nothing that its number of items cannot decide, unless told to; what has begun goes on."""
    told = one_of("decision.undecidable", config.values["decision"]["undecidable"], UNDECIDABLE)
    lines = undecided_lines(plan)
    if lines and told == REFUSE and verb in STARTING and not begun:
        raise ConfigError(f"{lines[0]}; decision.undecidable={GO_ON} runs it all the same")


def _with_dtype(values: Mapping[str, Any], precision: Precision) -> dict[str, Any]:
    return {**values, "method": {**values["method"], "dtype": precision.dtype}}


def _with_auto(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "method": {**values["method"], "dtype": AUTO}}


def facts_of(plan: Plan, config: Config) -> dict[str, Any]:
    """What of the plan decides whether a configured value counts; see `config.stated`."""
    study = plan.study
    return {
        "told": study.scenario.carried,
        "claims": {claim for factor in plan.factors for claim in plan.claims_of(factor)},
        "seeds_used": len(study.seeds),
        "undecided": [one.metric for one in decidable(plan) if not one.decided],
        "looks_kept": list(study.decision.looks) == list(config.values["decision"]["looks"]),
        # a joint search moves a number, and not what the budget sets
        "searched": [
            factor.name
            for factor in study.factors
            if factor.name != "max_steps"
            if factor.name in RANGES or is_number(study.baseline.own.get(factor.name))
        ],
    }


def _scenario(
    values: Mapping[str, Any],
    workspace: Workspace,
    request: Request,
    function: OwnFunction | None,
    typed: Sequence[str],
) -> tuple[Scenario, DataSet | None, Recommendation]:
    """Where the default is judged, its examples where we read them, and the defaults for it."""
    if method_of(values["method"]).scripted:
        scenario = scripted_scenario(values, function)
        return scenario, None, script_defaults(scenario)
    dataset: DataSet | None = None
    if values["model"]["kind"] == "planted":
        _require_supervised(values)
        scenario = planted_scenario(values)
    else:
        scenario, dataset = trained_scenario(values, workspace, request, typed)
    recommendation = defaults.recommend(
        family=scenario.model.family,
        hidden_size=scenario.model.hidden_size,
        method=scenario.method.trains or LORA,
        examples=scenario.data.train_examples,
        objective=TRAINING[scenario.method.objective],
    )
    return scenario, dataset, recommendation


def _require_supervised(values: Mapping[str, Any]) -> None:
    if preferring(values):
        raise ConfigError("method.objective=dpo: model=planted prefers nothing; choose another model, or sft")


def _require_measured(study: Study, scenario: Scenario) -> None:
    """What no trial reports, or has no known better side, would be found out after the cost."""
    score, measured = scenario.data.score, measured_by(scenario)
    if scenario.engine == PLANTED_ENGINE:
        measured = (*PLANTED_METRICS, *scenario.engine_options.get("metrics", {}))
    rule = study.decision
    asked = {
        **{f"decision.guardrails.{name}": name for name in rule.guardrails},
        **{f"decision.metrics {one.metric.name}": one.metric.name for one in rule.companions or ()},
    }
    for key, name in {"method.metric": study.metric.name, **asked}.items():
        # what a script prints is its own affair
        if not scenario.method.scripted and name not in measured:
            it = repr(name) if key == "method.metric" else "it"
            raise ConfigError(f"{key}: no trial measures {it}; choose from {', '.join(measured)}")
    rule.must_not_lose(study.metric)
    own = score is not None and score.kind == FUNCTION and study.metric.name == score.metric
    standard = margins_of(rule.purpose, Metric().name, {})
    if own and all(getattr(rule, name) == value for name, value in standard.items()):
        raise ConfigError(
            f"decision.metrics {study.metric.name}: no margin given; only the function knows its scale, so "
            "say what matters, as margin_points of a share or margin_absolute"
        )
