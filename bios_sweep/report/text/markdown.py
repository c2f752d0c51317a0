"""A sweep as Markdown: the note of its MLflow run, and `report.md`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from bios_sweep.decision.statement import Verdict
from bios_sweep.report.content.advice import advice
from bios_sweep.report.content.lines import (
    bounds_line,
    contrast,
    cost,
    cost_line,
    counts_line,
    effect,
    failure_lines,
    headline,
    other_reasons,
    scopes_of,
    titled,
)
from bios_sweep.report.content.sections import Section, sections
from bios_sweep.report.content.summary import Summary, worst_first
from bios_sweep.report.content.wording import clean, number
from bios_sweep.study.design import Origin

COLUMNS = ("factor", "default", "verdict", "best level", "gain, %", "margin, %", "seeds")
HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# an underscore inside a word is only an underscore; at its edge it would start emphasis
SPECIAL = re.compile(r"[\\|*`\[\]~]|(?<!\w)_|_(?!\w)")


def to_markdown(summary: Summary) -> str:
    """The report as text; its first line is the verdict line, for MLflow shows no more above its table."""
    scopes = scopes_of(summary.verdicts)
    blocks = [
        escape(headline(summary)),
        f"**{escape(summary.question)}**" if summary.question else "",
        escape(summary.scenario),
        f"Judged on {escape(summary.judged_on)}.",
        _verdict_table(summary.verdicts),
        "\n".join(_verdict(name, verdict) for name, verdict in titled(summary.verdicts)),
        f"Scope: {'; '.join(map(escape, scopes))}." if scopes else "",
        escape(f"{counts_line(summary.counts)}."),
        *map(_section, sections(summary)),
        _list("Failed or diverged", failure_lines(worst_first(summary.failures))),
        _list("To bear in mind", [*summary.caveats, *summary.notes]),
        _baseline_table(summary),
        f"Again:\n\n    {clean(summary.command)}",  # an indented block: nothing in it is read as Markdown
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
    rows = [_verdict_row(name, verdict, timed) for name, verdict in titled(verdicts)]
    table = _table((*COLUMNS, "time") if timed else COLUMNS, rows)
    return f"{table}\n\n{escape(bounds_line(verdicts))}."


def _verdict_row(name: str, v: Verdict, timed: bool) -> tuple[Any, ...]:
    row = (
        name,
        number(v.default),
        v.verdict,
        number(v.best_level),
        ", ".join(filter(None, (effect(v), contrast(v)))),
        number(v.margin),
        len(v.seeds),
    )
    return (*row, cost(v)) if timed else row


def _baseline_table(summary: Summary) -> str:
    rows = []
    for name, value in summary.baseline.items():
        origin = summary.origins.get(name, Origin())
        rows.append((name, number(value), origin.rule, origin.confidence))
    return "Baseline:\n\n" + _table(("setting", "value", "where it came from", "confidence"), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    names = [escape(name) for name in header]
    lines = [names, ["---"] * len(header), *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _verdict(name: str, verdict: Verdict) -> str:
    evidence = "; ".join(filter(None, [verdict.sentence, *other_reasons(verdict), cost_line(verdict)]))
    step = escape(f"What to do: {advice(verdict)}.")
    return f"- **{escape(name)}: {escape(verdict.verdict)}.** {step} {escape(evidence)}"


def _section(section: Section) -> str:
    lines = (f"{escape(text)}." for text in section.lines)
    return "\n\n".join([f"**{escape(section.title)}**", *lines, _table(section.header, section.rows)])


def _list(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{title}:", "", *(f"- {escape(line)}" for line in lines)]) if lines else ""
