"""Answers of the stand-in for Anthropic's API, chosen by words in the user's last text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from integration_tests.fakes.anthropic_rules import signature

REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix"}
SEARCH: list[dict[str, Any]] = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "Shannon"}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [
            {
                "type": "web_search_result", "url": "https://e.example/shannon", "title": "Shannon",
                "encrypted_content": "Eqgf", "page_age": None,
            }
        ],
    },
]  # fmt: skip
CITED = {
    "type": "web_search_result_location", "url": "https://e.example/shannon", "title": "Shannon",
    "encrypted_index": "Eo8B", "cited_text": "Claude Elwood Shannon (1916)",
}  # fmt: skip


def answer(body: Mapping[str, Any], identifier: str, usage: Mapping[str, Any]) -> dict[str, Any]:
    """Write a whole message."""
    blocks, stop, details = _choose_answer(body)
    return {
        "id": f"msg_{identifier}",
        "type": "message",
        "role": "assistant",
        "model": f"{body['model']}-20250929",
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": None,
        "stop_details": details,
        "usage": {**usage, "output_tokens": 20, "output_tokens_details": {"thinking_tokens": _thinking_tokens(blocks)}},
    }


def last_text(body: Mapping[str, Any]) -> str:
    """Return the user's last text."""
    content = body["messages"][-1]["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return "".join(block["text"] for block in blocks if block["type"] == "text")


def _thinking_tokens(blocks: list[dict[str, Any]]) -> int:
    return 7 * sum(block["type"] in {"thinking", "redacted_thinking"} for block in blocks)


def _choose_answer(body: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str, Any]:
    blocks: list[dict[str, Any]] = []
    text = last_text(body)
    if body.get("thinking", {}).get("type") in {"enabled", "adaptive"}:
        thinking = f"They said {text!r}."
        blocks += [{"type": "thinking", "thinking": thinking, "signature": signature(thinking)}, dict(REDACTED)]
    if "decline" in text:
        return [], "refusal", {"type": "refusal", "category": "bio", "explanation": "This was declined."}
    if "search" in text:
        blocks += [
            {"type": "text", "text": "Found: "},
            *SEARCH,
            {"type": "text", "text": "1916.", "citations": [CITED]},
        ]
        return blocks, "end_turn", None
    if "pause" in text:
        return [*blocks, SEARCH[0]], "pause_turn", None
    if (choice := body.get("tool_choice", {"type": "auto"})["type"]) in {"any", "tool"} or "call" in text:
        return [*blocks, {"type": "text", "text": "Let me see."}, *_calls(body, choice)], "tool_use", None
    if "output_config" in body and "format" in body["output_config"]:
        return [*blocks, {"type": "text", "text": json.dumps({"city": "Köln", "days": 3})}], "end_turn", None
    return [*blocks, {"type": "text", "text": f"You said: {text or 'nothing'} – ü."}], "end_turn", None


def _calls(body: Mapping[str, Any], choice: str) -> list[dict[str, Any]]:
    tools = body.get("tools", [])
    named = body["tool_choice"]["name"] if choice == "tool" else tools[0]["name"]
    sequential = body.get("tool_choice", {}).get("disable_parallel_tool_use", False)
    number = len(body["messages"])
    return [
        {"type": "tool_use", "id": f"toolu_{number}_{i}", "name": named, "input": {"city": city, "days": 3}}
        for i, city in enumerate(["Köln"] if sequential else ["Köln", "Oslo"])
    ]


def events(message: dict[str, Any], *, broken: bool = False) -> Iterator[dict[str, Any]]:
    """Write the message as a stream; ``broken`` ends it with an error after its first words."""
    usage = {name: value for name, value in message["usage"].items() if not name.startswith("output")}
    empty = {
        **message,
        "content": [],
        "stop_reason": None,
        "stop_details": None,
        "usage": {**usage, "output_tokens": 1},
    }
    yield {"type": "message_start", "message": empty}
    for index, block in enumerate(message["content"]):
        start, deltas = _in_pieces(block)
        yield {"type": "content_block_start", "index": index, "content_block": start}
        yield {"type": "ping"}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
            if broken:
                yield {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
                return
        yield {"type": "content_block_stop", "index": index}
    delta = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    yield {"type": "message_delta", "delta": delta, "usage": {**message["usage"]}}
    yield {"type": "message_stop"}


def _in_pieces(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    match block["type"]:
        case "text":
            cited = [{"type": "citations_delta", "citation": citation} for citation in block.get("citations", ())]
            start: dict[str, Any] = {"type": "text", "text": ""} | ({"citations": []} if cited else {})
            return start, cited + [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]
        case "tool_use" | "server_tool_use":
            text = json.dumps(block["input"], ensure_ascii=False)
            return {**block, "input": {}}, [
                {"type": "input_json_delta", "partial_json": p} for p in ["", *_pieces(text)]
            ]
        case _:
            return block, []


def _pieces(text: str) -> list[str]:
    return [text[i : i + 5] for i in range(0, len(text), 5)]
