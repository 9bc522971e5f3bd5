"""Calls over targets that fail at random bytes: three of them, in two formats, each with texts of its own."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from integration_tests.attacks.servers import Peer, chat, head, hostile, reply
from unified_llm import LLMClient, LLMConfig, reset_health
from unified_llm.exceptions import LLMError, StreamInterruptedError

_WORDS: Final = 12


@dataclass
class Tally:
    """What came of the calls."""

    calls: int = 0
    interrupted: int = 0
    wrong: int = 0
    odd: int = 0


def text_of(name: str, prompt: str) -> str:
    """Return the whole answer of a target to a prompt, which no other target gives."""
    return "".join(f"{name}:{prompt}:{index} " for index in range(_WORDS))


def _openai(name: str, prompt: str) -> list[bytes]:
    words = text_of(name, prompt).split(" ")[:-1]
    values = [{"choices": [{"index": 0, "delta": {"content": f"{word} "}}]} for word in words]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return [*(_event(value) for value in (*values, end)), b"data: [DONE]\n\n"]


def _anthropic(name: str, prompt: str) -> list[bytes]:
    words = text_of(name, prompt).split(" ")[:-1]
    message = {"id": "a", "model": "m", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}
    values = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f"{word} "}}
            for word in words
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    return [_event(value) for value in values]


def _event(value: Any) -> bytes:
    name = f"event: {value['type']}\n" if "type" in value else ""
    return f"{name}data: {json.dumps(value)}\n\n".encode()


def _whole(name: str, prompt: str, *, anthropic: bool) -> bytes:
    text = text_of(name, prompt)
    if not anthropic:
        return json.dumps(chat(text)).encode()
    content = [{"type": "text", "text": text}]
    return json.dumps({"id": "a", "model": "m", "content": content, "stop_reason": "end_turn", "usage": {}}).encode()


def faulty(name: str, *, anthropic: bool, share: float) -> Callable[[Peer], None]:
    """Make a server that answers with its own text, and fails at a random byte of ``share`` of the answers."""

    def script(peer: Peer) -> None:
        draw, request = random.Random(), peer.request.json
        prompt = _prompt(request)
        streaming = bool(request.get("stream"))
        make = _anthropic if anthropic else _openai
        parts = make(name, prompt) if streaming else [_whole(name, prompt, anthropic=anthropic)]
        fault = draw.choice(_FAULTS) if draw.random() < share else ""
        if fault == "refused":
            peer.send(reply({"error": {"message": "no"}}, status=draw.choice(["503 Down", "429 No", "500 Oops"])))
            return
        if fault == "twice":
            parts = [*parts, *parts]
        if fault == "empty":
            parts = [b""]
        if fault == "event" and streaming:
            parts.insert(
                draw.randrange(len(parts)), b'event: error\ndata: {"type":"error","error":{"message":"no"}}\n\n'
            )
        if fault == "garbled":
            parts = _garble(draw, parts)
        body = b"".join(parts)
        if draw.random() < 0.3 and streaming:
            body = body.replace(b"\n", b"\r\n")
        _send(peer, draw, body, streaming=streaming, cut=fault in {"cut", "reset"}, reset=fault == "reset")

    return script


def _garble(draw: random.Random, parts: list[bytes]) -> list[bytes]:
    """Overwrite some bytes of JSON. (A line whose field name is damaged is ignored by the rules of event streams.)"""
    index = draw.choice([index for index, part in enumerate(parts) if b"{" in part])
    part = parts[index]
    start = part.index(b"{")
    at = draw.randrange(start, max(start + 1, len(part) - 12))
    return [*parts[:index], part[:at] + b"\x00{garbled" + part[at + 9 :], *parts[index + 1 :]]


_FAULTS: Final = ("cut", "cut", "reset", "reset", "garbled", "event", "refused", "empty", "twice")


def _prompt(request: Any) -> str:
    content = request["messages"][-1]["content"]
    return str(content if isinstance(content, str) else content[0]["text"])


def _send(peer: Peer, draw: random.Random, body: bytes, *, streaming: bool, cut: bool, reset: bool) -> None:
    kind = "text/event-stream" if streaming else "application/json"
    framing = draw.choice(["length", "chunked", "close"])
    pieces = _split(draw, body)
    if framing == "chunked":
        pieces = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces] + [b"0\r\n\r\n"]
        data = head("Transfer-Encoding: chunked", content_type=kind) + b"".join(pieces)
    elif framing == "length":
        data = head(f"Content-Length: {len(body)}", content_type=kind) + body
    else:
        data = head("Connection: close", content_type=kind) + body
    if cut:
        data = data[: draw.randrange(len(data))]
    for piece in _split(draw, data):
        peer.send(piece)
    if reset:
        peer.reset()


def _split(draw: random.Random, data: bytes) -> list[bytes]:
    if len(data) < 200 and draw.random() < 0.2:
        return [data[index : index + 1] for index in range(len(data))]
    points = sorted(draw.randrange(len(data) + 1) for _ in range(draw.randrange(6)))
    return [data[start:end] for start, end in zip([0, *points], [*points, len(data)], strict=True) if start < end]


def storm(calls: int) -> Tally:
    """Make calls in four modes; return what came of them."""
    tally = Tally()
    with ExitStack() as stack:
        shares = {"one": 0.6, "two": 0.5, "three": 0.2}
        urls = {
            name: stack.enter_context(hostile(faulty(name, anthropic=name == "two", share=share)))
            for name, share in shares.items()
        }
        targets = [
            LLMConfig(
                model=f"{'anthropic' if name == 'two' else 'openai-compatible'}/{name}",
                base_url=url, api_key="sk-of-the-attacks", max_retries=0, timeout=5,
            )
            for name, url in urls.items()
        ]  # fmt: skip
        client = LLMClient(targets[0], fallbacks=targets[1:], deadline=10)
        half = calls // 2
        for index in range(half):
            if index % 10 == 0:
                reset_health()
            _one(client, f"s{index}", tally, streaming=bool(index % 2))
        asyncio.run(_async(client, calls - half, tally))
        client.close()
    return tally


async def _async(client: LLMClient, calls: int, tally: Tally) -> None:
    for start in range(0, calls, 10):
        reset_health()
        count = min(10, calls - start)
        await asyncio.gather(*[
            _aone(client, f"a{start + index}", tally, streaming=bool(index % 2)) for index in range(count)
        ])  # fmt: skip
    await client.aclose()


def _one(client: LLMClient, prompt: str, tally: Tally, *, streaming: bool) -> None:
    handed_out: list[str] = []
    tally.calls += 1
    try:
        if streaming:
            handed_out.extend(chunk.content for chunk in client.stream(prompt))
        else:
            handed_out.append(client.generate(prompt).content)
        _check_whole(prompt, "".join(handed_out), tally)
    except LLMError as error:
        _check_error(prompt, error, handed_out, tally)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        print(repr(error))  # noqa: T201
        tally.odd += 1


async def _aone(client: LLMClient, prompt: str, tally: Tally, *, streaming: bool) -> None:
    handed_out: list[str] = []
    tally.calls += 1
    try:
        if streaming:
            async for chunk in client.astream(prompt):
                handed_out.append(chunk.content)  # noqa: PERF401 - what came before an error is needed
        else:
            handed_out.append((await client.agenerate(prompt)).content)
        _check_whole(prompt, "".join(handed_out), tally)
    except LLMError as error:
        _check_error(prompt, error, handed_out, tally)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        print(repr(error))  # noqa: T201
        tally.odd += 1


def _texts(prompt: str) -> list[str]:
    return [text_of(name, prompt) for name in ("one", "two", "three")]


def _check_whole(prompt: str, text: str, tally: Tally) -> None:
    if text not in _texts(prompt):
        tally.wrong += 1
        print("wrong:", prompt, repr(text))  # noqa: T201


def _check_error(prompt: str, error: LLMError, handed_out: Sequence[str], tally: Tally) -> None:
    text = "".join(handed_out)
    if isinstance(error, StreamInterruptedError):
        tally.interrupted += 1
        if error.partial != text or not any(whole.startswith(text) for whole in _texts(prompt)):
            tally.wrong += 1
            print("wrong partial:", prompt, repr(text), repr(error.partial))  # noqa: T201
    elif text:
        tally.wrong += 1
