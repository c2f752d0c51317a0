"""A sweep as one HTML page that can be mailed: no script, no request, figures inside.

Everything a user or a trial wrote is escaped by the template engine and cleaned of control characters;
only our own figures are markup. The same summary gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bios_sweep.decision.statement import Verdict
from bios_sweep.report.content import lines
from bios_sweep.report.content.advice import advice, meaning, next_line
from bios_sweep.report.content.arm_rows import ArmRow
from bios_sweep.report.content.sections import Section, section, sections
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.content.wording import changes, clean, count, gain, interval, number, plural
from bios_sweep.report.figures.effects import EffectRow, effect_groups
from bios_sweep.report.figures.files import Drawn, to_svg
from bios_sweep.study.design import Origin
from bios_sweep.units import OWN, PERCENT, headed, with_unit
from bios_sweep.version import __version__
from bios_sweep.vocabulary import Stage, Word

TEMPLATE = "page.html.jinja"
# a sign beside the word, so that nobody needs the colour
SIGNS: dict[str, str] = {
    Word.CONFIRM: "✓",
    Word.REFINE: "→",
    Word.UNCONFIRMED: "→",
    Word.INCONCLUSIVE: "?",
    Word.SCREENING_ONLY: "…",
}
CLASSES: dict[str, str] = {Word.CONFIRM: "confirm", Word.REFINE: "refine", Word.UNCONFIRMED: "refine"}


def to_html(summary: Summary, drawn: Sequence[Drawn] = ()) -> str:
    """The page. drawn: from `figures_of`; without figures the page has its tables alone."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE).render(page=page(summary), figures=_figures(drawn))


def page(summary: Summary) -> dict[str, Any]:
    """What the template lays out, as plain values."""
    verdicts = summary.verdicts
    return {
        "first": lines.first_line(summary),
        "title": summary.question or summary.sweep,
        "scenario": summary.scenario,
        "judged_on": summary.judged_on,
        "counts": lines.counts_line(summary.counts),
        "nothing_yet": "" if verdicts else lines.no_verdict(summary),
        "verdicts": [_verdict(name, verdict) for name, verdict in lines.titled(verdicts)],
        "unit": lines.unit_of(verdicts),
        "legend": lines.bounds_line(verdicts),
        "effects": _effects(summary),
        "sections": sections(summary),
        "arms": _arms(summary),
        "baseline": _baseline(summary),
        "failures": lines.failure_lines(summary.failures),
        "caveats": [*summary.caveats, *summary.notes],
        "scopes": lines.scopes_of(verdicts),
        "provenance": _provenance(summary),
        "command": summary.command,
    }


def _shown(value: Any) -> Any:
    """What the template writes: our own markup as it is, any other text on one line."""
    return value if isinstance(value, Markup) else clean(value)


def _figures(drawn: Sequence[Drawn]) -> dict[str, dict[str, Any]]:
    return {
        one.name: {"caption": one.caption, "svg": to_svg(one.figure, f"f{index}", one.caption)}
        for index, one in enumerate(drawn)
    }


def _verdict(name: str, verdict: Verdict) -> dict[str, Any]:
    word = clean(verdict.verdict)
    return {
        "name": name,
        "word": word,
        "sign": SIGNS.get(word, "?"),
        "kind": CLASSES.get(word, "open"),
        "meaning": meaning(verdict),
        "advice": advice(verdict),
        "next": next_line(verdict),
        "command": verdict.now.step.command if verdict.now and verdict.now.step else "",
        "sentence": verdict.sentence,
        "reasons": lines.other_reasons(verdict),
        "cost": lines.cost_line(verdict),
        "default": number(verdict.default),
        "best": number(verdict.best_level),
        "contrast": lines.contrast(verdict),
        "effect": lines.effect(verdict),
        "margin": lines.margin(verdict),
        "seeds": len(verdict.seeds),
        "time": lines.cost(verdict) if verdict.cost_ratio else "",
        "on": "fresh seeds" if verdict.stage == Stage.CONFIRMATION else "shared seeds",
    }


def _effects(summary: Summary) -> Section:
    """The effects figure in numbers, for those who do not see it."""
    unit = headed("gain", lines.unit_of(summary.verdicts))
    columns: dict[str, Callable[[EffectRow], str]] = {
        "variation": lambda row: row.name,
        unit: lambda row: gain(row.gain),
        "bounds": lambda row: interval(row.lower, row.upper),
        "status": lambda row: row.status,
    }
    rows = [row for group in effect_groups(summary.verdicts) for row in group]
    return section("effects", "The same in numbers", rows, columns, numeric=[unit, "bounds"])


def _arms(summary: Summary) -> Section:
    columns: dict[str, Callable[[ArmRow], str]] = {
        "arm": lambda arm: arm.arm,
        "what differs": lambda arm: changes(arm.changes) or "nothing",
        "steps": lambda arm: count(arm.settings.get("max_steps")),
        "examples": lambda arm: count(arm.examples),
        f"mean {summary.metric.name}": lambda arm: number(arm.mean),
        "trials": lambda arm: (
            ", ".join(f"{amount} {status}" for status, amount in arm.statuses.items()) or "none yet"
        ),
    }
    return section("arms", "Arms", summary.arms, columns, numeric=[*columns][2:5])


def _baseline(summary: Summary) -> Section:
    origins = {name: summary.origins.get(name, Origin()) for name in summary.baseline}
    columns: dict[str, Callable[[str], str]] = {
        "setting": clean,
        "value": lambda name: number(summary.baseline[name]),
        "where it came from": lambda name: origins[name].rule,
        "source": lambda name: origins[name].source,
        "confidence": lambda name: origins[name].confidence,
    }
    return section("baseline", "Baseline", summary.baseline, columns, numeric=["value"])


def _provenance(summary: Summary) -> list[tuple[str, str]]:
    metric, margin = summary.metric, summary.margin
    unit = f" ({metric.unit})" if metric.unit else ""
    facts = [
        ("sweep", summary.sweep_id),
        ("model, data, method", summary.scenario),
        ("metric", f"{summary.judged_on}{unit}"),
        ("arms", plural(len(summary.arms), "arm")),
        (
            "timed on",
            ", ".join(dict.fromkeys(verdict.hardware for verdict in summary.verdicts if verdict.hardware)),
        ),
        ("bios_sweep", __version__),
    ]
    if margin:
        told = with_unit(number(margin.scale.number(margin.percent)), margin.scale.unit)
        of = f"{told} of the baseline's metric" if margin.scale.unit == PERCENT else told
        smallest = told if margin.scale.unit == OWN else f"{of} ({number(margin.absolute)})"
        facts.insert(3, ("margin: the smallest effect that matters", smallest))
    return [(name, clean(value)) for name, value in facts if value]
