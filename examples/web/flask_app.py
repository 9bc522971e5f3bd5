"""Questions and streamed chat over HTTP with Flask. Run: ``flask --app flask_app run``."""

from __future__ import annotations

from flask import Flask, Response, request
from web_responses import EVENT_STREAM, STREAM_HEADERS, events, problem_of, prompt_of

from unified_llm import LLMClient
from unified_llm.exceptions import LLMError

app = Flask(__name__)
client = LLMClient("openai/gpt-5-mini", fallbacks=["ollama/llama3.2"], timeout=20, deadline=60)


@app.errorhandler(LLMError)
def failed(error: LLMError) -> tuple[dict[str, str], int, dict[str, str]]:
    """Answer with the status that fits the error, where nothing has been sent yet."""
    app.logger.warning("%s", error)  # says what happened at which provider; without an API key, a prompt or a response
    problem = problem_of(error)
    return {"error": problem.message}, problem.status, dict(problem.headers)


@app.post("/answer")
def answer() -> dict[str, str]:
    """Return a whole response."""
    response = client.generate(prompt_of(request.get_data()))
    return {"text": response.content, "model": response.model}


@app.post("/chat")
def chat() -> Response:
    """Stream a response."""
    stream = client.stream(prompt_of(request.get_data()))
    first = next(stream)  # retries and failover happen before the first chunk
    return Response(events(stream, first, app.logger), mimetype=EVENT_STREAM, headers=STREAM_HEADERS)
