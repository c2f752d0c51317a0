"""The configured examples: read in their shape, checked, and split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import util
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bios_sweep.checks import is_number, not_allowed, one_of, require, whole
from bios_sweep.config.method import method_of
from bios_sweep.containers.source import source_of
from bios_sweep.driver.scenarios.base_model import SCRIPTS_ONLY
from bios_sweep.driver.scenarios.hub_data import hub_source
from bios_sweep.engines.training.corpus import embedded_examples, embedded_pairs
from bios_sweep.engines.training.data import DataSet, Example
from bios_sweep.engines.training.facts import reads_by
from bios_sweep.engines.training.groups import CLUSTER, CONTENT, RULES
from bios_sweep.engines.training.jsonl import Reading, jsonl_examples
from bios_sweep.engines.training.shapes.asked import ON_BAD, SKIP, Asked, columns_of, shape_of
from bios_sweep.engines.training.shapes.preference import BY_NAME as CHOSEN
from bios_sweep.engines.training.shapes.preference import PAIRS
from bios_sweep.engines.training.shapes.registry import MIXED
from bios_sweep.engines.training.split import AUTO_EXAMPLES, AtMost
from bios_sweep.engines.training.templates import template_text
from bios_sweep.errors import ConfigError, DataError
from bios_sweep.method import Objective
from bios_sweep.settings import AUTO

AUTO_COUNT = "eval_auto"  # beside the configured values: what `data.eval_examples=auto` has come to
DATA_KINDS = ("embedded", "file", "hub", "jsonl")  # jsonl: the first name of file
EVERY_ANSWER, LAST = TRAIN_ON = ("all_assistant", "last")
PREFERENCE = "preference"
UNCUT = 2**31 - 1  # tokens; longer than any example


def read_data(
    values: Mapping[str, Any],
    model: Path,
    typed: Sequence[str] = (),
    pins: Mapping[str, str] = MappingProxyType({}),
) -> tuple[DataSet, str]:
    """The examples of both sides, and `ORG/NAME@COMMIT` of those of the hub, else an empty text.

    Args:
        values: the whole configuration.
        model: the base model's folder, which decides what can be trained on.
        typed: the overrides of the command line; a size that nobody typed is a preset's, and adapts.
        pins: the commits that the workspace began with, see `hub.pins`.

    Raises:
        InputError: the configuration is not allowed, or the data cannot be used.
    """
    data = values["data"]
    if data["kind"] == "named":
        raise ConfigError(f"data=named {SCRIPTS_ONLY}")
    if data["kind"] == "planted":
        raise ConfigError("data=planted has no examples; it goes with model=planted only")
    one_of("data.kind", data["kind"], DATA_KINDS)
    if data.get("eval_path") in ("", []):
        raise DataError("data.eval_path: is empty; give a file such as test.jsonl, or leave it out")
    asked = data["eval_examples"]
    count = _at_most(data) if asked == AUTO else optional_count(asked)
    if data["kind"] == "embedded":
        return _embedded(count, pairs=preferring(values)), ""
    hub = ""
    if data["kind"] == "hub":
        source, hub = hub_source(data, pins, RULES)
        data = {**data, "split": data.get("split") if data.get("split") in RULES else None}
    elif data["path"]:
        source = source_of(_paths(data["path"]), data.get("weights"))
    else:
        raise DataError("data.path: missing; give a file such as data.path=train.jsonl, or a folder")
    adapts = not any(word.lstrip("+").startswith("data.eval_examples=") for word in typed)
    examples = jsonl_examples(
        source,
        eval_path=_paths(data["eval_path"]) if data["eval_path"] else None,
        eval_fraction=_fraction(data["eval_fraction"]),
        eval_examples=count,
        reading=_reading(
            data, values["method"]["max_length"], model, adapts=adapts, pairs=preferring(values)
        ),
    )
    return examples, hub


def _at_most(data: Mapping[str, Any]) -> AtMost:
    """What `auto` is by now; see `driver.evaluation`."""
    return AtMost(examples=data.get(AUTO_COUNT, AUTO_EXAMPLES))


def preferring(values: Mapping[str, Any]) -> bool:
    """Whether trials learn from preference pairs."""
    return method_of(values["method"]).objective is Objective.DPO


def _embedded(asked: AtMost | int | None, *, pairs: bool) -> DataSet:
    read = embedded_pairs if pairs else embedded_examples
    if not isinstance(asked, AtMost):
        return read(asked)
    every = read()
    return replace(every, evaluation=every.evaluation[: asked.examples])


def _reading(data: Mapping[str, Any], max_length: Any, model: Path, *, adapts: bool, pairs: bool) -> Reading:
    asked = Asked(
        shape=shape_of(data.get("shape")),
        columns=columns_of(data.get("columns")),
        cluster=_column(data.get("cluster")),
        templated=template_text(model) is not None,
        on_bad=one_of("data.on_bad", data.get("on_bad") or ON_BAD[0], ON_BAD),
        most_bad=_share(data.get("max_bad")),
        pairs=pairs,
    )
    _require_of_objective(asked, data.get("chunk_tokens"))
    size = _chunk(data.get("chunk_tokens"), max_length)
    rule = data.get("split")
    if rule is not None:
        one_of("data.split", rule, RULES)
    check: Callable[[Example], None] | None = None
    how: dict[str, Any] = {}
    if asked.on_bad == SKIP or size is not None:
        _require_tokenizers("data.chunk_tokens" if size is not None else "data.on_bad=skip")
        how = {"model": reads_by(model), "chunk": size, "max_length": max_length, "on": data.get("train_on")}
    if asked.on_bad == SKIP:
        check = _check(model, max_length, every_answer=data.get("train_on") != LAST, pairs=pairs)
    return Reading(
        asked=asked,
        check=check,
        pieces=None if size is None else _pieces(model, size),
        how=how,
        rule=rule or (CLUSTER if asked.cluster or size is not None else CONTENT),
        adapts=adapts,
    )


def _require_of_objective(asked: Asked, chunk: Any) -> None:
    """Refuse a shape that the objective does not learn from."""
    if asked.pairs and asked.shape not in (None, PREFERENCE, PAIRS, MIXED):
        raise ConfigError(
            f"data.shape={asked.shape}: method=dpo learns from preference pairs; leave data.shape out"
        )
    if not asked.pairs and asked.shape == PAIRS:
        raise ConfigError(
            f"data.shape={PAIRS}: supervised training learns one answer; add method=dpo, or "
            f"data.shape={CHOSEN} for the chosen answer alone"
        )
    if asked.pairs and chunk is not None:
        raise ConfigError("data.chunk_tokens: cuts texts, and preference pairs are none; leave it out")


def _check(model: Path, max_length: Any, *, every_answer: bool, pairs: bool) -> Callable[[Example], None]:
    """Refuses what the model's chat template cannot write, and what leaves nothing to learn."""
    from bios_sweep.engines.training import chat, tokenizer, tokens  # not installed with the base package

    read = tokenizer.load_tokenizer(model)
    template = chat.chat_template(model, chat.Reading(every_answer=every_answer))
    length = UNCUT if max_length == AUTO else whole("method.max_length", max_length)

    tokenize: Callable[..., Any] = tokens.tokenize_all
    if pairs:
        from bios_sweep.engines.training.objectives.sequences import tokenize_pairs

        tokenize = tokenize_pairs

    def check(example: Example) -> None:
        for _ in tokenize([example], read, length, template):
            pass

    return check


def _pieces(model: Path, size: int) -> Any:
    from bios_sweep.engines.training import chunks, tokenizer  # not installed with the base package

    return partial(chunks.chunked, tokenizer=tokenizer.load_tokenizer(model), size=size)


def _require_tokenizers(key: str) -> None:
    if util.find_spec("tokenizers") is None or util.find_spec("jinja2") is None:
        raise ConfigError(
            f"{key}: reads examples as the model does; install bios-sweep[run], or leave it out"
        )


def _chunk(value: Any, max_length: Any) -> int | None:
    key = "data.chunk_tokens"
    if value is None:
        return None
    if value != AUTO:
        return whole(key, value)
    if max_length == AUTO:
        raise ConfigError(
            f"{key}: auto is method.max_length, which is auto too; give one of them as a number"
        )
    return whole("method.max_length", max_length)


def _share(value: Any) -> float:
    key, allowed = "data.max_bad", "a share of at least 0 and below 1"
    if value is None:
        return Asked().most_bad
    require(is_number(value) and 0 <= value < 1, key, value, allowed)
    return float(value)


def _column(value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise not_allowed("data.cluster", value, "the name of a column, or null")
    return value


def optional_count(value: Any, key: str = "data.eval_examples") -> int | None:
    """A number of examples, or None where it is left to be found out."""
    return None if value is None else whole(key, value)


def _paths(given: Any) -> str | list[str]:
    return [str(path) for path in given] if isinstance(given, list) else str(given)


def _fraction(value: Any) -> float | None:
    allowed = "a number above 0 and below 1"
    require(value is None or is_number(value), "data.eval_fraction", value, allowed)
    return None if value is None else float(value)
