"""Calls that get random responses, and what must hold for each: see ``Player.play``."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.support.response_grammar import FORGED, MODELS, RandomResponse, make, whole_answer
from tests.support.scripted_sockets import Clock, ScriptedSockets
from unified_llm import LLMClient, LLMConfig, reset_health
from unified_llm._core.codec import Codec
from unified_llm._core.outcome import Done
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._lib.ndjson import LineSplitter
from unified_llm._lib.sse import SSESplitter
from unified_llm.exceptions import LLMError, StreamInterruptedError
from unified_llm.types import LLMChunk, LLMRequest, LLMResponse, Message

DEADLINE: Final = 1.0
SLACK: Final = 0.25
_GOOD: Final = "the-good-answer"
_GOOD_ANSWERS: Final = {name: whole_answer(name, _GOOD) for name in MODELS}
_CHAT: Final = LLMRequest((Message.user("x"),))


@dataclass
class Outcome:
    """What one call came to."""

    text: str = ""
    error: LLMError | None = None
    odd: BaseException | None = None
    seconds: float = 0.0


class Player:
    """Plays seeds, one client for each format. A context manager, since it replaces the network of the process."""

    def __init__(self, *, real_time: bool = False) -> None:
        self.clock = Clock(real=real_time)
        self.network = ScriptedSockets(self.clock)
        self._loop = asyncio.new_event_loop()
        self._clients: dict[str, LLMClient] = {}

    @contextmanager
    def running(self) -> Iterator[Player]:
        """Replace the network until the block ends."""
        with self.network.running():
            yield self
            for client in self._clients.values():
                client.close()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def client(self, format_name: str) -> LLMClient:
        """Return the client of a format."""
        if format_name not in self._clients:
            config = LLMConfig(
                model=MODELS[format_name], base_url="http://127.0.0.1:9", api_key="sk-of-the-fuzzer", max_retries=0
            )
            self._clients[format_name] = LLMClient(config, deadline=DEADLINE)
        return self._clients[format_name]

    def play(self, seed: int) -> list[str]:
        """Call with the response of a seed, then again with a good one; return what was wrong.

        What must hold: the outcome is a text of the script or an ``LLMError``, within the deadline; a text that is
        clean comes back whole; and the next call gets its own answer.
        """
        response = make(seed)
        client = self.client(response.format)
        reset_health()
        for scripted in self.network.opened:
            scripted.steps.append(b"")  # connections of earlier seeds have ended
        self.network.opened.clear()
        self.network.scripts = [(response.steps, _GOOD_ANSWERS[response.format])]
        self.network.default = _GOOD_ANSWERS[response.format]
        outcome = self._call(client, response.way)
        problems = check(response, outcome, client.targets[0])
        for scripted in self.network.opened:  # all of it has arrived before the next call
            scripted.steps = [step for step in scripted.steps if not isinstance(step, float)]
        again = self._call(client, response.way)
        if again.text != _GOOD:
            problems.append(f"the next call got {again.text[:60]!r}, {again.error or again.odd!r}")
        return [f"seed {seed} ({response.format}, {response.way}; {', '.join(response.notes)}): {p}" for p in problems]

    def _call(self, client: LLMClient, way: str) -> Outcome:
        outcome, started = Outcome(), self.clock()
        try:
            match way:
                case "generate":
                    outcome.text = client.generate("x").content
                case "stream":
                    for chunk in client.stream("x"):
                        outcome.text += chunk.content
                case _:
                    self._loop.run_until_complete(_acall(client, way, outcome))
        except LLMError as error:
            outcome.error = error
        except Exception as error:  # noqa: BLE001 - nothing else may be raised
            outcome.odd = error
        outcome.seconds = self.clock() - started
        return outcome


async def _acall(client: LLMClient, way: str, outcome: Outcome) -> None:
    if way == "agenerate":
        outcome.text = (await client.agenerate("x")).content
    else:
        async for chunk in client.astream("x"):
            outcome.text += chunk.content


def check(response: RandomResponse, outcome: Outcome, target: Target) -> list[str]:
    """Return what is wrong with the outcome of a response."""
    problems: list[str] = []
    if outcome.odd is not None:
        problems.append(f"raised {outcome.odd!r}")
    if outcome.seconds > DEADLINE + SLACK:
        problems.append(f"took {outcome.seconds:.2f} s")
    text, error = outcome.text, outcome.error
    if FORGED in text and "bytes on the wire" not in response.notes:  # which may have joined the two
        problems.append("returned a text that came after the end")
    if isinstance(error, StreamInterruptedError) and error.partial != text:
        problems.append("partial is not what was handed out")
    if error and text and not isinstance(error, StreamInterruptedError):
        problems.append(f"text and {type(error).__name__}")
    if response.clean:
        expected = expected_text(response, target)
        if expected is None and error is None:
            problems.append("answered what is no answer")
        if expected is not None and (error or text != expected):
            problems.append(f"got {text[:60]!r} {error!r} rather than {expected[:60]!r}")
    elif text and "bytes on the wire" not in response.notes and "endless" not in response.notes:
        problems += [f"{word[:40]!r} is not in the response" for word in foreign_words(response.payload, text)[:1]]
    return problems


_HALF: Final = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")  # half of a surrogate pair, which is read as U+FFFD


def foreign_words(payload: bytes, text: str) -> list[str]:
    """Return the words of a text that the payload does not contain, however it is escaped."""
    plain = payload.decode("utf-8", errors="replace")
    escaped = plain.replace("\\n", " ").replace("\\t", " ").replace("\\/", "/").replace('\\"', '"')
    escaped = _HALF.sub("\N{REPLACEMENT CHARACTER}", escaped)
    both = f"{plain}\n{escaped}"
    return [
        word
        for word in text.split()
        if len(word) > 1 and word not in both and json.dumps(word)[1:-1] not in plain and not _in_parts(word, both)
    ]


def _in_parts(word: str, text: str) -> bool:
    """Return whether a word is made of two or more parts of the text: the ends of chunks."""
    start = 0
    while start < len(word):
        end = len(word)
        while end > start and word[start:end] not in text and json.dumps(word[start:end])[1:-1] not in text:
            end -= 1
        if end == start:
            return False
        start = end
    return True


def expected_text(response: RandomResponse, target: Target) -> str | None:
    """Return the text of a clean response, as the codec reads it; None if it is a failure."""
    codec = codec_for(target.format)
    if response.streams:
        return _text_of_stream(codec, response, target)
    end = codec.decode(_CHAT, target, response.value)
    return end.value.content if isinstance(end, Done) and isinstance(end.value, LLMResponse) else None


def _text_of_stream(codec: Codec, response: RandomResponse, target: Target) -> str | None:
    splitter = LineSplitter() if codec.framing == "lines" else SSESplitter()
    decoder, text = codec.decoder(_CHAT, target), ""
    for event in [*splitter.feed(response.payload), *splitter.close()]:
        for part in decoder.feed(event):
            if not isinstance(part, LLMChunk):
                return text if isinstance(part, Done) else None
            text += part.content
    return text if isinstance(decoder.finish(), Done) else None


def play_all(seeds: Sequence[int], *, real_time: bool = False) -> list[str]:
    """Play seeds; return what was wrong."""
    with Player(real_time=real_time).running() as player:
        return [problem for seed in seeds for problem in player.play(seed)]
