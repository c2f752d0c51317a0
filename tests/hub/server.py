"""A small hub: what huggingface_hub and datasets ask of one, over HTTP, with the faults that hubs have."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".bin", ".parquet")  # kept as LFS files, with their sha256


@dataclass
class Repository:
    """Commits of one repository. branches: branch -> commit; commits: commit -> path -> content."""

    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: bool = False
    private: bool = False

    def commit(self, files: Mapping[str, bytes], branch: str = "main") -> str:
        content = b"".join(name.encode() + data for name, data in sorted(files.items()))
        commit = hashlib.sha1(content).hexdigest()
        self.commits[commit] = dict(files)
        self.branches[branch] = commit
        return commit


class Hub:
    """Repositories by `models/ORG/NAME` and `datasets/ORG/NAME`, what was asked, and faults to come.

    faults: pattern of `METHOD PATH` -> (how often, what): an HTTP status, or `cut` within an answer.
    token: what opens private and gated repositories.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.faults: dict[str, tuple[int, int | str]] = {}
        self.token = ""
        self.address = ""

    def repository(self, path: str, **how: bool) -> Repository:
        return self.repositories.setdefault(path, Repository(**how))

    def fault(self, asked: str) -> int | str | None:
        for pattern, (times, what) in self.faults.items():
            if times and fnmatch(asked, pattern):
                self.faults[pattern] = (times - 1, what)
                return what
        return None

    def counted(self, method: str = "GET") -> Counter[str]:
        return Counter(path for asked, path, _ in self.asked if asked == method)


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_POST(self) -> None:
            self.rfile_body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._answer(body=True)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _answer(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append((self.command, path, self.headers.get("Authorization")))
            fault = hub.fault(f"{self.command} {path}")
            if isinstance(fault, int):
                self._send(fault, b"{}", body)
                return
            api = re.fullmatch(
                r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/(.+))?", path
            )
            file = re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
            if api:
                self._api(api, body)
            elif file:
                kind = "datasets" if file[1] else "models"
                self._file(f"{kind}/{file[2]}", file[3], file[4], body, cut=fault == "cut")
            else:
                self._send(404, b'{"error": "not found"}', body)

        def _found(self, name: str, revision: str, body: bool) -> tuple[str, dict[str, bytes]] | None:
            repository = hub.repositories.get(name)
            may = self.headers.get("Authorization") == f"Bearer {hub.token}"
            if repository is None or (repository.private and not may):
                self._send(401, b"{}", body, {"X-Error-Code": "RepoNotFound"})
                return None
            if repository.gated and not may:
                code = 403 if self.headers.get("Authorization") else 401
                self._send(code, b"{}", body, {"X-Error-Code": "GatedRepo"})
                return None
            commit = repository.branches.get(revision, revision)
            if commit not in repository.commits:
                self._send(404, b"{}", body, {"X-Error-Code": "RevisionNotFound"})
                return None
            return commit, repository.commits[commit]

        def _api(self, match: re.Match[str], body: bool) -> None:
            kind, name, task, rest = match.groups()
            revision, _, below = (rest or "main").partition("/")
            found = self._found(f"{kind}/{name}", revision, body)
            if found is None:
                return
            commit, files = found
            if task == "tree":
                query = parse_qs(urlsplit(self.path).query)
                deep = query.get("recursive", ["false"])[0].lower() in ("true", "1")
                value: Any = _tree(files, below, deep)
            elif task == "paths-info":
                asked = (
                    json.loads(self.rfile_body)["paths"]
                    if self.rfile_body[:1] == b"{"
                    else _form(self.rfile_body)
                )
                value = [one for one in _tree(files, "", deep=True) if one["path"] in asked]
            else:
                value = {
                    "id": name, "sha": commit, "private": False, "gated": False, "tags": [], "downloads": 0,
                    "siblings": [{"rfilename": path} for path in files],
                }  # fmt: skip
            self._send(200, json.dumps(value).encode(), body, {"Content-Type": "application/json"})

        def _file(self, name: str, revision: str, path: str, body: bool, *, cut: bool) -> None:
            found = self._found(name, revision, body)
            if found is None:
                return
            commit, files = found
            if path not in files:
                self._send(404, b"{}", body, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
                return
            content = files[path]
            large = path.endswith(LARGE)
            mark = hashlib.sha256(content).hexdigest() if large else hashlib.sha1(content).hexdigest()
            headers = {"ETag": f'"{mark}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
            if large:
                headers |= {"X-Linked-Etag": f'"{mark}"', "X-Linked-Size": str(len(content))}
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
            if asked:
                begin, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
                headers["Content-Range"] = f"bytes {begin}-{end}/{len(content)}"
                content = content[begin : end + 1]
            self._send(206 if asked else 200, content, body, headers, cut=cut and body)

        def _send(
            self,
            code: int,
            content: bytes,
            body: bool,
            headers: Mapping[str, str] | None = None,
            *,
            cut: bool = False,
        ) -> None:
            self.send_response(code)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content[: len(content) // 2] if cut else content)
            if cut:
                self.wfile.flush()
                self.close_connection = True

    return Handler


def _form(body: bytes) -> list[str]:
    return parse_qs(body.decode()).get("paths", [])


def _tree(files: Mapping[str, bytes], below: str, deep: bool) -> list[dict[str, Any]]:
    prefix = f"{below.rstrip('/')}/" if below else ""
    inside = {path: data for path, data in files.items() if path.startswith(prefix)}
    shown = {path: data for path, data in inside.items() if deep or "/" not in path[len(prefix) :]}
    folders = {path[: len(prefix)] + path[len(prefix) :].split("/")[0] for path in set(inside) - set(shown)}
    if deep:
        folders = {path.rpartition("/")[0] for path in inside if "/" in path[len(prefix) :]}
    return [
        *({"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)),
        *(_entry(path, data) for path, data in sorted(shown.items())),
    ]


def _entry(path: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest(),
    }  # fmt: skip
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry


@contextmanager
def served(hub: Hub) -> Iterator[Hub]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub.address = f"http://127.0.0.1:{server.server_port}"
        yield hub
        server.shutdown()
