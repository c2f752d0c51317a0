"""What runs that somebody already has support and what they do not: one answer over all contexts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from bios_sweep.audit.blocks_of_runs import count_runs
from bios_sweep.audit.contexts import Unjudged, contexts_of
from bios_sweep.audit.flaw import CAUTION, NOTE, SEVERITIES, Flaw, new_flaw, some
from bios_sweep.audit.judging import Part, judge
from bios_sweep.audit.rollup import RollUpRow, roll_up
from bios_sweep.audit.runs import RunTable
from bios_sweep.decision.finding import Margin
from bios_sweep.decision.statement import Verdict
from bios_sweep.jsonable import to_json
from bios_sweep.study.design import DecisionRule
from bios_sweep.vocabulary import Word

T = TypeVar("T")
ROLLED = (Word.CONFIRM, Word.REFINE, Word.UNCONFIRMED, Word.INCONCLUSIVE)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The whole answer. `to_dict` is `report --json`; every verdict has the keys of the contract.

    parts: one per context; a table of one model, data set and stack has one. unjudged: contexts
    that nothing is said of. roll_up: in how many contexts a default holds; empty for one.
    """

    source: str
    table: RunTable
    parts: tuple[Part, ...]
    unjudged: Unjudged
    roll_up: tuple[RollUpRow, ...]
    counts: Mapping[str, int]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Those of every context, one behind the other."""
        return tuple(verdict for part in self.parts for verdict in part.verdicts)

    @property
    def flaws(self) -> tuple[Flaw, ...]:
        """The weaknesses of all contexts, the serious ones first, each with where it is."""
        told = self._by_sentence(
            [(part.context, flaw.sentence, flaw) for part in self.parts for flaw in part.flaws]
        )
        found = [replace(flaw, sentence=sentence) for sentence, flaw in told]
        left = self.unjudged
        if left.without:
            sentence = f"the default did not run in {some(left.without)}: not judged there"
            if left.only_there:
                sentence += f", and {some(left.only_there)} ran nowhere else: better or not, nobody knows"
            severity = CAUTION if left.only_there else NOTE
            found.append(new_flaw("context_without_default", severity, sentence))
        if left.alone:
            found.append(
                new_flaw("default_alone", NOTE, f"nothing but the default ran in {some(left.alone)}")
            )
        return tuple(sorted(found, key=lambda flaw: SEVERITIES.index(flaw.severity)))

    @property
    def supports(self) -> tuple[str, ...]:
        """What may be said, of every context."""
        return self._told("supports")

    @property
    def not_supported(self) -> tuple[str, ...]:
        """What may not be said, of every context."""
        return self._told("not_supported")

    @property
    def settle(self) -> str:
        """The smallest next study: that of the first context that leaves something open."""
        return _in(self._open, self._open.settle)

    @property
    def margin(self) -> Margin | None:
        """Of the first context; each verdict has its own."""
        return self.parts[0].margin

    @property
    def compared(self) -> tuple[str, ...]:
        """The arms that took part, the baseline first."""
        return tuple(dict.fromkeys(arm for part in self.parts for arm in part.compared))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that arms were compared at."""
        return tuple(dict.fromkeys(seed for part in self.parts for seed in part.seeds))

    @property
    def hold(self) -> str:
        """What the arms had equal in every context; `nothing` where that differs."""
        held = {part.hold for part in self.parts}
        return held.pop() if len(held) == 1 else "nothing"

    @property
    def _open(self) -> Part:
        settled = (Word.CONFIRM, Word.REFINE)
        left = (part for part in self.parts if any(v.verdict not in settled for v in part.verdicts))
        return next(left, self.parts[0])

    def _told(self, name: str) -> tuple[str, ...]:
        told = [(part.context, one, None) for part in self.parts for one in getattr(part, name)]
        return tuple(sentence for sentence, _ in self._by_sentence(told))

    def _by_sentence(self, told: Sequence[tuple[str, str, T]]) -> list[tuple[str, T]]:
        """Sentences with the contexts that they are said of, once each; said of all, without them."""
        of: dict[str, list[str]] = {}
        first: dict[str, T] = {}
        for context, sentence, what in told:
            of.setdefault(sentence, []).append(context)
            first.setdefault(sentence, what)
        return [
            (sentence if len(of[sentence]) == len(self.parts) else f"{some(of[sentence])}: {sentence}", what)
            for sentence, what in first.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        metric, baseline = self.table.metric, self.parts[0].arms.baseline
        return {
            "source": self.source,
            "metric": {"name": metric.name, "unit": metric.unit, "direction": metric.direction},
            "judged_on": metric.words,
            "columns": to_json(self.table.columns),
            "margin": to_json(self.margin),
            "baseline": {"arm": baseline.name, "settings": dict(baseline.settings)},
            "counts": dict(self.counts),
            "contexts": [part.context for part in self.parts if part.context],
            "compared": list(self.compared),
            "seeds": list(self.seeds),
            "hold": self.hold,
            "verdicts": to_json(self.verdicts),
            "roll_up": to_json(self.roll_up),
            "audit": {
                "findings": to_json(self.flaws),
                "supports": list(self.supports),
                "does_not_support": list(self.not_supported),
                "settle": self.settle,
            },
            "served": {},
            "notes": list(self.table.notes),
        }


def audit(table: RunTable, rule: DecisionRule, baseline: str | None = None) -> Audit:
    """Judge runs by the rule of our own sweeps, context by context, and say what weakens them.

    The scope is always this evaluation set, and nothing is served: whoever ran these trials knows how
    many more there were. Rows of the stage `confirmation` are the fresh-seed test.

    rule: alpha and the margin count; of an accuracy the margin is one point unless the rule says else.

    Raises:
        InputError: the baseline is not named or not there, a seed is given twice, two arms have one level,
            text where none may be.
    """
    contexts, unjudged = contexts_of(table, baseline)
    parts = tuple(judge(context, rule) for context in contexts)
    judged = [
        v for part in parts for v in part.verdicts if v.verdict in ROLLED and v.effect_percent is not None
    ]
    return Audit(
        source=table.source,
        table=table,
        parts=parts,
        unjudged=unjudged,
        roll_up=tuple(roll_up(judged)) if len(parts) > 1 and judged else (),
        counts=count_runs(table),
    )


def _in(part: Part, sentence: str) -> str:
    return f"{part.context}: {sentence}" if part.context else sentence
