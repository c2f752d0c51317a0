"""The scenario of a user's own script: what identifies it, what it is told, and what is refused at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bios_sweep import defaults
from bios_sweep.checks import one_of
from bios_sweep.config.method import method_of
from bios_sweep.config.metrics import asked_metrics
from bios_sweep.defaults import Recommendation
from bios_sweep.driver.scenarios.base_model import read_model
from bios_sweep.driver.scenarios.examples import optional_count
from bios_sweep.driver.scenarios.trained import optional_text
from bios_sweep.engines.scripted.command import FREE_PORT, SETTINGS_FILE, require_carried, values_of
from bios_sweep.engines.scripted.engine import VERSION
from bios_sweep.engines.scripted.function import OwnFunction
from bios_sweep.engines.scripted.identity import digests_of
from bios_sweep.engines.scripted.launchers import shared_by_trials
from bios_sweep.engines.scripted.settings_file import FileTemplate
from bios_sweep.engines.scripted.values import script_of
from bios_sweep.engines.training.cache import files_fingerprint
from bios_sweep.engines.training.facts import software_versions
from bios_sweep.errors import ConfigError
from bios_sweep.hub.pins import pins_of
from bios_sweep.method import Runner
from bios_sweep.records.workspace import Workspace
from bios_sweep.settings import LORA, TrainingSettings
from bios_sweep.study.design import Origin, Study
from bios_sweep.study.plan import Plan
from bios_sweep.study.scenario import DataFacts, ModelFacts, Scenario
from bios_sweep.study.trials import short_hash

ENGINES = {
    Runner.COMMAND: "bios_sweep.engines.scripted.engine:CommandEngine",
    Runner.PYTHON: "bios_sweep.engines.scripted.engine:CallableEngine",
}
AUTO = ("auto", None)
CODE_LENGTH = 64  # hex digits: all of sha256, as other fingerprints have


def scripted_scenario(values: Mapping[str, Any], function: OwnFunction | None = None) -> Scenario:
    """The scenario that `method=command` or `method=python` describes.

    function: was handed over instead of its import path.

    Raises:
        InputError: the command, the callable or a value beside it cannot be used; nothing was started.
    """
    _check(values)
    method, cwd = method_of(values["method"]), Path.cwd()
    script = script_of(values["method"], cwd, function)
    contents = {label: files_fingerprint([path]) for label, path in sorted(script.files.items())}
    handed = {} if function is None else {"content": function.content, "packages": dict(function.packages)}
    code = short_hash({**script.identity, "files": contents, **handed}, CODE_LENGTH)
    label = script.label if function is None else function.name
    model = _model(values["model"], label, code, pins_of(Workspace(Path(values["workspace"])).root))
    _require_values(values["baseline"], script.carried, model)
    return Scenario(
        model=model,
        data=_data(values["data"], label, code),
        method=method,
        engine=ENGINES[method.runner],
        engine_version=VERSION,
        engine_options={
            "run": script.run,
            "cwd": str(cwd),
            "metric": script.metric,
            "watched": [
                *(values["decision"]["guardrails"] or ()),
                *(one.name for one in asked_metrics(values["decision"]["metrics"])[1:]),
            ],
            "shell": script.shell,
            "metrics_file": script.metrics_file,
            "digests": digests_of(script.files.values()),
            "time_limit_seconds": script.time_limit_seconds,
            "resumes": script.resumes,
            **({} if script.pattern is None else {"pattern": script.pattern}),
            **(
                {}
                if script.template is None
                else {"template": script.template.name, "settings_file": script.settings_file}
            ),
            **({"env": dict(script.env)} if script.env else {}),
            **({"own": list(script.own)} if script.own else {}),
        },
        software=software_versions() if script.in_our_environment else {},
        code=code,
        repeatable=False,
        carried=script.carried,
        files=tuple(sorted(script.files)),
    )


def script_defaults(scenario: Scenario) -> Recommendation:
    """The default settings for a script's model; without its facts those that need none of them.

    The learning rate is then that of some other model, and `scripted_scenario` has made sure that it is
    given where the script reads it.
    """
    has_facts = bool(scenario.model.hidden_size)
    found = defaults.recommend(
        family=scenario.model.family if has_facts else "llama",
        hidden_size=scenario.model.hidden_size if has_facts else 4096,
        method=scenario.method.trains or LORA,
        objective=defaults.TRAINING[scenario.method.objective],
        examples=scenario.data.train_examples or None,
    )
    # a script's beta is a setting of its own, whatever it is called
    return replace(found, settings=replace(found.settings, dpo_beta=None))


def honest_origins(study: Study) -> dict[str, Origin]:
    """Where baseline values came from, without what a script never hears of or no model stands behind."""
    scenario = study.scenario
    origins = {
        name: origin
        for name, origin in study.origins.items()
        if scenario.carried is None or name in scenario.carried
    }
    if scenario.method.scripted and not scenario.model.hidden_size and "learning_rate" in origins:
        origins["learning_rate"] = replace(origins["learning_rate"], recommended=None)
    return origins


def require_told(plan: Plan) -> None:
    """Refuse variations that nothing carries, placeholders without a value, and values lost in a file."""
    study = plan.study
    carried = study.scenario.carried
    if carried is None:
        return
    changed = {arm.name: list(arm.settings.differing(study.baseline)) for arm in plan.arms}
    require_carried(changed, carried, hold=study.budget.hold)
    for arm in plan.arms:
        empty = [setting for setting in carried if getattr(arm.settings, setting) is None]
        if empty:
            raise ConfigError(
                f"{arm.name}: there is no value for {{{empty[0]}}} of method.command; make it a moderator, "
                "or write the value itself"
            )
        require_readable(study.scenario.engine_options, arm.settings)


def require_readable(options: Mapping[str, Any], settings: TrainingSettings) -> None:
    """Refuse a file of settings that a script would not read as it is meant."""
    if not options.get("template"):
        return
    text = (Path(options["cwd"]) / options["template"]).read_text(encoding="utf-8")
    template = FileTemplate(name=options["template"], text=text, own=tuple(options.get("own", ())))
    there = {SETTINGS_FILE: "/trial/settings", FREE_PORT: 29500}
    template.require_read(values_of(settings, 0, "/trial", **there))


def script_warnings(scenario: Scenario) -> list[str]:
    """What trials of a script that run at the same time would share."""
    options = scenario.engine_options
    if scenario.method.runner is not Runner.COMMAND:
        return []
    paths = {name: Path(options["cwd"]) / name for name in scenario.files if name.endswith(".py")}
    texts = {name: path.read_text(encoding="utf-8", errors="replace") for name, path in paths.items()}
    return shared_by_trials(options["run"], texts)


def _check(values: Mapping[str, Any]) -> None:
    one_of("model.kind", values["model"]["kind"], ("named", "local", "embedded"))
    if values["data"]["kind"] != "named":
        raise ConfigError(
            f"data={values['data']['kind']}: a script reads its own data; leave data=named and list its "
            "files in method.inputs"
        )
    if values["decision"]["scope"] == "distribution":
        raise ConfigError(
            "decision.scope=distribution needs losses by document, which a script does not leave; "
            "auto and evaluation do without"
        )


def _model(values: Mapping[str, Any], label: str, code: str, pins: Mapping[str, str]) -> ModelFacts:
    if values["kind"] != "named":
        return read_model(values, pins)
    return ModelFacts(
        name=optional_text("model.name", values["name"]) or label,
        path="",
        family="unknown",
        hidden_size=0,
        fingerprint=code,
    )


def _data(values: Mapping[str, Any], label: str, code: str) -> DataFacts:
    return DataFacts(
        name=optional_text("data.name", values.get("name")) or label,
        file="",
        fingerprint=code,
        evaluation_fingerprint=code,
        train_examples=optional_count(values.get("train_examples"), "data.train_examples") or 0,
        eval_examples=optional_count(values["eval_examples"]) or 0,
    )


def _require_values(baseline: Mapping[str, Any], carried: tuple[str, ...] | None, model: ModelFacts) -> None:
    """The one default that depends on the model must be given where no model is."""
    read = carried is None or "learning_rate" in carried
    if read and not model.hidden_size and baseline["learning_rate"] in AUTO:
        raise ConfigError(
            "baseline.learning_rate: auto computes it from a model, and this script's is not known; give a "
            "number, or the model's folder with model=local model.path=FOLDER"
        )
