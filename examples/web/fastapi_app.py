"""Questions and streamed chat over HTTP with FastAPI. Run: ``uvicorn fastapi_app:app``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel
from web_responses import EVENT_STREAM, STREAM_HEADERS, aevents, problem_of

from unified_llm import LLMClient
from unified_llm.exceptions import LLMError

Result = TypeVar("Result")
log = logging.getLogger("uvicorn.error")
client = LLMClient("openai/gpt-5-mini", fallbacks=["ollama/llama3.2"], timeout=20, deadline=60)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Prepare the client before the first request, and close it after the last one."""
    for target, problem in (await client.awarm()).items():  # imports, certificates, connections; sends nothing
        log.warning("%s is not ready: %s", target, problem)
    yield
    await client.aclose()


app = FastAPI(lifespan=lifespan)


class Question(BaseModel):
    """Body of a request."""

    prompt: str


@app.exception_handler(LLMError)
async def failed(_request: Request, error: LLMError) -> JSONResponse:
    """Answer with the status that fits the error, where nothing has been sent yet."""
    log.warning("%s", error)  # says what happened at which provider; without an API key, a prompt or a response
    problem = problem_of(error)
    return JSONResponse({"error": problem.message}, problem.status, dict(problem.headers))


@app.post("/answer")
async def answer(question: Question, request: Request) -> dict[str, str]:
    """Return a whole response."""
    response = await unless_disconnected(request, client.agenerate(question.prompt))
    return {"text": response.content, "model": response.model}


@app.post("/chat")
async def chat(question: Question, request: Request) -> StreamingResponse:
    """Stream a response."""
    stream = client.astream(question.prompt)
    first = await unless_disconnected(request, anext(stream))  # retries and failover happen before the first chunk
    return StreamingResponse(aevents(stream, first, log), media_type=EVENT_STREAM, headers=STREAM_HEADERS)


async def unless_disconnected(request: Request, call: Awaitable[Result]) -> Result:
    """Wait for a call; cancel it when the client disconnects, which closes the connection to the provider."""
    task = asyncio.ensure_future(call)
    watcher = asyncio.create_task(disconnect_of(request))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise HTTPException(499, "The client has disconnected.")
        return task.result()
    finally:
        task.cancel()
        watcher.cancel()


async def disconnect_of(request: Request) -> None:
    """Return when the client has disconnected. FastAPI has read the body by then."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


@app.get("/ready")
async def ready() -> dict[str, bool]:
    """Tell whether at least one provider of the chain returns its list of models."""
    if not await client.ahealth_check():
        raise HTTPException(503, "no provider can be reached")
    return {"ready": True}
