"""What OpenAI's shape costs: the import, a call and a chunk, beside OpenAI's own SDK and ``LLMClient``.

    python -m benchmarks.openai_style

The server runs in a process of its own and responds from memory; only the processor time of this process is measured.
A call is one request on a warm connection, whose answer is read to its text; a chunk is one of a stream of 500. Without
OpenAI's SDK its lines are left out.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from statistics import median
from typing import Any, NamedTuple, cast

from benchmarks.imports import seconds as import_seconds

ROUNDS = 15
CALLS = 50
CHUNKS = 500
KEY = "sk-none"
MESSAGES: Any = [{"role": "user", "content": "Hello?"}]
HEAD = {"id": "chatcmpl-1", "created": 1, "model": "m", "system_fingerprint": None}
CHOICE = {"index": 0, "logprobs": None}
BODY = json.dumps(
    {
        **HEAD,
        "object": "chat.completion",
        "choices": [{**CHOICE, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
).encode()
MAKE = "OpenAI(api_key='sk-none').chat.completions"
IMPORTS = {
    "OpenAI of openai": f"from openai import OpenAI; {MAKE}",
    "OpenAI of unified_llm": f"from unified_llm.openai_style import OpenAI; {MAKE}",
    "LLMClient, without a client": "from unified_llm import LLMClient",
}


def event(delta: dict[str, str], reason: str | None = None) -> bytes:
    """Return an event of a stream in OpenAI's format."""
    choices = [{**CHOICE, "delta": delta, "finish_reason": reason}]
    return b"data: " + json.dumps({**HEAD, "object": "chat.completion.chunk", "choices": choices}).encode() + b"\n\n"


STREAM = event({"content": "word "}) * CHUNKS + event({}, "stop") + b"data: [DONE]\n\n"
SHORT = event({"content": "word "}) + event({}, "stop") + b"data: [DONE]\n\n"


def response(body: bytes, kind: str) -> bytes:
    """Return an HTTP response."""
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Server(asyncio.Protocol):
    """Responds to every request at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection."""
        self.transport = cast("asyncio.Transport", transport)
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        """Collect the bytes of a request; respond when it is complete."""
        self.buffer += data
        head, complete, rest = self.buffer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]) if complete else 0
        if not complete or len(rest) < length:
            return
        self.buffer = rest[length:]
        body = json.loads(rest[:length])
        events = SHORT if body["model"] == "short" else STREAM
        streamed = body.get("stream")
        answer = response(events, "text/event-stream") if streamed else response(BODY, "application/json")
        self.transport.write(answer)


def serve(pipe: Connection) -> None:
    """Run the server's process."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


class Way(NamedTuple):
    """One way to call: a whole response, its dump, and a stream of a model."""

    call: Callable[[], Any]
    dump: Callable[[], Any] | None
    stream: Callable[[str], None]


def in_openais_shape(client: Any) -> Way:
    """Return the ways of a client in OpenAI's shape."""
    create = client.chat.completions.create

    def call() -> Any:
        completion = create(model="m", messages=MESSAGES)
        return completion if completion.choices[0].message.content else None

    def stream(model: str) -> None:
        for chunk in create(model=model, messages=MESSAGES, stream=True):
            for choice in chunk.choices:
                _ = choice.delta.content

    return Way(call, call().model_dump, stream)


def ways(url: str) -> dict[str, Way]:
    """Return all ways, by their names."""
    from unified_llm import LLMClient
    from unified_llm.openai_style import OpenAI

    client = LLMClient("openai-compatible:m", base_url=url, api_key=KEY)

    def stream(model: str) -> None:
        for chunk in client.stream(MESSAGES, model=f"openai-compatible:{model}"):
            _ = chunk.content

    found = {
        "OpenAI of unified_llm": in_openais_shape(OpenAI(base_url=url, api_key=KEY)),
        "LLMClient": Way(lambda: client.generate(MESSAGES).content, None, stream),
    }
    if importlib.util.find_spec("openai"):
        import openai

        found["OpenAI of openai"] = in_openais_shape(openai.OpenAI(base_url=url, api_key=KEY))
    return found


def microseconds(function: Callable[[], Any], times: int) -> float:
    """Return the processor time of a call."""
    began = time.process_time()
    for _ in range(times):
        function()
    return (time.process_time() - began) / times * 1e6


def show_imports() -> None:
    """Print the processor time of each import."""
    print("\nimport, with a client and its chat completions        ms")
    empty = median(import_seconds("pass") for _ in range(ROUNDS))
    for name, statement in IMPORTS.items():
        if name == "OpenAI of openai" and not importlib.util.find_spec("openai"):
            continue
        times = [import_seconds(statement) for _ in range(ROUNDS)]
        print(f"{name:<48} {(median(times) - empty) * 1e3:8.0f}")


def show_calls(url: str) -> None:
    """Print the processor time of calls, chunks and dumps. The ways take turns."""
    found = ways(url)
    figures: dict[str, dict[str, list[float]]] = {name: {"call": [], "chunk": [], "dump": []} for name in found}
    for _ in range(ROUNDS):
        for name, way in found.items():
            figures[name]["call"].append(microseconds(way.call, CALLS))
            short = microseconds(lambda way=way: way.stream("short"), 5)  # type: ignore[misc]
            whole = microseconds(lambda way=way: way.stream("m"), 2)  # type: ignore[misc]
            figures[name]["chunk"].append((whole - short) / (CHUNKS - 1))
            if way.dump is not None:
                figures[name]["dump"].append(microseconds(way.dump, 200))
    print("                          µs a call   µs a chunk   µs a model_dump")
    for name, times in figures.items():
        dump = f"{median(times['dump']):17.0f}" if times["dump"] else ""
        print(f"{name:<24} {median(times['call']):10.0f} {median(times['chunk']):12.1f} {dump}")


def main() -> None:
    """Start the server, and print the tables."""
    receiver, sender = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(sender,), daemon=True)
    process.start()
    show_calls(f"http://127.0.0.1:{receiver.recv()}/v1")
    process.terminate()
    show_imports()


if __name__ == "__main__":
    main()
