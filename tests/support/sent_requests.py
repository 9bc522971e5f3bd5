"""What the targets of a client would be sent: URL, headers and body of every attempt, without a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.scripted_targets import AsyncScriptedExchange, ScriptedExchange, ScriptedTargets, say
from unified_llm._backends.http.request import prepare_request
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.runtime import Runtime, use
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm.types.requests import (
    CountRequest,
    EmbeddingRequest,
    LLMRequest,
    ModelRequest,
    ModelsRequest,
    RerankRequest,
)
from unified_llm.types.responses import EmbeddingResponse, ModelInfo, RerankResponse


@dataclass(frozen=True)
class SentRequest:
    """One request as HTTP code gets it."""

    target: str
    url: str
    path: str
    headers: dict[str, str]
    body: Any


class SentRequests:
    """Targets that answer every request and keep it.

    Args:
        failing: Names of targets that are down.
        answers: Makes the events with which a target answers a request.
    """

    def __init__(self, *failing: str, answers: Callable[[Any, Target], list[Any]] | None = None) -> None:
        self.failing = failing
        self.answers = answers or (lambda request, _: answer_to(request))
        self.sent: list[SentRequest] = []

    @contextmanager
    def running(self) -> Iterator[SentRequests]:
        """Answer the calls of this process until the block ends."""
        scripted = ScriptedTargets({})
        runtime = Runtime(
            now=lambda: scripted.clock,
            sleep=scripted.sleep,
            asleep=scripted.asleep,
            random=lambda: scripted.draw,
            exchange=lambda request, target: ScriptedExchange(self._answering(request, target), request, "it"),
            aexchange=lambda request, target: AsyncScriptedExchange(self._answering(request, target), request, "it"),
        )
        with use(runtime):
            yield self

    def _answering(self, request: Any, target: Target) -> ScriptedTargets:
        wire = codec_for(target.format).encode(request, target)
        prepared = prepare_request(wire, stream=False)
        assert not isinstance(prepared, Failure), prepared.detail
        self.sent.append(
            SentRequest(
                target.name,
                wire.url,
                prepared[1].url.raw_path.decode().partition("?")[0],
                dict(prepared[1].headers),
                _parse(wire.body),
            )
        )
        is_down = target.name in self.failing
        return ScriptedTargets({"it": [Failure("server", 503) if is_down else self.answers(request, target)]})


def _parse(body: bytes) -> Any:
    """Return the value of a JSON body; of any other, such as a form, its characters."""
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode("latin-1")


def answer_to(request: Any) -> list[Any]:
    """Return an answer to any request."""
    match request:
        case LLMRequest():
            return say("Hello")
        case EmbeddingRequest():
            return [Done(EmbeddingResponse([[1.0] for _ in request.texts]))]
        case ModelsRequest():
            return [Done(((), None))]
        case ModelRequest():
            return [Done(ModelInfo("m", "p"))]
        case CountRequest():
            return [Done(7)]
        case RerankRequest():
            return [Done(RerankResponse(()))]
        case _:
            raise AssertionError(request)
