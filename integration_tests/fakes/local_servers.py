"""Stand-ins for Ollama and LM Studio with one model, at their usual ports if these are given.

Both say what they were asked for, and name themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from integration_tests.fakes.serving import Fake, Received, RefusedError

MODEL = "llama2:7b"


@dataclass
class LocalServer(Fake):
    """A running server with one model.

    Attributes:
        down: Answer every request with 503.
        owner: What it says of the model's owner.
    """

    down: bool = False
    owner: str = ""

    @override
    def answer(self, received: Received) -> Any:
        if self.down:
            raise RefusedError(503, {"error": {"message": "down"}})
        if "model" in received.body and received.body["model"] != MODEL:
            raise RefusedError(404, {"error": f"model {received.body['model']!r} not found"})
        match received.method, received.path:
            case "GET", "/v1/models":
                model = {"id": MODEL, "object": "model", "created": 1, "owned_by": self.owner}
                return {"object": "list", "data": [model]}
            case "POST", "/v1/chat/completions":
                message = {"role": "assistant", "content": self.text_for(received)}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                return {"id": "chatcmpl-1", "object": "chat.completion", "model": MODEL, "choices": [choice]}
        raise RefusedError(404, {"error": "404 page not found"})

    def text_for(self, received: Received) -> str:
        """Return the response to a conversation."""
        return f"{type(self).__name__} was asked: {received.body['messages'][-1]['content']}"


@dataclass
class LMStudio(LocalServer):
    """LM Studio."""

    owner: str = "organization_owner"


@dataclass
class Ollama(LocalServer):
    """Ollama, with its own API beside that of OpenAI."""

    owner: str = "library"

    @override
    def answer(self, received: Received) -> Any:
        if not self.down and received.path == "/api/tags":
            return {
                "models": [{"name": MODEL, "model": MODEL, "size": 7, "digest": "a", "details": {"family": "llama"}}]
            }
        if not self.down and received.path == "/api/chat" and received.body["model"] == MODEL:
            message = {"role": "assistant", "content": self.text_for(received)}
            return {"model": MODEL, "message": message, "done": True, "done_reason": "stop", "eval_count": 3}
        return super().answer(received)
