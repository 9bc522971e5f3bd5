"""Questions and streamed chat over HTTP with Django, in one file.

Run it with sync views, ``python django_app.py runserver`` or ``gunicorn django_app:wsgi``, or with async views,
``uvicorn django_app:asgi``. In a project of yours, the settings are in settings.py, the rest in views.py and urls.py.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.utils.deprecation import MiddlewareMixin
from django.views.decorators.http import require_POST
from web_responses import EVENT_STREAM, STREAM_HEADERS, aevents, events, problem_of, prompt_of

from unified_llm import LLMClient
from unified_llm.exceptions import LLMError

settings.configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    DEBUG=os.environ.get("DJANGO_DEBUG") == "1",
    MIDDLEWARE=[f"{__name__}.LLMErrors"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_urlsafe(),  # nothing is signed here
)
log = logging.getLogger("django")
client = LLMClient("openai/gpt-5-mini", fallbacks=["ollama/llama3.2"], timeout=20, deadline=60)


class LLMErrors(MiddlewareMixin):
    """Answers with the status that fits the error of a view, sync or async, where nothing has been sent yet."""

    def process_exception(self, _request: HttpRequest, error: Exception) -> JsonResponse | None:
        """Return the response, or None for errors of other kinds."""
        if not isinstance(error, LLMError):
            return None
        log.warning("%s", error)  # says what happened at which provider; without an API key, a prompt or a response
        problem = problem_of(error)
        return JsonResponse({"error": problem.message}, status=problem.status, headers=problem.headers)


@require_POST
def answer(request: HttpRequest) -> JsonResponse:
    """Return a whole response."""
    response = client.generate(prompt_of(request.body))
    return JsonResponse({"text": response.content, "model": response.model})


@require_POST
def chat(request: HttpRequest) -> StreamingHttpResponse:
    """Stream a response."""
    stream = client.stream(prompt_of(request.body))
    first = next(stream)  # retries and failover happen before the first chunk
    return StreamingHttpResponse(events(stream, first, log), content_type=EVENT_STREAM, headers=STREAM_HEADERS)


@require_POST
async def answer_async(request: HttpRequest) -> JsonResponse:
    """Return a whole response. Django cancels this view when the client disconnects."""
    response = await client.agenerate(prompt_of(request.body))
    return JsonResponse({"text": response.content, "model": response.model})


@require_POST
async def chat_async(request: HttpRequest) -> StreamingHttpResponse:
    """Stream a response. Django cancels this view, or the stream, when the client disconnects."""
    stream = client.astream(prompt_of(request.body))
    first = await anext(stream)
    return StreamingHttpResponse(aevents(stream, first, log), content_type=EVENT_STREAM, headers=STREAM_HEADERS)


urlpatterns = [
    path("answer", answer),
    path("chat", chat),
    path("async/answer", answer_async),
    path("async/chat", chat_async),
]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
else:
    wsgi, asgi = get_wsgi_application(), get_asgi_application()
