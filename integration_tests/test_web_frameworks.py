"""The applications of examples/web/ in real servers: answers, streams, failover, errors, and clients that go away."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from integration_tests.support.fault_responses import answer, begun, delta, error, refusal, streamed
from integration_tests.support.fault_server import FaultServer, Hang, Repeat, Reset, Send, Step, chunk, head, ok
from integration_tests.support.waiting import PATIENCE
from integration_tests.support.web_server import COMMANDS, WebServer, run_beside_the_apps, serving

KEY = "sk-CANARY-of-a-web-application"
ASYNC = ["fastapi", "django-asgi", "asgi"]
PROMPT = "CANARY-prompt of a visitor"
DOWN: list[Step] = [Send(refusal("503 Service Unavailable", b"{}"))]
LIMITED: list[Step] = [Send(refusal("429 Too Many Requests", b"{}", "Retry-After: 170"))]
TOO_LONG: list[Step] = [Send(refusal("400 Bad Request", error("too long", code="context_length_exceeded")))]
REFUSED_KEY: list[Step] = [Send(refusal("401 Unauthorized", error(f"Incorrect API key provided: {KEY}")))]
MALFORMED: list[Step] = [Send(ok(f"<html>{KEY}</html>".encode()))]
BROKEN: list[Step] = [Send(begun(delta("Half an "))), Reset()]
SILENT: list[Step] = [Hang()]
STALLED: list[Step] = [Send(begun(delta("One "))), Hang()]
ENDLESS: list[Step] = [Send(begun(delta("One "))), Repeat(chunk(delta("more ")), pause=0.02)]


@dataclass
class Site:
    """An application with the two providers that it uses."""

    server: WebServer
    primary: FaultServer
    fallback: FaultServer
    prefix: str
    is_async: bool

    def script(self, primary: Sequence[Step], fallback: Sequence[Step] = DOWN) -> None:
        for server, script in ((self.primary, primary), (self.fallback, fallback)):
            server.requests.clear()
            server.scripts = [script]

    def post(self, path: str, body: Any = None) -> httpx.Response:
        content = json.dumps({"prompt": PROMPT} if body is None else body)
        headers = {"Content-Type": "application/json"}
        return httpx.post(f"{self.server.url}{self.prefix}{path}", content=content, headers=headers, timeout=PATIENCE)

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[socket.socket]:
        """Send a request and keep its connection, which the block may close early."""
        body = json.dumps({"prompt": PROMPT}).encode()
        host, _, port = self.server.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            connection.sendall(
                f"POST {self.prefix}{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            yield connection


def events_of(response: httpx.Response) -> list[tuple[str, Any]]:
    """Return the name and the data of each event."""
    blocks = [block.splitlines() for block in response.text.split("\n\n") if block]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def text_of(response: httpx.Response) -> str:
    return "".join(data["text"] for name, data in events_of(response) if name == "message")


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    """Read a response up to this mark."""
    received, until = b"", time.monotonic() + PATIENCE
    while mark not in received and time.monotonic() < until:
        received += connection.recv(4096)
    return received


def from_ollama(text: str, *, stream: bool) -> list[Step]:
    message = {"role": "assistant", "content": text}
    whole = {"model": "llama3.2", "message": message, "done": True, "done_reason": "stop"}
    if not stream:
        return [Send(ok(json.dumps(whole).encode()))]
    lines = [{**whole, "done": False}, {**whole, "message": {**message, "content": ""}}]
    body = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    return [Send(head(f"Content-Length: {len(body)}", content_type="application/x-ndjson") + body)]


@contextlib.contextmanager
def started(app: str, log: Path) -> Iterator[Site]:
    """Start two providers and an application that uses them; at the end, look for secrets in its log."""
    with FaultServer() as primary, FaultServer() as fallback:
        variables = {"OPENAI_BASE_URL": f"{primary.url}/v1", "OPENAI_API_KEY": KEY, "OLLAMA_BASE_URL": fallback.url}
        with serving(app, log, variables) as server:
            is_async = app in ASYNC
            yield Site(server, primary, fallback, "/async" if app == "django-asgi" else "", is_async)
    for secret in (KEY, PROMPT, "Traceback", "Exception ignored"):
        assert secret not in server.logged


@pytest.fixture(scope="module", params=list(COMMANDS))
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with started(request.param, tmp_path_factory.mktemp(request.param) / "log") as site:
        yield site


def test_a_whole_response_comes_from_the_primary(site: Site) -> None:
    site.script([Send(answer("From the primary."))])
    response = site.post("/answer")
    assert (response.status_code, response.json()["text"]) == (200, "From the primary.")
    assert site.primary.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_stream_arrives_as_events(site: Site) -> None:
    site.script([Send(streamed("Word after word."))])
    response = site.post("/chat")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert text_of(response) == "Word after word."
    assert events_of(response)[-1] == ("done", {})


def test_events_arrive_while_the_model_writes(site: Site) -> None:
    site.script(ENDLESS)
    with site.open("/chat") as connection:
        assert b"One " in read_until(connection, b"One ")


@pytest.mark.parametrize("path", ["/answer", "/chat"])
def test_the_fallback_answers_where_the_primary_is_down(site: Site, path: str) -> None:
    site.script(DOWN, from_ollama("From the fallback.", stream=path == "/chat"))
    response = site.post(path)
    assert response.status_code == 200
    assert "From the fallback." in (text_of(response) if path == "/chat" else response.json()["text"])


def test_a_stream_that_breaks_ends_with_an_error_event(site: Site) -> None:
    site.script(BROKEN)
    response = site.post("/chat")
    assert (response.status_code, text_of(response)) == (200, "Half an ")
    assert events_of(response)[-1] == ("error", {"error": "The answer broke off."})


def test_a_client_that_leaves_a_stream_closes_the_request_to_the_provider(site: Site) -> None:
    """A WSGI server notices it at the next write, an ASGI server at once."""
    site.script(STALLED if site.is_async else ENDLESS)
    with site.open("/chat") as connection:
        read_until(connection, b"One ")
        assert site.primary.open == 1
    assert site.primary.settles_at(0)


@pytest.mark.parametrize("site", ASYNC, indirect=True, scope="module")
@pytest.mark.parametrize("path", ["/answer", "/chat"])
def test_a_client_that_leaves_before_the_first_byte_closes_the_request_to_the_provider(site: Site, path: str) -> None:
    """WSGI does not tell an application that its client has left, so this is not possible there."""
    site.script(SILENT)
    with site.open(path):
        assert site.primary.has_received(1)
    assert site.primary.settles_at(0)
    site.script([Send(answer("Next."))])
    assert site.post("/answer").json()["text"] == "Next."


@pytest.mark.parametrize("body", [{}, {"prompt": [{"role": "system", "content": "Obey."}]}, {"prompt": ""}, []])
def test_a_body_without_a_prompt_is_refused_and_sent_to_no_provider(site: Site, body: Any) -> None:
    site.script([Send(answer("never"))])
    assert site.post("/chat", body).status_code in {400, 422}
    assert site.primary.requests == []


@pytest.mark.parametrize("path", ["/answer", "/chat"])
def test_a_call_that_fails_before_its_first_byte_is_an_error_of_http(site: Site, path: str) -> None:
    site.script(DOWN, DOWN)
    response = site.post(path)
    assert (response.status_code, response.headers["content-type"]) == (503, "application/json")
    assert response.json() == {"error": "The service is not available. Try again later."}


@pytest.mark.parametrize("app", COMMANDS)
def test_a_rate_limit_and_a_long_prompt_have_their_own_status(app: str, tmp_path: Path) -> None:
    with started(app, tmp_path / "log") as site:
        site.script(TOO_LONG, TOO_LONG)
        assert site.post("/answer").status_code == 413
        site.script(LIMITED, LIMITED)
        response = site.post("/chat")
        assert (response.status_code, response.headers["retry-after"]) == (429, "170")


def test_the_readiness_probe_of_the_fastapi_app_answers(tmp_path: Path) -> None:
    with started("fastapi", tmp_path / "log") as site:
        site.script([Send(ok(b'{"object": "list", "data": []}'))])
        assert httpx.get(f"{site.server.url}/ready").json() == {"ready": True}
        site.script(DOWN, DOWN)
        assert httpx.get(f"{site.server.url}/ready").status_code == 503


DJANGO_PAGE = """
import sys
import django_app
from django.test import RequestFactory
from django.views.debug import ExceptionReporter

request = RequestFactory().post("/chat")
for call in (django_app.client.generate, lambda prompt: [*django_app.client.stream(prompt)]):
    try:
        call("Hello?")
    except Exception:
        print(ExceptionReporter(request, *sys.exc_info()).get_traceback_html())
"""
FASTAPI_PAGE = """
import fastapi_app
from fastapi.testclient import TestClient

async def fail():
    await fastapi_app.client.agenerate("Hello?")

fastapi_app.app.debug = True
fastapi_app.app.exception_handlers.clear()
fastapi_app.app.get("/mistake")(fail)
with TestClient(fastapi_app.app, raise_server_exceptions=False) as client:
    for _ in range(2):
        print(client.get("/mistake", headers={"Accept": "text/html"}).text)
"""
FLASK_PAGE = """
from flask_app import app, client
from werkzeug.debug import DebuggedApplication
from werkzeug.test import Client

def fail():
    try:
        client.generate("Hello?")
    except Exception as error:
        raise RuntimeError("a mistake of the application") from error

app.debug = True
app.get("/mistake")(fail)
for _ in range(2):
    print(Client(DebuggedApplication(app)).get("/mistake").text)
"""


@pytest.mark.parametrize("program", [DJANGO_PAGE, FASTAPI_PAGE, FLASK_PAGE], ids=["django", "fastapi", "flask"])
@pytest.mark.parametrize("script", [REFUSED_KEY, DOWN, MALFORMED, BROKEN], ids=["401", "503", "malformed", "broken"])
def test_a_debug_page_shows_no_key(program: str, script: list[Step]) -> None:
    """That of Django shows the local variables of every function in the traceback."""
    with FaultServer(script) as server:
        variables = {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": KEY, "OLLAMA_BASE_URL": server.url}
        page = run_beside_the_apps(program, {**variables, "DJANGO_DEBUG": "1"})
    assert page.count("<title>") == 2
    assert "unified_llm" in page
    assert KEY not in page
