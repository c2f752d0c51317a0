"""The line of waiting trials, against the rule that it follows applied to all of them."""

from __future__ import annotations

import random
from dataclasses import replace

from bios_sweep.procedure.line import Line
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.stable import leader_of, steps_saved
from bios_sweep.study.trials import TrialSpec

WSD = TrainingSettings(learning_rate=1e-3, batch_size=8, lora_rank=4, max_steps=100, schedule="wsd")


def trial(seed=0, repeat=0, **changes):
    settings = replace(WSD, **changes)
    key = f"{seed} {repeat} {sorted(changes.items())}"
    return TrialSpec(key=key, arm=key, seed=seed, repeat=repeat, settings=settings)


def asked_of_all(waiting, taken):
    """What `Line.pop` promises, by looking at every trial that has no result."""
    untaken = [one for one in waiting if one.key not in taken]
    running = [one for one in waiting if one.key in taken]
    free = [one for one in untaken if leader_of(one, running) is None]
    chosen = next(iter([*free, *untaken]), None)
    return chosen and (leader_of(chosen, untaken) or chosen)


def test_an_arm_without_a_decay_trains_the_stable_part_of_the_others_and_goes_before_them():
    trials = [trial(decay_fraction=share) for share in (0.2, 0.0, 0.5)]
    line, taken = Line(trials, ()), set()
    order = []
    while (one := line.pop(taken)) is not None:
        taken.add(one.key)
        line.ended(one.key)
        order.append(one)
    assert order == [trials[1], trials[0], trials[2]]
    assert set(steps_saved(trials)) == {trials[0].key, trials[2].key}


def test_any_line_hands_out_what_a_look_at_all_its_trials_would():
    draw = random.Random(3)
    kinds = [
        {"max_steps": steps, "decay_fraction": decay, "learning_rate": rate}
        for steps in (50, 100)
        for decay in (0.0, 0.2, 0.5)
        for rate in (1e-3, 2e-3)
    ]
    every = [trial(seed, **kind) for seed in (0, 1) for kind in kinds]
    every += [trial(0, 1, **kinds[0]), trial(0, schedule="linear"), trial(1, schedule="linear")]
    for _ in range(60):
        trials = draw.sample(every, draw.randrange(2, 14))
        taken: set[str] = {one.key for one in trials if draw.random() < 0.2}
        line, waiting, running = Line(trials, taken), list(trials), sorted(taken)
        while waiting:
            if running and draw.random() < 0.5:
                ended = running.pop(draw.randrange(len(running)))
                line.ended(ended)
                waiting = [one for one in waiting if one.key != ended]
                continue
            due = asked_of_all(waiting, taken)
            assert line.pop(taken) == due
            if due is None:
                break
            taken.add(due.key)
            running.append(due.key)
