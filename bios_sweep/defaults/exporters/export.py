"""`export`: settings as a plain dict with another trainer's exact keys, or as that trainer's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bios_sweep.defaults.exporters.quantities import Batch, Quantity, quantities, split_batch
from bios_sweep.defaults.exporters.tools import AUTO, TOOLS, Fixed, KeyValue, Tool
from bios_sweep.defaults.exporters.yaml_text import yaml_text
from bios_sweep.defaults.measured import baseline_reasons, plain_number, reasons
from bios_sweep.defaults.recommendation import SUPERVISED, Recommendation
from bios_sweep.defaults.rules import Why
from bios_sweep.defaults.tuned import TunedDefaults
from bios_sweep.errors import DefaultsError
from bios_sweep.method import Objective
from bios_sweep.settings import FULL, TrainingSettings
from bios_sweep.vocabulary import Goal

Settings = Recommendation | TrainingSettings | TunedDefaults


@dataclass(frozen=True, kw_only=True)
class Exported:
    """Settings in another trainer's words. values and comments: section -> key -> value or sentence.

    The section "" is the top of a flat file. head: what the file as a whole should say. use: how the file
    is used, in one sentence.
    """

    tool: Tool
    use: str
    values: Mapping[str, Mapping[str, Any]]
    comments: Mapping[str, Mapping[str, str]]
    head: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values by exact key; sections as the tool has them, none where it has none."""
        plain = {section: dict(keys) for section, keys in self.values.items()}
        return plain.pop("", {}) | plain

    def text(self) -> str:
        """The tool's file, as YAML: a comment above each key, numbers as decimals."""
        first = [self.tool.first_line] if self.tool.first_line else []
        return yaml_text(self.values, self.comments, [*first, *self.head])


def export(
    settings: Settings,
    *,
    to: str,
    gpus: int = 1,
    micro_batch: int | None = None,
    profile: str | None = None,
) -> dict[str, Any]:
    """Settings as a plain dict with the exact keys of another trainer.

    settings: a recommendation, training settings, or tuned defaults (their study's baseline with the
    tuned values in place). to: a name of `TOOLS`; `peft` and `trl` give one dict per class
    (`LoraConfig`, `SFTConfig`, ...). gpus, micro_batch: how the effective batch is
    divided; it is never changed. profile: what matters most, where tuned defaults have a value for it.

    Raises:
        DefaultsError: an unknown tool or profile, a batch that does not divide, or a setting that the
            tool has no key for.
    """
    return export_file(settings, to=to, gpus=gpus, micro_batch=micro_batch, profile=profile).to_dict()


def export_file(
    settings: Settings,
    *,
    to: str,
    gpus: int = 1,
    micro_batch: int | None = None,
    profile: str | None = None,
    title: str = "",
) -> Exported:
    """As `export`, with the reasons as comments. title: what the settings are for, such as a model's name.

    Raises:
        DefaultsError: as `export`.
    """
    if to not in TOOLS:
        raise DefaultsError(f"to: {to!r} is not known; choose from {', '.join(TOOLS)}")
    tool = TOOLS[to]
    plain, why = _plain(settings, profile)
    untold = settings.untold if isinstance(settings, TunedDefaults) else ()
    objective = settings.key.objective if isinstance(settings, TunedDefaults) else Objective.SFT
    _require_expressible(plain, objective, tool)
    batch = split_batch(gpus if "batch_size" in untold else plain.batch_size, gpus, micro_batch)
    known = quantities(plain, batch, objective)
    by_script = plain.method == FULL or objective != Objective.SFT
    use = (by_script and tool.use_in_full) or tool.use
    written = _written(tool, plain, known, untold)
    return Exported(
        tool=tool,
        use=use,
        values={
            name: {key: _value(cell, known) for key, cell in keys.items()} for name, keys in written.items()
        },
        comments={
            name: {key: _comment(cell, known, why, script=bool(untold)) for key, cell in keys.items()}
            for name, keys in written.items()
        },
        head=(*_head(tool, title, plain, batch, untold, use), *_doubts(settings)),
    )


def _written(
    tool: Tool, settings: TrainingSettings, known: Mapping[str, Quantity], untold: Sequence[str]
) -> dict[str, dict[str, KeyValue]]:
    """The keys that there is something to write for; a section without any falls away.

    Left out: keys of an adapter where there is none, and what the script of the evidence was never told.
    """

    def has_value(cell: KeyValue) -> bool:
        if isinstance(cell, Fixed):
            return not (cell.adapter and settings.method == FULL)
        quantity = known[cell]
        return quantity.value is not None and not {quantity.setting, quantity.also} & set(untold)

    kept = {
        name: {
            key: cell if has_value(cell) else AUTO
            for key, cell in keys.items()
            if has_value(cell) or key in tool.needed
        }
        for name, keys in tool.keys.items()
    }
    return {name: keys for name, keys in kept.items() if keys}


def _plain(settings: Settings, profile: str | None) -> tuple[TrainingSettings, Mapping[str, Why]]:
    """The settings to write and the reason for each, as far as there are reasons."""
    if isinstance(settings, TunedDefaults):
        name = profile or Goal.BALANCED
        tuned = settings.settings(TrainingSettings.from_dict(settings.baseline), name)
        source = settings.provenance.sweep or "tuned defaults"
        return tuned, baseline_reasons(settings, source) | reasons(settings, tuned, name, source)
    if isinstance(settings, TrainingSettings):
        if profile is not None:
            raise DefaultsError(
                f"profile: {profile!r} is for tuned defaults; plain settings have one value each"
            )
        return settings, {}
    if settings.objective != SUPERVISED:
        raise DefaultsError(
            f"settings for {settings.objective} training cannot be exported; only {SUPERVISED} ones"
        )
    if profile not in (None, settings.goal):
        raise DefaultsError(
            f"profile: {profile!r} is not what the settings were recommended for ({settings.goal}); "
            f"recommend them with goal={profile!r}"
        )
    return settings.settings, settings.why


def _require_expressible(settings: TrainingSettings, objective: str, tool: Tool) -> None:
    if settings.method not in tool.methods:
        others = [other.name for other in TOOLS.values() if settings.method in other.methods]
        raise DefaultsError(
            f"method: {settings.method} cannot be written for {tool.title}, which is for adapters; "
            f"choose from {', '.join(others)}"
        )
    if objective not in tool.objectives:
        others = [other.name for other in TOOLS.values() if objective in other.objectives]
        raise DefaultsError(
            f"objective: {objective} cannot be written for {tool.title}, whose file is for "
            f"{' and '.join(tool.objectives)}; choose from {', '.join(others)}"
        )
    alpha = settings.lora_alpha
    if tool.whole_alpha and alpha is not None and alpha != int(alpha):
        raise DefaultsError(
            f"lora_alpha: {alpha!r} cannot be written for {tool.title}, which takes whole numbers"
        )


def _value(cell: KeyValue, known: Mapping[str, Quantity]) -> Any:
    return cell.value if isinstance(cell, Fixed) else known[cell].value


def _comment(cell: KeyValue, known: Mapping[str, Quantity], why: Mapping[str, Why], *, script: bool) -> str:
    """What stands behind a key: the verdict and its bounds, or the rule and how far it may be believed.

    script: whether the evidence is a script's, so that keys without a setting were its own affair.
    """
    if isinstance(cell, Fixed):
        return (
            "as in bios-sweep's own training; take what the script of the evidence does"
            if script and cell is not AUTO
            else cell.reason
        )
    quantity = known[cell]
    how = f": {quantity.how}" if quantity.how else ""
    follows = f"{quantity.setting} {plain_number(known[quantity.setting].value)}{how}"
    parts = [] if cell == quantity.setting else [follows]
    own = quantity.value if isinstance(quantity.value, Mapping) else ()  # settings that only a script knows
    for name in (quantity.setting, *own):
        if name in why:
            reason, of = why[name], f"{name} " if name in own else ""
            parts.append(f"{of}{reason.confidence}: {reason.rule}; {reason.evidence} ({reason.source})")
    return "; ".join(parts) or "given"


def _doubts(settings: Settings) -> tuple[str, ...]:
    """What was judged, and the warnings: a file travels farther than the terminal they were printed on."""
    if isinstance(settings, TrainingSettings):
        return ()
    judged = [f"Tuned values are judged on {settings.judged_on}."] if settings.judged_on else []
    return (*judged, *(f"To bear in mind: {text}" for text in settings.warnings))


def _head(
    tool: Tool, title: str, settings: TrainingSettings, batch: Batch, untold: Sequence[str], use: str
) -> tuple[str, ...]:
    lines = [f"{tool.title}{f': {title}' if title else ''}"]
    if not {"batch_size", "max_steps"} & set(untold):
        step = f"{settings.batch_size} examples per optimizer step"
        lines.append(f"{f'{batch.words} = ' if tool.splits_batch else ''}{step}; {settings.max_steps} steps")
    if untold:
        lines.append(f"Not told to the script of the evidence, so not here: {', '.join(untold)}.")
    if "max_length" in tool.left_out and "max_length" not in untold:
        reason = tool.left_out["max_length"]
        lines.append(f"Not in this file: max_length, {settings.max_length} tokens per example ({reason}).")
    if settings.own and "settings" not in tool.keys.get("method", ()):
        own = ", ".join(f"{name} {plain_number(value)}" for name, value in settings.own.items())
        lines.append(f"Known to the script of the evidence alone, so not here: {own}.")
    if settings.train_examples is not None:
        lines.append(f"The evidence was made with {settings.train_examples} training examples.")
    return (*lines, f"Keys of {tool.source}", f"Use: {use}")
