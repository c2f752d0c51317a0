"""`export`: settings as a plain dict with another trainer's exact keys, or as that trainer's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bios_sweep.defaults.exporters.comments import comment_of, doubts_of, head_of, is_evidence
from bios_sweep.defaults.exporters.quantities import (
    Quantity,
    four_digits,
    merely_ran,
    quantities,
    split_batch,
)
from bios_sweep.defaults.exporters.tools import AUTO, HAS_NO_KEY, TOOLS, Fixed, KeyValue, Tool
from bios_sweep.defaults.exporters.yaml_text import yaml_text
from bios_sweep.defaults.measured import baseline_reasons, reasons
from bios_sweep.defaults.recommendation import PREFERENCE, Recommendation
from bios_sweep.defaults.rules import Why
from bios_sweep.defaults.tuned import TunedDefaults
from bios_sweep.errors import DefaultsError
from bios_sweep.method import Objective
from bios_sweep.settings import FULL, TrainingSettings, alpha_at, is_off
from bios_sweep.vocabulary import Goal

Settings = Recommendation | TrainingSettings | TunedDefaults


@dataclass(frozen=True, kw_only=True)
class Exported:
    """Settings in another trainer's words. values and comments: section -> key -> value or sentence.

    values: what the evidence depends on. aside: what merely ran so beside it, as length and number format
    of our own: commented out in the file. A key without evidence or warning has no comment. The section ""
    is the top of a flat file. head: what the file as a whole should say. use: how the file is used, in one
    sentence.
    """

    tool: Tool
    use: str
    values: Mapping[str, Mapping[str, Any]]
    aside: Mapping[str, Mapping[str, Any]]
    comments: Mapping[str, Mapping[str, str]]
    head: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values by exact key; sections as the tool has them, none where it has none."""
        plain = {section: dict(keys) for section, keys in self.values.items()}
        return plain.pop("", {}) | plain

    def text(self) -> str:
        """The tool's file, as YAML whose numbers PyYAML and OmegaConf read as numbers."""
        first = [self.tool.first_line] if self.tool.first_line else []
        return yaml_text(self.values, self.comments, [*first, *self.head], self.aside)


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
    (`LoraConfig`, `SFTConfig`, ...). Numbers have four significant digits; for `hydra` all of theirs, so
    that the next study finds the trials of the last. gpus, micro_batch: how the effective batch is divided;
    it is never changed. profile: what matters most, where tuned defaults have a value for it.

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
    plain, why = _plain(settings, profile)
    untold = settings.untold if isinstance(settings, TunedDefaults) else ()
    objective = _objective_of(settings)
    _require_expressible(plain, objective, TOOLS[to])
    tool = TOOLS[to].by(objective)
    batch = split_batch(gpus if "batch_size" in untold else plain.batch_size, gpus, micro_batch)
    known = quantities(plain, batch, objective)
    use = (plain.method == FULL and tool.use_in_full) or tool.use
    use = (_of_a_script(settings) and tool.use_by_script) or use
    ran = merely_ran(plain, why)
    cells = _cells(tool, plain, known, untold)
    written, aside = (
        {
            name: {key: cell for key, cell in keys.items() if (_goes_with(cell, known) in ran) == beside}
            for name, keys in cells.items()
        }
        for beside in (False, True)
    )
    return Exported(
        tool=tool,
        use=use,
        values=_values(tool, {name: keys for name, keys in written.items() if keys}, known),
        aside=_values(tool, {name: keys for name, keys in aside.items() if keys}, known),
        comments={
            name: {
                key: text
                for key, cell in keys.items()
                if (text := comment_of(cell, known, why, script=bool(untold)))
            }
            for name, keys in cells.items()
        },
        head=(*head_of(tool, title, plain, batch, untold, ran, use), *doubts_of(settings)),
    )


def _objective_of(settings: Settings) -> str:
    if isinstance(settings, TunedDefaults):
        return settings.key.objective
    preferring = (
        settings.dpo_beta is not None
        if isinstance(settings, TrainingSettings)
        else settings.objective == PREFERENCE
    )
    return Objective.DPO if preferring else Objective.SFT


def _of_a_script(settings: Settings) -> bool:
    """Whether preferences were trained by a script, whose beta is its own."""
    return (
        isinstance(settings, TunedDefaults)
        and settings.key.objective != Objective.SFT
        and bool(settings.key.runner)
    )


def _goes_with(cell: KeyValue, known: Mapping[str, Quantity]) -> str:
    """The setting whose fate a key shares."""
    return cell.ran if isinstance(cell, Fixed) else known[cell].setting


def _cells(
    tool: Tool, settings: TrainingSettings, known: Mapping[str, Quantity], untold: Sequence[str]
) -> dict[str, dict[str, KeyValue]]:
    """The keys that there is something to say of; a section without any falls away.

    Left out: keys of an adapter where there is none, and what the script of the evidence was never told.
    """

    def has_value(cell: KeyValue) -> bool:
        if isinstance(cell, Fixed):
            return not (cell.adapter and settings.method == FULL) and not (cell.ran and untold)
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
    """The settings to write, and the reason for each of which there is evidence.

    What a study held fixed has none, nor has a constant of the heuristics.
    """
    if isinstance(settings, TunedDefaults):
        name = profile or Goal.BALANCED
        tuned = settings.settings(TrainingSettings.from_dict(settings.baseline), name)
        source = settings.provenance.sweep or "tuned defaults"
        held = baseline_reasons(settings, source)
        judged = {name: why for name, why in held.items() if settings.about(name)}
        return tuned, judged | reasons(settings, tuned, name, source)
    if isinstance(settings, TrainingSettings):
        if profile is not None:
            raise DefaultsError(
                f"profile: {profile!r} is for tuned defaults; plain settings have one value each"
            )
        return settings, {}
    if profile not in (None, settings.goal):
        raise DefaultsError(
            f"profile: {profile!r} is not what the settings were recommended for ({settings.goal}); "
            f"recommend them with goal={profile!r}"
        )
    return settings.settings, {name: why for name, why in settings.why.items() if is_evidence(name, why)}


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
    preference = tool.preference
    if settings.dpo_length_normalised and preference and "dpo_length_normalised" in preference.left_out:
        why = preference.left_out["dpo_length_normalised"]
        raise DefaultsError(f"dpo_length_normalised: cannot be written for {tool.title}: {why}")
    alpha = alpha_at(settings)
    if tool.whole_alpha and alpha is not None and alpha != int(alpha):
        raise DefaultsError(
            f"lora_alpha: {alpha!r} cannot be written for {tool.title}, which takes whole numbers"
        )
    for name, why in tool.left_out.items():
        value = getattr(settings, name)
        if why == HAS_NO_KEY and not is_off(name, value):
            raise DefaultsError(f"{name}: {value!r} cannot be written for {tool.title}: {HAS_NO_KEY}")


def _values(
    tool: Tool, sections: Mapping[str, Mapping[str, KeyValue]], known: Mapping[str, Quantity]
) -> dict[str, dict[str, Any]]:
    def value(cell: KeyValue) -> Any:
        if isinstance(cell, Fixed):
            return cell.value
        found = known[cell]
        return found.value if tool.exact else four_digits(found.value, found.setting)

    return {name: {key: value(cell) for key, cell in keys.items()} for name, keys in sections.items()}
