"""A claim that is no part of the package: half of the default would lose nothing that matters."""

from __future__ import annotations

from bios_sweep.claims import CLAIMS
from bios_sweep.decision.claims.evidence import claimed_arm, found, open_gain, unclaimed
from bios_sweep.decision.claims.judgement import Judgement, Words
from bios_sweep.vocabulary import Word


def judge_thrifty(levels, evidence):
    claimed = claimed_arm(CLAIMS["thrifty"], levels, evidence)
    if claimed is None:
        return unclaimed(CLAIMS["thrifty"], levels)
    gain = evidence.gain(claimed)
    if gain.lower > -evidence.margin.percent:
        return found(Word.CONFIRM, levels, evidence, claimed, value=levels.level(claimed))
    return found(Word.UNDECIDED, levels, evidence, claimed, open_gain(gain, evidence))


JUDGEMENT = Judgement(
    judge=judge_thrifty,
    confirmed=lambda said: f"{said.default} would do as well, {said.loses()}",
    wrong_confirmation=lambda truth: truth.gains[truth.claimed] <= -truth.margin,
    words=Words(
        confirmed="half of the default would do",
        goal="for the thrifty",
        advice="{value} would do; no goal is served with it",
    ),
)
