"""Every finished study of a workspace, and which of them count for a question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bios_sweep.decision.statement import Verdict
from bios_sweep.driver.view import SweepView, open_sweep
from bios_sweep.procedure.looks import asked_questions
from bios_sweep.records.ledger import read_ledger
from bios_sweep.records.workspace import Workspace
from bios_sweep.report.content.studies import StudyRow, Told, standing, study_rows
from bios_sweep.study.trials import short_hash
from bios_sweep.vocabulary import Word

JUDGED = (Word.CONFIRM, Word.REFINE, Word.INCONCLUSIVE)


@dataclass(frozen=True, kw_only=True)
class AllStudies:
    """verdicts: one per question, those that count. studies: every one. judged_on: the metrics, in words."""

    verdicts: tuple[Verdict, ...]
    studies: tuple[StudyRow, ...]
    judged_on: tuple[str, ...]


def all_studies(workspace: Workspace) -> AllStudies:
    """What the workspace's finished studies say.

    Raises:
        StorageError: the ledger, or a sweep, cannot be read.
    """
    asked: dict[str, list[Told]] = {}
    judged: set[str] = set()
    for sweep_id in reversed(workspace.sweeps()):  # the oldest first
        view = open_sweep(workspace, sweep_id)
        for question, told in _told(view):
            asked.setdefault(question, []).append(told)
            judged.add(view.plan.study.metric.words)
    entries = read_ledger(workspace.ledger_file)
    counting = {
        question: standing(told, [entry.look for entry in entries if entry.look.question == question])
        for question, told in asked.items()
    }
    return AllStudies(
        verdicts=tuple(told.verdict for told in counting.values() if told is not None),
        studies=tuple(study_rows(asked, counting)),
        judged_on=tuple(sorted(judged)),
    )


def _told(view: SweepView) -> Iterator[tuple[str, Told]]:
    """A finished study's verdicts by question; one that asks no setting is known by its scenario."""
    if not view.summary.final:
        return
    study = view.plan.study
    known = {
        (question.factor, question.claim.name, question.cell): name
        for name, (_, question) in asked_questions(view.plan).items()
    }
    for verdict in view.verdicts:
        if verdict.verdict in JUDGED:
            asked = (verdict.factor, verdict.claim, verdict.cell)
            before = study.history.of(verdict.factor) if study.history else None
            told = Told(
                sweep=view.sweep_id,
                scenario=study.scenario.name,
                verdict=verdict,
                changed=bool(before and before.changed),
            )
            yield known.get(asked) or short_hash([study.scenario.identity(), *asked]), told
