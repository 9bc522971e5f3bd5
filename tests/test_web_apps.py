"""The web applications of docs/async.md: streams, errors before and after the first byte, clients that go away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.util import find_spec
from typing import Any, Final

import pytest

from tests.support.doc_pages import ROOT, examples
from tests.support.scripted_targets import Attempt, Pause, ScriptedTargets, say
from unified_llm import ModelInfo
from unified_llm._core.outcome import Done, Failure

App = Callable[..., Awaitable[None]]
Event = MutableMapping[str, Any]
SCOPE: Final = {
    "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "GET",
    "scheme": "http", "path": "/chat", "raw_path": b"/chat", "query_string": b"prompt=Hello", "root_path": "",
    "headers": [], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
}  # fmt: skip
PRIMARY, FALLBACK = "openai/gpt-5-mini", "ollama/llama3.2"
MODEL: Final = ModelInfo("gpt-5-mini", "openai")
DOWN: Final = Failure("server", 503)

needs_fastapi = pytest.mark.skipif(find_spec("fastapi") is None, reason="FastAPI is not installed")
APPS = [pytest.param("from fastapi", id="fastapi", marks=needs_fastapi), pytest.param("async def app(", id="asgi")]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-CANARY-of-a-web-app")


def load(part: str) -> App:
    """Run the example that contains this, and return its ``app``."""
    example = next(example for example in examples(ROOT / "docs" / "async.md") if part in example.source)
    module: dict[str, Any] = {"__name__": "app"}
    exec(compile(example.source, example.name, "exec"), module)  # noqa: S102 - runs the example
    app: App = module["app"]
    return app


async def request(app: App, path: str = "/chat", *, leave_after: int | None = None) -> tuple[int, str]:
    """Send one request; return the status and the body. The client may leave after a number of events."""
    sent = list[Event]()
    gone = asyncio.Event()

    async def receive() -> Event:
        if not received:
            received.append(True)
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(event: Event) -> None:
        sent.append(event)
        if leave_after is not None and len(sent) > leave_after:
            gone.set()
            raise OSError("the client has left")  # as servers of ASGI 2.4 report it

    received = list[bool]()
    try:
        await app({**SCOPE, "path": path}, receive, send)
    except Exception:  # an OSError, or what the framework makes of it
        if not gone.is_set():
            raise
    return sent[0]["status"], b"".join(event.get("body", b"") for event in sent[1:]).decode()


def run(part: str, primary: Attempt, fallback: Attempt, **options: Any) -> tuple[int, str, ScriptedTargets]:
    """Send one request to an app whose targets do this."""
    targets = ScriptedTargets({PRIMARY: [primary], FALLBACK: [fallback]})
    with targets.running():
        status, body = asyncio.run(request(load(part), **options))
    return status, body, targets


def text_of(body: str) -> str:
    events = [json.loads(line.removeprefix("data: ")) for line in body.splitlines() if line.startswith("data: ")]
    return "".join(event.get("text", "") for event in events)


@pytest.mark.parametrize("part", APPS)
def test_a_fallback_streams_through_the_app(part: str) -> None:
    status, body, targets = run(part, DOWN, say("Hello from the fallback."))
    assert (status, text_of(body)) == (200, "Hello from the fallback.")
    assert "event: error" not in body
    assert targets.open == 0


@pytest.mark.parametrize("part", APPS)
def test_a_call_that_fails_before_its_first_chunk_is_a_503(part: str) -> None:
    status, _, targets = run(part, DOWN, DOWN)
    assert status == 503
    assert targets.open == 0


@pytest.mark.parametrize("part", APPS)
def test_a_stream_that_breaks_later_ends_with_an_event_of_the_app(part: str) -> None:
    status, body, targets = run(part, ["Half an ", Failure("connection")], say("never"))
    assert (status, text_of(body)) == (200, "Half an ")
    assert "event: error\ndata: " in body
    assert "StreamInterruptedError" in body
    assert targets.open == 0


@pytest.mark.parametrize("part", APPS)
def test_a_client_that_goes_away_closes_the_connection_to_the_provider(part: str) -> None:
    _, _, targets = run(part, ["One ", "two ", Pause()], say("never"), leave_after=1)
    assert targets.open == 0
    assert targets.names == [PRIMARY]


@needs_fastapi
@pytest.mark.parametrize(("answer", "status"), [([Done(((MODEL,), None))], 200), (DOWN, 503)])
def test_the_readiness_probe_of_the_fastapi_app_answers(answer: Attempt, status: int) -> None:
    targets = ScriptedTargets({name: [answer] for name in ("openai", "ollama", PRIMARY, FALLBACK)})
    with targets.running():
        got, _ = asyncio.run(request(load("from fastapi"), "/ready"))
    assert got == status


@pytest.mark.parametrize("part", APPS)
def test_the_lifespan_of_the_app_closes_its_client(part: str) -> None:
    async def start_and_stop() -> list[str]:
        events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        sent = list[str]()

        async def receive() -> Event:
            return next(events)

        async def send(event: Event) -> None:
            sent.append(event["type"])

        await load(part)({"type": "lifespan", "asgi": SCOPE["asgi"]}, receive, send)
        return sent

    with ScriptedTargets({}).running():
        sent = asyncio.run(start_and_stop())
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
