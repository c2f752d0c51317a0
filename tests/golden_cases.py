"""The cases of the golden set: command lines, in an empty folder each."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.cli.verbs import VERBS
from tests.cli.planted import BATCH, CLASSES, FURTHER, QUIET, RATE, RETUNED, truth
from tests.golden_tables import REFUSED, TABLES, rates_of_models

NOISES = 6  # draws of the noise per class
HERE = "workspace=runs"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One command and the exit code it ends with."""

    words: tuple[str, ...]
    code: int = 0


@dataclass(frozen=True, kw_only=True)
class Case:
    """Commands run one after another in one folder.

    files: what lies there before. quick: belongs to the part that is checked at every commit.
    real_times: a real clock is told. python: the version that prints this; "": all do alike.
    """

    name: str
    lines: tuple[Line, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    quick: bool = False
    real_times: bool = False
    python: str = ""

    @property
    def here(self) -> bool:
        """Whether this Python can tell."""
        return self.python in ("", f"{sys.version_info.major}.{sys.version_info.minor}")


def line(text: str, *more: str, code: int = 0) -> Line:
    """A command whose first words hold no spaces."""
    return Line(words=(*text.split(), *more), code=code)


def _slug(text: str) -> str:
    return "-".join(re.findall("[a-z0-9]+", text.lower()))


def _planted(*words: str) -> tuple[str, ...]:
    """A planted world that can be told quickly; the last word of a key counts."""
    return tuple({word.partition("=")[0]: word for word in (*QUIET, *words)}.values())


# sweeps and all that is made from them


def _classes() -> list[Case]:
    """Planted sweeps of every class, some draws of the noise each: 128."""
    worlds = {name: planted.words for name, planted in CLASSES.items()}
    drawn = [(name, words, draw) for name, words in worlds.items() for draw in range(NOISES)]
    drawn += [("every batch at its own rate", RETUNED.words, draw) for draw in range(2)]
    quick = {(name, place % NOISES) for place, name in enumerate(worlds) if place % 2}
    return [
        Case(
            name=f"planted/{_slug(name)}/{draw}",
            lines=(
                Line(words=("run", *_planted(*words, f"model.planted.noise_seed={draw}"), HERE)),
                line(f"report {HERE}"),
                line(f"report --json {HERE}"),
                line(f"status --json {HERE}"),
            ),
            quick=(name, draw) in quick,
        )
        for name, words, draw in drawn
    ]


def _finished(name: str, *words: str, code: int = 0, table: bool = True, **more: Any) -> Case:
    """A sweep and every form of its answer. code: of the run and its reports; table: it can be audited."""
    told = [
        *(line(f"{verb} {HERE}", code=code) for verb in ("report", "report --json")),
        *(line(f"{verb} {HERE}") for verb in ("status", "status --json", "suggest --json")),
    ]
    if table:
        told += [line("report --from-csv runs/sweeps/*/results.csv")]
    return Case(name=name, lines=(Line(words=("run", *words, HERE), code=code), *told), **more)


FIVE = ("baseline", *(f"learning_rate x{factor}" for factor in (0.25, 0.5, 2, 4)))
STUDIES = {
    "five measurements": ("budget.measurements=5", "decision.target=1.5", "decision.deadline=2min"),
    "levels beyond the wall": ("model.planted.wall=6e-4", "model.planted.wall_noise=1.0"),
    "documents": ("model.planted.clusters=60", "model.planted.cluster_noise_percent=0.3"),
    "three looks": ("decision.looks=[3,5,8]", "model.planted.noise_percent=0.4", "seeds=null"),
    "an accuracy": (
        "+model.planted.metrics.eval_accuracy={value: 80, noise_percent: 0.1, "
        "truth: {learning_rate: {optimum: 0.001, curvature: -2}}}",
        "+method.metric=eval_accuracy",
    ),
    "a guardrail": (
        "+model.planted.metrics.score={value: 50, noise_percent: 0.1, "
        "truth: {learning_rate: {critical: 0.0004, cost: -3}}}",
        "+decision.guardrails.score=1",
    ),
    "several metrics": (
        "+model.planted.metrics.accuracy={value: 0.6, noise_percent: 0.1, "
        "truth: {learning_rate: {critical: 0.0004, cost: -3}}}",
        "+model.planted.metrics.latency={value: 3, noise_percent: 1, truth: {}}",
        "decision.metrics=[{name: eval_loss, role: must not lose, margin_percent: 1}, "
        "{name: accuracy, role: decides, margin_points: 1, items: 500}, "
        "{name: latency, role: must not lose, margin_absolute: 0.1}]",
        "decision.undecidable=run",
    ),
    "two goals searched": (
        "+sweeps.factors.lora_rank={values: [16,64,128]}",
        "decision.refine=optuna",
        "decision.refine_trials=6",
        "decision.refine_goal=quality and cost",
        *truth(lora_rank__knee=64),
    ),
}
QUICK_STUDIES = (
    "the baseline against itself",
    "a joint search",
    "a guardrail",
)


def _studies() -> list[Case]:
    """One sweep of each shape: crossed, nuisance, searched, merged, guarded, judged otherwise, failing."""
    worlds = {**FURTHER, **{name: (*RATE, *words) for name, words in STUDIES.items()}}
    fail = "+model.planted.fail={baseline/1: the disk is full}"
    all_fail = f"+model.planted.fail={{{', '.join(f'{arm}/0: no module' for arm in FIVE)}}}"
    return [
        *(
            _finished(
                f"study/{_slug(name)}",
                *_planted(*words),
                table=name != "cells without the study's own value",  # its table has no default
                quick=name in QUICK_STUDIES,
            )
            for name, words in worlds.items()
        ),
        _finished("study/a-trial-fails", *_planted(*RATE, fail), code=3),
        _finished("study/every-trial-fails", *_planted(*RATE, all_fail), code=3, table=False),
        _extended(),
        _next(),
        _own_sweep(),
        _roll_up(),
    ]


def _extended() -> Case:
    """More seeds and one level more on the same workspace; then again, with nothing left to do."""
    asked = _planted(*RATE, "seeds=[0,1,2]", "decision.looks=[3]", "model.planted.noise_percent=0.4")
    seeds = tuple(
        word.replace("[0,1,2]", "[0,1,2,3,4,5]").replace("looks=[3]", "looks=[6]") for word in asked
    )
    level = (*seeds, "sweeps.factors.learning_rate.multiply=[0.25,0.5,2,4,8]")
    runs = [Line(words=("run", *words, HERE)) for words in (asked, seeds, level, level)]
    plans = [Line(words=("plan", "--json", *words, HERE)) for words in (seeds, level)]
    return Case(
        name="study/extended",
        lines=(
            runs[0],
            plans[0],
            runs[1],
            plans[1],
            *runs[2:],
            line(f"report {HERE}"),
            line(f"status {HERE}"),
        ),
        real_times=True,  # the estimates of the plans
    )


def _next() -> Case:
    """What is open is suggested, run, and then settled."""
    world = ("model=planted", "cluster=inline", "tracking=none", "baseline.learning_rate=5e-4")
    noisy = ("model.planted.noise_percent=0.3", "model.planted.noise_seed=6", "seeds=[0,1,2]")
    world = (*world, "decision.purpose=publish")  # a margin near the noise
    return Case(
        name="study/next",
        lines=(
            Line(words=("run", *RATE, *world, *noisy, HERE)),
            line(f"suggest {HERE}"),
            line(f"run --next {HERE}"),
            line(f"suggest {HERE}"),
            line(f"run --next {HERE}", code=2),
            line(f"report --all {HERE}"),
            line(f"report --sweep learning_rate {HERE}"),
        ),
    )


def _own_sweep() -> Case:
    """A sweep file of the user's own, with words for levels and settings of the method."""
    text = (
        "question: Does the schedule matter?\nfactors:\n"
        "  schedule: {values: [cosine, constant]}\n  warmup_fraction: {values: [0.03, 0.1]}\n"
        "  adam_beta2: {values: [0.99]}\n"
    )
    words = _planted("sweeps=mine", "--config-dir", "conf", "budget.hold=steps")
    return Case(
        name="study/a-sweep-of-ones-own",
        lines=(
            Line(words=("plan", *words, HERE)),
            Line(words=("run", *words, HERE)),
            line(f"report {HERE}"),
        ),
        files={"conf/sweeps/mine.yaml": text},
    )


def _roll_up() -> Case:
    """Sweeps of several models: rolled up, merged, and the rule of the learning rate fitted again."""
    sweeps = [
        Line(
            words=(
                "run",
                *_planted(
                    *RATE,
                    "seeds=[0,1,2]",
                    "baseline.learning_rate=auto",
                    f"model.name=m{size}",
                    f"model.planted.hidden_size={size}",
                    *truth(learning_rate__optimum=round(1.1e-3 * (2000 / size) ** 0.7, 6)),
                ),
                HERE,
            )
        )
        for size in (1024, 2048, 4096)
    ]
    more = ("report --all", "report --all --json")
    made = ("merge runs -o all.json", "merge runs -o all.json --json", "refit runs -o rules.json --json")
    return Case(
        name="study/of-several-models",
        lines=(
            *sweeps,
            *(line(f"{text} {HERE}") for text in more),
            *(line(f"defaults {text}") for text in made),
        ),
    )


# verbs that train nothing


SWEEPS = ("aa", "batch_size", "batch_size_retuned", "capacity", "capacity_by_data", "defaults", "duration")
EXAMPLES = "".join(
    f'{{"prompt": "What is {number} and {number}?", "completion": "It is {2 * number}."}}\n'
    for number in range(60)
)
TRAINED = "cluster=inline tracking=none"


def _plans() -> list[Case]:
    planted = [line(f"plan sweeps={name} model=planted {HERE}") for name in SWEEPS]
    trained = [
        line(f"plan sweeps=demo {TRAINED} {HERE}"),
        line(f"plan --json sweeps=demo {TRAINED} {HERE}"),
        line(f"plan --json sweeps=learning_rate {TRAINED} data=jsonl data.path=rows.jsonl"
             f" data.eval_examples=20 baseline.batch_size=8 {HERE}"),
        line(f"plan sweeps=capacity_by_data {TRAINED} {HERE}"),
        line(f"plan --json sweeps=capacity {TRAINED} method.max_length=64 method.dtype=bfloat16 {HERE}"),
    ]  # fmt: skip
    return [
        Case(name="plan/planted", lines=tuple(planted), quick=True),
        Case(
            name="plan/planted-json",
            lines=tuple(line(f"plan --json sweeps={name} model=planted {HERE}") for name in SWEEPS),
        ),
        Case(name="plan/trained", lines=tuple(trained), files={"rows.jsonl": EXAMPLES}),
    ]


def _rehearsals() -> list[Case]:
    few = "model=planted --sweeps 10"
    return [
        Case(
            name="rehearse",
            lines=(
                line(f"rehearse sweeps=learning_rate {few} {HERE}"),
                line(f"rehearse sweeps=learning_rate {few} --json --noise 0.2 {HERE}"),
                line(f"rehearse sweeps=batch_size {few} --noise 0.3 --seconds-per-trial 60 {HERE}"),
                line(f"rehearse sweeps=capacity seeds=[4,5] {few} --noise 0.2 --seconds-per-trial 120 "
                     f"decision.gpu_hours=1 {HERE}"),
                line(f"rehearse sweeps=learning_rate {few} decision.gpu_hours=1 {HERE}", code=2),
            ),
        )
    ]  # fmt: skip


def _audits() -> list[Case]:
    refused = tuple(
        line(f"report --from-csv {name}.csv", *flags, code=2) for name, (_, flags) in REFUSED.items()
    )
    return [
        *(
            Case(
                name=f"audit/{name}",
                lines=(
                    line("report --from-csv runs.csv", *flags),
                    line("report --from-csv runs.csv --json", *flags),
                ),
                files={"runs.csv": text},
                quick=name in ("unconfirmed", "settings-move-together"),
            )
            for name, (text, flags) in TABLES.items()
        ),
        Case(
            name="audit/refused",
            lines=refused,
            files={f"{name}.csv": text for name, (text, _) in REFUSED.items()},
            quick=True,
        ),
    ]


TOOLS = ("peft", "trl", "axolotl", "llama-factory", "hydra")
LLAMA = "llama-8b --family llama --hidden-size 4096"
PLANTED = "x --family llama --hidden-size 2048"
TUNED = "runs/sweeps/*/bios_defaults.json"


def _defaults() -> list[Case]:
    """Settings of models, tuned or not: shown, compared, exported, fitted again."""
    shown = (
        f"show {LLAMA}",
        f"show {LLAMA} --json --examples 50000",
        f"show {LLAMA} --goal speed --parameters 8000000000 --tokens 400",
        f"show {LLAMA} --goal quality --json",
        f"show {LLAMA} --method full",
        f"show {LLAMA} --objective preference --json",
        "show q --family qwen3 --hidden-size 1024",
        "show strange --family strange --hidden-size 1000",
    )
    exports = [f"export {LLAMA} --to {tool} --examples 2000" for tool in TOOLS]
    exports += [f"export {LLAMA} --to {tool} --method full --gpus 4 --micro-batch 2" for tool in TOOLS[1:]]
    run = Line(words=("run", *_planted(*BATCH, *truth(batch_size__critical=64)), HERE))
    tuned = (
        *(f"export {PLANTED} --defaults {TUNED} --to {tool} -o {tool}.yaml" for tool in TOOLS),
        *(f"export {PLANTED} --defaults {TUNED} --to hydra --goal {goal}" for goal in ("quality", "speed")),
        f"show {PLANTED} --defaults {TUNED}",
        f"show {PLANTED} --defaults {TUNED} --json --goal speed",
        f"diff {PLANTED} --defaults {TUNED}",
        f"diff {TUNED}",
        f"diff {TUNED} --json",
        "merge runs -o all.json",
        f"merge {TUNED} all.json -o again.json --json",
    )
    return [
        Case(name="defaults/show", lines=tuple(line(f"defaults {text}") for text in shown)),
        Case(name="defaults/export", lines=tuple(line(f"defaults {text}") for text in exports), quick=True),
        Case(name="defaults/tuned", lines=(run, *(line(f"defaults {text}") for text in tuned))),
        Case(
            name="defaults/refit",
            lines=(
                line("defaults refit rates.csv"),
                line("defaults refit rates.csv --json -o rules.json --margin 0.2"),
            ),
            files={"rates.csv": rates_of_models()},
        ),
    ]


def _submissions() -> list[Case]:
    study = "sweeps=learning_rate model=planted budget=demo workspace=/mnt/bios/runs"
    image = "submit.image=registry.example.com/bios:1 submit.claims={bios-data:/mnt/bios}"
    head = "submit.address=http://head:8265"
    return [
        Case(
            name="submit",
            lines=(
                line(f"submit --to slurm --dry-run {study} submit.nodes=2 submit.gpus_per_node=4"),
                line(f"submit --to slurm --json --file job.sbatch {study} submit.partition=gpu"),
                line(f"submit --to kuberay --dry-run {study} {image}"),
                line(f"submit --to kuberay {study} {image}"),
                line(f"submit --to rayjob --dry-run {study} {head}"),
                line(f"submit --to rayjob --json --dry-run {study} {head}"),
                line(f"submit --to slurm --dry-run --send {study}", code=2),
                line(f"submit --to kuberay --dry-run {study}", code=2),
            ),
            quick=True,
        )
    ]


# scripts of the user's own

SCRIPT = """
import argparse, json, math, random
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--seed", type=int)
parser.add_argument("--out")
args = parser.parse_args()
noise = random.Random(args.seed).gauss(0, 0.02) + random.Random(f"{args.seed} {args.lr}").gauss(0, 0.001)
worse = abs(math.log2(args.lr / 1e-3))
for step, left in ((0, 1.0), (500, 0.5), (1000, 0.0)):
    print(json.dumps({"step": step, "eval_loss": 2.0 + noise + 0.05 * worse + left}))
"""
FUNCTION = """
import math, random


def trial(settings, seed, report):
    rate = settings.learning_rate
    noise = random.Random(seed).gauss(0, 0.02) + random.Random(f"{seed} {rate}").gauss(0, 0.001)
    report(3.0, step=0)
    report(2.0 + noise + 0.05 * abs(math.log2(rate / 1e-3)), step=1000)
"""
SCRIPTED = (
    "sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[0.5,2]", "seeds=[0,1,2]",
    "cluster=inline", "tracking=none", "baseline.learning_rate=1e-3", HERE,
)  # fmt: skip
COMMAND = (
    "method=command",
    "method.command=python -S -E train.py --lr {learning_rate} --seed {seed} --out {trial_dir}",
)
CALLABLE = ("method=python", "method.callable=mine:trial")


def _scripts() -> list[Case]:
    """The clock of the trials is a real one and is masked; what it decides (costs) is not asked."""
    return [
        Case(
            name=f"script/{name}",
            lines=(
                Line(words=("plan", "--json", *words, *SCRIPTED)),
                Line(words=("run", *words, *SCRIPTED)),
                line(f"report {HERE}"),
                line(f"status --json {HERE}"),
                Line(words=("plan", *words, *SCRIPTED)),
            ),
            files={"train.py": SCRIPT, "mine.py": FUNCTION},
            real_times=True,
        )
        for name, words in (("command", COMMAND), ("function", CALLABLE))
    ]


# what is said of the program, and of what it cannot use


def _helps() -> list[Case]:
    """argparse writes another help in every version of Python."""
    return [
        Case(
            name="help",
            lines=(line("--help"), line("--version"), *(line(f"{verb} --help") for verb in VERBS)),
            quick=True,
            python="3.11",
        )
    ]


REFUSALS = (
    ("plan",),
    ("plan", "sweeps=learning_rat", "model=planted"),
    *(
        ("run", "sweeps=learning_rate", "model=planted", word)
        for word in (
            "baseline.learning_rat=1",
            "bugdet=demo",
            "a=b=c",
            "baseline.learning_rate=0",
            "baseline.batch_size=1.5",
            "seeds=[0,0]",
            "budget.max_trials=3",
            "budget.hold=time",
            "method=ia3",
            "cluster.executor=slurm",
            "decision.looks=3",
            "+model.planted.truht=1",
            "sweeps.factors.learning_rate.multiply=[1]",
            "+sweeps.factors.rank.values=[8]",
            "+method.metric=bleu",
            "+decision.guardrails.score=1",
        )
    ),
    ("run", "sweeps=learning_rate", "cluster=inline", "data=jsonl", "data.path=nowhere.jsonl"),
    ("run", "sweeps=learning_rate", "cluster=inline", "model=local", "model.path=nowhere"),
    ("run", "sweeps=learning_rate", "cluster=inline", "method=command"),
    ("run", "sweeps=capacity", *COMMAND, "cluster=inline", "baseline.learning_rate=1e-3"),
    ("run", "sweeps=learning_rate", "cluster=inline", "method=python", "method.callable=nowhere:trial"),
    *((verb,) for verb in ("status", "report", "stop", "sync", "suggest")),
    ("report", "--baseline", "b"),
    ("rehearse", "sweeps=learning_rate", "model=planted", "--sweeps", "1"),
)
SAID_FIRST = 13  # of the refusals; the others are checked with the slow part
WRONG = (
    "defaults show ./nothing/here", "defaults export x --family llama --hidden-size 64 --to nothing", "plann",
    "plan --nonsense", "defaults hide x", "defaults diff nowhere.json",
)  # fmt: skip


def _bad() -> list[Case]:
    """One sentence and exit code 2, and nothing is written."""
    lines = tuple(Line(words=(*words, HERE), code=2) for words in REFUSALS)
    first, rest = lines[:SAID_FIRST], lines[SAID_FIRST:]
    return [
        Case(name="bad/refused", lines=first, quick=True),
        Case(name="bad/refused-too", lines=rest, files={"train.py": SCRIPT}),
        Case(name="bad/wrong", lines=tuple(line(text, code=2) for text in WRONG), python="3.11"),
    ]


CASES: tuple[Case, ...] = (
    *_classes(),
    *_studies(),
    *_plans(),
    *_rehearsals(),
    *_audits(),
    *_defaults(),
    *_submissions(),
    *_scripts(),
    *_helps(),
    *_bad(),
)
