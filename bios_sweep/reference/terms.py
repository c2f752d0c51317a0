"""The words of reports, files and commands, each explained in words that need none of the others.

Standard library only. A test holds the list against the words that the program can print.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from bios_sweep.errors import InputError

NEAR = 0.6  # of difflib's ratio; chosen, as for verbs
PAGE = "docs/statistics.md"


@dataclass(frozen=True, kw_only=True)
class Term:
    """One word. means: what it says, in plain words. so: what to do or to think when it is met.

    read: where more stands. like: terms near it. names: what else it is called.
    """

    term: str
    means: str
    so: str = ""
    read: str = ""
    like: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Glossary:
    """What `explain` answers."""

    terms: tuple[Term, ...]


def _item(number: int) -> str:
    return f"{PAGE}, item {number}"


TERMS = (
    Term(
        term="confirm",
        means="No tested alternative improves on the default by as much as matters, as far as the claim goes "
        "that the default makes; wrong in at most 5 % of such statements.",
        so="Keep the default. It is not said that the default is the best of all values, only that none "
        "of the "
        "tested ones gains the margin.",
        read=_item(6),
        like=("margin", "claim", "refine"),
        names=("keep",),
    ),
    Term(
        term="refine",
        means="Another value was better at the shared seeds, and better again at fresh seeds that had "
        "no part "
        "in choosing it.",
        so="Use that value; the tuned-defaults file has it.",
        read=_item(7),
        like=("confirm", "fresh seeds", "candidate"),
        names=("change",),
    ),
    Term(
        term="refine (unconfirmed)",
        means="Another value is better where it was chosen, but no fresh seeds have tested it, so that "
        "luck in "
        "the choice is not ruled out.",
        so="Run the confirmation that the report names; nothing is served until then.",
        read=_item(7),
        like=("refine", "fresh seeds"),
        names=("unconfirmed",),
    ),
    Term(
        term="inconclusive",
        means="The study can neither rule out that an alternative gains the margin nor show that one "
        "does, or "
        "something speaks against its numbers; the reason stands beside it.",
        so="Do what the report says under the verdict: more seeds, a wider ladder, or a larger margin. The "
        "default stays until then.",
        read=_item(17),
        like=("confirm", "margin", "look"),
        names=("open",),
    ),
    Term(
        term="screening only",
        means="There is no estimate of the error, as from a single seed, from values that repeat at every "
        "seed, or from runs that cannot be paired; so nothing can be said with a known error rate.",
        so="Run more seeds, the same for every arm.",
        read=_item(1),
        like=("inconclusive", "seed"),
    ),
    Term(
        term="candidate",
        means="A value that looked better at the shared seeds and is now tested at fresh ones.",
        so="It is no verdict yet.",
        read=_item(7),
        like=("refine", "fresh seeds"),
    ),
    Term(
        term="undecided",
        means="A question of the first stage that this look does not settle; the next look adds seeds.",
        read=_item(10),
        like=("look", "inconclusive"),
    ),
    Term(
        term="margin",
        means="The smallest gain that would make somebody change a default: in percent of the default's "
        "loss, or "
        "in points of a score. Gains below it count as none that matters.",
        so="`bios-sweep plan` shows what three margins mean and cost; decision.margin_percent sets it.",
        read=_item(14),
        like=("effect", "bounds"),
    ),
    Term(
        term="effect",
        means="How much better an arm is than the default: in percent of the default's metric, positive is "
        "better whichever way the metric goes.",
        like=("margin", "bounds"),
        names=("gain",),
        read=_item(12),
    ),
    Term(
        term="bounds",
        means="The range that holds the true gain: each end is exceeded in at most 5 % of sweeps, the "
        "looking "
        "at several times and at several arms included.",
        so="An upper bound below the margin says that nothing that matters is lost by staying.",
        read=_item(5),
        like=("effect", "margin"),
        names=("interval", "confidence interval"),
    ),
    Term(
        term="study",
        means="One question with everything that decides its answer, fixed before the first trial: default, "
        "alternatives, seeds, budget, margin and looks.",
        like=("sweep", "factor", "plan"),
    ),
    Term(
        term="sweep",
        means="A study as it is run: a file in sweeps/, and a folder in the workspace with its trials, "
        "report and "
        "tuned defaults.",
        like=("study", "workspace"),
    ),
    Term(
        term="scenario",
        means="Model, data and method together: where a default is judged, and what a verdict holds for.",
        like=("scope",),
    ),
    Term(
        term="baseline",
        means="The arm made of the defaults; every other arm is compared with it.",
        like=("arm", "default"),
    ),
    Term(
        term="default",
        means="The value that is used when nobody chooses one: of the rules of this package, or as it "
        "was given.",
        so="`bios-sweep defaults show MODEL` lists them with their reasons.",
        read="docs/defaults.md",
        like=("baseline", "tuned defaults", "confidence"),
    ),
    Term(
        term="factor",
        means="A setting that the study varies, such as the learning rate; its values are levels.",
        like=("level", "arm", "nuisance"),
    ),
    Term(term="level", means="One value of a factor.", like=("factor", "edge")),
    Term(
        term="arm",
        means="The default, or the default with one thing changed, as full settings. An arm at one seed is a "
        "trial.",
        like=("trial", "variation"),
    ),
    Term(
        term="variation", means="A named change to the default; with it the default is an arm.", like=("arm",)
    ),
    Term(
        term="trial",
        means="One training: an arm at a seed. It runs once for ever, whichever sweeps use it; a try "
        "that was lost "
        "is an attempt, and the next goes on from its checkpoint.",
        like=("arm", "seed", "attempt"),
    ),
    Term(
        term="attempt",
        means="One try at a trial; a lost worker or a failing GPU costs an attempt, not the trial.",
        read="docs/failures.md",
        like=("trial", "failed"),
    ),
    Term(
        term="seed",
        means="The number that fixes initialisation, order of examples and dropout. All arms use the "
        "same seeds, "
        "so that differences between arms are not differences of luck.",
        read=_item(3),
        like=("fresh seeds", "trial"),
        names=("replicate",),
    ),
    Term(
        term="fresh seeds",
        means="Seeds that had no part in choosing a value; the chosen value has to show its gain there "
        "again.",
        so="Of many arms the best looks better than it is; fresh seeds take that away.",
        read=_item(7),
        like=("confirmation", "candidate"),
    ),
    Term(
        term="look",
        means="A planned moment at which the trials so far are judged, such as after 3, 5 and 8 seeds. "
        "The error "
        "rate covers all looks, and a sweep ends at the first that settles it.",
        read=_item(10),
        like=("seed", "undecided"),
    ),
    Term(
        term="screening",
        means="The first stage: every arm at the shared seeds.",
        read=_item(6),
        like=("refinement", "confirmation"),
    ),
    Term(
        term="refinement",
        means="A stage between: further values near the best, or a joint search, before fresh seeds.",
        read=_item(19),
        like=("screening", "confirmation"),
    ),
    Term(
        term="confirmation",
        means="The last stage: the chosen value and the default at fresh seeds.",
        read=_item(7),
        like=("fresh seeds", "refine"),
    ),
    Term(
        term="control",
        means="Trials that check the apparatus and are shown, but that no verdict uses.",
        like=("trial",),
    ),
    Term(term="done", means="The sweep has its verdicts; the same command trains nothing.", like=("look",)),
    Term(
        term="role",
        means="What a setting is to its user: a learning rate is to be an optimum, a batch size trades "
        "loss for "
        "time, a rank is to be enough.",
        read=_item(13),
        like=("claim", "goal"),
    ),
    Term(
        term="claim",
        means="What a default says of itself, and so what is asked of it: optimum, balanced, quality, speed, "
        "enough, minimum, or identical.",
        read=_item(13),
        like=("optimum", "balanced", "quality", "speed", "enough", "minimum", "identical"),
    ),
    Term(term="optimum", means="The claim that no other value is better.", read=_item(13), like=("claim",)),
    Term(
        term="balanced",
        means="The claim that no other value is better at the same cost; as a goal: loss and time both "
        "count.",
        read=_item(13),
        like=("claim", "goal"),
    ),
    Term(
        term="quality",
        means="The claim of the value for those who want the best loss whatever it costs; and that goal.",
        read=_item(13),
        like=("claim", "goal"),
    ),
    Term(
        term="speed",
        means="The claim of the value that saves time and loses little; and that goal.",
        read=_item(13),
        like=("claim", "goal"),
    ),
    Term(
        term="enough",
        means="The claim that more of it gains nothing that matters, and less saves nothing or loses "
        "too much.",
        read=_item(13),
        like=("claim",),
    ),
    Term(
        term="minimum",
        means="The claim that with so many steps most of the gain of training is had (80 %).",
        read=_item(13),
        like=("claim",),
    ),
    Term(
        term="identical",
        means="The default against itself under another name (`sweeps=aa`): whoever finds a difference "
        "there has "
        "a fault in the apparatus.",
        read=_item(13),
        like=("claim",),
    ),
    Term(
        term="goal",
        means="What a user wants of a setting: quality, balanced or speed. A tuned file has a profile "
        "for each.",
        read="docs/defaults.md",
        like=("quality", "balanced", "speed"),
        names=("profile",),
    ),
    Term(
        term="nuisance",
        means="A setting that is tuned anew inside every arm, so that the comparison is fair: most often the "
        "learning rate, whose best value moves with the batch size.",
        read=_item(11),
        like=("factor",),
    ),
    Term(
        term="hold",
        means="What every arm may spend alike: examples, steps or epochs (budget.hold).",
        read=_item(13),
        like=("budget",),
    ),
    Term(
        term="budget",
        means="How much a trial trains; the default's steps times its batch size are the examples of "
        "all arms.",
        like=("hold",),
    ),
    Term(
        term="plan",
        means="What would run and what it costs; everything that decides is fixed in it and hashed.",
        so="`bios-sweep plan sweeps=NAME` shows it and launches nothing.",
        like=("study", "look"),
    ),
    Term(
        term="edge",
        means="The best level is the last of its ladder, so that better ones may lie beyond.",
        so="Run the longer ladder that the report names.",
        read=_item(8),
        like=("level", "bracket"),
        names=("end of the grid",),
    ),
    Term(
        term="bracket",
        means="The levels between which the best value lies, with 95 % certainty.",
        read=_item(9),
        like=("edge",),
    ),
    Term(
        term="insensitive",
        means="The study could not have seen a difference, so that seeing none says nothing.",
        read=_item(1),
        like=("inconclusive",),
    ),
    Term(
        term="scope",
        means="What a verdict holds for: this evaluation set, or other data of the kind; and always "
        "this model, "
        "method and budget.",
        read=_item(4),
        like=("scenario", "cluster"),
    ),
    Term(
        term="cluster",
        means="Evaluation examples that belong together, such as those of one document; and, as a group of "
        "settings, where trials run.",
        read=_item(4),
        like=("scope",),
    ),
    Term(
        term="guardrail",
        means="A second metric that must not lose, whatever the first gains.",
        read=_item(15),
        like=("margin",),
    ),
    Term(
        term="frontier",
        means="The arms for which no other is both better and faster.",
        read=_item(13),
        like=("balanced",),
    ),
    Term(
        term="ledger",
        means="The workspace's record of how often a question was asked; asking again until the answer "
        "pleases "
        "costs certainty, and is reckoned with.",
        read="docs/ledger.md",
        like=("look",),
    ),
    Term(
        term="workspace",
        means="The folder that holds trials, sweeps and, unless you have a server, MLflow's store "
        "(./bios_runs).",
        like=("journal",),
    ),
    Term(
        term="journal",
        means="The file in which a sweep writes down what happened, line by line; MLflow is a copy of it.",
        read="docs/tracking.md",
        like=("workspace",),
    ),
    Term(
        term="tuned defaults",
        means="The small file of confirmed and refined values with their evidence (bios_defaults.json), "
        "which other "
        "projects read without torch.",
        read="docs/defaults.md",
        like=("default", "evidence"),
    ),
    Term(
        term="evidence",
        means="The verdicts behind a value: effect, bounds, margin, seeds, and what they hold for.",
        read="docs/defaults.md",
        like=("tuned defaults", "confidence"),
    ),
    Term(
        term="confidence",
        means="How a default is known: measured by a sweep, published by others, or extrapolated from "
        "either.",
        read="docs/defaults.md",
        like=("evidence",),
        names=("measured", "published", "extrapolated"),
    ),
    Term(
        term="completed",
        means="The trial trained to its end and has its number.",
        like=("diverged", "failed"),
    ),
    Term(
        term="diverged",
        means="The loss left the finite numbers. That is an outcome of the settings, not a failure: the "
        "arm is "
        "counted, and never a candidate.",
        read=_item(2),
        like=("failed", "completed"),
    ),
    Term(
        term="failed",
        means="The trial ended without an outcome, for the cause that is told; the same command tries "
        "it again.",
        read="docs/failures.md",
        like=("diverged", "attempt"),
    ),
    Term(
        term="rehearsal",
        means="A study run a few hundred times with simulated numbers, to see how often it would decide.",
        so="`bios-sweep rehearse sweeps=NAME`.",
        like=("plan",),
    ),
    Term(
        term="audit",
        means="Runs that were made elsewhere, judged as far as they support it.",
        read="docs/audits.md",
        like=("confirm",),
    ),
)


def explained(words: Sequence[str]) -> tuple[Term, ...]:
    """The term of that name; without words all of them.

    Raises:
        InputError: there is none, with the nearest.
    """
    if not words:
        return TERMS
    wanted = " ".join(words).casefold()
    by_name = {name.casefold(): term for term in TERMS for name in (*term.names, term.term)}
    if wanted in by_name:
        return (by_name[wanted],)
    near = difflib.get_close_matches(wanted, by_name, n=1, cutoff=NEAR)
    hint = f" (did you mean {by_name[near[0]].term!r}?)" if near else ""
    raise InputError(f"there is no term {' '.join(words)!r}{hint}; `bios-sweep explain` lists all")
