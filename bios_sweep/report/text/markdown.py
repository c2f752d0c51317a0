"""A sweep as Markdown: the note of its MLflow run, and `report.md`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from bios_sweep.decision.statement import Verdict
from bios_sweep.report.content import lines
from bios_sweep.report.content.advice import advice, next_line
from bios_sweep.report.content.sections import Section, sections
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.content.wording import clean, number, pasted
from bios_sweep.study.design import Origin
from bios_sweep.units import headed

COLUMNS = ("factor", "default", "verdict", "best level")
HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# an underscore inside a word is only an underscore; at its edge it would start emphasis
SPECIAL = re.compile(r"[\\|*`\[\]~]|(?<!\w)_|_(?!\w)")


def to_markdown(summary: Summary) -> str:
    """The report as text; its first line is the verdict line, for MLflow shows no more above its table."""
    scopes = lines.scopes_of(summary.verdicts)
    blocks = [
        escape(lines.headline(summary)),
        f"**{escape(summary.question)}**" if summary.question else "",
        escape(summary.scenario),
        f"Judged on {escape(summary.judged_on)}.",
        _verdict_table(summary.verdicts),
        "\n".join(_verdict(name, verdict) for name, verdict in lines.titled(summary.verdicts)),
        f"Scope: {'; '.join(map(escape, scopes))}." if scopes else "",
        escape(f"{lines.counts_line(summary.counts)}."),
        *map(_section, sections(summary)),
        _list("Failed or diverged", lines.failure_lines(summary.failures)),
        _list("To bear in mind", [*summary.caveats, *summary.notes]),
        _baseline_table(summary),
        f"Again:\n\n    {pasted(summary.command)}",  # an indented block: nothing in it is read as Markdown
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def escape(text: Any) -> str:
    """A user's text that means only itself: no markup, no HTML, no second line."""
    plain = re.sub("[&<>]", lambda match: HTML[match[0]], clean(text))
    return SPECIAL.sub(lambda match: "\\" + match[0], plain)


def _verdict_table(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    timed = any(verdict.cost_ratio is not None for verdict in verdicts)
    rows = [_verdict_row(name, verdict, timed) for name, verdict in lines.titled(verdicts)]
    unit = lines.unit_of(verdicts)
    columns = (*COLUMNS, headed("gain", unit), headed("margin", unit), "seeds")
    table = _table((*columns, "time") if timed else columns, rows)
    return f"{table}\n\n{escape(lines.bounds_line(verdicts))}."


def _verdict_row(name: str, v: Verdict, timed: bool) -> tuple[Any, ...]:
    row = (
        name,
        number(v.default),
        v.verdict,
        number(v.best_level),
        ", ".join(filter(None, (lines.effect(v), lines.contrast(v)))),
        lines.margin(v),
        len(v.seeds),
    )
    return (*row, lines.cost(v)) if timed else row


def _baseline_table(summary: Summary) -> str:
    rows = []
    for name, value in summary.baseline.items():
        origin = summary.origins.get(name, Origin())
        rows.append((name, number(value), origin.rule, origin.confidence))
    return "Baseline:\n\n" + _table(("setting", "value", "where it came from", "confidence"), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    names = [escape(name) for name in header]
    table = [names, ["---"] * len(header), *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in table)


def _verdict(name: str, verdict: Verdict) -> str:
    step, settle = f"What to do: {advice(verdict)}.", next_line(verdict)
    if settle:
        step += f" Cheapest next step: {settle}."
    evidence = escape("; ".join(lines.evidence(verdict)))
    told = f"- **{escape(name)}: {escape(verdict.verdict)}.** {escape(step)} {evidence}"
    command = verdict.now.step.command if verdict.now and verdict.now.step else ""
    return f"{told}\n\n      {pasted(command)}\n" if command else told


def _section(section: Section) -> str:
    above = (f"{escape(text)}." for text in section.lines)
    return "\n\n".join([f"**{escape(section.title)}**", *above, _table(section.header, section.rows)])


def _list(title: str, items: Sequence[str]) -> str:
    return "\n".join([f"{title}:", "", *(f"- {escape(item)}" for item in items)]) if items else ""
