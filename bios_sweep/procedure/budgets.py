"""Whether the arms of a script were seen to spend what was held equal, and a verdict without it. Pure.

What was asked of an arm is the plan's: steps, and by its batch size examples. What was seen is what the
script told (`TrialResult.provenance`). Both are compared by ratio, for a script may count micro-batches, or
half of the steps, and be fair to all arms alike: then nothing but the name of the number is wrong.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bios_sweep.decision.finding import Finding
from bios_sweep.decision.question import Question
from bios_sweep.procedure.questions import arms_asked
from bios_sweep.procedure.ratios import Pair, common_ratio
from bios_sweep.procedure.spending import ArmSpent, Budgets, told_words
from bios_sweep.procedure.state import Results
from bios_sweep.reasons import Kind, Reason
from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import TOLD, TrialResult, TrialSpec
from bios_sweep.vocabulary import Seen, Stage, Status, Word

UNEQUAL = Kind("{quantity} were to be compared as asked, and the script told otherwise: {told}; {way_out}")
HAND_STEPS = Kind("hand it {{max_steps}}, or hold what it counts equal (budget.hold=epochs with {{epochs}})")
TRAIN_STEPS = Kind(
    "let it train the steps that it is handed, without stopping early, and print as step those it has done"
)
TRAIN_EPOCHS = Kind("let it train the epochs that it is handed, and print them as epoch")
FIRST_COUNTS = 100  # points of a curve; enough to see that they are counted 0, 1, 2, ...


def seen_budgets(plan: Plan, trials: Sequence[TrialSpec], results: Results, arms: Iterable[str]) -> Budgets:
    """What the completed ones of these trials were seen to spend, of the arms named."""
    named = set(arms)
    ended = [
        (trial, _told(plan, results[trial.key]))
        for trial in trials
        if trial.arm in named and trial.stage != Stage.CONTROL and trial.key in results
        if results[trial.key].status == Status.COMPLETED
    ]
    found = [_of_quantity(plan, what, ended) for what in _deciding(plan, [told for _, told in ended])]
    order = (Seen.DIFFERENT, Seen.NOT_SEEN, Seen.ALIKE, Seen.EQUAL)
    return min(found, key=lambda one: order.index(one.seen), default=Budgets(seen=Seen.NOT_SEEN))


def budgets_of(plan: Plan, question: Question, trials: Sequence[TrialSpec], results: Results) -> Budgets:
    """What was seen of the arms that a question compares."""
    return seen_budgets(plan, trials, results, arms_asked(plan, question))


def all_budgets(
    plan: Plan, findings: Iterable[Question], trials: Sequence[TrialSpec], results: Results
) -> dict[Question, Budgets]:
    """Of every question judged so far; {} for our own engines, which count themselves."""
    if plan.study.scenario.repeatable:
        return {}
    own = [question for question in findings if question.cell == plan.cell and plan.arms_of(question.factor)]
    return {question: budgets_of(plan, question, trials, results) for question in own}


def judged_as_seen(
    plan: Plan, trials: Sequence[TrialSpec], results: Results, findings: Mapping[Question, Finding]
) -> dict[Question, Finding]:
    """Findings; inconclusive where the arms were seen to spend otherwise than asked."""
    found = all_budgets(plan, findings, trials, results)
    return {
        question: without_equal_budget(plan, finding, found.get(question))
        for question, finding in findings.items()
    }


def without_equal_budget(plan: Plan, finding: Finding, found: Budgets | None) -> Finding:
    """A finding, or why it is none: its arms differ in what they spent."""
    if found is None or found.seen != Seen.DIFFERENT:
        return finding
    reason = UNEQUAL(quantity=found.quantity, told=told_words(found), way_out=_way_out(plan))
    if finding.state in (Word.SCREENING_ONLY, Word.INCONCLUSIVE):
        return dataclasses.replace(finding, reasons=(reason, *finding.reasons))
    return dataclasses.replace(finding, state=Word.INCONCLUSIVE, test=None, reasons=(reason,))


def _way_out(plan: Plan) -> Reason:
    if plan.study.budget.hold == "epochs":
        return TRAIN_EPOCHS()
    carried = plan.study.scenario.carried
    return HAND_STEPS() if carried is not None and "max_steps" not in carried else TRAIN_STEPS()


def _told(plan: Plan, result: TrialResult) -> Mapping[str, float]:
    """What a trial told; of one that an earlier version ran, what its curve shows beyond doubt."""
    if TOLD in result.provenance:
        return {name: number for name, number in result.provenance[TOLD].items() if number}
    told = {"tokens": float(result.tokens)} if result.tokens else {}
    steps = [point.step for point in result.curve]
    counted = steps[:FIRST_COUNTS] == list(range(len(steps[:FIRST_COUNTS])))
    called = plan.study.scenario.carried is None  # a function: its last step was the one asked for
    return told if counted or called or not steps else {**told, "steps": float(max(steps))}


def _deciding(plan: Plan, told: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """The quantities that tell, of those that any trial told: what is held, else what stands for it."""
    named = {name for one in told for name in one}
    counts = [name for name in ("steps", "examples") if name in named]
    hold = plan.study.budget.hold
    first = {"epochs": ["epochs"], "tokens": ["tokens"]}.get(hold, counts)
    order = (first, counts, ["epochs"], ["tokens"])
    return tuple(next((one for one in order if one and named.issuperset(one)), ()))


def _of_quantity(plan: Plan, what: str, ended: Sequence[tuple[TrialSpec, Mapping[str, float]]]) -> Budgets:
    """One quantity at every seed, for arms share seeds and a seed may choose the data."""
    arms = {trial.arm: _arm(plan, trial) for trial, _ in ended}
    asked = {name: _asked(plan, arm, what) for name, arm in arms.items()}
    pairs: dict[int, list[Pair]] = {}
    values: dict[str, list[float]] = {}
    silent = False
    for trial, told in ended:
        share = asked[trial.arm].share
        if share is None:
            continue
        if what not in told:
            silent = True
            continue
        values.setdefault(trial.arm, []).append(told[what])
        unit = trial.settings.batch_size if what == "examples" else 1.0
        pairs.setdefault(trial.seed, []).append(Pair(told=told[what], asked=share, unit=unit))
    rows = tuple(
        ArmSpent(arm=name, asked=asked[name].amount, least=min(found), most=max(found))
        for name, found in values.items()
    )
    per_epoch = _epochs(plan) if what == "steps" and plan.study.budget.hold == "epochs" else 0.0
    ratio = common_ratio(list(pairs.values()), what, per_epoch)
    seen = Seen.ALIKE
    if ratio is None:
        seen = Seen.DIFFERENT
    elif silent or len(rows) < 2:
        seen = Seen.NOT_SEEN
    elif ratio.holds(1.0) or any(row.asked is None for row in rows):
        seen = Seen.EQUAL
    return Budgets(seen=seen, quantity=what, arms=rows)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """amount: as the plan has it, None where only shares are known; share: None where neither is."""

    amount: float | None
    share: float | None


def _asked(plan: Plan, arm: Arm, what: str) -> _Asked:
    settings, base = arm.settings, plan.study.baseline
    examples = float(arm.examples())
    known = plan.study.scenario.data.train_examples or None
    size = settings.train_examples or known
    if what == "tokens":
        alike = settings.max_length == base.max_length
        return _Asked(amount=None, share=examples if alike else None)
    if plan.study.budget.hold == "epochs":
        epochs = float(settings.own.get("epochs", 0) or 0)
        if what == "epochs":
            return _Asked(amount=epochs, share=epochs)
        examples = epochs * (size or 1)
        amount = examples if what == "examples" else examples / settings.batch_size
        return _Asked(amount=amount if size else None, share=amount)
    if what == "epochs":
        amount = examples / (size or 1)
        return _Asked(amount=amount if size else None, share=amount)
    amount = float(settings.max_steps) if what == "steps" else examples
    return _Asked(amount=amount, share=amount)


def _epochs(plan: Plan) -> float:
    return float(plan.study.baseline.own.get("epochs", 0) or 0)


def _arm(plan: Plan, trial: TrialSpec) -> Arm:
    """The trial's arm; one that joined on the way (a combination) is told by its settings alone."""
    return Arm(name=trial.arm, settings=trial.settings)
