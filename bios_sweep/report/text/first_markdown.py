"""The first screen as Markdown: what a pipeline shows beside its jobs. Short; the report has the rest."""

from __future__ import annotations

from collections.abc import Iterator

from bios_sweep.report.content.first import FirstScreen
from bios_sweep.report.content.recorded import Recorded
from bios_sweep.report.content.wording import pasted
from bios_sweep.report.text.markdown import escape

SHOWN = 12  # rows and failures; chosen


def first_markdown(screen: FirstScreen, places: Recorded | None = None) -> str:
    """A heading, a row per setting, whether it is sure, what would settle it, what it took, where it is."""
    return "\n\n".join(filter(None, _blocks(screen, places))) + "\n"


def _blocks(screen: FirstScreen, places: Recorded | None) -> Iterator[str]:
    yield f"### {escape(screen.question)}"
    yield "  \n".join(map(escape, screen.about))
    yield f"**{escape(screen.alert)}**" if screen.alert else ""
    yield escape(screen.nothing_yet)
    yield _rows(screen)
    yield _list("Sure?", screen.sure)
    for step in screen.settling:
        yield _list("To be sure", step.lines)
        yield f"    {pasted(step.command)}" if step.command else ""
    yield escape(f"Cost: {screen.cost}; {screen.counts}")
    failed = [f"{row.arm}, seed {row.seed}: {row.status} {row.cause}" for row in screen.failures[:SHOWN]]
    yield _list("Failed or diverged", failed)
    yield _list("Damaged", screen.damaged)
    yield "\n".join(f"- {escape(text)}" for text in places.lines) if places else ""


def _rows(screen: FirstScreen) -> str:
    if not screen.rows:
        return ""
    lines = ["| setting | answer | use | what that gains, or gives away |", "|---|---|---|---|"]
    for row in screen.rows:
        means = "<br>".join(map(escape, (row.means, *row.goals)))
        lines.append(
            f"| {escape(row.setting)} | **{row.answer}** ({row.word}) | {escape(row.use)} | {means} |"
        )
    return "\n".join(lines)


def _list(title: str, lines: tuple[str, ...] | list[str]) -> str:
    return f"{title}\n\n" + "\n".join(f"- {escape(text)}" for text in lines) if lines else ""
