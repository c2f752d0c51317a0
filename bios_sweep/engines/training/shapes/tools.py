"""Tools of a conversation and calls of them, in the one form that chat templates are given."""

from __future__ import annotations

import json
from typing import Any

from bios_sweep.engines.training.shapes.shape import Row
from bios_sweep.engines.training.shapes.values import as_text, json_text
from bios_sweep.errors import DataError

TOOL_KEYS = ("tools", "functions")
CALL_HELP = '{"type": "function", "function": {"name": ..., "arguments": {...}}}'
TOOL_HELP = '{"type": "function", "function": {"name": ..., "parameters": {...}}}'


def tools_of(row: Row, place: str) -> str:
    """What the conversation may call, as JSON of a list; empty where there is nothing.

    A list, the same as text (as tables have it), or `functions` of the time before there were tools.

    Raises:
        DataError: it is no list of functions with names.
    """
    given = [key for key in TOOL_KEYS if row.get(key)]
    if not given:
        return ""
    if len(given) > 1:
        raise DataError(f"{place}: has tools and functions; keep tools")
    key = given[0]
    value = parsed(row[key], place, key)
    if not isinstance(value, list):
        raise DataError(f"{place}: {key} must be a list of {TOOL_HELP}")
    tools = [_tool(one, place, f"{key}[{index}]") for index, one in enumerate(value)]
    return json_text(tools) if tools else ""


def calls_of(turn: Row, place: str, where: str) -> list[dict[str, Any]]:
    """The calls of a turn, their arguments as an object, which is what chat templates write as JSON.

    OpenAI's own form has the arguments as text, which a template would quote once more; vLLM parses them too.

    Raises:
        DataError: what is there is no call.
    """
    value = turn.get("tool_calls")
    old = turn.get("function_call")
    if value and old:
        raise DataError(f"{place}: {where} has tool_calls and function_call; keep tool_calls")
    if old:
        value = [{"type": "function", "function": parsed(old, place, f"{where}.function_call")}]
    if not value:
        return []
    calls = parsed(value, place, f"{where}.tool_calls")
    if not isinstance(calls, list):
        raise DataError(f"{place}: {where}.tool_calls must be a list of {CALL_HELP}")
    return [call_of(one, place, f"{where}.tool_calls[{index}]") for index, one in enumerate(calls)]


def call_of(value: Any, place: str, where: str) -> dict[str, Any]:
    """One call; without `function` around it, as templates take it too, it gets that.

    Raises:
        DataError: it has no name, or its arguments are no object.
    """
    if not isinstance(value, dict):
        raise DataError(f"{place}: {where} must be {CALL_HELP}")
    function = value.get("function", value)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise DataError(f"{place}: {where} has no name of a function; it must be {CALL_HELP}")
    as_text(function["name"], place, f"{where}.name")
    arguments = function.get("arguments", function.get("parameters", {}))
    arguments = parsed(arguments, place, f"{where}.arguments") if arguments else {}
    if not isinstance(arguments, dict):
        raise DataError(f"{place}: {where}.arguments must be an object, or JSON of one")
    around = {key: value[key] for key in ("id", "type") if "function" in value and value.get(key)}
    return {"type": "function", **around, "function": {"name": function["name"], "arguments": arguments}}


def parsed(value: Any, place: str, where: str) -> Any:
    """A value that may be written as JSON text.

    Raises:
        DataError: it is text and no JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        python = value.lstrip()[:2] in ("[{", "{'", "['") and "'" in value
        way_out = "; write it with json.dumps, not as Python shows it" if python else ""
        raise DataError(f"{place}: {where} is text and no JSON ({error}){way_out}") from error


def _tool(value: Any, place: str, where: str) -> dict[str, Any]:
    function = value.get("function", value) if isinstance(value, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise DataError(f"{place}: {where} has no name of a function; it must be {TOOL_HELP}")
    return value if "function" in value else {"type": "function", "function": function}
