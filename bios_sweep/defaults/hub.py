"""The one question that is asked of the Hugging Face hub: a model's config.json, a few kilobytes.

Asked only where nothing here knows the model, never where `HF_HUB_OFFLINE` is set, and nothing is kept.
Endpoint and token are those of Hugging Face's own variables, `HF_ENDPOINT` and `HF_TOKEN`.
"""

from __future__ import annotations

import os

ENDPOINT = "https://huggingface.co"
SECONDS = 10.0  # chosen, not measured
LARGEST = 1_000_000  # bytes; a config has a few thousand
YES = frozenset({"1", "on", "yes", "true"})  # as huggingface_hub reads its switches


class NotOnHubError(Exception):
    """Why the hub gave no config.json, as the end of a sentence that begins with the hub."""


def hub_config(name: str) -> tuple[str, str]:
    """The config.json of a model id at its main revision, and the address it came from.

    Raises:
        NotOnHubError: the hub was not asked, cannot be reached, or has no such file for us.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").casefold() in YES:
        raise NotOnHubError("was not asked (HF_HUB_OFFLINE is set)")
    endpoint = os.environ.get("HF_ENDPOINT") or ENDPOINT
    if not endpoint.startswith(("https://", "http://")):
        raise NotOnHubError("was not asked (HF_ENDPOINT is no http address)")
    address = f"{endpoint.rstrip('/')}/{name}/resolve/main/config.json"
    return _text(address), address


def _text(address: str) -> str:
    from http.client import HTTPException  # seldom needed, so not with `defaults`
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    request = Request(address, headers={"User-Agent": "bios_sweep"})
    token = os.environ.get("HF_TOKEN")
    if token and address.startswith("https://"):
        request.add_unredirected_header("Authorization", f"Bearer {token}")  # stays with this host
    try:
        with urlopen(request, timeout=SECONDS) as answer:
            content = answer.read(LARGEST + 1)
    except HTTPError as error:
        raise NotOnHubError(_refusal(error.code)) from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise NotOnHubError(f"cannot be reached ({reason})") from error
    if len(content) > LARGEST:
        raise NotOnHubError("answered with more than a config.json")
    return str(content.decode("utf-8", errors="replace"))


def _refusal(code: int) -> str:
    if code in (401, 403):  # the hub says so of ids that nobody has, too
        return "does not have it, or shows it to those who may see it alone (HF_TOKEN)"
    if code == 404:
        return "does not have it"
    return f"answered with HTTP {code}"
