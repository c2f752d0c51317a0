"""Where a value is without effect: named with the reason, and the command goes on.

Where two rules are about the same key the first that holds is said.
"""

from __future__ import annotations

from bios_sweep.config.idle import (
    COUNTED,
    OURS,
    PLANTED,
    SCORED,
    SCRIPT,
    SETTINGS,
    Idle,
    absent,
    among,
    beyond,
    judged_without,
    lacks,
    no_claim,
    present,
)
from bios_sweep.request import INLINE, NAMED, RAY, request_keys
from bios_sweep.settings import WSD, key_of
from bios_sweep.study.margins import MARGINS

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
