"""Where a value contradicts what was chosen beside it: refused, for something else would come out.

Each sentence ends with the way out.
"""

from __future__ import annotations

from bios_sweep.config.idle import (
    OURS,
    PLANTED,
    SCORED,
    SCRIPT,
    SETTINGS,
    Idle,
    among,
    beyond,
    lacks,
    like_a_hub_id,
)
from bios_sweep.method import Objective, Runner
from bios_sweep.request import INLINE, request_keys
from bios_sweep.request import REFUSED as CONTRADICTED
from bios_sweep.settings import key_of

CALLABLE = "method.callable"
SCRIPTS_OWN = ("method.settings", "method.inputs", "method.time_limit_seconds", "method.resumes")
COMMANDS_OWN = (
    *("method.command", "method.shell", "method.settings_template", "method.settings_file", "method.env"),
    *("method.metrics_file", "method.trainer_state", "method.pattern"),
)

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
