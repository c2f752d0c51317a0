"""Who we are to an MLflow server. Apart from `web`, which loads HTTP and TLS: any address may name a user.

Credentials are MLflow's own variables (MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN, or the file
~/.mlflow/credentials); an address may carry a user and a password, which are taken out of it and put there.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

USERNAME, PASSWORD, TOKEN = (f"MLFLOW_TRACKING_{name}" for name in ("USERNAME", "PASSWORD", "TOKEN"))
CREDENTIALS_FILE = ".mlflow/credentials"  # mlflow.utils.credentials


def split_credentials(uri: str) -> tuple[str, tuple[str, str] | None]:
    """An address without its user and password, and these, decoded; None where it has none."""
    parts = urlsplit(uri)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return uri, None
    name, _, password = user.partition(":")
    return urlunsplit(parts._replace(netloc=host)), (unquote(name), unquote(password))


def sign_in(uri: str) -> str:
    """Put an address's user and password where MLflow looks for them; returns the address without them.

    In the address itself they would show up in every message that MLflow writes about it.
    """
    address, pair = split_credentials(uri)
    given = zip((USERNAME, PASSWORD), pair or ("", ""), strict=True)
    os.environ.update({name: value for name, value in given if value})
    return address


def authorization(uri: str) -> dict[str, str]:
    """The header that says who we are: the address's own credentials, else as MLflow takes its variables."""
    _, pair = split_credentials(uri)
    own, own_password = pair or ("", "")
    stored = _stored_credentials()
    name = own or os.environ.get(USERNAME) or stored.get(USERNAME.lower(), "")
    password = own_password or os.environ.get(PASSWORD) or stored.get(PASSWORD.lower(), "")
    token = os.environ.get(TOKEN)
    if name and password:
        return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}
    return {"Authorization": f"Bearer {token}"} if token else {}


def _stored_credentials() -> Mapping[str, str]:
    import configparser  # only whoever speaks to a server needs it

    stored = configparser.ConfigParser(interpolation=None)
    try:
        stored.read(Path.home() / CREDENTIALS_FILE)
    except (configparser.Error, OSError, RuntimeError):  # RuntimeError: nobody's home is known
        return {}
    return dict(stored["mlflow"]) if stored.has_section("mlflow") else {}
