"""Ollama and LM Studio on standby, over HTTP: their fakes refuse what the documentation does not have."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from typing_extensions import override

from integration_tests.support.loopback import Loopback
from integration_tests.support.waiting import PATIENCE, wait_until
from tests.support.model_servers import FakeLMStudio, FakeOllama
from unified_llm import LLMClient
from unified_llm._state import standby
from unified_llm.exceptions import ServiceUnavailableError
from unified_llm.types import LLMResponse

KEY = "sk-CANARY-standby"


class Handler(BaseHTTPRequestHandler):
    """Answers chats as both servers do, and lets a fake answer the rest; a request to load takes until it may end."""

    protocol_version = "HTTP/1.1"
    fake: FakeOllama | FakeLMStudio
    keys: list[str | None]
    may_load: threading.Event

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def _answer(self, body: Any) -> None:
        self.keys.append(self.headers["authorization"])
        message = {"role": "assistant", "content": "Here"}
        match self.path:
            case "/api/chat":
                status, answer = 200, {"model": body["model"], "message": message, "done": True, "done_reason": "stop"}
            case "/v1/chat/completions":
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                status, answer = 200, {"object": "chat.completion", "model": body["model"], "choices": [choice]}
            case path:
                if body and body.get("keep_alive") != 0:
                    self.may_load.wait(PATIENCE)
                status, answer = self.fake.answer(self.command, path, body)
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @override
    def log_message(self, *_: Any) -> None:
        """Print nothing."""


class Primary(BaseHTTPRequestHandler):
    """A primary that fails until it is back."""

    protocol_version = "HTTP/1.1"
    state: dict[str, bool]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        choice = {"index": 0, "message": {"role": "assistant", "content": "Primary"}, "finish_reason": "stop"}
        content = json.dumps({"object": "chat.completion", "model": "m", "choices": [choice]}).encode()
        self.send_response(200 if self.state["back"] else 503)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @override
    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.mark.parametrize("provider", ["ollama", "lmstudio"])
def test_a_server_loads_its_model_in_an_outage_and_unloads_it_afterwards(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby, "KEPT_AFTERWARDS", 0.5)
    ollama, lmstudio = FakeOllama({"tiny:latest": False}), FakeLMStudio({"tiny"})
    fake, keys, state = ollama if provider == "ollama" else lmstudio, list[str | None](), {"back": False}
    server, primary = Loopback(), Loopback()
    may_load = threading.Event()
    server.serve(Handler, fake=fake, keys=keys, may_load=may_load)
    primary.serve(Primary, state=state)
    with server, primary:
        local = {"model": f"{provider}/tiny", "base_url": f"{server.address}/v1", "api_key": lambda: KEY}
        down = {"model": "vllm/m", "base_url": f"{primary.address}/v1", "max_retries": 0, "breaker": {"cooldown": 0.2}}
        client = LLMClient(
            down,
            fallbacks=[{**local, "standby": "warm"}, {**local, "model": f"{provider}/other"}],
        )

        def ask() -> LLMResponse:
            return client.generate("Hello?")

        def row() -> dict[str, Any]:
            return client.health()[1]["standby"] or {}

        for _ in range(3):  # of another client, which has no fallbacks
            with pytest.raises(ServiceUnavailableError):
                LLMClient(down).generate("Hello?")
        assert wait_until(lambda: row().get("state") == "loading")
        assert row()["reason"] == "vllm/m: 3 failures within 60 s"
        response = ask()
        skipped = {attempt.target: attempt.reason for attempt in response.attempts if attempt.outcome == "skipped"}
        assert skipped == {f"{provider}/tiny": "its model is being loaded"}
        assert response.attempts[-1].target == f"{provider}/other"
        may_load.set()
        assert wait_until(lambda: row().get("state") == "loaded")
        assert len(ollama.loaded) + len(lmstudio.instances) == 1
        state["back"] = True
        assert wait_until(lambda: ask().content == "Primary")
        assert wait_until(lambda: not row())
        assert wait_until(lambda: not ollama.loaded and not lmstudio.instances)
    assert set(keys) == {f"Bearer {KEY}"}
