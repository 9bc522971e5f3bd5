"""Text completions, embeddings, models and moderations.

Written from the types and docstrings of the SDK, version 3.51.0, not tried against the service.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from openai.types import Completion, CreateEmbeddingResponse, Model, ModerationCreateResponse

from integration_tests.fakes.openai_api.known_models import IDS, require_model
from integration_tests.fakes.openai_api.replies import JSON, APIError, Reply, as_events, as_json
from integration_tests.fakes.openai_api.requests import Received
from integration_tests.fakes.openai_api.sdk_types import check_request, check_response
from integration_tests.fakes.openai_api.store import CREATED, Store
from integration_tests.support.upstream_answers import tokens, vector
from integration_tests.support.upstream_checks import image_url

_CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
_WITH_IMAGES = re.compile("self-harm.*|sexual|violence.*")


def complete(store: Store, received: Received) -> Reply:
    body = received.body
    is_stream = body.get("stream") is True
    check_request(f"completion_create_params:CompletionCreateParams{'' if is_stream else 'Non'}Streaming", body)
    require_model(body, "completion")
    prompts, count = _prompts(body["prompt"]), body.get("n") or 1
    _check_completion(body, len(prompts))
    envelope = {
        "id": store.new_id("cmpl-"),
        "object": "text_completion",
        "created": CREATED,
        "model": body["model"],
        "system_fingerprint": "fp_fake",
    }
    choices = [
        _choice(body, prompt, index * count + number, number)
        for index, prompt in enumerate(prompts)
        for number in range(count)
    ]
    written = sum(len(tokens(choice["text"])) for choice in choices)
    read = sum(len(tokens(prompt)) for prompt in prompts)
    usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    if is_stream:
        include_usage = (body.get("stream_options") or {}).get("include_usage")
        return as_events(_completion_chunks(envelope, choices, usage if include_usage else None))
    whole = envelope | {"choices": choices, "usage": usage}
    check_response(Completion, whole)
    return as_json(whole)


def _check_completion(body: JSON, prompts: int) -> None:
    if body.get("best_of") is not None and body["best_of"] < (body.get("n") or 1):
        raise APIError(400, "best_of must be greater than n", param="best_of")
    if body.get("stream") and (body.get("best_of") or 1) > (body.get("n") or 1):
        raise APIError(400, "results of best_of cannot be streamed", param="best_of")
    if body.get("stream_options") and not body.get("stream"):
        raise APIError(400, "stream_options is only allowed when stream is enabled", param="stream_options")
    if (body.get("logprobs") or 0) > 5:
        raise APIError(400, "The maximum value for logprobs is 5", param="logprobs")
    if body.get("suffix") is not None and body["model"] != "gpt-3.5-turbo-instruct":
        raise APIError(400, "suffix is only supported for gpt-3.5-turbo-instruct", param="suffix")
    if not 1 <= prompts <= 2048:
        raise APIError(400, "a request has 1 to 2048 prompts", param="prompt")


def _prompts(prompt: Any) -> list[str]:
    """Return the prompts as texts: tokens stand for ``<number>``."""
    if prompt is None or isinstance(prompt, str):
        return [prompt or "<|endoftext|>"]
    if prompt and isinstance(prompt[0], int):
        return [_of_tokens(prompt)]
    return [item if isinstance(item, str) else _of_tokens(item) for item in prompt]


def _of_tokens(numbers: Sequence[int]) -> str:
    return " ".join(f"<{number}>" for number in numbers)


def _choice(body: JSON, prompt: str, index: int, number: int) -> JSON:
    text, reason = f" and so on after {prompt[-40:]!r} ({number + 1}).", "stop"
    stops = body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.split(stop, 1)[0]
    words = tokens(text)
    if len(words) > (limit := body.get("max_tokens") or 16):
        text, reason = "".join(words[:limit]), "length"
    if body.get("echo"):
        text = prompt + text
    if body.get("suffix"):
        text = f"{text} before {body['suffix']!r}"
    wanted = body.get("logprobs")
    logprobs = None if wanted is None else _logprobs(text, wanted)
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": reason}


def _logprobs(text: str, wanted: int) -> JSON:
    words = tokens(text)
    return {
        "tokens": words,
        "token_logprobs": [-0.25] * len(words),
        "top_logprobs": [{word: -0.25} | {f"~{rank}": -1.5 for rank in range(1, wanted)} for word in words],
        "text_offset": [sum(map(len, words[:position])) for position in range(len(words))],
    }


def _completion_chunks(envelope: JSON, choices: Sequence[JSON], usage: JSON | None) -> Iterator[JSON]:
    counted = {} if usage is None else {"usage": None}
    for choice in choices:
        words = tokens(choice["text"])
        for position, word in enumerate(words):
            is_last = position == len(words) - 1
            logprobs = choice["logprobs"] and {
                name: values[position : position + 1] for name, values in choice["logprobs"].items()
            }
            part = {"text": word, "index": choice["index"], "logprobs": logprobs}
            yield (
                envelope
                | {"choices": [part | {"finish_reason": choice["finish_reason"] if is_last else None}]}
                | counted
            )
    if usage:
        yield envelope | {"choices": [], "usage": usage}


def embed(store: Store, received: Received) -> Reply:
    body = received.body
    check_request("embedding_create_params:EmbeddingCreateParams", body)
    require_model(body, "embedding")
    if body.get("dimensions") is not None and not body["model"].startswith("text-embedding-3"):
        raise APIError(400, "This model does not support specifying dimensions.", param="dimensions")
    texts = _prompts(body["input"])
    if not 1 <= len(texts) <= 2048 or "" in texts or body["input"] == "":
        raise APIError(400, "'$.input' is invalid.", param="input")
    data: list[JSON] = []
    for index, text in enumerate(texts):
        values = vector(text, body.get("dimensions") or 16)
        packed = base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
        embedding = packed if body.get("encoding_format") == "base64" else values
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    read = sum(len(tokens(text)) for text in texts)
    whole = {
        "object": "list",
        "data": data,
        "model": body["model"],
        "usage": {"prompt_tokens": read, "total_tokens": read},
    }
    if body.get("encoding_format") != "base64":
        check_response(CreateEmbeddingResponse, whole)
    return as_json(whole)


def _model(name: str) -> JSON:
    model = {"id": name, "object": "model", "created": CREATED, "owned_by": "system"}
    check_response(Model, model)
    return model


def list_models(store: Store, received: Received) -> Reply:
    return as_json({"object": "list", "data": [_model(name) for name in IDS]})


def retrieve_model(store: Store, received: Received) -> Reply:
    name = received.path.removeprefix("models/")
    require_model({"model": name})
    return as_json(_model(name))


def delete_model(store: Store, received: Received) -> Reply:
    name = received.path.removeprefix("models/")
    require_model({"model": name})
    if not name.startswith("ft:"):
        raise APIError(403, "You have insufficient permissions to delete this model.")
    return as_json({"id": name, "object": "model", "deleted": True})


def moderate(store: Store, received: Received) -> Reply:
    body = received.body
    check_request("moderation_create_params:ModerationCreateParams", body)
    body = {"model": "omni-moderation-latest"} | body
    require_model(body, "moderation")
    inputs = [body["input"]] if isinstance(body["input"], str) else body["input"]
    if not inputs:
        raise APIError(400, "Invalid 'input': an empty array.", param="input")
    parts = [item for item in inputs if isinstance(item, dict)]
    if parts and not body["model"].startswith("omni"):
        raise APIError(400, "This model takes no images.", param="input")
    for part in parts:
        if part["type"] == "image_url":
            image_url(part["image_url"]["url"])
    results = [_result(parts)] if parts else [_result([{"type": "text", "text": text}]) for text in inputs]
    whole = {"id": store.new_id("modr-"), "model": body["model"], "results": results}
    check_response(ModerationCreateResponse, whole)
    return as_json(whole)


def _result(parts: Sequence[JSON]) -> JSON:
    flagged = any("kill" in part.get("text", "") for part in parts)
    kinds = {"image" if part["type"] == "image_url" else "text" for part in parts}
    return {
        "flagged": flagged,
        "categories": {name: flagged and name == "violence" for name in _CATEGORIES},
        "category_scores": {name: 0.9 if flagged and name == "violence" else 0.01 for name in _CATEGORIES},
        "category_applied_input_types": {
            name: sorted(kinds if _WITH_IMAGES.fullmatch(name) and name != "sexual/minors" else kinds - {"image"})
            for name in _CATEGORIES
        },
    }


ROUTES = {
    "POST completions": complete,
    "POST embeddings": embed,
    "GET models": list_models,
    "GET models/{model}": retrieve_model,
    "DELETE models/{model}": delete_model,
    "POST moderations": moderate,
}
