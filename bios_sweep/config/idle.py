"""Where a configured value cannot count, as data: the key, the circumstances, why, and what to do.

A value that means nothing in the chosen groups would be passed over in silence, and another training, or
another verdict, than was asked for would come out without a sign. So every key of every group is in one of
the two tables here: it counts everywhere (`ALWAYS`), or there are rules that say where it does not (`IDLE`).
A rule refuses where the user would get something else than was asked for, and names the value where it is
only without effect. `config.stated` reads the tables; a test goes over all keys of `conf/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.claims import Claim
from bios_sweep.method import Runner
from bios_sweep.request import INLINE, NAMED, RAY, REFUSED, request_keys
from bios_sweep.settings import KNOWN, key_of
from bios_sweep.study.decision import GIVEN_MARGINS

Test = Callable[[Any], bool]

# What trains, by the groups `model` and `method` together: our own training, a script, planted curves.
OURS, SCRIPT, PLANTED = "ours", "script", "planted"
# Facts that only the plan tells; a rule that asks for one waits for it.
#   told: settings that a script's placeholders carry, None for all; claims: those the plan judges;
#   seeds_used: how many; looks_used: those of the study; searched: factors that a joint search can move
OF_THE_PLAN = ("told", "claims", "seeds_used", "looks_kept", "searched")


def among(*allowed: Any) -> Test:
    """One of these values."""
    return lambda value: value in allowed


def beyond(*values: Any) -> Test:
    """None of these values."""
    return lambda value: value not in values


def given(value: Any) -> bool:
    """Any value that is not nothing."""
    return bool(value)


def absent(value: Any) -> bool:
    """Null, empty, false or 0."""
    return not value


def lacks(*names: str) -> Test:
    """A collection without any of the names; None stands for one that has them all."""
    return lambda value: value is not None and not set(names) & set(value)


def no_claim(wanted: Callable[[Claim], bool]) -> Test:
    """Claims none of which is such a one; None stands for all that there are."""
    return lambda value: value is not None and not any(map(wanted, value))


def judged_without(key: str) -> Test:
    """Claims none of which is judged by that key of `decision`."""
    return no_claim(lambda claim: key in claim.judged_by)


@dataclass(frozen=True, kw_only=True)
class Idle:
    """Keys that mean nothing under some circumstances.

    keys: dotted, `GROUP.*` for all of a group, a group's bare name for the choice of its member. where: all
    of these hold; a name is `verb`, `runs` (what trains), `moves` (settings on which planted curves depend),
    one of `OF_THE_PLAN`, or a dotted key. why: what is said behind the key. refused: the user would get
    something else than was asked for, so the command ends; else it is said and goes on.
    """

    keys: tuple[str, ...]
    where: Mapping[str, Test]
    why: str
    refused: bool = False


ALWAYS = frozenset(
    {
        "method.metric", "method.direction",  # of any engine; one that no trial measures is refused
        "workspace", "seeds", "sweeps", "data.kind", "model.kind", "model.name",
        "method.name", "method.objective", "method.runner",
        "cluster.executor", "tracking.enabled",
        "decision.margin_percent", "decision.margin_absolute", "decision.scope",
        "decision.target", "decision.deadline",
        "budget.max_trials", "budget.hold",
        "budget.max_hours",  # where no time is known yet `plan` says so
    }
)  # fmt: skip

SCRIPTS_OWN = ("settings", "inputs", "time_limit_seconds", "resumes")
COMMANDS_OWN = ("command", "shell", "metrics_file", "trainer_state")
COUNTED = ("batch_size", "max_steps")  # the plan counts examples by them
SETTINGS = tuple(name for name, known in KNOWN.items() if known.group and name not in COUNTED)

DATA_FILES = ("data.path", "data.eval_path", "data.eval_fraction")
READS_ITS_OWN = "a script reads its own data; leave it out and list the files in method.inputs"
NO_DATA = "model=planted trains on no data; leave it out, or choose another model"
OWN_EXAMPLES = (
    "data=embedded brings its own examples and its own split; leave it out, or give data.path=FILE without "
    "data=embedded"
)

_DATA = (
    Idle(keys=DATA_FILES, where={"runs": among(PLANTED)}, why=NO_DATA, refused=True),
    Idle(
        keys=("data.kind", "data"),
        where={"runs": among(PLANTED), "data.kind": beyond("planted")},
        why=NO_DATA,
        refused=True,
    ),
    Idle(
        keys=DATA_FILES,
        where={"runs": among(OURS), "data.kind": among("embedded")},
        why=OWN_EXAMPLES,
        refused=True,
    ),
    Idle(keys=DATA_FILES, where={"runs": among(SCRIPT)}, why=READS_ITS_OWN, refused=True),
    Idle(keys=("data.eval_max_length",), where={"runs": among(PLANTED)}, why=NO_DATA, refused=True),
    Idle(
        keys=("data.eval_max_length",),
        where={"runs": among(SCRIPT)},
        why="a script cuts its own evaluation examples; leave it out",
        refused=True,
    ),
    Idle(
        keys=("data.train_examples",),
        where={"runs": among(OURS)},
        why="our own training counts the data itself; give baseline.train_examples to learn from fewer, or "
        "ask at several sizes with cross: {data.train_examples: [500, 2000]} in the sweep",
        refused=True,
    ),
    Idle(
        keys=("data.name",),
        where={"runs": among(OURS, PLANTED)},
        why="only data=named takes a name; a file is called by its own",
    ),
    Idle(
        keys=("data.eval_examples",),
        where={"runs": among(PLANTED), "model.planted.clusters": given},
        why="the planted evaluation set has clusters x examples_per_cluster examples",
    ),
)

_MODEL = (
    Idle(
        keys=("model.path",),
        where={"model.kind": among("embedded")},
        why="model=embedded is the model that comes with the package; leave model=embedded out, or the path",
        refused=True,
    ),
    Idle(
        keys=("model.path",),
        where={"model.kind": among("named")},
        why="model=named has no files that are read; leave model=named out, or the path",
        refused=True,
    ),
    Idle(
        keys=("model.path",),
        where={"model.kind": among("planted")},
        why="model=planted has no files; leave it out, or choose model=local",
        refused=True,
    ),
    Idle(
        keys=("model.planted",),
        where={"model.kind": among("embedded", "local", "named")},
        why="only model=planted has planted curves; add model=planted, or leave it out",
        refused=True,
    ),
    Idle(
        keys=("model.planted.examples_per_cluster",),
        where={"model.kind": among("planted"), "model.planted.clusters": absent},
        why="model.planted.clusters is 0",
    ),
    Idle(
        keys=("model.planted.time_cv",),
        where={"model.kind": among("planted"), "claims": no_claim(lambda claim: claim.weighs_cost)},
        why="no claim of this sweep weighs time, so nothing is timed",
    ),
)

_METHOD = (
    Idle(
        keys=tuple(f"method.{name}" for name in (*SCRIPTS_OWN, *COMMANDS_OWN, "callable")),
        where={"method.runner": among(Runner.BUILTIN)},
        why="goes with method=command and method=python, not with our own training; add one of them, or "
        "leave it out",
        refused=True,
    ),
    Idle(
        keys=tuple(f"method.{name}" for name in COMMANDS_OWN),
        where={"method.runner": among(Runner.PYTHON)},
        why="goes with method=command; method=python calls method.callable and takes its metric from there",
        refused=True,
    ),
    Idle(
        keys=("method.callable",),
        where={"method.runner": among(Runner.COMMAND)},
        why="goes with method=python; method=command starts method.command",
        refused=True,
    ),
    Idle(
        keys=("method.trains",),
        where={"runs": among(SCRIPT), "model.kind": among("named"), "method.trains": among("lora")},
        why="tuned defaults are written for a known model only; add model.path=FOLDER",
    ),
    Idle(
        keys=("method.micro_batch_size",),
        where={"runs": among(SCRIPT)},
        why="the script cuts its batches itself",
    ),
    Idle(
        keys=("method.micro_batch_size",),
        where={"runs": among(PLANTED)},
        why="planted curves have no batches to cut",
    ),
    *(
        Idle(
            keys=(key_of(name),),
            where={"runs": among(SCRIPT), "told": lacks(name)},
            why=f"method.command has no {{{name}}}, so the script would never hear of it; add "
            f"--{name} {{{name}}} as the script spells it, or leave it out",
            refused=True,
        )
        for name in SETTINGS
    ),
    *(
        Idle(
            keys=(key_of(name),),
            where={"runs": among(SCRIPT), "told": lacks(name)},
            why=f"method.command has no {{{name}}}, so the script never hears of it; only the plan's "
            "numbers count with it",
        )
        for name in COUNTED
    ),
    *(
        Idle(
            keys=(key_of(name),),
            where={"runs": among(PLANTED), "moves": lacks(name)},
            why="the planted curves do not depend on it",
        )
        for name in SETTINGS
    ),
)

_CLUSTER = (
    Idle(
        keys=tuple(f"cluster.{name}" for name in request_keys(REFUSED)),
        where={"cluster.executor": among(INLINE)},
        why="cluster=inline runs in one process, this one; choose cluster=ray or cluster=existing, or leave "
        "it out",
        refused=True,
    ),
    Idle(
        keys=tuple(f"cluster.{name}" for name in request_keys(NAMED)),
        where={"cluster.executor": among(INLINE)},
        why="cluster=inline trains in this process, which has its own variables, modules and files, one try "
        "per trial",
    ),
    Idle(
        keys=("cluster.max_concurrent",),
        where={"cluster.executor": among(INLINE), "cluster.max_concurrent": beyond(1)},
        why="cluster=inline runs one trial at a time",
    ),
    Idle(
        keys=("cluster.cpus_per_trial",),
        where={"cluster.executor": among(INLINE), "runs": among(SCRIPT, PLANTED)},
        why="cluster=inline hands out no CPUs; only our own training takes its threads from it",
    ),
    Idle(
        keys=("cluster.gpus_per_trial",),
        where={
            "cluster.executor": among(INLINE),
            "runs": among(SCRIPT, PLANTED),
            "verb": beyond("rehearse"),
        },
        why="cluster=inline hands out no GPUs; only our own training takes its device from it",
    ),
    Idle(
        keys=("cluster.gpus_per_trial",),
        where={
            "cluster.executor": among(INLINE),
            "cluster.device": among("cpu", "cuda"),
            "verb": beyond("rehearse"),
        },
        why="cluster=inline hands out no GPUs, and cluster.device says where to train",
    ),
    Idle(
        keys=("cluster.device",),
        where={"runs": among(SCRIPT)},
        why="the script chooses its device itself; cluster.gpus_per_trial says which GPUs it sees",
    ),
    Idle(
        keys=("cluster.device",),
        where={"runs": among(PLANTED)},
        why="planted trials compute on no device",
    ),
    Idle(
        keys=("cluster.num_cpus",),
        where={"cluster.executor": among(RAY), "cluster.address": given},
        why="a running cluster has its own CPUs; only the estimate of time counts with it",
    ),
    Idle(
        keys=("cluster.preinstalled", "cluster.py_modules"),
        where={"cluster.executor": among(RAY), "cluster.address": absent},
        why="code travels to a running cluster only; workers of this machine import by PYTHONPATH",
    ),
    Idle(
        keys=("cluster.placement",),
        where={"cluster.executor": among(RAY), "cluster.address": absent},
        why="this machine is one node",
    ),
    Idle(
        keys=("cluster.placement",),
        where={
            "cluster.executor": among(RAY),
            "cluster.address": given,
            "cluster.max_concurrent": absent,
        },
        why="without cluster.max_concurrent every place of every node is taken",
    ),
)

_TRACKING = (
    Idle(
        keys=("tracking.uri",),
        where={"tracking.enabled": among(False)},
        why="is given but tracking is off; add tracking=sqlite, or leave it out",
        refused=True,
    ),
    Idle(keys=("tracking.flush_seconds",), where={"tracking.enabled": among(False)}, why="tracking is off"),
)

_DECISION = (
    Idle(
        keys=("decision.looks",),
        where={"looks_kept": among(False)},
        why="the seeds that are given decide the last look; leave one of the two out",
    ),
    Idle(
        keys=("decision.alpha", "decision.confirmation_seeds", "decision.refine"),
        where={"seeds_used": among(1)},
        why="one seed decides nothing, and names no candidate",
    ),
    Idle(
        keys=("decision.margin_share",),
        where={"runs": among(SCRIPT)},
        why="it is a share of what training gained, which is known only where the script also measures "
        "before its first step",
    ),
    *(
        Idle(
            keys=("decision.purpose",),
            where={f"decision.{own}": given},
            why=f"decision.{own} says what matters",
        )
        for own in GIVEN_MARGINS
    ),
    Idle(
        keys=("decision.cost_ratio",),
        where={"claims": judged_without("cost_ratio")},
        why="no claim of this sweep weighs its cost by it",
    ),
    Idle(
        keys=("decision.speed_loss_percent",),
        where={"claims": judged_without("speed_loss_percent")},
        why="no level of this sweep claims speed",
    ),
    Idle(
        keys=("decision.minimum_share",),
        where={"claims": judged_without("minimum_share")},
        why="this sweep does not test the minimum of 100 steps",
    ),
    Idle(
        keys=("decision.refine_trials", "decision.refine_goal"),
        where={"decision.refine": absent},
        why="there is no joint search; add decision.refine=optuna",
    ),
    Idle(
        keys=("decision.refine",),
        where={"searched": absent},
        why="no factor of this sweep has numbers that a joint search could move",
    ),
    Idle(
        keys=("decision.guardrails",),
        where={
            "decision.confirmation_seeds": absent,
            "claims": no_claim(lambda claim: claim.of_another_level and claim.served),
            "decision.guardrails": lacks("general_loss"),
        },
        why="without fresh seeds (decision.confirmation_seeds=0) no value is refined that could break one",
    ),
    Idle(
        keys=("decision.gpu_hours",),
        where={"verb": beyond("rehearse")},
        why="it counts for `bios-sweep rehearse` only; budget.max_hours limits a plan",
    ),
    Idle(
        keys=("seeds", "decision.looks", "decision.confirmation_seeds"),
        where={"verb": among("rehearse"), "decision.gpu_hours": given},
        why="decision.gpu_hours has it chosen",
    ),
)

_BUDGET = (
    Idle(
        keys=("budget.measurements",),
        where={"runs": among(SCRIPT)},
        why="the script measures when it likes",
    ),
    Idle(
        keys=("budget.keep_adapters",),
        where={"runs": among(SCRIPT, PLANTED)},
        why="only our own training leaves adapters",
    ),
)

_SUBMIT = (
    Idle(
        keys=("submit", "submit.*"),
        where={"verb": beyond("submit")},
        why="it counts for `bios-sweep submit --to slurm|kuberay|rayjob` only",
    ),
    Idle(
        keys=("submit.gpu_type",),
        where={"verb": among("submit"), "submit.gpus_per_node": among(0)},
        why="submit.gpus_per_node is 0",
    ),
    Idle(
        keys=("submit.max_requeues",),
        where={"verb": among("submit"), "submit.requeue": among(False)},
        why="submit.requeue is false",
    ),
    Idle(
        keys=("submit.container_engine", "submit.container_mounts"),
        where={"verb": among("submit"), "submit.container": absent},
        why="there is no submit.container",
    ),
)

IDLE = (*_DATA, *_MODEL, *_METHOD, *_CLUSTER, *_TRACKING, *_DECISION, *_BUDGET, *_SUBMIT)
