"""Questions and streamed chat over HTTP as a plain ASGI application. Run: ``uvicorn asgi_app:app``."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from web_responses import EVENT_STREAM, STREAM_HEADERS, event, problem_of, prompt_of

from unified_llm import LLMClient
from unified_llm.exceptions import LLMError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
log = logging.getLogger("uvicorn.error")
client = LLMClient("openai/gpt-5-mini", fallbacks=["ollama/llama3.2"], timeout=20, deadline=60)


async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Serve one request, or the events of starting and stopping."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    respond = answer if scope["path"] == "/answer" else chat
    call, watcher = asyncio.create_task(respond(body, send)), asyncio.create_task(disconnect_of(receive))
    try:
        await asyncio.wait({call, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if call.done():
            call.result()  # raises what it raised
    finally:  # a client that disconnects cancels the call, and that closes the connection to the provider
        call.cancel()
        watcher.cancel()
        await asyncio.wait({call, watcher})


async def lifespan(receive: Receive, send: Send) -> None:
    """Prepare the client before the first request, and close it after the last one."""
    await receive()
    await client.awarm()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await client.aclose()
    await send({"type": "lifespan.shutdown.complete"})


async def disconnect_of(receive: Receive) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def answer(body: bytes, send: Send) -> None:
    """Return a whole response."""
    try:
        response = await client.agenerate(prompt_of(body))
    except LLMError as error:
        await send_problem(error, send)
    else:
        await send_json({"text": response.content, "model": response.model}, send)


async def chat(body: bytes, send: Send) -> None:
    """Stream a response; its last event is ``done`` or ``error``."""
    started = False
    try:
        async with client.astream(prompt_of(body)) as stream:
            async for chunk in stream:
                if not started:  # retries and failover happen before the first chunk
                    await send_start(200, {"Content-Type": EVENT_STREAM, **STREAM_HEADERS}, send)
                    started = True
                await send_event(event({"text": chunk.content}), send)
    except LLMError as error:
        if not started:
            await send_problem(error, send)
            return
        log.warning("%s", error)
        await send_event(event({"error": problem_of(error).message}, "error"), send)
    else:
        await send_event(event({}, "done"), send)
    await send({"type": "http.response.body", "body": b""})


async def send_start(status: int, headers: Mapping[str, str], send: Send) -> None:
    """Send status and headers."""
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})


async def send_event(text: str, send: Send) -> None:
    """Send a part of the body."""
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def send_json(
    data: Mapping[str, Any], send: Send, status: int = 200, headers: Mapping[str, str] | None = None
) -> None:
    """Send a whole response."""
    await send_start(status, {"Content-Type": "application/json", **(headers or {})}, send)
    await send({"type": "http.response.body", "body": json.dumps(data).encode()})


async def send_problem(error: LLMError, send: Send) -> None:
    """Answer with the status that fits the error."""
    log.warning("%s", error)  # says what happened at which provider; without an API key, a prompt or a response
    problem = problem_of(error)
    await send_json({"error": problem.message}, send, problem.status, problem.headers)
