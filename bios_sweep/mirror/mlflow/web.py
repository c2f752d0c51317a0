"""Speaking to an MLflow server with the standard library: by which TLS, whether it answers, and as what."""

from __future__ import annotations

import json
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from bios_sweep.errors import InputError
from bios_sweep.mirror.mlflow.credentials import PASSWORD, TOKEN, USERNAME, authorization, split_credentials
from bios_sweep.mirror.mlflow.troubles import away, of_status, stranger
from bios_sweep.secrecy import masked
from bios_sweep.trouble import TroubleError

BY_NAME = "/api/2.0/mlflow/experiments/get-by-name"
HEALTH, SEARCH, VERSION = "/health", "/api/2.0/mlflow/experiments/search", "/version"
PORTS = {"http": 80, "https": 443}
HEALTH_SECONDS = 5.0  # chosen, not measured: a server that needs longer would slow down every call
OTHER_SIGNATURES = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4")  # which only MLflow itself can make
WAY_IN = f"set {TOKEN}, or {USERNAME} and {PASSWORD}"


def tls_context(uri: str) -> ssl.SSLContext | None:
    """TLS as MLflow's own variables have it, so that both reach the same servers."""
    if urlsplit(uri).scheme != "https":
        return None
    context = ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"))
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    client = os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH")
    if client:
        context.load_cert_chain(client)
    return context


class _SameServer(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only where the credentials may go: to the same server, or to its TLS."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """As the standard library's.

        Raises:
            InputError: the redirect leads elsewhere, or from TLS to none.
        """
        if not _same_server(req.full_url, newurl):
            raise InputError(
                f"the tracking server at {_shown(req.full_url)} sends us on to {_shown(newurl)}, where our "
                "credentials do not follow; if that is the server you mean, give its address"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_signed(uri: str, path: str, question: Any, *, seconds: float) -> Any:
    """The answer to a request that carries our credentials. question: sent as JSON; None only gets.

    Raises:
        InputError: it is redirected to another server.
        OSError, ValueError: as `urllib.request.urlopen`.
    """
    headers = {"Content-Type": "application/json"} | authorization(uri)
    content = None if question is None else json.dumps(question).encode()
    address = split_credentials(uri)[0].rstrip("/") + path
    handler = urllib.request.HTTPSHandler(context=tls_context(uri))
    opener = urllib.request.build_opener(_SameServer, handler)
    return opener.open(urllib.request.Request(address, content, headers), timeout=seconds)


def _same_server(before: str, after: str) -> bool:
    """The same host, and the same scheme and port unless TLS is gained."""
    old, new = urlsplit(before), urlsplit(after)
    if old.hostname != new.hostname:
        return False
    if (old.scheme, new.scheme) == ("http", "https"):
        return True
    port = PORTS.get(old.scheme)
    return old.scheme == new.scheme and (old.port or port) == (new.port or port)


def _shown(address: str) -> str:
    """Scheme, host and port: a path or a query may hold a token."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def check_server(uri: str) -> None:
    """Refuse a server that is away, is no MLflow, does not let us in, or has lost its database.

    Raises:
        TroubleError: one sentence, without credentials.
        InputError: what is given is no address.
    """
    try:  # an address whose password has a / in it names another host; it must not be asked, nor shown
        urlsplit(uri).port  # noqa: B018 - reading it is the check
    except ValueError:
        raise InputError(
            "tracking.uri: is no address; in a user or password write / as %2F, ? as %3F, # as %23, "
            f"@ as %40, or leave both out and {WAY_IN}"
        ) from None
    body = _ask(uri, HEALTH, None)
    if body.strip() != b"OK":
        raise TroubleError(stranger(masked(uri)))
    if not any(os.environ.get(name) for name in OTHER_SIGNATURES):
        _ask(uri, SEARCH, {"max_results": 1})


def experiment_on_server(uri: str, name: str) -> tuple[str, str] | None:
    """Id and lifecycle of an experiment; None where there is none yet, or the server does not say."""
    try:
        with open_signed(uri, f"{BY_NAME}?{urlencode({'experiment_name': name})}", None, seconds=5) as answer:
            found = json.load(answer)["experiment"]
        return str(found["experiment_id"]), str(found["lifecycle_stage"])
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None


@dataclass(frozen=True, kw_only=True)
class ServerFacts:
    """What a server tells of itself. clock: seconds since 1970, None where it does not say."""

    version: str
    clock: float | None


def server_facts(uri: str) -> ServerFacts:
    """Of a server that `check_server` let pass; what it does not tell is left open."""
    try:
        with open_signed(uri, VERSION, None, seconds=HEALTH_SECONDS) as answer:
            text = bytes(answer.read(64)).decode(errors="replace").strip()
            sent = answer.headers.get("Date")
    except (OSError, ValueError, InputError):
        return ServerFacts(version="", clock=None)
    version = text if re.fullmatch(r"\d+(\.\w+)+", text) else ""
    return ServerFacts(version=version, clock=parsedate_to_datetime(sent).timestamp() if sent else None)


def _ask(uri: str, path: str, question: Mapping[str, object] | None) -> bytes:
    """The first bytes of an answer."""
    shown = masked(uri)
    try:
        with open_signed(uri, path, question, seconds=HEALTH_SECONDS) as answer:
            return bytes(answer.read(64))
    except urllib.error.HTTPError as error:
        known = path == SEARCH  # MLflow says 400 to it when some drivers find no database
        raise TroubleError(of_status(shown, error.code, path, WAY_IN, known=known)) from None
    except (OSError, ValueError) as error:
        raise TroubleError(away(shown, masked(str(getattr(error, "reason", error))))) from None
