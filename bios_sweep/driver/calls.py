"""What Python calls: `bios_sweep.plan`, `bios_sweep.run` and `bios_sweep.sweeps`.

The same way as a command line's, from the composed configuration to the verdicts; a function that is handed
over takes the place of `method.callable`.
"""

from __future__ import annotations

import difflib
import inspect
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from rich.console import Console

from bios_sweep.checks import matching
from bios_sweep.config.composed import Config
from bios_sweep.config.typed import written
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.planned import PlannedSweep, planned_here
from bios_sweep.driver.prepare import Prepared, prepare, prepare_config
from bios_sweep.driver.stopping import Stopped
from bios_sweep.driver.view import SweepView, open_sweep
from bios_sweep.engines.scripted.function import own_function
from bios_sweep.errors import ConfigError, InputError, StorageError
from bios_sweep.method import Runner
from bios_sweep.records.workspace import Workspace
from bios_sweep.report.text.listener import ConsoleListener
from bios_sweep.settings import KNOWN

if TYPE_CHECKING:
    from bios_sweep.driver.session import Outcome

_log = logging.getLogger(__name__)
Train = Callable[..., Any]
Call = TypeVar("Call", bound=Callable[..., Any])
MISSPELT = 0.85  # share of letters in common, by difflib: `bach_size` has 0.95; chosen, not measured


class Asked(TypedDict, total=False):
    """What `plan` and `run` take beside a function, all of it optional.

    sweeps: a sweep by its name, as `bios-sweep run sweeps=NAME` has it. Or, of a function, baseline: settings
    by name. factors: as in a sweep file. metric, direction: what the function returns, and which way it is
    better where the name does not tell. version: stands for the function's content, where that cannot be
    hashed. name: of the sweep; the function's by default. Of both, overrides: as on the command line.
    """

    sweeps: str | None
    baseline: Mapping[str, Any] | None
    factors: Mapping[str, Any] | None
    metric: str | None
    direction: str | None
    seeds: Sequence[int] | None
    version: str | None
    name: str | None
    question: str | None
    overrides: Sequence[str]
    workspace: Path | str | None
    config_dir: Path | str | None


def _spelt_out(call: Call) -> Call:
    """Its signature has each key of `Asked`, for `help` and for completion, which know no `Unpack`."""
    own = inspect.signature(call)
    first = [one for one in own.parameters.values() if one.kind is not one.VAR_KEYWORD]
    keys = Asked.__annotations__.items()
    asked = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind.__forward_arg__)
        for key, kind in keys
    ]
    call.__signature__ = own.replace(parameters=[*first, *asked])  # type: ignore[attr-defined]
    return call


@_spelt_out
def plan(function: Train | None = None, /, **asked: Unpack[Asked]) -> PlannedSweep:
    """What `run` with the same arguments would do: arms, trials, what is reused, and the cost.

    Starts nothing and loads nothing heavy.

    Raises:
        InputError: whatever is wrong with the input.
    """
    inspect.signature(plan).bind(function, **asked)
    return planned_here(_prepared("plan", function, asked))


@_spelt_out
def run(function: Train | None = None, /, *, quiet: bool = False, **asked: Unpack[Asked]) -> SweepView:
    """Run or resume a sweep and return what it found. The same call again goes on where it was.

    Either a sweep by its name, or a function of your own: `train(settings, seed, report) -> metric`, called
    once per trial in a process of its own; see `Asked`.

    function: trains. `settings.learning_rate` and so on are the arm's, `report(value, step=...)` says how the
    metric goes on the way, `report.directory` is a folder of the trial's own. quiet: nothing on standard
    error on the way.

    Raises:
        InputError: whatever is wrong with the input, before anything is started.
        BiosSweepError: the run ended early; its sentence says why.
        KeyboardInterrupt: stopped before the verdicts; the first Ctrl-C lets trials reach their next
            measurement.
    """
    from bios_sweep.driver.session import run_sweep  # draws figures at its end: heavy, and `plan` needs none

    inspect.signature(run).bind(function, **asked)
    prepared = _prepared("run", function, asked)
    outcome = run_sweep(prepared, ConsoleListener(Console(stderr=True, quiet=quiet)))
    _warn_of(outcome)
    return open_sweep(prepared.workspace, prepared.plan.sweep_id)


def sweeps(workspace: Path | str = "bios_runs") -> list[SweepView]:
    """All sweeps of a workspace, the one worked on last first; what cannot be read is logged and left out."""
    place, views = Workspace(Path(workspace)), []
    for sweep_id in place.sweeps():
        try:
            views.append(open_sweep(place, sweep_id))
        except StorageError as error:
            _log.warning("%s", error)
    return views


def _prepared(verb: str, function: Train | None, asked: Asked) -> Prepared:
    invocation = _invocation(verb, asked)
    if function is not None:
        return _prepared_function(function, asked, invocation)
    for name in ("baseline", "factors", "metric", "direction", "version", "name", "question"):
        if asked.get(name):
            raise InputError(f"{name}: goes with a function; a sweep by its name takes overrides")
    return prepare(invocation)


def _invocation(verb: str, asked: Asked) -> Invocation:
    overrides, config_dir = asked.get("overrides", ()), asked.get("config_dir")
    if isinstance(overrides, str):
        raise InputError(f"overrides: {overrides!r} is a text; give a list such as ['cluster=inline']")
    words = list(overrides)
    if (sweep := asked.get("sweeps")) is not None:
        words.insert(0, written("sweeps", str(sweep)))
    if (seeds := asked.get("seeds")) is not None:
        words.append(f"seeds=[{','.join(map(str, seeds))}]")
    if (workspace := asked.get("workspace")) is not None:
        words.append(written("workspace", str(workspace)))
    folder = None if config_dir is None else Path(config_dir)
    return Invocation(overrides=tuple(words), config_dir=folder, verb=verb)


def _prepared_function(function: Train, asked: Asked, invocation: Invocation) -> Prepared:
    if asked.get("sweeps") is not None:
        raise InputError("sweeps: a function's factors are given as factors={...}; leave sweeps out")
    if not asked.get("factors"):
        raise InputError(
            "factors: no variation is given; for example {'learning_rate': {'multiply': [0.5, 2]}}"
        )
    name = asked.get("name")
    if name is not None:  # it begins the name of the sweep's folder, and must not lead elsewhere
        allowed = "letters, digits, spaces, dots, dashes and underscores, no dot first"
        matching("name", name, r"[\w -][\w .-]*", allowed)
    own = own_function(function, asked.get("version"))
    composed = replace(invocation, overrides=("method=python", *invocation.overrides)).composed()
    _require_function(composed.values["method"])
    config = replace(composed, values=_values(composed, asked), sweep=name or own.name)
    return prepare_config(config, replace(invocation, called=f"bios_sweep.run({own.name}, ...)"), own)


def _require_function(method: Mapping[str, Any]) -> None:
    """Refuse overrides that would run something else than the function."""
    runner, path = method.get("runner"), method.get("callable")
    if runner != Runner.PYTHON:
        raise ConfigError(
            f"overrides: method.runner={runner} would not run the function; leave out what chooses a method"
        )
    if path:
        raise ConfigError(
            f"overrides: method.callable={path} would displace the function; leave out one of the two"
        )


def _values(config: Config, asked: Asked) -> dict[str, Any]:
    """The configuration with what was given by name. Lists stand where a sweep file would have them."""
    values = {
        group: dict(part) if isinstance(part, Mapping) else part for group, part in config.values.items()
    }
    values["sweeps"] = {"question": asked.get("question") or "", "factors": _plain(asked.get("factors"))}
    own = dict(values["method"].get("settings") or {})
    for name, value in (asked.get("baseline") or {}).items():
        if name not in own:
            _refuse_misspelt(name)
        group = name in KNOWN and KNOWN[name].group
        (values[group] if group else own)[name] = value
    values["method"]["settings"] = own
    for key in ("metric", "direction"):
        if asked.get(key) is not None:
            values["method"][key] = asked.get(key)
    return values


def _refuse_misspelt(name: Any) -> None:
    """Refuse a new setting of one's own that was most likely meant as one of ours."""
    if not isinstance(name, str):
        raise ConfigError(f"baseline: {name!r} is no name of a setting; give its name as a text")
    if name in KNOWN:
        return
    word = name.lower()
    aliased = [ours for ours, facts in KNOWN.items() if word in facts.aliases]
    meant = aliased or difflib.get_close_matches(word, KNOWN, n=1, cutoff=MISSPELT)
    if meant:
        raise ConfigError(
            f"baseline.{name}: write {meant[0]}, which is the setting's name, or call your own otherwise"
        )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _warn_of(outcome: Outcome) -> None:
    """What a command line says by its exit code."""
    if outcome.signal is not None and not outcome.summary.final:
        raise Stopped(outcome.signal)
    for text in filter(None, (outcome.summary.broken, outcome.behind)):
        warnings.warn(text, stacklevel=3)
