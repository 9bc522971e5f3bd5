"""Model lists over real sockets: the search of this machine among other programs, and lists that processes share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

from integration_tests.support.loopback import Loopback
from integration_tests.support.waiting import PATIENCE
from unified_llm._client.local_servers import find_local_servers

if TYPE_CHECKING:
    import pytest

LIST = {"object": "list", "data": [{"id": "one", "object": "model", "owned_by": "library"}]}


class Handler(BaseHTTPRequestHandler):
    """Answers each request as its program does."""

    program: Program

    def do_GET(self) -> None:
        self.program.requests += 1
        self.program.answer(self)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Program(Loopback):
    """An HTTP server on a free port that answers each request by one function, and counts them."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.answer, self.requests = answer, 0
        self.serve(Handler, program=self)
        self.url = f"{self.address}/v1"


def send(request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


def models(request: BaseHTTPRequestHandler) -> None:
    send(request, 200, json.dumps(LIST).encode())


def page(request: BaseHTTPRequestHandler) -> None:
    send(request, 200, b"<!doctype html><title>My app</title>")


def one_byte_at_a_time(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    try:
        for _ in range(100):
            request.wfile.write(b" ")
            time.sleep(0.05)
    except OSError:
        return


def endless(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    try:
        while True:
            request.wfile.write(b" " * 65536)
    except OSError:
        return


def answer_together(
    together: threading.Barrier,
    answer: Callable[[BaseHTTPRequestHandler], None],
    request: BaseHTTPRequestHandler,
) -> None:
    """Answer once all programs are asked."""
    together.wait(PATIENCE)
    answer(request)


def test_a_server_is_found_among_other_programs_which_are_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Program(models)

    def redirect(request: BaseHTTPRequestHandler) -> None:
        send(request, 307, b"", Location=f"{elsewhere.url}/models")

    programs = {
        "OLLAMA_HOST": Program(models),
        "VLLM_BASE_URL": Program(page),
        "LLAMACPP_BASE_URL": Program(one_byte_at_a_time),
        "LMSTUDIO_BASE_URL": Program(endless),
        "LITELLM_BASE_URL": Program(redirect),
    }
    together = threading.Barrier(len(programs))
    for program in programs.values():
        program.answer = partial(answer_together, together, program.answer)
    with ExitStack() as stack:
        for variable, program in (*programs.items(), ("", elsewhere)):
            stack.enter_context(program)
            if variable:
                monkeypatch.setenv(variable, program.url)
        servers = find_local_servers(timeout=3.0)
    [server] = [server for server in servers if server.base_url in {program.url for program in programs.values()}]
    assert (server.provider, server.certain) == ("ollama", True)
    assert [program.requests for program in programs.values()] == [1] * 5
    assert elsewhere.requests == 0


CLIENT = """
import sys
from unified_llm import LLMClient
client = LLMClient(provider="ollama", api="chat", base_url=sys.argv[1])
print(*(f"{info.id} {info.stale}" for info in client.list_models()))
"""


def start(url: str, folder: Path) -> subprocess.Popen[str]:
    variables = {**os.environ, "UNIFIED_LLM_MODEL_CACHE": str(folder)}
    return subprocess.Popen([sys.executable, "-c", CLIENT, url], env=variables, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    output = process.communicate(timeout=2 * PATIENCE)[0].strip()
    assert process.returncode == 0
    return output


def test_processes_share_a_list_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    with Program(models) as program:
        at_once = [start(program.url, folder) for _ in range(4)]
        assert [finish(process) for process in at_once] == ["one False"] * 4
        requests = program.requests
        assert finish(start(program.url, folder)) == "one False"
        assert program.requests == requests, "a later process makes no request"
        assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]
    [path] = folder.iterdir()
    record = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**record, "requested": time.time() - 3600}), encoding="utf-8")
    assert finish(start(program.url, folder)) == "one True", "the server is down, and the list is an hour old"
