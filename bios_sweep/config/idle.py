"""Where a configured value cannot count, as data: the key, the circumstances, why, and what to do.

A value that means nothing in the chosen groups would be passed over in silence, and another training, or
another verdict, than was asked for would come out without a sign. So every key of every group is in one of
the tables here: it counts everywhere (`ALWAYS`), the user would get something else than was asked for
(`REFUSED`), or the value is only without effect (`UNHEARD`). A test goes over all keys of `conf/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.claims import Claim
from bios_sweep.method import Objective, Runner
from bios_sweep.request import INLINE, NAMED, RAY, request_keys
from bios_sweep.request import REFUSED as CONTRADICTED
from bios_sweep.settings import KNOWN, WSD, key_of
from bios_sweep.study.margins import MARGINS

Test = Callable[[Any], bool]

# What trains, by the groups `model` and `method` together: our own training, a script, planted curves.
OURS, SCRIPT, PLANTED = "ours", "script", "planted"
# Facts that only the plan tells; a rule that asks for one waits for it.
#   told: settings that a script's placeholders carry, None for all; claims: those the plan judges;
#   seeds_used: how many; looks_used: those of the study; searched: factors that a joint search can move;
#   undecided: margins that their items cannot decide
OF_THE_PLAN = ("told", "claims", "seeds_used", "looks_kept", "searched", "undecided")


def among(*allowed: Any) -> Test:
    """One of these values."""
    return lambda value: value in allowed


def beyond(*values: Any) -> Test:
    """None of these values."""
    return lambda value: value not in values


def absent(value: Any) -> bool:
    """Null, empty, false or 0."""
    return not value


def present(value: Any) -> bool:
    """Any value that is not nothing."""
    return bool(value)


def like_a_hub_id(value: Any) -> bool:
    """A text such as `ORG/NAME`."""
    return isinstance(value, str) and "/" in value


def lacks(*names: str) -> Test:
    """A collection without any of the names; None stands for one that has them all."""
    return lambda value: value is not None and not set(names) & set(value)


def no_claim(wanted: Callable[[Claim], bool]) -> Test:
    """Claims none of which is such a one; None stands for all that there are."""
    return lambda value: value is not None and not any(map(wanted, value))


def judged_without(key: str) -> Test:
    """Claims none of which is judged by that key of `decision`."""
    return no_claim(lambda claim: key in claim.judged_by)


@dataclass(frozen=True)
class Idle:
    """Keys that mean nothing under some circumstances.

    where: all of these hold, each a value or a test of it; a name is `verb`, `runs` (what trains), `moves`
    (settings on which planted curves depend), one of `OF_THE_PLAN`, or a dotted key. why: what is said behind
    each key; `GROUP.*` is all of a group, a group's bare name the choice of its member.
    """

    where: Mapping[str, Any]
    why: Mapping[str, str]


ALWAYS = frozenset(
    {
        "method.metric", "method.direction",  # of any engine; one that no trial measures is refused
        "workspace", "on_verdict", "seeds", "sweeps", "data.kind", "model.kind",
        "method.name", "method.objective", "method.runner",
        "cluster.executor", "tracking.enabled",
        "decision.margin_percent", "decision.margin_absolute", "decision.margin_points", "decision.scope",
        "decision.metrics",
        "decision.target", "decision.deadline",
        "budget.max_trials", "budget.hold", "budget.least_free_gb",
        "budget.max_hours",  # where no time is known yet `plan` says so
    }
)  # fmt: skip

CALLABLE = "method.callable"
SCRIPTS_OWN = ("method.settings", "method.inputs", "method.time_limit_seconds", "method.resumes")
COMMANDS_OWN = (
    *("method.command", "method.shell", "method.settings_template", "method.settings_file", "method.env"),
    *("method.metrics_file", "method.trainer_state", "method.pattern"),
)
COUNTED = ("batch_size", "max_steps")  # the plan counts examples by them
SETTINGS = tuple(name for name, known in KNOWN.items() if known.group and name not in COUNTED)

SCORED = ("data.score", "data.score_items", "data.score_tokens", "data.score_stop", "data.score_pattern")
TALKS = ("data.train_on", "data.chat_date")
SHAPED = ("data.shape", "data.columns", "data.on_bad", "data.cluster", "data.split", "data.chunk_tokens")
DATA_FILES = ("data.path", "data.weights", "data.eval_path", "data.eval_fraction", *SHAPED, "data.max_bad")
HUB_DATA = ("data.subset", "data.train_split", "data.eval_split", "data.revision", "data.download")
OF_THE_HUB = dict.fromkeys(
    ("model.revision", "model.download"),
    "only a model of the hub has one; add model.path=ORG/NAME, or leave it out",
)
READS_ITS_OWN = "a script reads its own data; leave it out and list the files in method.inputs"
NO_DATA = "model=planted trains on no data; leave it out, or choose another model"
OWN_EXAMPLES = (
    "data=embedded brings its own examples and its own split; leave it out, or give data.path=FILE without "
    "data=embedded"
)


REFUSED = (
    Idle(
        {"runs": among(OURS, PLANTED), "budget.hold": "epochs"},
        {
            "budget.hold": "epochs are held for a script that counts so; equal examples of one set are equal "
            "epochs, so leave it at examples"
        },
    ),
    Idle(
        {"budget.hold": beyond("epochs")},
        {"budget.epochs": "counts with budget.hold=epochs; add it, or give budget.max_steps instead"},
    ),
    Idle({"runs": PLANTED}, dict.fromkeys(DATA_FILES, NO_DATA)),
    Idle({"runs": PLANTED, "data.kind": beyond("planted")}, dict.fromkeys(("data.kind", "data"), NO_DATA)),
    Idle({"runs": OURS, "data.kind": "embedded"}, dict.fromkeys(DATA_FILES, OWN_EXAMPLES)),
    Idle(
        {"runs": OURS, "data.kind": "hub"},
        dict.fromkeys(
            ("data.path", "data.weights"), "data=hub reads data.name; leave it out, or choose data=file"
        ),
    ),
    Idle(
        {"data.kind": beyond("hub")},
        dict.fromkeys(HUB_DATA, "goes with data=hub; add data=hub data.name=ORG/NAME, or leave it out"),
    ),
    Idle({"runs": PLANTED}, dict.fromkeys(("data.eval_max_length", *SCORED, *TALKS), NO_DATA)),
    Idle(
        {"runs": OURS, "data.kind": "embedded"},
        dict.fromkeys(TALKS, "data=embedded has no conversations; leave it out"),
    ),
    Idle(
        {"runs": SCRIPT},
        {
            **dict.fromkeys(DATA_FILES, READS_ITS_OWN),
            "data.eval_max_length": "a script cuts its own evaluation examples; leave it out",
            **dict.fromkeys(TALKS, "a script reads its own conversations; leave it out"),
            **dict.fromkeys(
                SCORED,
                "a script scores its own answers; have it print the score, and name that in method.metric or "
                "decision.metrics",
            ),
        },
    ),
    Idle(
        {"runs": OURS},
        {
            "data.train_examples": "our own training counts the data itself; give baseline.train_examples to "
            "learn from fewer, or ask at several sizes with cross: {data.train_examples: [500, 2000]} in the "
            "sweep"
        },
    ),
    Idle(
        {"model.kind": "embedded"},
        {
            "model.path": "model=embedded is the model that comes with the package; leave model=embedded "
            "out, or the path",
            **OF_THE_HUB,
        },
    ),
    Idle(
        {"model.kind": "named"},
        {
            "model.path": "model=named has no files that are read; leave model=named out, or the path",
            **OF_THE_HUB,
        },
    ),
    Idle(
        {"model.kind": "planted"},
        {"model.path": "model=planted has no files; leave it out, or choose model=local", **OF_THE_HUB},
    ),
    Idle(
        {"model.kind": among("embedded", "planted"), "model.name": like_a_hub_id},
        {
            "model.name": "is what results are called, and no model is read by it; for one of the hub give "
            "model=ORG/NAME, else a name without a slash"
        },
    ),
    Idle(
        {"model.kind": among("embedded", "local", "named")},
        {"model.planted": "only model=planted has planted curves; add model=planted, or leave it out"},
    ),
    Idle(
        {"method.runner": Runner.BUILTIN},
        dict.fromkeys(
            (*SCRIPTS_OWN, *COMMANDS_OWN, CALLABLE),
            "goes with method=command and method=python, not with our own training; add one of them, or "
            "leave it out",
        ),
    ),
    Idle(
        {"runs": OURS, "method.objective": Objective.SFT},
        dict.fromkeys(
            ("method.dpo_beta", "method.dpo_length_normalised", "method.dpo_eval_beta"),
            "is of preference training; add method=dpo, or leave it out",
        ),
    ),
    Idle(
        {"method.runner": Runner.PYTHON},
        dict.fromkeys(
            COMMANDS_OWN,
            "goes with method=command; method=python calls method.callable and takes its metric from there",
        ),
    ),
    Idle(
        {"method.runner": Runner.COMMAND},
        {CALLABLE: "goes with method=python; method=command starts method.command"},
    ),
    *(
        Idle(
            {"runs": SCRIPT, "told": lacks(name)},
            {
                key_of(name): f"method.command has no {{{name}}}, so the script would never hear of it; add "
                f"--{name} {{{name}}} as the script spells it, or leave it out"
            },
        )
        for name in SETTINGS
    ),
    Idle(
        {"cluster.executor": INLINE},
        dict.fromkeys(
            (f"cluster.{name}" for name in request_keys(CONTRADICTED)),
            "cluster=inline runs in one process, this one; choose cluster=ray or cluster=existing, or leave "
            "it out",
        ),
    ),
    Idle(
        {"tracking.enabled": False},
        {"tracking.uri": "is given but tracking is off; add tracking=sqlite, or leave it out"},
    ),
)

UNHEARD = (
    Idle(
        {"runs": OURS, "data.on_bad": beyond("skip")},
        {"data.max_bad": "it counts with data.on_bad=skip"},
    ),
    Idle(
        {"runs": OURS, "data.eval_examples": beyond("auto")},
        {"data.eval_share": "it counts with data.eval_examples=auto"},
    ),
    Idle(
        {"runs": among(SCRIPT, PLANTED)},
        {"data.eval_share": "only our own training chooses how many examples it evaluates on"},
    ),
    Idle(
        {"runs": OURS, "data.score": absent},
        dict.fromkeys(SCORED[1:], "no answer is scored; add data.score=exact_match, pattern or a function"),
    ),
    Idle(
        {"method.schedule": beyond(WSD)},
        {"method.decay_fraction": "it counts with method.schedule=wsd"},
    ),
    Idle(
        {"runs": OURS, "data.score": beyond(None, "pattern")},
        {"data.score_pattern": "it counts with data.score=pattern"},
    ),
    Idle(
        {"runs": among(OURS, PLANTED), "data.kind": beyond("hub")},
        {"data.name": "only data=named and data=hub take a name; a file is called by its own"},
    ),
    Idle(
        {"runs": PLANTED, "model.planted.clusters": bool},
        {"data.eval_examples": "the planted evaluation set has clusters x examples_per_cluster examples"},
    ),
    Idle(
        {"model.kind": "planted", "model.planted.clusters": absent},
        {"model.planted.examples_per_cluster": "model.planted.clusters is 0"},
    ),
    Idle(
        {"model.kind": "planted", "claims": no_claim(lambda claim: claim.weighs_cost)},
        {"model.planted.time_cv": "no claim of this sweep weighs time, so nothing is timed"},
    ),
    Idle(
        {"runs": SCRIPT, "model.kind": "named", "method.trains": "lora"},
        {"method.trains": "tuned defaults are written for a known model only; add model.path=FOLDER"},
    ),
    Idle(
        {"runs": SCRIPT},
        {
            "method.micro_batch_size": "the script cuts its batches itself",
            "method.activation_checkpointing": "the script saves memory itself",
            "method.attention": "the script loads its model itself",
            "method.routers": "the script chooses itself what it adapts",
            "method.dpo_eval_beta": "the script measures itself",
        },
    ),
    Idle(
        {"runs": PLANTED},
        {
            "method.micro_batch_size": "planted curves have no batches to cut",
            "method.activation_checkpointing": "planted curves have no layers",
            "method.attention": "planted curves attend to nothing",
            "method.routers": "planted curves have no layers",
            "method.dpo_eval_beta": "planted curves prefer nothing",
        },
    ),
    *(
        Idle(
            {"runs": SCRIPT, "told": lacks(name)},
            {
                key_of(name): f"method.command has no {{{name}}}, so the script never hears of it; only the "
                "plan's numbers count with it"
            },
        )
        for name in COUNTED
    ),
    *(
        Idle(
            {"runs": PLANTED, "moves": lacks(name)}, {key_of(name): "the planted curves do not depend on it"}
        )
        for name in SETTINGS
    ),
    Idle(
        {"cluster.executor": INLINE},
        dict.fromkeys(
            (f"cluster.{name}" for name in request_keys(NAMED)),
            "cluster=inline trains in this process, which has its own variables, modules and files, one try "
            "per trial",
        ),
    ),
    Idle(
        {"cluster.executor": INLINE, "cluster.max_concurrent": beyond(1)},
        {"cluster.max_concurrent": "cluster=inline runs one trial at a time"},
    ),
    Idle(
        {"cluster.executor": INLINE, "runs": among(SCRIPT, PLANTED)},
        {
            "cluster.cpus_per_trial": "cluster=inline hands out no CPUs; only our own training takes its "
            "threads from it"
        },
    ),
    Idle(
        {"cluster.executor": INLINE, "runs": among(SCRIPT, PLANTED), "verb": beyond("rehearse")},
        {
            "cluster.gpus_per_trial": "cluster=inline hands out no GPUs; only our own training takes its "
            "device from it"
        },
    ),
    Idle(
        {"cluster.executor": INLINE, "cluster.device": among("cpu", "cuda"), "verb": beyond("rehearse")},
        {
            "cluster.gpus_per_trial": "cluster=inline hands out no GPUs, and cluster.device says where to "
            "train"
        },
    ),
    Idle(
        {"runs": SCRIPT},
        {
            "cluster.device": "the script chooses its device itself; cluster.gpus_per_trial says which GPUs "
            "it sees"
        },
    ),
    Idle({"runs": PLANTED}, {"cluster.device": "planted trials compute on no device"}),
    Idle(
        {"cluster.executor": RAY, "cluster.address": bool},
        {"cluster.num_cpus": "a running cluster has its own CPUs; only the estimate of time counts with it"},
    ),
    Idle(
        {"cluster.executor": RAY, "cluster.address": absent},
        {
            **dict.fromkeys(
                ("cluster.preinstalled", "cluster.py_modules"),
                "code travels to a running cluster only; workers of this machine import by PYTHONPATH",
            ),
            "cluster.placement": "this machine is one node",
        },
    ),
    Idle(
        {"cluster.executor": RAY, "cluster.address": bool, "cluster.max_concurrent": absent},
        {"cluster.placement": "without cluster.max_concurrent every place of every node is taken"},
    ),
    Idle({"tracking.enabled": False}, {"tracking.flush_seconds": "tracking is off"}),
    Idle(
        {"looks_kept": False},
        {"decision.looks": "the seeds that are given decide the last look; leave one of the two out"},
    ),
    Idle(
        {"seeds_used": 1},
        dict.fromkeys(
            ("decision.alpha", "decision.confirmation_seeds", "decision.refine"),
            "one seed decides nothing, and names no candidate",
        ),
    ),
    Idle(
        {"runs": SCRIPT},
        {
            "decision.margin_share": "it is a share of what training gained, which is known only where the "
            "script also measures before its first step"
        },
    ),
    *(
        Idle({f"decision.{own}": present}, {"decision.purpose": f"decision.{own} says what matters"})
        for own in MARGINS
    ),
    *(
        Idle({"claims": judged_without(name)}, {f"decision.{name}": why})
        for name, why in {
            "cost_ratio": "no claim of this sweep weighs its cost by it",
            "speed_loss_percent": "no level of this sweep claims speed",
            "minimum_share": "this sweep does not test the minimum of 100 steps",
        }.items()
    ),
    Idle(
        {"decision.refine": absent},
        dict.fromkeys(
            ("decision.refine_trials", "decision.refine_goal"),
            "there is no joint search; add decision.refine=optuna",
        ),
    ),
    Idle(
        {"searched": absent},
        {"decision.refine": "no factor of this sweep has numbers that a joint search could move"},
    ),
    Idle(
        {
            "decision.confirmation_seeds": absent,
            "claims": no_claim(lambda claim: claim.of_another_level and claim.served),
            "decision.guardrails": lacks("general_loss"),
        },
        {
            "decision.guardrails": "without fresh seeds (decision.confirmation_seeds=0) no value is refined "
            "that could break one"
        },
    ),
    Idle(
        {"undecided": absent},
        {"decision.undecidable": "no margin is asked for that a known number of items cannot decide"},
    ),
    Idle(
        {"verb": beyond("rehearse")},
        {"decision.gpu_hours": "it counts for `bios-sweep rehearse` only; budget.max_hours limits a plan"},
    ),
    Idle(
        {"verb": "rehearse", "decision.gpu_hours": bool},
        dict.fromkeys(
            ("seeds", "decision.looks", "decision.confirmation_seeds"), "decision.gpu_hours has it chosen"
        ),
    ),
    Idle(
        {"budget.hold": "epochs", "budget.epochs": bool, "data.train_examples": bool},
        {"budget.max_steps": "the steps are those of budget.epochs over data.train_examples"},
    ),
    Idle({"runs": SCRIPT}, {"budget.measurements": "the script measures when it likes"}),
    Idle(
        {"runs": among(SCRIPT, PLANTED)},
        {"budget.checkpoint_minutes": "only our own training leaves checkpoints between measurements"},
    ),
    Idle(
        {"runs": OURS, "cluster.address": present},
        {
            "budget.checkpoint_minutes": "on a cluster a trial's files travel when it measures; raise "
            "budget.measurements"
        },
    ),
    Idle({"runs": among(SCRIPT, PLANTED)}, {"budget.keep_adapters": "only our own training leaves adapters"}),
    Idle(
        {"verb": beyond("submit")},
        dict.fromkeys(
            ("submit", "submit.*"), "it counts for `bios-sweep submit --to slurm|kuberay|rayjob` only"
        ),
    ),
    Idle({"verb": "submit", "submit.gpus_per_node": 0}, {"submit.gpu_type": "submit.gpus_per_node is 0"}),
    Idle({"verb": "submit", "submit.requeue": False}, {"submit.max_requeues": "submit.requeue is false"}),
    Idle(
        {"verb": "submit", "submit.container": absent},
        dict.fromkeys(("submit.container_engine", "submit.container_mounts"), "there is no submit.container"),
    ),
)
