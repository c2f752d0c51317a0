"""What an exported file says beside its values: what stands behind a key, and what holds for all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bios_sweep.defaults.exporters.quantities import Batch, Quantity
from bios_sweep.defaults.exporters.tools import Fixed, KeyValue, Tool
from bios_sweep.defaults.measured import plain_number
from bios_sweep.defaults.recommendation import MAIN_SETTINGS, Recommendation
from bios_sweep.defaults.rules import Why, constant
from bios_sweep.defaults.tuned import TunedDefaults
from bios_sweep.settings import KNOWN, TrainingSettings, is_off

SAID_OTHERWISE = ("train_examples", "alpha_rule")  # on a line of their own, and in alpha


def is_evidence(name: str, why: Why) -> bool:
    """Whether a reason is more than a constant of the heuristics or the caller's own word."""
    if name == "method":
        return False
    return name in MAIN_SETTINGS or name not in KNOWN or why != constant(name).why


def comment_of(cell: KeyValue, known: Mapping[str, Quantity], why: Mapping[str, Why], *, script: bool) -> str:
    """What stands behind a key: the verdict and its bounds, or the rule and how far it may be believed.

    Empty where nothing does and there is nothing to warn of. script: whether the evidence is a script's, so
    that keys without a setting were its own affair.
    """
    if isinstance(cell, Fixed):
        own_affair = "as in bios-sweep's own training; take what the script of the evidence does"
        return own_affair if script and cell.evidence else cell.warning
    quantity = known[cell]
    own = quantity.value if isinstance(quantity.value, Mapping) else ()  # settings that only a script knows
    behind = [
        f"{f'{name} ' if name in own else ''}{reason.confidence}: {reason.rule}; {reason.evidence} "
        f"({reason.source})"
        for name in (quantity.setting, *own)
        if (reason := why.get(name)) is not None
    ]
    how = f" = {quantity.how}" if quantity.how else ""
    follows = f"{quantity.setting} {plain_number(known[quantity.setting].value)}{how}"
    derived = [follows] if behind and cell != quantity.setting else []
    return "; ".join([*filter(None, [quantity.warning]), *derived, *behind])


def doubts_of(
    settings: Recommendation | TrainingSettings | TunedDefaults,
) -> tuple[str, ...]:
    """What was judged, and the warnings: a file travels farther than the terminal they were printed on."""
    if isinstance(settings, TrainingSettings):
        return ()
    judged = [f"Tuned values are judged on {settings.judged_on}."] if settings.judged_on else []
    return (*judged, *(f"To bear in mind: {text}" for text in settings.warnings))


def head_of(
    tool: Tool,
    title: str,
    settings: TrainingSettings,
    batch: Batch,
    untold: Sequence[str],
    ran: Collection[str],
    use: str,
) -> tuple[str, ...]:
    """What is exported, the batch and how it is divided, what is not here, and how the file is used."""
    lines = [f"{tool.title}{f': {title}' if title else ''}"]
    if not {"batch_size", "max_steps"} & set(untold):
        step = f"{settings.batch_size} examples per optimizer step"
        lines.append(f"{f'{batch.words} = ' if tool.splits_batch else ''}{step}; {settings.max_steps} steps")
    if untold:
        lines.append(f"Not told to the script of the evidence, so not here: {', '.join(untold)}.")
    lines += _left_out(tool, settings, (*untold, *ran))
    if settings.own and "settings" not in tool.keys.get("method", ()):
        own = ", ".join(f"{name} {plain_number(value)}" for name, value in settings.own.items())
        lines.append(f"Known to the script of the evidence alone, so not here: {own}.")
    if settings.train_examples is not None:
        lines.append(f"The evidence was made with {settings.train_examples} training examples.")
    return (*lines, f"Keys of {tool.source}", f"Use: {use}")


def _left_out(tool: Tool, settings: TrainingSettings, besides: Collection[str]) -> list[str]:
    """What belongs to the evidence and has no key here, by reason. besides: what is no condition of it."""
    found: dict[str, list[str]] = {}
    for name, why in tool.left_out.items():
        value = getattr(settings, name)
        unsaid = KNOWN[name].silent and is_off(name, value)
        if name not in (*besides, *SAID_OTHERWISE) and value is not None and not unsaid:
            unit = " tokens per example" if name == "max_length" else ""
            found.setdefault(why, []).append(f"{name} {plain_number(value)}{unit}")
    return [f"Not in this file: {'; '.join(names)} ({why})." for why, names in found.items()]
