"""`TrainingSettings`: the only list of the settings that change a trial's outcome.

Everything else (micro-batch, worker, host, tracking) may change how fast a trial runs, not what it finds, and
has no place here. What other rooms must know of a setting stands beside its type: configuration keys, ranges,
searches and the names of trackers are read from there (`KNOWN`), never listed again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Self, get_type_hints

from bios_sweep.checks import Range, one_of, require
from bios_sweep.errors import ConfigError
from bios_sweep.own_settings import Own, near

LORA, DORA, QLORA, FULL = "lora", "dora", "qlora", "full"
METHODS = (LORA, DORA, QLORA, FULL)
AUTO = "auto"  # in a configuration: the heuristic's value
WSD = "wsd"  # warmup, stable, decay
SCHEDULES = ("linear", "constant", "cosine", WSD)
DECAY_FRACTION = 0.2  # of wsd; arXiv 2405.18392 cools down over a fifth of the steps
ALPHA_OVER_RANK, BY_RANK, BY_SQRT_RANK = ALPHA_RULES = ("alpha_over_rank", "rank", "sqrt_rank")
GROWTH = {
    ALPHA_OVER_RANK: 0.0,
    BY_SQRT_RANK: 0.5,
    BY_RANK: 1.0,
}  # the power of the rank that alpha grows with
REFERENCE_RANK = 32  # the default rank, at which all alpha rules scale alike
ALL_LINEAR = "all-linear"
TARGETS = (ALL_LINEAR, "attention", "mlp")
NO_ADAPTER = f"it is an adapter's, and method {FULL} trains all weights"
# Other laws of PEFT's. The first would change a base that trials share, and adapters that plain PEFT loads
# only beside the weights so changed; the second look at data, which an arm of its own would have to pay for.
BASE_CHANGING, DATA_READING = ("pissa", "olora", "mica", "loftq"), ("eva", "corda", "lora_ga")
KAIMING, GAUSSIAN, ORTHOGONAL = INITIALISATIONS = ("kaiming", "gaussian", "orthogonal")
IN_KEY = ("method", "alpha_rule")  # tuned values hold for one of each: they are part of the key
FLOAT32, BFLOAT16 = "float32", "bfloat16"
DTYPES = (FLOAT32, BFLOAT16)


@dataclass(frozen=True)
class Named:
    """What a value may be: one of these words, or names of a model's own, joined by commas."""

    words: tuple[str, ...]

    def require(self, key: str, value: Any) -> None:
        """Refuse what is no text, or a text with an empty name in it."""
        named = isinstance(value, str) and all(name and name == name.strip() for name in value.split(","))
        require(named, key, value, f"choose from {', '.join(self.words)}, or give a list of module names")


COUNT, POSITIVE, SHARE = Range(least=1, whole=True), Range(above=0.0), Range(least=0.0, below=1.0)
SIZE = Range(
    least=1, most=1e9, whole=True
)  # of a rank, a batch, a length, steps; chosen: far above all in use
RATE = Range(above=0.0, most=1e4)  # of learning; chosen likewise
OR_MORE = Range(least=0.0)
TRUTH = (True, False)  # of a switch: off is None, as of any silent setting


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What other rooms must know of a setting beside its type and its default.

    allowed: its numbers, its words, or `TRUTH`. group: the part of the configuration that has the baseline's
    value; empty where there is nothing to choose, or not as a setting. key: where it is not the group's, by
    the setting's name. auto: a heuristic computes the value. placed: `auto` is the configuration's own value
    too, and what trials run on decides it.
    adapter: full fine-tuning has no such setting. scaled: useful values span powers of ten or two, so that
    equal ratios are equal distances. silent: off at its default, and then nothing says it, so that all that
    was written before the setting came stays as it is. aliases: what trackers and other trainers call it, the
    most usual first. spelt: other words for a value of it.
    """

    allowed: Range | Named | tuple[Any, ...]
    group: str = "method"
    key: str = ""
    auto: bool = False
    placed: bool = False
    adapter: bool = False
    scaled: bool = False
    silent: bool = False
    aliases: tuple[str, ...] = ()
    spelt: Mapping[str, str] = field(default_factory=dict)

    def meant(self, value: Any) -> Any:
        """A value as the settings hold it, whatever spelling says it; names of modules in one order."""
        if isinstance(self.allowed, Named):
            listed = value if isinstance(value, list | tuple) else None
            if listed and all(isinstance(name, str) and "," not in name for name in listed):
                return ",".join(sorted({name.strip() for name in listed}))
            if isinstance(value, str) and "," in value:
                return ",".join(sorted({name.strip() for name in value.split(",")}))
        return self.spelt.get(value, value) if isinstance(value, str) else value


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of one trial, by their canonical names. Units are in the names or below.

    learning_rate: peak of the schedule.
    batch_size: examples per optimizer step (micro-batches are accumulated exactly).
    method: what is trained: an adapter (`lora`, `dora`, or `qlora` on a base in four bits), or all weights
    (`full`), which has no adapter: then the adapter's settings are None.
    lora_rank, lora_alpha, alpha_rule: the adapter adds (alpha / rank) * B A to what it is put on. lora_alpha
    is alpha at `REFERENCE_RANK`; the rule says how it grows from there: `alpha_over_rank` not at all, `rank`
    with the rank, `sqrt_rank` with its root.
    targets: what gets an adapter: `all-linear`, `attention`, `mlp`, or names of modules joined by commas.
    init: how its A and B begin.
    embeddings: whether the input embeddings and the output head learn, whole, beside it.
    max_steps: optimizer steps. warmup_fraction: share of them spent warming up.
    max_length: tokens per example, prompt and completion together; in a configuration `auto` is what holds
    99 % of the examples.
    train_examples: training examples to learn from, the same ones for every seed and the smaller
    sets inside the larger; None: all that the data has.
    decay_fraction: of the schedule wsd, the share of the steps in which the rate falls linearly to 0; None
    elsewhere.
    dpo_beta, dpo_length_normalised: of preference pairs, how strongly a model is held to its reference, and
    whether log-probabilities are divided by the tokens of their answer; None in supervised training.
    neftune_alpha: noise on the embeddings while training, uniform within alpha / sqrt(length * width);
    None: none.
    own: what only a user's script knows, by name; each is an attribute and an item of `by_name`, too.
    """

    learning_rate: Annotated[
        float,
        Facts(
            allowed=RATE,
            group="baseline",
            auto=True,
            scaled=True,
            aliases=("lr", "peak_lr", "max_lr", "base_lr", "init_lr", "learningrate"),
        ),
    ]
    batch_size: Annotated[
        int,
        Facts(
            allowed=SIZE,
            group="baseline",
            auto=True,
            scaled=True,
            aliases=(
                "effective_batch_size",
                "global_batch_size",
                "total_batch_size",
                "total_train_batch_size",
                "train_batch_size",
                "batchsize",
                "bs",
            ),
        ),
    ]
    lora_rank: Annotated[
        int | None,
        Facts(
            allowed=SIZE,
            group="baseline",
            auto=True,
            adapter=True,
            scaled=True,
            aliases=("lora_r", "r", "rank", "peft_r", "lora_dim"),
        ),
    ]
    max_steps: Annotated[
        int,
        Facts(
            allowed=SIZE,
            group="budget",
            auto=True,
            scaled=True,
            aliases=("num_steps", "total_steps", "train_steps", "max_train_steps", "max_iters"),
        ),
    ]
    method: Annotated[
        str, Facts(allowed=METHODS, group="", key="method.trains", aliases=("finetuning_type", "tuner_type"))
    ] = LORA
    lora_alpha: Annotated[
        float | None,
        Facts(allowed=POSITIVE, auto=True, adapter=True, scaled=True, aliases=("alpha", "peft_alpha")),
    ] = 32.0
    alpha_rule: Annotated[
        str,
        Facts(allowed=ALPHA_RULES, spelt={"constant": ALPHA_OVER_RANK}, aliases=("use_rslora", "rslora")),
    ] = ALPHA_OVER_RANK
    lora_dropout: Annotated[float | None, Facts(allowed=SHARE, adapter=True, aliases=("dropout",))] = 0.0
    targets: Annotated[
        str | None,
        Facts(
            allowed=Named(TARGETS),
            adapter=True,
            silent=True,
            aliases=("target_modules", "lora_target", "lora_target_modules"),
            spelt={"all": ALL_LINEAR},
        ),
    ] = ALL_LINEAR
    init: Annotated[
        str | None,
        Facts(
            allowed=INITIALISATIONS,
            adapter=True,
            silent=True,
            aliases=("init_lora_weights", "init_weights", "peft_init_lora_weights"),
        ),
    ] = KAIMING
    embeddings: Annotated[
        bool | None,
        Facts(
            allowed=TRUTH,
            adapter=True,
            silent=True,
            aliases=("modules_to_save", "lora_modules_to_save", "additional_target"),
        ),
    ] = None
    schedule: Annotated[
        str,
        Facts(allowed=SCHEDULES, aliases=("lr_scheduler_type", "lr_scheduler", "lr_schedule", "scheduler")),
    ] = "linear"
    warmup_fraction: Annotated[float, Facts(allowed=SHARE, aliases=("warmup_ratio",))] = 0.0
    decay_fraction: Annotated[
        float | None, Facts(allowed=SHARE, silent=True, aliases=("decay_ratio", "cooldown_fraction"))
    ] = None
    adam_beta1: Annotated[float, Facts(allowed=SHARE, aliases=("beta1",))] = 0.9
    adam_beta2: Annotated[float, Facts(allowed=SHARE, aliases=("beta2",))] = 0.95
    adam_eps: Annotated[float, Facts(allowed=POSITIVE, scaled=True, aliases=("adam_epsilon",))] = 1e-8
    weight_decay: Annotated[float, Facts(allowed=OR_MORE, aliases=("wd",))] = 0.0
    max_grad_norm: Annotated[
        float, Facts(allowed=POSITIVE, aliases=("grad_clip", "gradient_clip_val", "clip_grad_norm"))
    ] = 1.0
    dpo_beta: Annotated[
        float | None,
        Facts(allowed=POSITIVE, auto=True, scaled=True, silent=True, aliases=("pref_beta",)),
    ] = None
    dpo_length_normalised: Annotated[bool | None, Facts(allowed=TRUTH, silent=True)] = None
    neftune_alpha: Annotated[
        float | None, Facts(allowed=POSITIVE, silent=True, aliases=("neftune_noise_alpha", "noise_alpha"))
    ] = None
    max_length: Annotated[
        int,
        Facts(
            allowed=SIZE,
            scaled=True,
            aliases=("max_seq_length", "max_seq_len", "cutoff_len", "seq_length", "block_size"),
        ),
    ] = 512
    train_examples: Annotated[
        int | None,
        Facts(
            allowed=COUNT, group="baseline", aliases=("num_train_examples", "train_size", "max_train_samples")
        ),
    ] = None
    dtype: Annotated[str, Facts(allowed=DTYPES, placed=True)] = FLOAT32
    own: Own = field(default_factory=Own)

    def __post_init__(self) -> None:
        one_of("method", self.method, METHODS)  # first: the others depend on it
        self._settle()
        for name, facts in KNOWN.items():
            value = facts.meant(getattr(self, name))
            if self.method == FULL and facts.silent and facts.adapter and value == DEFAULTS[name]:
                value = None  # said by nobody
            object.__setattr__(self, name, value)
            if self.method == FULL and facts.adapter:
                require(value is None, name, value, NO_ADAPTER)
            elif facts.allowed is TRUTH:
                require(value is None or isinstance(value, bool), name, value, "true or false")
            elif isinstance(facts.allowed, tuple):
                allowed = f"{_why_not(name, value)}choose from {', '.join((*facts.spelt, *facts.allowed))}"
                require(value in facts.allowed, name, value, allowed)
            elif not (value is None and DEFAULTS.get(name, MISSING) is None):
                facts.allowed.require(name, value)
        even = self.init != ORTHOGONAL or self.lora_rank is None or self.lora_rank % 2 == 0
        require(even, "lora_rank", self.lora_rank, "init orthogonal needs an even rank")
        if self.method == FULL:
            require(self.alpha_rule == ALPHA_OVER_RANK, "alpha_rule", self.alpha_rule, NO_ADAPTER)
        require_free(self.own)

    def _settle(self) -> None:
        """Off has one spelling, and what only one schedule has is there with that one alone."""
        stated = self.decay_fraction if self.decay_fraction is not None else DECAY_FRACTION
        RANGES["decay_fraction"].require("decay_fraction", stated)
        object.__setattr__(self, "decay_fraction", stated if self.schedule == WSD else None)
        for name, facts in KNOWN.items():
            if facts.allowed is TRUTH and getattr(self, name) is False:
                object.__setattr__(self, name, None)

    if not TYPE_CHECKING:  # a name that is misspelt in our own code is still found

        def __getattr__(self, name: str) -> Any:
            """A setting of one's own, as a user's function asks for it."""
            own = self.__dict__.get("own", {})
            if name not in own:
                raise AttributeError(f"there is no setting {name!r}{near(name, (*KNOWN, *own))}")
            return own[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The known settings, then those of one's own."""
        return (*KNOWN, *self.own)

    def by_name(self) -> dict[str, Any]:
        """Every value that is said, by its name, for people and for tables."""
        return {**self._ours(), **self.own}

    def to_dict(self) -> dict[str, Any]:
        """Plain values by canonical name, for JSON and for workers; `own` only where there are some."""
        return {**self._ours(), "own": dict(self.own)} if self.own else self._ours()

    def _ours(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in KNOWN}
        return {
            name: values[name] for name in values if not (KNOWN[name].silent and is_off(name, values[name]))
        }

    def differing(self, other: TrainingSettings) -> dict[str, Any]:
        """What another has otherwise, with the values here; None for what is off, or not there."""
        values = {name: getattr(self, name, None) for name in dict.fromkeys((*self.names, *other.names))}
        return {name: values[name] for name in values if values[name] != getattr(other, name, None)}

    def changed(self, values: Mapping[str, Any]) -> Self:
        """With other values by name; one that is no known setting is, or becomes, one's own.

        Another method comes without, or with the default values of, an adapter.
        """
        own = {name: value for name, value in values.items() if name not in KNOWN}
        ours: dict[str, Any] = {name: value for name, value in values.items() if name in KNOWN}
        if ours.get("method", self.method) != self.method and FULL in (self.method, ours["method"]):
            ours = {**of_adapter(present=ours["method"] != FULL), **ours}
        return replace(self, **ours, own=Own(self.own).changed(own))

    def counts(self, name: str) -> bool:
        """Whether a setting, known or one's own, is a whole number."""
        return is_whole(name) or type(self.own.get(name)) is int

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingSettings:
        """Inverse of `to_dict`.

        Raises:
            ConfigError: a name that is no setting, or a value out of range.
        """
        unknown = sorted(set(values) - {*setting_names(), "own"})
        if unknown:
            allowed = ", ".join(setting_names())
            raise ConfigError(f"unknown setting {unknown[0]!r}; the settings are {allowed}")
        return cls(**{**values, "own": Own(values.get("own"))})


def _why_not(name: str, value: Any) -> str:
    """The reason for refusing a word that PEFT knows."""
    law = str(value).partition("_niter")[0]
    if name == "init" and law in BASE_CHANGING:
        return f"{law} changes the base's weights, which all trials share; "
    return (
        f"{law} looks at data first, which no plan counts; " if name == "init" and law in DATA_READING else ""
    )


def warmup_steps(settings: TrainingSettings) -> int:
    """Steps in which the rate rises; the peak comes with the last of them."""
    return round(settings.warmup_fraction * settings.max_steps)


def decay_steps(settings: TrainingSettings) -> int:
    """Steps of the decay that ends wsd, never into the warm-up; 0 of other schedules."""
    if settings.schedule != WSD or settings.decay_fraction is None:
        return 0
    return min(
        round(settings.decay_fraction * settings.max_steps), settings.max_steps - warmup_steps(settings)
    )


KNOWN: Mapping[str, Facts] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(TrainingSettings, include_extras=True).items()
    if name != "own"
}
DEFAULTS: Mapping[str, Any] = {
    one.name: one.default
    for one in fields(TrainingSettings)
    if one.name in KNOWN and one.default is not MISSING
}
RANGES: Mapping[str, Range] = {
    name: facts.allowed for name, facts in KNOWN.items() if isinstance(facts.allowed, Range)
}
LORA_SETTINGS = tuple(name for name, facts in KNOWN.items() if facts.adapter)
HEURISTIC = tuple(name for name, facts in KNOWN.items() if facts.auto)


def alpha_at(settings: TrainingSettings) -> float | None:
    """The adapter's alpha at its own rank, by the alpha rule; None without an adapter."""
    if settings.lora_alpha is None or settings.lora_rank is None:
        return None
    return settings.lora_alpha * float((settings.lora_rank / REFERENCE_RANK) ** GROWTH[settings.alpha_rule])


LEARNS = ("method", "embeddings")  # settings that say what learns, on which time and memory depend


def what_learns(settings: TrainingSettings) -> tuple[str, bool]:
    """The method, and whether embeddings and head learn beside it."""
    return settings.method, bool(settings.embeddings)


def setting_names() -> tuple[str, ...]:
    """Every setting's canonical name, in the order of the class."""
    return tuple(KNOWN)


def key_of(name: str) -> str:
    """The configuration key of a setting's baseline value: `budget.max_steps`."""
    return KNOWN[name].key or f"{KNOWN[name].group}.{name}"


def baseline_values() -> dict[str, dict[str, Any]]:
    """The configuration's own value of every setting that has a key: group -> setting -> value."""
    groups: dict[str, dict[str, Any]] = {}
    for name, facts in KNOWN.items():
        if facts.group:
            groups.setdefault(facts.group, {})[name] = AUTO if facts.auto or facts.placed else DEFAULTS[name]
    return groups


def is_off(name: str, value: Any) -> bool:
    """Whether a setting has the value that it has where nothing is said."""
    return value is None or bool(value == DEFAULTS.get(name))


def is_whole(name: str) -> bool:
    """Whether a setting counts something (batch size, rank, steps) and so must be an integer."""
    return name in RANGES and RANGES[name].whole


def allowed_range(name: str) -> tuple[float | None, float | None]:
    """The least and the largest value that a setting itself may have; None at an end that it may not reach.

    Beyond such an end nothing can be tested: rank 1, no dropout, no warm-up. A learning rate only comes
    ever nearer to 0, so it has no end; nor has a name that is no setting.
    """
    least = RANGES[name].least if name in RANGES else -math.inf
    return (least if least > -math.inf else None), None


def of_adapter(*, present: bool) -> dict[str, Any]:
    """An adapter's settings at their defaults, or None for each where there is none."""
    if not present:
        return {**dict.fromkeys(LORA_SETTINGS), "alpha_rule": ALPHA_OVER_RANK}
    return {name: DEFAULTS.get(name, REFERENCE_RANK) for name in LORA_SETTINGS}


def without_adapter(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of settings with None for those of an adapter, as full fine-tuning has them."""
    return {**values, **dict.fromkeys(LORA_SETTINGS)}


def require_free(names: Iterable[str]) -> None:
    """Refuse a setting of one's own that is called like one of ours.

    Raises:
        ConfigError: with the key of ours, where it has one.
    """
    attributes = {one.name for one in fields(TrainingSettings)}  # `own` too, which the class itself lacks
    for name in names:
        if name in attributes or hasattr(TrainingSettings, name):
            ours = name in KNOWN and KNOWN[name].group
            where = f"it is a setting of ours, at {key_of(name)}" if ours else "the name is taken"
            raise ConfigError(f"method.settings.{name}: {where}; call the setting otherwise")
