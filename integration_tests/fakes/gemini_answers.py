"""Answers of the stand-in for Gemini: shapes of https://ai.google.dev/api/generate-content, values of our own."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from integration_tests.fakes import gemini_media
from integration_tests.fakes.gemini_schema import RefusedError

MODELS = (
    "gemini-2.5-flash", "gemini-3-flash-preview", "gemini-3.5-flash", "gemini-embedding-001",
    *gemini_media.MODELS,
)  # fmt: skip
SIGNATURE = base64.b64encode(b"\xfb\xffsigned").decode()
_TYPE = "type.googleapis.com/google.rpc."
_SOURCE = {"web": {"uri": "https://vertexaisearch.cloud.google.com/x", "title": "example.org"}}


def generate(body: dict[str, Any], model: str) -> dict[str, Any]:
    """Write a whole answer."""
    text = _last_text(body)
    _refuse(text)
    if "blocked" in text:
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 5}}
    if parts := gemini_media.parts_of(body, text):
        candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0}
        return _answer([candidate], model, gemini_media.USAGE)
    if gemini_media.makes(body):
        return _answer([{"finishReason": "IMAGE_SAFETY", "index": 0}], model, {"promptTokenCount": 7})
    count = body.get("generationConfig", {}).get("candidateCount", 1)
    candidates = [{**_candidate(body, model), "index": index} for index in range(count)]
    return _answer(candidates, model, _usage(body))


def stream(body: dict[str, Any], model: str) -> list[dict[str, Any]]:
    """Write the same as a stream: one event for each part, two for texts, the end with the last."""
    whole = generate(body, model)
    if "candidates" not in whole or "content" not in whole["candidates"][0]:
        return [whole]
    candidate = whole["candidates"][0]
    parts = [piece for part in candidate["content"]["parts"] for piece in _pieces(part)]
    end = {name: value for name, value in candidate.items() if name not in {"content", "index"}}
    events: list[dict[str, Any]] = [
        _answer([{"content": {"parts": [part], "role": "model"}, "index": 0}], model, {"promptTokenCount": 7})
        for part in parts
    ]
    events[-1]["candidates"][0] |= end
    events[-1]["usageMetadata"] = whole["usageMetadata"]
    if "break off" in _last_text(body):
        events[1:] = [RefusedError(503, "The model is overloaded. Please try again later.").body()]
    return events


def _pieces(part: dict[str, Any]) -> list[dict[str, Any]]:
    if "text" not in part:
        return [part]
    half = len(part["text"]) // 2
    signature = part.pop("thoughtSignature", None)
    pieces = [{**part, "text": part["text"][:half]}, {**part, "text": part["text"][half:]}]
    # The signature of a text comes at its end, in a part without text.
    return [*pieces, {"text": "", "thoughtSignature": signature}] if signature else pieces


def count(body: dict[str, Any], model: str) -> dict[str, Any]:
    """Count one token for each letter of the JSON, more or less."""
    return {"totalTokens": len(json.dumps(body.get("contents") or body["generateContentRequest"]["contents"]))}


def embed(body: dict[str, Any], model: str) -> dict[str, Any]:
    """Return vectors that depend on their text."""
    return {
        "embeddings": [
            {"values": [len(text) / 8 + index for index in range(embed.get("outputDimensionality", 3))]}
            for embed in body["requests"]
            for text in ["".join(part["text"] for part in embed["content"]["parts"])]
        ]
    }


def models(token: str | None, size: str | None) -> dict[str, Any]:
    """Return one of two pages, whatever size is requested."""
    if token not in {None, "second page"} or (size is not None and not 1 <= int(size) <= 1000):
        raise RefusedError(400, "page_token or page_size is invalid.")
    if token:
        return {"models": [model(name) for name in MODELS[2:]]}
    return {"models": [model(name) for name in MODELS[:2]], "nextPageToken": "second page"}


def model(name: str) -> dict[str, Any]:
    """Describe a model."""
    methods = ["embedContent"] if "embedding" in name else ["generateContent", "countTokens"]
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name.replace("-", " ").title(),
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": methods,
    }


ANSWERS: Mapping[str, Callable[[dict[str, Any], str], dict[str, Any]]] = {
    "generateContent": generate,
    "countTokens": count,
    "batchEmbedContents": embed,
}


def _answer(candidates: list[dict[str, Any]], model: str, usage: dict[str, Any]) -> dict[str, Any]:
    return {"candidates": candidates, "usageMetadata": usage, "modelVersion": f"{model}-001", "responseId": "R-1_x"}


def _last_text(body: dict[str, Any]) -> str:
    texts = [
        part["text"]
        for turn in body["contents"]
        if turn.get("role") != "model"
        for part in turn["parts"]
        if "text" in part
    ]
    return str(texts[-1]) if texts else ""


def _refuse(text: str) -> None:
    if "too fast" in text:
        violation = {"quotaId": "GenerateRequestsPerMinutePerProjectPerModel", "quotaValue": "10"}
        details = [
            {"@type": _TYPE + "QuotaFailure", "violations": [violation]},
            {"@type": _TYPE + "RetryInfo", "retryDelay": "1.5s"},
        ]
        raise RefusedError(429, "You exceeded your current quota.", details=details)
    if "too long" in text:
        raise RefusedError(
            400, "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576)."
        )


def _usage(body: dict[str, Any]) -> dict[str, Any]:
    thoughts = {"thoughtsTokenCount": 11} if "thinkingConfig" in body.get("generationConfig", {}) else {}
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 5, "cachedContentTokenCount": 2, **thoughts}
    details = [{"modality": "TEXT", "tokenCount": 4}, {"modality": "AUDIO", "tokenCount": 3}]
    return {**usage, "promptTokensDetails": details, "totalTokenCount": 12 + sum(thoughts.values())}


def _candidate(body: dict[str, Any], model: str) -> dict[str, Any]:
    config = body.get("generationConfig", {})
    parts: list[dict[str, Any]] = []
    if config.get("thinkingConfig", {}).get("includeThoughts"):
        parts.append({"text": "First I think.", "thought": True})
    called = _called(body)
    signed = {"thoughtSignature": SIGNATURE} if model.startswith("gemini-3") else {}
    if called:
        for index, name in enumerate(called):
            identifier = {"id": f"fc-{index}"} if signed else {}
            call = {"functionCall": {"name": name, "args": {"city": "Köln"}, **identifier}}
            parts.append({**call, **(signed if index == 0 else {})})
        return {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP"}
    text = json.dumps({"city": "Köln"}) if "responseMimeType" in config else f"Grüße! You said: {_last_text(body)}"
    parts.append({"text": text, **signed})
    reason = "MAX_TOKENS" if config.get("maxOutputTokens", 99) < 3 else "RECITATION" if "a poem" in text else "STOP"
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "finishReason": reason}
    if config.get("responseLogprobs"):
        token = {"token": text, "tokenId": 1, "logProbability": -0.25}
        top = [token, {"token": "x", "tokenId": 2, "logProbability": -3.5}][: config.get("logprobs", 0)]
        candidate["logprobsResult"] = {"chosenCandidates": [token], "topCandidates": [{"candidates": top}]}
    if any("googleSearch" in tool for tool in body.get("tools", ())):
        # In bytes: each of the two letters with marks has two.
        segment = {"startIndex": 0, "endIndex": 8, "text": "Grüße!"}
        supports = [{"segment": segment, "groundingChunkIndices": [0]}]
        candidate["groundingMetadata"] = {"groundingChunks": [_SOURCE], "groundingSupports": supports}
    return candidate


def _called(body: dict[str, Any]) -> list[str]:
    functions = [
        declared["name"] for tool in body.get("tools", ()) for declared in tool.get("functionDeclarations", ())
    ]
    config = body.get("toolConfig", {}).get("functionCallingConfig", {"mode": "AUTO"})
    answered = any("functionResponse" in part for part in body["contents"][-1]["parts"])
    if answered or config["mode"] == "NONE":
        return []
    if config["mode"] == "ANY":
        return (config.get("allowedFunctionNames") or functions)[:1]
    text = _last_text(body)
    return functions[:2] if "both" in text else functions[:1] if "call" in text else []
