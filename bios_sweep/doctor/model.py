"""The model that a run would load, and the cache of the Hugging Face hub."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import Any

from bios_sweep.config.method import method_of
from bios_sweep.doctor.files import GIB
from bios_sweep.doctor.line import Line, ok, red, warning
from bios_sweep.driver.memory import least_of_a_trial
from bios_sweep.engines.training.facts import EMBEDDED, read_config, resolve_model, weight_files
from bios_sweep.engines.training.headers import count_parameters
from bios_sweep.errors import ModelError
from bios_sweep.hub.cache import HUB_ID, OFFLINE, YES, hub_cache
from bios_sweep.mounts import existing
from bios_sweep.request import Request

OURS = ("embedded", "local")  # kinds of model that the built-in trainer loads


def model_line(values: Mapping[str, Any], request: Request) -> tuple[Line | None, int]:
    """A line where the built-in trainer loads a model, and bytes that one trial needs (0: not known)."""
    model = values["model"]
    if method_of(values["method"]).scripted or model["kind"] not in OURS:
        return None, 0
    asked = EMBEDDED if model["kind"] == "embedded" else str(model["path"] or "")
    if not asked:
        return red(
            "model", "model.path is not given", "add model.path=FOLDER, or a hub id that is in the cache"
        ), 0
    try:
        folder = resolve_model(asked)
        config = read_config(folder)
        parameters = count_parameters(weight_files(folder))
    except (ModelError, OSError) as error:
        flags = [name for name in OFFLINE if _is_set(name)]
        if model.get("download") and HUB_ID.fullmatch(asked) and not flags:
            return warning("model", f"{asked} is not here yet", "`bios-sweep run` downloads it"), 0
        online = f" (unset {', '.join(flags)} to download)" if flags else ""
        return red("model", str(error), f"give another model.path{online}"), 0
    name = "the embedded one" if asked == EMBEDDED else asked
    needed = least_of_a_trial(values, request, config, parameters)
    return ok("model", f"{name}, {parameters:,} parameters"), needed


def hub_line() -> Line:
    """Where models of the hub lie, and whether its clients may ask it."""
    cache = hub_cache()
    is_there = existing(cache) == cache
    there = "" if is_there else ", not there yet"
    try:
        free = shutil.disk_usage(existing(cache)).free / GIB
    except OSError as error:
        return warning(
            "hub cache", f"{cache} cannot be read ({error.strerror})", "set HF_HOME to a folder of yours"
        )
    flags = [name for name in OFFLINE if _is_set(name)]
    found = f"{cache}{there}, {free:.1f} GiB free"
    if flags:
        found = f"{found}; offline ({', '.join(flags)})"
    if is_there and not os.access(cache, os.R_OK | os.X_OK):
        return warning("hub cache", f"{found}; cannot be read", "set HF_HOME to a folder of yours")
    return ok("hub cache", found)


def _is_set(switch: str) -> bool:
    return os.environ.get(switch, "").casefold() in YES
