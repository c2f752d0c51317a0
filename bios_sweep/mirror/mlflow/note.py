"""What stands above an experiment's table: the latest verdict, every sweep with its links."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bios_sweep.mirror.content import cut
from bios_sweep.mirror.mlflow.tracker import page_of_run, page_of_view
from bios_sweep.records.sweep_state import SweepState

LISTED = "Sweeps here, the latest first:"
PART = "\n\n"
NONE = "none"  # in place of a file's name


@dataclass(frozen=True, kw_only=True)
class SweepLine:
    """A sweep of the experiment as its run tells of it. arms_file, tuned_file: their names, or `none`."""

    sweep_id: str
    run_id: str
    started: int
    headline: str
    arms_file: str
    tuned_file: str


def experiment_note(state: SweepState, listing: str) -> str:
    """Its first line is all that people see at first: the headline, which names the sweep.

    Several sweeps share an experiment; those stand next, then what this one asked and found.
    """
    verdict = state.verdict or {}
    headline = str(verdict.get("headline") or "").strip() or f"{state.facts['sweep_id']}: no verdict yet"
    question = f"{state.facts['sweep_id']}: {state.facts['question']}"
    return cut(PART.join((headline, listing, question, verdict.get("markdown", ""))).rstrip())


def relisted(note: str, listing: str) -> str:
    """A note with another list of sweeps; one without a list stays as it is."""
    head, _, rest = note.partition(PART)
    listed, _, body = rest.partition(PART)
    return cut(PART.join((head, listing, body))) if listed.startswith(LISTED) else note


def listing_of(sweeps: Iterable[SweepLine], experiment_id: str) -> str:
    """One line of Markdown per sweep, with links to its curves, its run, its arms and its tuned file."""
    lines = sorted(sweeps, key=lambda one: (-one.started, one.sweep_id))
    return "\n".join((LISTED, *(_line(one, experiment_id) for one in lines)))


def _line(one: SweepLine, experiment_id: str) -> str:
    run = page_of_run(experiment_id, one.run_id)
    files = f"{run}/artifacts"
    links = {"curves": page_of_view(experiment_id, one.sweep_id), "verdict": run, "files": files}
    for word, name in (("arms", one.arms_file), ("tuned file", one.tuned_file)):
        if name != NONE:
            links[word] = f"{files}/{name}"
    headline = one.headline if one.sweep_id in one.headline else f"{one.sweep_id}: {one.headline}"
    return f"- {headline} ({', '.join(f'[{word}]({link})' for word, link in links.items())})"
