"""Sweeps whose truth is planted, by class."""

from __future__ import annotations

from dataclasses import dataclass

CONFIRM, REFINE, INCONCLUSIVE = "confirm", "refine", "inconclusive"
QUIET = (  # the truths below are made for a margin of 0.5 %
    "model=planted",
    "decision.purpose=publish",
    "cluster=inline",
    "tracking=none",
    "seeds=[0,1,2,3,4]",
    "decision.confirmation_seeds=5",
    "budget.max_steps=1000",
    "baseline.learning_rate=5e-4",
    "budget.measurements=1",
    "model.planted.noise_percent=0.1",
)
RATE = ("sweeps=learning_rate",)
RANK = ("sweeps=capacity",)  # the default is 32
BATCH = ("sweeps=batch_size",)  # the default is 128
STEPS = ("sweeps=duration", "sweeps.factors.max_steps.multiply=[0.25,0.5,2,4]")  # the default is 1000
FEWEST = (
    "sweeps=duration",
    "~sweeps.factors.max_steps.multiply",
    "+sweeps.factors.max_steps.values={levels}",
)
SMALLER = "sweeps.factors.batch_size.multiply=[0.125,0.25,0.5,2]"


def truth(**places):
    """Overrides of the planted truth: `setting__number=value`."""
    return tuple(f"model.planted.truth.{name.replace('__', '.')}={value}" for name, value in places.items())


def minimum(gain, levels="[50,100,250,2000]"):
    """`gain` percent are lost per halving of the steps below 1000, of the 50 % that training gains."""
    return (*FEWEST[:2], FEWEST[2].format(levels=levels), *truth(examples__gain=gain))


TWICE = (
    "decision.purpose=choose",
    "model.planted.noise_percent=0.2",
    *truth(learning_rate__curvature=1.6, lora_rank__gain=1.6, batch_size__cost=1.4, examples__gain=2.0),
)


def _is_effect(word):
    name = word.partition("=")[0]
    return name.startswith("model.planted.truth.") and name.endswith((".curvature", ".gain", ".cost"))


def _twice(word):
    name, _, value = word.partition("=")
    return f"{name}={2 * float(value):g}"


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A truth: the words that plant it, the claim that is asked, and the verdict that is right."""

    words: tuple[str, ...]
    claim: str
    verdict: str
    level: float

    @property
    def to_choose(self) -> tuple[str, ...]:
        """What makes it a truth for a choice: margins are twice as large, and so are its effects.

        Speed may lose 1 % and a minimum has its share whatever the margin: there nothing is doubled.
        """
        if self.claim in ("speed", "minimum"):
            return ("decision.purpose=choose",)
        return (*TWICE, *(_twice(word) for word in self.words if _is_effect(word)))


CLASSES = {
    "the learning rate is right": Planted(
        words=(*RATE, *truth(learning_rate__optimum=5e-4)), claim="optimum", verdict=CONFIRM, level=5e-4
    ),
    "the learning rate is low by two": Planted(
        words=(*RATE, *truth(learning_rate__optimum=1e-3)), claim="optimum", verdict=REFINE, level=1e-3
    ),
    "the learning rate is high by two": Planted(
        words=(*RATE, *truth(learning_rate__optimum=2.5e-4)), claim="optimum", verdict=REFINE, level=2.5e-4
    ),
    "the rank is enough": Planted(words=RANK, claim="enough", verdict=CONFIRM, level=32),
    "the rank is too small": Planted(
        words=(*RANK, *truth(lora_rank__knee=64)), claim="enough", verdict=REFINE, level=64
    ),
    "the steps are enough": Planted(words=STEPS, claim="enough", verdict=CONFIRM, level=1000),
    "the steps are too few": Planted(
        words=(*STEPS, *truth(examples__knee=256000)), claim="enough", verdict=REFINE, level=2000
    ),
    "half the steps would do": Planted(
        words=(*STEPS, *truth(examples__knee=64000)), claim="enough", verdict=REFINE, level=500
    ),
    "the batch is balanced": Planted(words=BATCH, claim="balanced", verdict=CONFIRM, level=128),
    "a smaller batch buys more than time": Planted(
        words=(*BATCH, *truth(batch_size__critical=64, batch_size__cost=1.2)),
        claim="balanced",
        verdict=REFINE,
        level=64,
    ),
    "a larger batch saves time at no loss": Planted(
        words=(*BATCH, *truth(batch_size__critical=256, examples__gain=2.5)),
        claim="balanced",
        verdict=REFINE,
        level=256,
    ),
    "half the batch has the best loss": Planted(
        words=(*BATCH, *truth(batch_size__critical=64)), claim="quality", verdict=CONFIRM, level=64
    ),
    "half the batch buys nothing": Planted(words=BATCH, claim="quality", verdict=REFINE, level=128),
    "a quarter of the batch has the best loss": Planted(
        words=(*BATCH, SMALLER, *truth(batch_size__critical=32, batch_size__cost=1.0)),
        claim="quality",
        verdict=REFINE,
        level=32,
    ),
    "twice the batch saves time at little loss": Planted(
        words=(*BATCH, "model.planted.t0_seconds=0.3", *truth(batch_size__cost=0.7)),
        claim="speed",
        verdict=CONFIRM,
        level=256,
    ),
    "four times the batch saves yet more": Planted(
        words=(*BATCH, "model.planted.t0_seconds=0.3", *truth(batch_size__critical=512)),
        claim="speed",
        verdict=REFINE,
        level=512,
    ),
    "twice the batch saves no time": Planted(
        words=(*BATCH, "model.planted.t0_seconds=0.001"), claim="speed", verdict=REFINE, level=128
    ),
    "twice the batch loses too much": Planted(
        words=(*BATCH, *truth(batch_size__cost=2.0)), claim="speed", verdict=REFINE, level=128
    ),
    "100 steps are the minimum": Planted(words=minimum(2.6), claim="minimum", verdict=CONFIRM, level=100),
    "50 steps would do": Planted(words=minimum(2.0), claim="minimum", verdict=REFINE, level=50),
    "100 steps are too few": Planted(words=minimum(4.0), claim="minimum", verdict=REFINE, level=250),
}
RETUNED = Planted(  # every batch size is as good as the other, the learning rate is low by two
    words=("sweeps=batch_size_retuned", *truth(batch_size__cost=0.0, learning_rate__optimum=1e-3)),
    claim="optimum",
    verdict=CONFIRM,
    level=128,
)


LATE = "+sweeps.factors.learning_rate={multiply: [0.25, 0.5, 2, 4]}"  # low by two: refined beside the rest
WITHOUT_FRESH = ("decision.confirmation_seeds=0",)
APART = "+model.planted.interactions.learning_rate={lora_rank: {power: -1.5, at: 32}}"
FURTHER = {
    "all four defaults, the learning rate low by two": ("sweeps=defaults",),
    "all four defaults, right": ("sweeps=defaults", *truth(learning_rate__optimum=5e-4)),
    "quality is confirmed beside a refined learning rate": (
        *BATCH,
        LATE,
        *truth(batch_size__critical=64, learning_rate__optimum=1e-3),
    ),
    "no fresh seeds": ("sweeps=defaults", *WITHOUT_FRESH),
    "one seed": ("sweeps=defaults", "seeds=[0]", "decision.looks=[1]"),
    "the baseline against itself": ("sweeps=aa",),
    "the least that pays alone": (
        "sweeps=duration",
        "sweeps.factors.max_steps.multiply=[0.1,0.5,2]",
        "+sweeps.factors.max_steps.claims=[minimum]",
    ),
    "every batch size at its own rate": RETUNED.words,
    "a better batch size at its own rate": (
        "sweeps=batch_size_retuned",
        *truth(batch_size__cost=0.0, batch_size__critical=64, learning_rate__optimum=5e-4),
        "+model.planted.interactions.learning_rate={batch_size: {power: -1.0, at: 128}}",
        "sweeps.factors.batch_size.multiply=[0.25,0.5,2]",
        "model.planted.truth.batch_size.cost=1.5",
        "sweeps.factors.batch_size.nuisance.learning_rate.multiply=[0.25,0.5,1,2,4,8]",
    ),
    "two that do not hold together": (
        "sweeps=capacity",
        LATE,
        APART,
        *truth(lora_rank__knee=64, learning_rate__optimum=1e-3),
    ),
    "two that hold together": (
        "sweeps=capacity",
        LATE,
        *truth(lora_rank__knee=64, learning_rate__optimum=1e-3),
    ),
    "a joint search": (
        "sweeps=capacity",
        LATE,
        "decision.refine=optuna",
        "decision.refine_trials=6",
        *truth(lora_rank__knee=48, learning_rate__optimum=1.2e-3),
    ),
    "cells without the study's own value": ("sweeps=capacity_by_data",),
    "cells with it, of different words": (
        "sweeps=capacity_by_data",
        "sweeps.factors.lora_rank.values=[8,16,64,128]",
        "sweeps.cross={data.train_examples:[500,null]}",
        *truth(lora_rank__knee=64),
    ),
    "steps held equal": (*BATCH, "budget.hold=steps"),
    "a balance that moves with the steps judged": (
        *CLASSES["a smaller batch buys more than time"].words,
        "+sweeps.factors.max_steps={multiply: [0.5, 2]}",
    ),
}
SHORT_LADDER = (  # as RETUNED, but the best rate rises with the batch, and 256 is better at its own
    "sweeps=batch_size_retuned",
    "sweeps.factors.batch_size.multiply=[0.5,2,4]",
    "model.planted.wall=null",
    "~model.planted.truth.batch_size",
    "+model.planted.truth.batch_size={optimum: 256, curvature: 0.6}",
    "+model.planted.interactions.learning_rate={batch_size: {power: 1.0, at: 128}}",
)
LADDERS = {
    "short": Planted(words=SHORT_LADDER, claim="optimum", verdict=INCONCLUSIVE, level=128),
    "long": Planted(
        words=(*SHORT_LADDER, "sweeps.factors.batch_size.nuisance.learning_rate.multiply=[0.5,1,2,4,8,16]"),
        claim="optimum",
        verdict=REFINE,
        level=256,
    ),
}
