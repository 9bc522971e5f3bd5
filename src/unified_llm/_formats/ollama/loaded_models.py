"""Requests to load and unload a model: one without a prompt loads it, and one with ``keep_alive`` 0 unloads it.

Written from docs.ollama.com/api/generate, docs.ollama.com/api/embed and docs.ollama.com/faq.
"""

from __future__ import annotations

from typing import Any

from unified_llm._core.codec import WireRequest
from unified_llm._core.model_loading import FindLoaded, LoadModel, Preloaded, UnloadModel
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.json_values import is_list, is_object, object_or_empty, text_or_none
from unified_llm._formats.ollama.request import options_of
from unified_llm._formats.request_fields import get, post


def write_find(_: FindLoaded, target: Target) -> WireRequest:
    """Write a request for the models that are loaded."""
    return get("/api/ps", target)


def read_found(_: FindLoaded, body: object, target: Target) -> Done | Failure:
    """Read whether the model of the target is among them."""
    models = body.get("models") if is_object(body) else None
    if not is_list(models):
        return Failure("malformed")
    names = {text_or_none(object_or_empty(model).get("model")) for model in models}
    tagged = target.model if ":" in target.model.rpartition("/")[2] else f"{target.model}:latest"
    return Done(Preloaded(before=True) if {target.model, tagged} & names else None)


def write_load(request: LoadModel, target: Target) -> WireRequest:
    """Write the request with the options that every request has: with others the server loads the model again."""
    body: dict[str, Any] = {
        "model": target.model,
        "stream": False,
        "keep_alive": target.extra_body.get("keep_alive", request.keep),
    }
    if options := options_of(target):
        body["options"] = options
    if request.embeds:  # a model without text completion is refused by the other path
        return post("/api/embed", {**body, "input": []}, target)
    return post("/api/generate", body, target)


def read_loaded(_: LoadModel, body: object, __: Target) -> Done | Failure:
    """Read that the model is loaded."""
    if not is_object(body) or "model" not in body:
        return Failure("malformed")
    return Done(Preloaded())


def write_unload(_: UnloadModel, target: Target) -> WireRequest:
    """Write a request to unload the model."""
    return post("/api/generate", {"model": target.model, "stream": False, "keep_alive": 0}, target)


def read_unloaded(_: UnloadModel, body: object, __: Target) -> Done | Failure:
    """Read that it is unloaded."""
    return Done(None) if is_object(body) else Failure("malformed")
