"""Keys that expire while threads and tasks use them, at a real server that refuses those that have ended."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from integration_tests.support.loopback import Loopback
from unified_llm import LLMClient, LLMConfig

CALLS = 400
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]}


class Handler(BaseHTTPRequestHandler):
    """Answers where the key is accepted."""

    protocol_version = "HTTP/1.1"
    issuer: Issuer

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        accepted = self.headers["authorization"].removeprefix("Bearer ") in self.issuer.accepted
        self.issuer.note(accepted=accepted)
        body = json.dumps(ANSWER if accepted else {"error": {"message": "The token expired."}}).encode()
        self.send_response(200 if accepted else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Issuer(Loopback):
    """A server, and what issues its keys: each takes 20 ms, and ends the last but one.

    Attributes:
        revokes_after: All keys end after so many answers.
    """

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.issued = self.answered = self.refused = self.at_once = self.most_at_once = 0
        self.revokes_after = 10_000
        self._lock = threading.Lock()
        self.serve(Handler, issuer=self)

    def note(self, *, accepted: bool) -> None:
        """Count a request."""
        with self._lock:
            self.answered += accepted
            self.refused += not accepted
            if accepted and self.answered % self.revokes_after == 0:
                self.accepted = []

    def issue(self) -> str:
        """Return a new key."""
        self._begin()
        time.sleep(0.02)
        return self._end()

    async def aissue(self) -> tuple[str, float]:
        """Return a new key for a second."""
        self._begin()
        await asyncio.sleep(0.02)
        return self._end(), 1.0

    def _begin(self) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)

    def _end(self) -> str:
        self.issued += 1
        self.at_once -= 1
        self.accepted = [*self.accepted[-1:], f"issued-key-{self.issued:04}"]
        return self.accepted[-1]


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


def client_of(issuer: Issuer, key: Any) -> LLMClient:
    return LLMClient(LLMConfig(model="vllm/m", base_url=f"{issuer.address}/v1", api_key=key))


def test_threads_are_all_served_while_their_key_is_refused_again_and_again(issuer: Issuer) -> None:
    issuer.revokes_after = 100
    client = client_of(issuer, issuer.issue)
    with ThreadPoolExecutor(16) as pool:
        answers = {answer.content for answer in pool.map(lambda _: client.generate("Hello?"), range(CALLS))}
    assert answers == {"Hi."}
    assert issuer.most_at_once == 1
    assert issuer.issued == CALLS // 100  # one for each time
    assert issuer.refused >= issuer.issued - 1


async def test_tasks_share_a_key_that_is_renewed_before_its_end(issuer: Issuer) -> None:
    async with client_of(issuer, issuer.aissue) as client:

        async def call_on_and_on() -> set[str]:
            contents = set[str]()
            while issuer.issued < 3:
                contents.add((await client.agenerate("Hello?")).content)
            return contents

        answers = await asyncio.gather(*(call_on_and_on() for _ in range(16)))
    assert set().union(*answers) == {"Hi."}
    assert issuer.most_at_once == 1
    assert issuer.refused == 0
