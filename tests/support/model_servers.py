"""Fakes of the servers that load models on request, after their documentation: they refuse whatever it does not have.

docs.ollama.com/api (generate, embed, ps) and lmstudio.ai/docs/developer/rest (load, unload, list).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from unified_llm._core.codec import Codec
from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Failure
from unified_llm._core.target import Target

Answer = tuple[int, Any]


@dataclass
class FakeOllama:
    """Ollama with some models.

    Attributes:
        models: The names of its models, with their tags; those for embeddings, True.
        loaded: The options and the ``keep_alive`` with which each model was loaded.
        requests: The method and the path of every request.
    """

    models: dict[str, bool]
    loaded: dict[str, tuple[dict[str, Any], Any]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def answer(self, method: str, path: str, body: Any) -> Answer:
        self.requests.append((method, path))
        match method, path:
            case "GET", "/api/ps":
                return 200, {"models": [{"name": name, "model": name} for name in self.loaded]}
            case "POST", "/api/generate":
                assert body.keys() <= {"model", "stream", "keep_alive", "options"}
                return self._load(body, embeds=False)
            case "POST", "/api/embed":
                assert body["input"] == []
                assert body.keys() <= {"model", "stream", "keep_alive", "options", "input"}
                return self._load(body, embeds=True)
        return 404, {"error": "not found"}

    def _load(self, body: dict[str, Any], *, embeds: bool) -> Answer:
        assert body["stream"] is False
        name = body["model"] if ":" in body["model"] else f"{body['model']}:latest"
        if name not in self.models:
            return 404, {"error": f"model '{name}' not found"}
        if body["keep_alive"] == 0:
            self.loaded.pop(name, None)
            return 200, {"model": body["model"], "response": "", "done": True, "done_reason": "unload"}
        if self.models[name] and not embeds:
            return 400, {"error": f'"{name}" does not support generate'}
        assert isinstance(body["keep_alive"], str)
        self.loaded[name] = body.get("options", {}), body["keep_alive"]
        return 200, {"model": body["model"], "response": "", "done": True, "done_reason": "load"}


@dataclass
class FakeLMStudio:
    """LM Studio with some models; each load makes one more instance.

    Attributes:
        models: The keys of its models.
        instances: The model of each instance that is loaded, and its context window.
        has_api: It has the API that loads models.
    """

    models: set[str]
    instances: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    has_api: bool = True
    requests: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def answer(self, method: str, path: str, body: Any) -> Answer:
        self.requests.append((method, path))
        if not self.has_api:
            return 404, {"error": f"Unexpected endpoint or method. ({method} {path})"}
        match method, path:
            case "GET", "/api/v1/models":
                return 200, {"models": [self._describe(model) for model in sorted(self.models)]}
            case "POST", "/api/v1/models/load":
                assert body.keys() <= {"model", "config"}
                if body["model"] not in self.models:
                    return 404, {"error": {"message": "Model not found", "type": "invalid_request"}}
                name = f"{body['model']}:{len(self.instances) + 1}"
                self.instances[name] = body["model"], body.get("config", {}).get("context_length")
                return 200, {"model_instance_id": name, "load_time_seconds": 9.0}
            case "POST", "/api/v1/models/unload":
                assert body.keys() == {"instance_id"}
                del self.instances[body["instance_id"]]
                return 200, body
        return 404, {"error": "not found"}

    def _describe(self, model: str) -> dict[str, Any]:
        instances = [{"id": name, "config": {}} for name, (of, _) in self.instances.items() if of == model]
        return {"type": "llm", "key": model, "loaded_instances": instances, "max_context_length": 32768}


class FakeExchange:
    """One request to a fake, through a codec."""

    def __init__(self, server: FakeOllama | FakeLMStudio, codec: Codec, request: Any, target: Target) -> None:
        self.server, self.codec, self.request, self.target = server, codec, request, target

    def open(self, until: float) -> Failure | None:
        del until
        sent = self.codec.encode(self.request, self.target)
        self.server.headers.append(dict(sent.headers))
        body = json.loads(sent.body) if sent.body else None
        self.status, self.body = self.server.answer(sent.method, urlsplit(sent.url).path, body)
        if self.status == 200:
            return None
        return self.codec.failure(self.status, {}, json.dumps(self.body).encode(), self.target)

    def read(self, until: float) -> Event:
        del until
        return self.codec.decode(self.request, self.target, self.body)

    def close(self) -> None:
        """Do nothing."""
