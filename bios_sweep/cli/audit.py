"""`report --from-csv` and `--from-mlflow`: an audit of runs that were made elsewhere. Needs no Hydra."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bios_sweep.audit.auditing import Audit, audit
from bios_sweep.audit.judging import Part
from bios_sweep.audit.run_columns import ColumnNames, to_runs
from bios_sweep.audit.runs import RunTable
from bios_sweep.cli.answer import print_answer
from bios_sweep.driver.experiments import read_experiment, store_uri
from bios_sweep.errors import InputError
from bios_sweep.mirror.mlflow.runs import own_sweep, raw_table
from bios_sweep.report.content.advice import advice
from bios_sweep.report.content.wording import clean
from bios_sweep.report.text.audit import print_audit, print_first_of_audit
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.margins import MARGINS, STANDARD, margins_of, of_before
from bios_sweep.tables.reading import read_table

# what of the decision rule a table of runs leaves open
RULES = (
    "decision.purpose",
    "decision.margin_percent",
    "decision.margin_absolute",
    "decision.margin_points",
    "decision.alpha",
)


def of_runs(args: Namespace) -> int:
    """What runs made elsewhere support."""
    if args.from_csv is not None and args.from_mlflow is not None:
        raise InputError("--from-csv and --from-mlflow: give one of them")
    try:
        audited = _audited(args)
    except InputError as error:  # it quotes cells of the table, which may hold control characters
        raise type(error)(clean(error)) from error
    audited = replace(audited, parts=tuple(map(_advised, audited.parts)))
    show = print_audit if args.full else print_first_of_audit
    print_answer(args, audited.to_dict(), lambda _, console: show(audited, console))
    return 0


def _advised(part: Part) -> Part:
    """With what to do now under every verdict."""
    return replace(part, verdicts=tuple(replace(one, advice=advice(one)) for one in part.verdicts))


def _audited(args: Namespace) -> Audit:
    given = _given(args.overrides)
    asked = _asked(given)
    table = _table(args, given.get("workspace", "bios_runs"))
    return audit(table, _rule(table, asked, given.get("decision.purpose")), args.baseline)


def _rule(table: RunTable, asked: Mapping[str, float], purpose: str | None) -> DecisionRule:
    """The rule by what the command says, else by what the table says of the sweep that wrote it."""
    margins = {name: asked[name] for name in MARGINS if name in asked}
    if not margins and purpose is None:
        stated = {name: table.decided[name] for name in MARGINS if name in table.decided}
        margins = of_before(stated, table.metric.name)
    purpose = purpose or STANDARD
    own: dict[str, Any] = margins_of(purpose, table.metric.name, margins)
    alpha = asked.get("alpha", table.decided.get("alpha", DecisionRule().alpha))
    return replace(DecisionRule(purpose=purpose, alpha=alpha), **own)


def _table(args: Namespace, workspace: str) -> RunTable:
    names = ColumnNames(
        arm=args.arm,
        seed=args.seed,
        value=args.value,
        direction=args.direction,
        settings=tuple(args.setting or ()),
        outcomes=tuple(args.outcome or ()),
        contexts=tuple(args.context or ()),
    )
    if args.from_csv is not None:
        return to_runs(read_table(args.from_csv), names)
    experiment = read_experiment(store_uri(args.tracking_uri, workspace), args.from_mlflow)
    own = own_sweep(experiment, args.sweep, args.value, args.direction) if args.arm is None else None
    return own or to_runs(raw_table(experiment), names)


def _given(overrides: Sequence[str]) -> dict[str, str]:
    """The overrides that mean something for a table, by key."""
    given = dict(text.partition("=")[::2] for text in overrides)
    wrong = next((key for key in given if key not in (*RULES, "workspace")), None)
    if wrong in ("decision.metric", "method.metric"):
        raise InputError(f"{wrong}: of a table the metric is named by its column, --value {given[wrong]}")
    if wrong is not None:
        raise InputError(
            f"{wrong!r} is not used with --from-csv and --from-mlflow; possible are {', '.join(RULES)} and "
            "workspace"
        )
    return given


def _asked(given: dict[str, str]) -> dict[str, float]:
    """What the command says of the decision rule, before what the table does."""
    values = {}
    for key in RULES:
        if key in given and key != "decision.purpose":
            try:
                values[key.removeprefix("decision.")] = float(given[key])
            except ValueError:
                raise InputError(f"{key}: {given[key]!r} is not a number") from None
    if any(not math.isfinite(value) for value in values.values()):
        raise InputError("decision: a finite number is needed")
    return values
