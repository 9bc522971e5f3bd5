"""Requests to load and unload a model, in the API of LM Studio from 0.4 on; no other server has them.

Each load makes one more instance of the model, whose name unloads it. Written from lmstudio.ai/docs/developer/rest
(load, unload, list); not tried against the service.
"""

from __future__ import annotations

from unified_llm._core.codec import WireRequest
from unified_llm._core.model_loading import FindLoaded, LoadModel, Preloaded, UnloadModel
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.json_values import is_list, is_object, object_or_empty, text_or_none
from unified_llm._formats.request_fields import get, post, without_version_path


def write_find(_: FindLoaded, target: Target) -> WireRequest:
    """Write a request for the models that are loaded."""
    return get("/api/v1/models", _root(target))


def read_found(_: FindLoaded, body: object, target: Target) -> Done | Failure:
    """Read whether the model of the target is among them."""
    models = body.get("models") if is_object(body) else None
    if not is_list(models):
        return Failure("malformed")
    for model in models:
        fields = object_or_empty(model)
        instances = fields.get("loaded_instances")
        names = [object_or_empty(each).get("id") for each in instances] if is_list(instances) else []
        if (fields.get("key") == target.model and names) or target.model in names:
            return Done(Preloaded(before=True))
    return Done(None)


def write_load(_: LoadModel, target: Target) -> WireRequest:
    """Write a request to load the model, with the declared context window."""
    config = {"config": {"context_length": target.context_window}} if target.window_declared else {}
    return post("/api/v1/models/load", {"model": target.model, **config}, _root(target))


def read_loaded(_: LoadModel, body: object, __: Target) -> Done | Failure:
    """Read that the model is loaded."""
    fields = object_or_empty(body)
    instance = text_or_none(fields.get("model_instance_id")) or text_or_none(fields.get("instance_id"))
    return Failure("malformed") if instance is None else Done(Preloaded(instance=instance))


def write_unload(request: UnloadModel, target: Target) -> WireRequest:
    """Write a request to unload the model."""
    return post("/api/v1/models/unload", {"instance_id": request.instance}, _root(target))


def read_unloaded(_: UnloadModel, body: object, __: Target) -> Done | Failure:
    """Read that it is unloaded."""
    return Done(None) if is_object(body) else Failure("malformed")


def _root(target: Target) -> Target:
    return without_version_path(target, "/v1", "/api/v0", "/api")
