"""What a prepared command would run, and what that costs. Starts nothing and loads nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bios_sweep.driver.changed import changed_since
from bios_sweep.driver.cost import prices_of, rate_of, with_cheaper, workers_of
from bios_sweep.driver.evaluation import plan_evaluation
from bios_sweep.driver.gpus import gpu_warnings, gpus_of_this_machine, sizes_of
from bios_sweep.driver.memory import has_begun, memory_notes
from bios_sweep.driver.prepare import Prepared
from bios_sweep.driver.rehearsed import known_noise
from bios_sweep.driver.room_left import room_left
from bios_sweep.driver.stable import stable_notes
from bios_sweep.driver.table_room import table_notes
from bios_sweep.errors import PlanError, StorageError
from bios_sweep.procedure.decidable import decidable
from bios_sweep.procedure.source import recall
from bios_sweep.records.earlier import known_of, seconds_per_answer
from bios_sweep.records.reading import read_state
from bios_sweep.records.results import StoredResults
from bios_sweep.report.content.evaluation import measured_share
from bios_sweep.report.content.margin_rows import margin_table
from bios_sweep.report.content.plan_cost import PlanCost
from bios_sweep.report.content.plan_summary import PlanSummary, plan_scoring, summarise_plan
from bios_sweep.report.content.scope import earlier_cut_note, few_clusters, truncation_warnings
from bios_sweep.report.text.glance import html_of, plan_lines
from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import TrialSpec
from bios_sweep.vocabulary import Stage

STAYS_STOPPED = (
    "{arm} was stopped by hand in {sweep}, and stays stopped here until `bios-sweep resume` takes it up again"
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Training examples and tokens of what is to run, and seconds where the speed is known.

    most_seconds: with the confirmation of every candidate.
    """

    examples: int
    tokens: int | None
    seconds: float | None
    most_seconds: float | None


@dataclass(frozen=True, kw_only=True, repr=False)
class PlannedSweep:
    """What a run would do.

    arms: the default first. trials: known to be needed so far; a confirmation may follow. summary: all that
    `plan --json` prints. done: whether it would neither train nor time anything.
    """

    plan: Plan
    trials: tuple[TrialSpec, ...]
    summary: PlanSummary
    done: bool

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The default and its variations."""
        return self.plan.arms

    @property
    def to_run(self) -> int:
        """Trials without a result."""
        return self.summary.to_run

    @property
    def reused(self) -> int:
        """Trials that earlier runs finished."""
        return self.summary.reused

    @property
    def cost(self) -> Cost:
        """Of what is to run."""
        return Cost(
            examples=self.summary.examples,
            tokens=self.summary.tokens,
            seconds=self.summary.estimate_seconds,
            most_seconds=self.summary.most_seconds,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was chosen for the user, or counts for nothing."""
        return self.summary.warnings

    def __repr__(self) -> str:
        return "\n".join(plan_lines(self.summary))

    def _repr_html_(self) -> str:
        return html_of(plan_lines(self.summary))


def planned(
    prepared: Prepared, more_warnings: Sequence[str] = (), more_notes: Sequence[str] = ()
) -> PlannedSweep:
    """What a run would do, by what is finished already.

    Raises:
        PlanError: the estimate, confirmation included, exceeds `budget.max_hours`.
    """
    plan, workspace = prepared.plan, prepared.workspace
    own = read_state(workspace.journal_file(plan.sweep_id))
    earlier = known_of(plan, workspace, own)
    carried = {arm: sweep for arm, sweep in prepared.stopped.items() if arm not in own.by_hand}
    earlier = replace(earlier, stopped=earlier.stopped | set(carried))
    stored = StoredResults(workspace, own.results)
    state, results = recall(plan, stored, earlier)
    rate, workers = rate_of(prepared), workers_of(prepared.request)
    prices = None if rate is None else prices_of(prepared, rate, workers)
    summary = summarise_plan(plan, state, results, prices, workers)
    if summary.cost is not None and prices is not None:
        summary = replace(summary, cost=with_cheaper(summary.cost, prepared, results, prices))
    pace = None if rate is None else rate.seconds_per_example
    summary = replace(
        summary,
        margins=margin_table(plan, results, known_noise(prepared), pace, prepared.invocation.command),
        evaluation=plan_evaluation(plan, measured_share(results.values())),
    )
    unlimited = _hours_unknown(plan.study.budget.max_hours, summary.cost)
    if plan.study.scenario.data.score is not None:
        answers = seconds_per_answer(workspace, plan.study.scenario.model.fingerprint)
        summary = replace(summary, scoring=plan_scoring(plan, summary.to_run, answers))
    room, lacking = table_notes(plan)
    floor = room_left(workspace.root, prepared.config.values["budget"]["least_free_gb"])
    untimed = plan.timed_arms if earlier.timing is None else ()
    probe = f"first a timing probe of {len(untimed)} arms, each alone on the device"
    looks = (stored.look(trial.key) for trial in (*state.missing, *state.ahead))
    summary = replace(
        summary,
        decidable=decidable(plan) or None,
        notes=(
            *summary.notes,
            *filter(None, (prepared.answer(summary.to_run),)),
            *_other_cuts(prepared),
            *prepared.notes,
            *filter(None, (prepared.precision.note,)),
            *room,
            *stable_notes(plan),
            *more_notes,
            *([probe] if untimed else ()),
        ),
        warnings=(
            *prepared.warnings,
            *changed_since(prepared.asked, workspace),
            *few_clusters(plan),
            *truncation_warnings(plan),
            *unlimited,
            *lacking,
            *filter(None, (floor.lacking(),)),
            *more_warnings,
            *(STAYS_STOPPED.format(arm=arm, sweep=sweep) for arm, sweep in carried.items()),
        ),
        damaged=tuple(look.damage for look in looks if look.damage),
    )
    needed = {trial.key: trial for trial in (*plan.trials, *state.needed)}
    done = state.stage == Stage.DONE and not untimed
    return PlannedSweep(plan=plan, trials=tuple(needed.values()), summary=summary, done=done)


def planned_here(prepared: Prepared) -> PlannedSweep:
    """The same, with what this machine's GPUs have to say to it."""
    gpus = gpus_of_this_machine(prepared.request)
    sizes, begun = sizes_of(gpus, prepared.request), has_begun(prepared.plan, prepared.workspace)
    fits, lacks = memory_notes(prepared.plan, prepared.request, sizes, begun=begun)
    return planned(prepared, [*gpu_warnings(prepared, gpus), *lacks], fits)


def _other_cuts(prepared: Prepared) -> list[str]:
    """Earlier sweeps of the workspace whose trials count again once the evaluation is cut as theirs was."""
    plan, workspace = prepared.plan, prepared.workspace
    if plan.study.scenario.data.eval_max_length is None:
        return []
    notes = []
    for sweep_id in workspace.sweeps():
        with suppress(StorageError):  # one that cannot be read has nothing to reuse
            notes.append(earlier_cut_note(plan, workspace.read_plan(sweep_id).get("study", {})))
    return list(dict.fromkeys(filter(None, notes)))


def _hours_unknown(max_hours: float | None, cost: PlanCost | None) -> list[str]:
    """A warning where no trial was timed; hours that were measured must not exceed the limit."""
    if max_hours is None:
        return []
    if cost is None:
        return [
            f"budget.max_hours={max_hours:g} has no effect yet: no trial of this model was timed in this "
            "workspace, so the plan's hours are not known"
        ]
    if cost.most_hours <= max_hours:
        return []
    told = f"the plan is estimated at up to {cost.most_hours:.2g} hours but budget.max_hours is {max_hours:g}"
    if cost.estimated:  # arithmetic may be wrong by more than the limit
        return [f"{told}; nothing was timed yet, so that this alone refuses nothing"]
    raise PlanError(f"{told}; drop levels or seeds, or raise it")
