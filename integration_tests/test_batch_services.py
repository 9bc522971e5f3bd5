"""Batches of providers over HTTP: stand-ins that check requests and responses by the types of the SDKs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typing_extensions import override

from integration_tests.fakes.batch_services import KEY, BatchFake, BrokenConnectionError
from integration_tests.support.loopback import Loopback
from tests.support.batch_services import MODELS, Line, MemoryWork, chat_lines, error_of, reply_to, text_of_entry
from unified_llm import LLMClient
from unified_llm._core import runtime
from unified_llm._core.runtime import Runtime
from unified_llm.batch._services.journal import Journal
from unified_llm.batch._services.service import BatchService
from unified_llm.types.requests import EmbeddingRequest

TOOL = {
    "name": "look",
    "description": "Look.",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
}


class _Clock:
    """The time of day, in which sleeping takes no time."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.monotonic() + self.ahead

    def wall(self) -> float:
        return time.time() + self.ahead

    def sleep(self, until: float) -> None:
        self.ahead += max(0.0, until - self.now())


class _Server(Loopback):
    def __init__(self, provider: BatchFake) -> None:
        self.serve(_Handler, 0, provider=provider)


class _Handler(BaseHTTPRequestHandler):
    provider: ClassVar[BatchFake]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            status, sent, data = self.provider.serve(self.command, self.path, headers, body)
        except BrokenConnectionError:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in ({"content-type": "application/json"} | sent).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(model: str) -> Iterator[tuple[BatchFake, LLMClient, _Clock]]:
    clock = _Clock()
    provider = MODELS[model](clock.wall, answer=lambda body: (200, reply_to(model, body)), strict=True)
    version = "/v1beta" if model.startswith("gemini") else "/v1"
    with (
        _Server(provider) as server,
        runtime.use(Runtime(now=clock.now, wall=clock.wall, sleep=clock.sleep)),
        LLMClient(model, api_key=KEY, base_url=f"{server.address}{version}") as client,
    ):
        yield provider, client, clock


def run(work: MemoryWork, folder: Path, **options: Any) -> Any:
    journal = Journal(folder / "out.batches.jsonl")
    journal.open()
    try:
        return BatchService(work, journal, **options).run()
    finally:
        journal.close()


@pytest.mark.parametrize("model", sorted(MODELS))
def test_what_is_sent_and_read_has_the_types_of_the_sdks(model: str, tmp_path: Path) -> None:
    with serving(model) as (provider, client, _):
        answers = {"b": (400, error_of(model, 400)), "c": "expired"}
        provider.answer = lambda body: answers.get(text_of_entry(body), (200, reply_to(model, body)))
        provider.faults = {"create": ["lost"], "look": [500, 503], "results": ["lost"]}
        lines = chat_lines(model, "a", "b", "c", "d", client=client, max_tokens=9, tools=[TOOL], temperature=0.5)
        work = MemoryWork(lines)
        outcome = run(work, tmp_path)
        assert work.texts == {"key-0": "echo a", "key-3": "echo d"}
        assert outcome.errors.keys() == {"key-1", "key-2"}
        assert len(provider.jobs) == 1


@pytest.mark.parametrize("model", sorted(MODELS))
def test_a_deadline_ends_a_batch(model: str, tmp_path: Path) -> None:
    with serving(model) as (provider, client, clock):
        provider.duration = 50_000.0
        work = MemoryWork(chat_lines(model, "a", "b", "c", "d", client=client))
        outcome = run(work, tmp_path, deadline=7200.0)
        assert work.texts == {"key-0": "echo a", "key-1": "echo b"}
        assert outcome.errors == {}
        assert 7200.0 <= clock.ahead < 7400.0


def test_texts_become_vectors_in_batches_of_openai(tmp_path: Path) -> None:
    with serving("openai/gpt-5-mini") as (_, client, _):
        texts = [("a", "b"), ("c",)]
        work = MemoryWork(
            [
                Line(number, f"key-{number}", EmbeddingRequest(some, "openai/text-embedding-3-small"), client)
                for number, some in enumerate(texts)
            ]
        )
        assert run(work, tmp_path).errors == {}
        assert [len(response.vectors) for response in work.stored.values()] == [2, 1]


def test_batches_of_the_responses_api(tmp_path: Path) -> None:
    with serving("openai/gpt-5-mini") as (provider, client, _):
        text = {"type": "output_text", "text": "hi", "annotations": []}
        message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [text]}
        provider.answer = lambda body: (
            200,
            {"id": "r", "object": "response", "status": "completed", "model": body["model"], "output": [message]},
        )
        url = client.targets[0].base_url
        with LLMClient("openai/gpt-5-mini", api_key=KEY, base_url=url, api="responses") as other:
            work = MemoryWork(chat_lines("", "a", client=other))
            assert run(work, tmp_path).errors == {}
            assert work.texts == {"key-0": "hi"}


class _Killer:
    """Kills the process of a run in the middle of its next request of an operation: after it was carried out."""

    def __init__(self, provider: BatchFake) -> None:
        self._serve, self.operation = provider.serve, ""
        self.process: subprocess.Popen[bytes] | None = None
        vars(provider)["serve"] = self.serve
        self._log = provider.log

    def serve(self, *arguments: Any) -> Any:
        reply = self._serve(*arguments)
        if self.process is not None and self._log[-1] == self.operation:
            self.process.kill()
            self.process.wait()
            self.operation = ""
        return reply


def test_a_command_that_is_killed_in_each_step_begins_one_batch_and_answers_each_line_once(tmp_path: Path) -> None:
    model = "openai/gpt-5-mini"
    provider = MODELS[model](time.time, duration=0.0, answer=lambda body: (200, reply_to(model, body)), strict=True)
    lines = [
        {"custom_id": f"q{number}", "method": "POST", "url": "/v1/chat/completions",
         "body": {"messages": [{"role": "user", "content": f"text {number}"}]}}
        for number in range(50)
    ]  # fmt: skip
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    killer = _Killer(provider)
    with _Server(provider) as server:
        command = [sys.executable, "-m", "unified_llm", "batch", "in.jsonl", "out.jsonl", "-m", model]
        command += ["--base-url", f"{server.address}/v1", "--api-key-env", "KEY", "--service", "batch"]
        codes: list[int] = []
        for operation in ("upload", "create", "look", "results", ""):
            killer.operation = operation
            killer.process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "KEY": KEY})
            codes.append(killer.process.wait(60))
    assert codes == [-signal.SIGKILL] * 4 + [0]
    assert len(provider.jobs) == 1
    assert provider.log.count("create") == 1
    made = [json.loads(text) for text in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["custom_id"] for line in made] == [f"q{number}" for number in range(50)]
    assert made[7]["response"]["body"]["choices"][0]["message"]["content"] == "echo text 7"
