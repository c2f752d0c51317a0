"""`report --from-csv FILE` and `report --from-mlflow EXPERIMENT`: what runs made elsewhere support."""

from __future__ import annotations

import dataclasses
import json
import math
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from bios_sweep.audit.auditing import Audit, audit
from bios_sweep.audit.run_columns import ColumnNames, to_runs
from bios_sweep.audit.runs import RunTable
from bios_sweep.driver.experiments import read_experiment, store_uri
from bios_sweep.errors import InputError
from bios_sweep.mirror.mlflow.runs import own_sweep, raw_table
from bios_sweep.report.content.wording import clean
from bios_sweep.report.text.audit import print_audit
from bios_sweep.study.design import DecisionRule
from bios_sweep.tables.json_lines import read_table

RULES = ("decision.margin_percent", "decision.alpha")  # what of the decision rule a table leaves open


def run(args: Namespace) -> int:
    """Print what the runs support."""
    if args.from_csv is not None and args.from_mlflow is not None:
        raise InputError("--from-csv and --from-mlflow: give one of them")
    try:
        answer = _audited(args)
    except InputError as error:  # it quotes cells of the table, which may hold control characters
        raise type(error)(clean(error)) from error
    if args.json:
        print(json.dumps(answer.to_dict(), indent=1))
    else:
        print_audit(answer, Console())
    return 0


def _audited(args: Namespace) -> Audit:
    given = _given(args.overrides)
    asked = _asked(given)
    table = _from_csv(args) if args.from_csv is not None else _from_mlflow(args, given)
    changes: dict[str, Any] = {**table.decided, **asked}
    return audit(table, dataclasses.replace(DecisionRule(), **changes), args.baseline)


def _names(args: Namespace) -> ColumnNames:
    return ColumnNames(
        arm=args.arm,
        seed=args.seed,
        value=args.value,
        direction=args.direction,
        settings=tuple(args.setting),
        outcomes=tuple(args.outcome),
        contexts=tuple(args.context),
    )


def _given(overrides: Sequence[str]) -> dict[str, str]:
    """The overrides that mean something for a table, by key."""
    given = dict(text.partition("=")[::2] for text in overrides)
    wrong = next((key for key in given if key not in (*RULES, "workspace")), None)
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
        if key in given:
            try:
                values[key.removeprefix("decision.")] = float(given[key])
            except ValueError:
                raise InputError(f"{key}: {given[key]!r} is not a number") from None
    if any(not math.isfinite(value) for value in values.values()):
        raise InputError("decision: a finite number is needed")
    return values


def _from_csv(args: Namespace) -> RunTable:
    return to_runs(read_table(args.from_csv), _names(args))


def _from_mlflow(args: Namespace, given: dict[str, str]) -> RunTable:
    uri = store_uri(args.tracking_uri, given.get("workspace", "bios_runs"))
    experiment = read_experiment(uri, args.from_mlflow)
    own = own_sweep(experiment, args.sweep, args.value, args.direction) if args.arm is None else None
    return own or to_runs(raw_table(experiment), _names(args))
