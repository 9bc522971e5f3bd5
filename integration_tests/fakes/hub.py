"""The Hugging Face hub as a fake: models that are downloaded with huggingface_hub, from files given by a test.

Written from what that library (2.0 to 2.4) sends: the list of a repository's files, and HEAD and GET of each file,
weights with the hash that Git LFS has. Any other path, a revision that is not there, or a token that was not given is
answered as the hub answers it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar, Final
from urllib.parse import unquote, urlsplit

from typing_extensions import override

from integration_tests.support.loopback import Loopback

COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"
_INFO: Final = re.compile(r"/api/models/(?P<id>[\w.-]+/[\w.-]+)/revision/(?P<revision>[^/]+)")
_TREE: Final = re.compile(r"/api/models/(?P<id>[\w.-]+/[\w.-]+)/tree/(?P<revision>[^/]+)")
_FILE: Final = re.compile(r"/(?P<id>[\w.-]+/[\w.-]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


@dataclass
class Hub(Loopback):
    """The hub with one model; use as a context manager.

    Attributes:
        files: The contents of the model's files by their names.
        id: The name of the model.
        revisions: The commit of each branch and tag.
        token: The token that is needed; None for a model that anyone may read.
        gated: Whether the licence has to be accepted: the files are refused, whatever token is sent.
        damaged: Files whose content is not what the list states.
        missing: Files that are in the list and answered with an error.
        break_after: The bytes of a file after which its first connection breaks.
        status: Answer everything with this status instead.
        requests: Method and path of each request.
        ranges: The ranges that were asked for.
        tokens: The values of the header Authorization that were sent.
    """

    files: dict[str, bytes]
    id: str = "org/tiny"
    revisions: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    token: str | None = None
    gated: bool = False
    damaged: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    break_after: dict[str, int] = field(default_factory=dict)
    status: int | None = None
    requests: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.serve(_Handler, hub=self)

    def downloads(self) -> list[str]:
        """Return the files whose content was asked for, in the order of their names."""
        return sorted(path.rpartition("/")[2] for method, _, path in map(_split, self.requests) if method == "GET"
                      if "/resolve/" in path)  # fmt: skip

    def siblings(self) -> list[dict[str, Any]]:
        """Return the list of files as ``/api/models/{id}?blobs=true`` has it."""
        return [{"rfilename": name, "size": len(data), "blobId": git_hash(data), **_lfs(name, data)}
                for name, data in self.files.items()]  # fmt: skip

    def tree(self) -> list[dict[str, Any]]:
        """Return the list of files as ``/api/models/{id}/tree/{revision}`` has it."""
        return [{"type": "file", "path": name, "size": len(data), "oid": git_hash(data), **_lfs(name, data, oid="oid")}
                for name, data in self.files.items()]  # fmt: skip


def git_hash(data: bytes) -> str:
    """Return the hash under which Git has a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324 - what Git uses


def _lfs(name: str, data: bytes, *, oid: str = "sha256") -> dict[str, Any]:
    if not name.endswith(".safetensors"):
        return {}
    return {"lfs": {oid: hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}}


def _split(request: str) -> tuple[str, str, str]:
    return request.partition(" ")


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[Hub]
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self) -> None:
        path = urlsplit(self.path).path
        self.hub.requests.append(f"{self.command} {unquote(path)}")
        if authorization := self.headers.get("Authorization"):
            self.hub.tokens.add(authorization)
        if self.hub.status is not None:
            self._refuse(self.hub.status)
            return
        for pattern, answer in ((_INFO, self._send_info), (_TREE, self._send_tree), (_FILE, self._send_file)):
            if match := pattern.fullmatch(path):
                if self._is_allowed(match["id"]) and (commit := self._commit(unquote(match["revision"]))):
                    answer(commit, unquote(match.groupdict().get("file", "")))
                return
        self._refuse(404)

    def _is_allowed(self, repository: str) -> bool:
        sent = self.headers.get("Authorization")
        if sent and sent != f"Bearer {self.hub.token}":
            self._refuse(401, message="Invalid credentials in Authorization header")
            return False
        if repository != self.hub.id or (self.hub.token and not sent and not self.hub.gated):
            self._refuse(401, code="RepoNotFound")
            return False
        return True

    def _commit(self, revision: str) -> str | None:
        commit = self.hub.revisions.get(revision) or (revision if revision in self.hub.revisions.values() else None)
        if commit is None:
            self._refuse(404, code="RevisionNotFound")
        return commit

    def _send_info(self, commit: str, _: str) -> None:
        info = {"id": self.hub.id, "modelId": self.hub.id, "sha": commit, "gated": "auto" if self.hub.gated else False}
        self._send_json({**info, "private": False, "tags": [], "siblings": self.hub.siblings()})

    def _send_tree(self, _: str, __: str) -> None:
        self._send_json(self.hub.tree())

    def _send_file(self, commit: str, name: str) -> None:
        if self.hub.gated:
            self._refuse(403 if self.headers.get("Authorization") else 401, code="GatedRepo")
            return
        if name in self.hub.missing:
            self._refuse(500)
            return
        if name not in self.hub.files:
            self._refuse(404, code="EntryNotFound")
            return
        data = self.hub.files[name]
        tag = hashlib.sha256(data).hexdigest() if name.endswith(".safetensors") else git_hash(data)
        if name in self.hub.damaged:
            data = data[:-1] + bytes([data[-1] ^ 1])
        start, status = 0, 200
        if wanted := self.headers.get("Range"):
            self.hub.ranges.append(wanted)
            start, status = int(wanted.removeprefix("bytes=").removesuffix("-")), 206
        self.send_response(status)
        self.send_header("ETag", f'"{tag}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - start))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "GET":
            end = self.hub.break_after.pop(name, len(data))
            self.wfile.write(data[start:end])
            self.close_connection = end < len(data)

    def _send_json(self, body: Any) -> None:
        self._send(200, json.dumps(body).encode())

    def _refuse(self, status: int, *, code: str | None = None, message: str = "refused") -> None:
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
