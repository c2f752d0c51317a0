"""The scenario of a user's own script: what identifies it, what it is told, and what is refused at once."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bios_sweep import defaults
from bios_sweep.cli.trained import optional_count, read_model, require_choice
from bios_sweep.defaults import Recommendation
from bios_sweep.errors import ConfigError
from bios_sweep.scripted.engine import VERSION, state_pattern
from bios_sweep.scripted.identity import callable_file, command_files, digests_of, input_files
from bios_sweep.scripted.template import SEED, TRIAL_DIR, Command, Template, require_carried
from bios_sweep.secrecy import secret_in
from bios_sweep.settings import METHODS, setting_names
from bios_sweep.study.design import Study
from bios_sweep.study.plan import Plan
from bios_sweep.study.scenario import DataFacts, ModelFacts, Scenario
from bios_sweep.study.trials import short_hash
from bios_sweep.training.digests import files_fingerprint
from bios_sweep.training.facts import software_versions

COMMAND, PYTHON = "command", "python"
SCRIPTED = (COMMAND, PYTHON)
ENGINES = {
    COMMAND: "bios_sweep.scripted.engine:CommandEngine",
    PYTHON: "bios_sweep.scripted.engine:CallableEngine",
}
AUTO = ("auto", None)
CODE_LENGTH = 64  # hex digits: all of sha256, as other fingerprints have


def scripted_scenario(values: Mapping[str, Any]) -> Scenario:
    """The scenario that `method=command` or `method=python` describes.

    Raises:
        InputError: the command, the callable or a value beside it cannot be used; nothing was started.
    """
    method, cwd = values["method"], Path.cwd()
    name = method["name"]
    _check(values)
    run, command = _run(method)
    files = _files(method, command, cwd)
    pattern = _metrics_file(method)
    told = {"run": _told(run, command), "metric": method["metric"], "metrics_file": pattern}
    contents = {label: files_fingerprint([path]) for label, path in sorted(files.items())}
    code = short_hash({**told, "files": contents}, CODE_LENGTH)
    label = next((path.name for path in files.values()), run.split()[0])
    carried = None if command is None else tuple(n for n in command.names if n in setting_names())
    model = _model(values["model"], label, code)
    _require_values(values["baseline"], carried, model)
    return Scenario(
        model=model,
        data=_data(values["data"], label, code),
        method=name,
        engine=ENGINES[name],
        engine_version=VERSION,
        engine_options={
            "run": run,
            "cwd": str(cwd),
            "metric": method["metric"],
            "watched": list(values["decision"]["guardrails"] or ()),
            "shell": bool(method.get("shell")),
            "metrics_file": pattern,
            "digests": digests_of(files.values()),
            "time_limit_seconds": method["time_limit_seconds"],
            "resumes": method["resumes"],
        },
        software=software_versions() if _in_our_environment(command) else {},
        code=code,
        repeatable=False,
        carried=carried,
        trains=method["trains"],
    )


def script_defaults(scenario: Scenario) -> Recommendation:
    """The default settings for a script's model; without its facts those that need none of them.

    The learning rate is then that of some other model, and `scripted_scenario` has made sure that it is
    given where the script reads it.
    """
    known = bool(scenario.model.hidden_size)
    return defaults.recommend(
        family=scenario.model.family if known else "llama",
        hidden_size=scenario.model.hidden_size if known else 4096,
        examples=scenario.data.train_examples or None,
    )


def honest_origins(study: Study) -> dict[str, Mapping[str, Any]]:
    """Where baseline values came from, without what a script never hears of or no model stands behind."""
    scenario = study.scenario
    kept = {
        name: origin
        for name, origin in study.origins.items()
        if scenario.carried is None or name in scenario.carried
    }
    if scenario.method in SCRIPTED and not scenario.model.hidden_size and "learning_rate" in kept:
        kept["learning_rate"] = {**kept["learning_rate"], "recommended": None}
    return kept


def require_told(plan: Plan) -> None:
    """Refuse variations that no placeholder carries, and placeholders without a value.

    Raises:
        ConfigError: which, and how to carry it.
    """
    study = plan.study
    carried = study.scenario.carried
    if carried is None:
        return
    base = study.baseline.to_dict()
    arms = {arm.name: arm.settings.to_dict() for arm in plan.arms}
    changed = {
        name: [setting for setting, value in settings.items() if value != base[setting]]
        for name, settings in arms.items()
    }
    require_carried(changed, carried, hold=study.budget.hold)
    for name, settings in arms.items():
        empty = [setting for setting in carried if settings[setting] is None]
        if empty:
            raise ConfigError(
                f"{name}: there is no value for {{{empty[0]}}} of method.command; make it a moderator, or "
                "write the value itself"
            )


def _check(values: Mapping[str, Any]) -> None:
    method = values["method"]
    require_choice("model.kind", values["model"]["kind"], ("named", "local", "embedded"))
    if values["data"]["kind"] != "named":
        raise ConfigError(
            f"data={values['data']['kind']}: a script reads its own data; leave data=named and list its "
            "files in method.inputs"
        )
    if not isinstance(method["metric"], str) or not method["metric"].strip():
        raise ConfigError(f"method.metric: {method['metric']!r} is not allowed; the name of a metric")
    if method["trains"] is not None:
        require_choice("method.trains", method["trains"], METHODS)
    for key in ("shell", "resumes"):
        if not isinstance(method.get(key, False), bool):
            raise ConfigError(f"method.{key}: {method[key]!r} is not allowed; true or false")
    limit = method["time_limit_seconds"]
    number = isinstance(limit, int | float) and not isinstance(limit, bool)
    if limit is not None and not (number and 0 < limit < math.inf):
        raise ConfigError(f"method.time_limit_seconds: {limit!r} is not allowed; a number above 0, or null")
    if values["decision"]["scope"] == "distribution":
        raise ConfigError(
            "decision.scope=distribution needs losses by document, which a script does not leave; "
            "auto and evaluation do without"
        )


def _run(method: Mapping[str, Any]) -> tuple[str, Command | None]:
    """What is run: a command's text with the command, or the callable's import path."""
    if method["name"] == PYTHON:
        if not isinstance(method["callable"], str):
            raise ConfigError("method.callable: missing; for example method.callable=my_package.train:trial")
        return method["callable"], None
    text = method["command"]
    if text is not None and not isinstance(text, str):
        raise ConfigError(f"method.command: {text!r} is not allowed; a text")
    command = Command(text=text or "", shell=method["shell"])
    found = secret_in(command.text)
    if found is not None:
        raise ConfigError(
            f"method.command: holds {found}, which would be kept with the plan; pass it in the environment, "
            "which the script inherits"
        )
    if SEED not in command.names:
        raise ConfigError(
            "method.command: has no {seed}, so every replicate would be the same run; add it as the script "
            'spells it, or as a variable: "env SEED={seed} python train.py ..."'
        )
    _require_program(command)
    return command.text, command


def _require_program(command: Command) -> None:
    program = command.words[0]
    if not command.shell and "{" not in program and shutil.which(program) is None:
        raise ConfigError(f"method.command: there is no program {program!r} here that could be started")


def _files(method: Mapping[str, Any], command: Command | None, cwd: Path) -> dict[str, Path]:
    inputs = method["inputs"]
    if not isinstance(inputs, list):
        raise ConfigError(f"method.inputs: {inputs!r} is not a list of files")
    if command is None:
        return {method["callable"]: callable_file(method["callable"], cwd)} | input_files(inputs, cwd)
    words = command.text.split() if command.shell else command.words
    return command_files(words, cwd) | input_files(inputs, cwd)


def _told(run: str, command: Command | None) -> Any:
    """The command as it counts: spaces between words change nothing."""
    return run if command is None else list(command.words)


def _metrics_file(method: Mapping[str, Any]) -> str | None:
    """The pattern of the file with the metrics, inside the script's folder; None for standard output."""
    given, state = method.get("metrics_file"), method.get("trainer_state")
    if given and state:
        raise ConfigError("method.metrics_file and method.trainer_state are both given; choose one")
    if state is True:
        return state_pattern()
    pattern = given or state or None
    if pattern is None:
        return None
    key = "method.metrics_file" if given else "method.trainer_state"
    inside = isinstance(pattern, str) and pattern.startswith(f"{{{TRIAL_DIR}}}/")
    if not inside or ".." in pattern.split("/"):
        raise ConfigError(
            f"{key}: {pattern!r} is not allowed; it begins with {{{TRIAL_DIR}}}/, for trials run at the same "
            "time must not share a file"
        )
    Template(key=key, text=pattern)
    return pattern


def _model(values: Mapping[str, Any], label: str, code: str) -> ModelFacts:
    if values["kind"] != "named":
        return read_model(values)
    return ModelFacts(
        name=_name("model.name", values["name"], label),
        path="",
        family="unknown",
        hidden_size=0,
        fingerprint=code,
    )


def _data(values: Mapping[str, Any], label: str, code: str) -> DataFacts:
    return DataFacts(
        name=_name("data.name", values.get("name"), label),
        file="",
        fingerprint=code,
        evaluation_fingerprint=code,
        train_examples=optional_count(values.get("train_examples"), "data.train_examples") or 0,
        eval_examples=optional_count(values["eval_examples"]) or 0,
    )


def _name(key: str, given: Any, otherwise: str) -> str:
    if given is not None and not isinstance(given, str):
        raise ConfigError(f"{key}: {given!r} is not allowed; give a text, or null")
    return given or otherwise


def _require_values(baseline: Mapping[str, Any], carried: tuple[str, ...] | None, model: ModelFacts) -> None:
    """The one default that depends on the model must be given where no model is."""
    told = carried is None or "learning_rate" in carried
    if told and not model.hidden_size and baseline["learning_rate"] in AUTO:
        raise ConfigError(
            "baseline.learning_rate: auto computes it from a model, and this script's is not known; give a "
            "number, or the model's folder with model=local model.path=FOLDER"
        )


def _in_our_environment(command: Command | None) -> bool:
    """Whether the script runs on this very Python installation, whose packages then decide its numbers."""
    if command is None:
        return True
    program = shutil.which(command.words[0].split()[0])
    return program is not None and Path(program).parent == Path(sys.executable).parent
