"""A model's chat template as a text, found by the files of its folder alone; nothing here compiles it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bios_sweep.errors import ModelError

TEMPLATE_FILE = "chat_template.jinja"
TOKENIZER_CONFIG = "tokenizer_config.json"


def template_text(model_dir: Path) -> str | None:
    """The chat template; None where the model has none.

    Raises:
        ModelError: the tokenizer's configuration cannot be read.
    """
    file = model_dir / TEMPLATE_FILE
    if file.is_file():
        return file.read_text(encoding="utf-8") or None
    given = read_json(model_dir / TOKENIZER_CONFIG).get("chat_template")
    if isinstance(given, list):
        named = {one.get("name"): one.get("template") for one in given if isinstance(one, dict)}
        given = named.get("default")
    return given if isinstance(given, str) and given else None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is no such file.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error})") from error
    return value if isinstance(value, dict) else {}
