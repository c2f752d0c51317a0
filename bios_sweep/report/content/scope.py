"""How far a sweep's answers reach: the scope of a verdict, the caveats beside all, what is cut. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.decision.clusters import FEW_CLUSTERS, FEWEST_CLUSTERS
from bios_sweep.decision.finding import Finding
from bios_sweep.procedure.decidable import decidable, decided_words
from bios_sweep.procedure.spending import Budgets
from bios_sweep.report.content.asked_before import asked_lines
from bios_sweep.report.content.held import asked_line, held_words
from bios_sweep.report.content.wording import listed
from bios_sweep.study.design import VERSION, Origin
from bios_sweep.study.plan import Plan
from bios_sweep.study.scenario import EVALUATION, TRAIN, Cut, DataFacts

SIDES = {TRAIN: "training", EVALUATION: "evaluation"}
FILES = 12  # of a script, named in a line; `plan --json` has all

EARLIER_RULE = (
    "judged by version 1 of the decision rule, under which this sweep began: one error for all arms, "
    "and every arm of an open question runs on"
)


def scope_of(plan: Plan, finding: Finding, budgets: Budgets | None = None) -> str:
    """Where a verdict holds, and no further: data like these where the clusters' error is in its bounds.

    budgets: what a script was seen to spend.
    """
    scenario = plan.study.scenario
    count = scenario.data.items_of(plan.study.metric.name)  # 0: only the script knows
    data = f"{count} examples of {scenario.data.name}" if count else f"that of {scenario.data.name}"
    clusters = finding.bound.clusters if finding.bound else 0
    where = (
        f"this data distribution ({data} in {clusters} clusters)"
        if clusters
        else f"this evaluation set ({data})"
    )
    return f"{where}, model {scenario.model.name}, {scenario.method.name}; {held_words(plan, budgets)}"


def _clusters_asked(plan: Plan) -> int:
    """Clusters that verdicts have to generalise over; 0 where they need not, or where none are known."""
    study = plan.study
    return 0 if study.decision.scope == "evaluation" else study.scenario.data.clusters_of(study.metric.name)


def too_few_clusters(plan: Plan) -> bool:
    """Whether the data forbid every verdict, whatever the trials say."""
    return 0 < _clusters_asked(plan) < FEWEST_CLUSTERS


def few_clusters(plan: Plan) -> list[str]:
    """What a plan warns of where the evaluation comes from few documents: wide bounds or no answer."""
    study, count = plan.study, _clusters_asked(plan)
    if not 0 < count < FEW_CLUSTERS:
        return []
    items = study.scenario.data.items_of(study.metric.name)
    examples = f"the {items:,} evaluation examples come from {count} clusters"
    effect = (
        f"fewer than {FEWEST_CLUSTERS} say nothing of others, so every verdict will be inconclusive"
        if count < FEWEST_CLUSTERS
        else "so few leave the bounds wide, however many seeds are run"
    )
    return [
        f"{examples} (documents, modules, conversations); {effect}; give data of more clusters, or "
        "decision.scope=evaluation for answers about this evaluation set alone"
    ]


def caveats(plan: Plan) -> list[str]:
    """What is always printed beside a verdict."""
    crossed = ", ".join(moderator.setting for moderator in plan.study.cross)
    interactions = (
        f"interactions were tested with {crossed} only" if crossed else "interactions were not tested"
    )
    doubt = plan.study.metric.doubt
    lines = (
        [f"{doubt}; if so, run it without method.direction, no finished trial is repeated"] if doubt else []
    )
    lines += _beside_lines(plan)
    lines += [decided_words(one) for one in decidable(plan) if one.decided]
    if plan.study.decision.version < VERSION:
        lines.append(EARLIER_RULE)
    lines += asked_lines(plan)
    lines += [
        f"each variation changes one setting; all others stay at the baseline; {interactions}",
        f"arms compared: {len(plan.arms)} ({', '.join(arm.name for arm in plan.arms)})",
        asked_line(plan),
    ]
    below = below_defaults(plan)
    if below:
        lines.append(f"the baseline is below the recommended defaults: {'; '.join(below)}")
    lines += truncation_lines(plan)
    scenario = plan.study.scenario
    carried = scenario.carried
    if carried is not None:
        names = ", ".join(carried) or "no setting"
        lines.append(f"the script is told {names} and the seed; every other setting is its own")
    if scenario.code:
        read = listed(scenario.files, FILES) or "no file"
        lines.append(f"part of what a trial is: {read}; whatever else decides belongs in method.inputs")
    return lines


def _beside_lines(plan: Plan) -> list[str]:
    """The metrics that do not decide, which way each is better and what it may lose."""
    kept = plan.study.decision.must_not_lose(plan.study.metric)
    if not kept:
        return []
    each = "; ".join(one.words for one in kept)
    return [
        f"{plan.study.metric.name} decides; another level is served only if it does not lose in {each} (a "
        f"confirmed default depends on {plan.study.metric.name} alone)"
    ]


def below_defaults(plan: Plan) -> list[str]:
    """Baseline values that the configuration set below the heuristic's: `batch_size 32 instead of 128`."""
    found = []
    for name in ("batch_size", "max_steps", "lora_rank"):
        value = getattr(plan.study.baseline, name)
        default = plan.study.origins.get(name, Origin()).recommended
        if isinstance(default, int | float) and value < default:
            found.append(f"{name} {value} instead of {default}")
    return found


MANY_CUT = 0.01  # share of the examples; chosen: a few long ones are no reason to train slower


@dataclass(frozen=True, kw_only=True)
class CutRow:
    """What cutting a split's examples at `max_length` tokens takes away; `supervised` are under the loss."""

    max_length: int
    examples: int
    truncated: int
    tokens: int
    lost_tokens: int
    supervised_tokens: int
    lost_supervised_tokens: int
    longest: int


@dataclass(frozen=True, kw_only=True)
class Truncation:
    """train: a row per `max_length` of the arms, the baseline's first; evaluation: one, for all arms."""

    eval_max_length: int
    train: tuple[CutRow, ...]
    evaluation: CutRow | None


def truncation(data: DataFacts) -> Truncation | None:
    """What is cut, per split; None if that is not known."""
    if data.eval_max_length is None:
        return None
    return Truncation(
        eval_max_length=data.eval_max_length,
        train=tuple(_row(cut) for cut in data.cuts if cut.split == TRAIN),
        evaluation=next((_row(cut) for cut in data.cuts if cut.split == EVALUATION), None),
    )


def truncation_lines(plan: Plan) -> list[str]:
    """Sentences: the cut of the evaluation where it could be another, and what is lost per split."""
    scenario, lengths = plan.study.scenario, plan.max_lengths
    data, varies = scenario.data, len(lengths) > 1
    if data.eval_max_length is None:
        return [_own_evaluation(lengths)] if varies and scenario.code else []
    lines = [_one_cut(data.eval_max_length, lengths)] if {*lengths} != {data.eval_max_length} else []
    if not any(cut.truncated for cut in data.cuts) and not lines and data.cuts:
        return [f"nothing is cut: no example is longer than max_length ({lengths[0]:,} tokens)"]
    lines += map(_cut_line, data.cuts)
    if varies and plan.study.budget.hold == "tokens":
        lines.append(
            "held equal are the examples: of these an arm with a smaller max_length reads fewer tokens"
        )
    return lines


def truncation_warnings(plan: Plan) -> list[str]:
    """Where a `max_length` cuts more examples than a few."""
    return [
        f"max_length={cut.max_length} cuts {cut.truncated / cut.examples:.0%} of the training examples; "
        f"method.max_length=auto holds {1 - MANY_CUT:.0%} of them whole, as far as the model reads"
        for cut in plan.study.scenario.data.cuts
        if cut.split == TRAIN and cut.truncated > MANY_CUT * cut.examples
    ]


def earlier_cut_note(plan: Plan, earlier: Mapping[str, Any]) -> str | None:
    """How to reuse the trials of an earlier plan that differs in the cut alone. earlier: its `study`."""
    here = plan.study.scenario
    there = earlier.get("scenario", {})
    same = (
        there.get("model", {}).get("fingerprint") == here.model.fingerprint
        and there.get("data", {}).get("fingerprint") == here.data.fingerprint
        and there.get("engine_version") == here.engine_version
    )
    cut = there.get("data", {}).get("eval_max_length")
    if not same or cut in (None, here.data.eval_max_length):
        return None
    return (
        f"sweep {earlier.get('name')} was judged on evaluation examples cut at {cut} tokens, this one is at "
        f"{here.data.eval_max_length}; data.eval_max_length={cut} reuses its trials"
    )


def _one_cut(cut: int, lengths: tuple[int, ...]) -> str:
    why = "the largest max_length" if cut == max(lengths) else "as data.eval_max_length says"
    return (
        f"every arm is judged on the same tokens: evaluation examples are cut at {cut:,} ({why}); trials "
        f"judged at another cut are not reused, data.eval_max_length={cut} keeps this one for longer levels"
    )


def _own_evaluation(lengths: tuple[int, ...]) -> str:
    listed = ", ".join(f"{length:,}" for length in lengths)
    return (
        f"max_length varies ({listed}) and the script cuts its own evaluation: its arms may be judged on "
        "different tokens; have it cut the evaluation at one length, whatever max_length is"
    )


def _cut_line(cut: Cut) -> str:
    side = f"{SIDES[cut.split]} examples cut at {cut.max_length:,} tokens"
    if not cut.truncated:
        return f"{side}: none is longer"
    return (
        f"{side}: {cut.truncated:,} of {cut.examples:,} are longer and lose {cut.lost:,} of {cut.tokens:,} "
        f"tokens ({cut.lost_supervised:,} of {cut.supervised:,} under the loss)"
    )


def _row(cut: Cut) -> CutRow:
    return CutRow(
        max_length=cut.max_length,
        examples=cut.examples,
        truncated=cut.truncated,
        tokens=cut.tokens,
        lost_tokens=cut.lost,
        supervised_tokens=cut.supervised,
        lost_supervised_tokens=cut.lost_supervised,
        longest=cut.longest,
    )
