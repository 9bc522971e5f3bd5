"""What OpenAI's SDK has and this does not: its attributes raise an error that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unified_llm.exceptions import UnsupportedOperationError

# Attributes of the client and its resources that only OpenAI's own platform has, and what they are for.
OF_OPENAI: Final[Mapping[str, str]] = {
    "admin": "the administration of an account",
    "audio.voice_consents": "consents to the use of a voice",
    "audio.voices": "voices of one's own",
    "beta.agents": "agents",
    "beta.assistants": "assistants",
    "beta.chatkit": "ChatKit",
    "beta.realtime": "realtime sessions",
    "beta.responses": "beta features of responses",
    "beta.threads": "threads of assistants",
    "containers": "containers",
    "content_provenance_checks": "checks of where content is from",
    "conversations": "stored conversations",
    "decisions": "decisions",
    "evals": "evals",
    "fine_tuning": "fine-tuning",
    "live": "live sessions",
    "realtime": "realtime sessions",
    "responses.compact": "conversations made shorter",
    "responses.connect": "responses over a WebSocket",
    "safety": "safety settings",
    "skills": "skills",
    "uploads": "uploads in parts",
    "vector_stores": "vector stores",
    "videos.create_character": "characters of videos",
    "videos.edit": "edits of videos",
    "videos.extend": "longer videos",
    "videos.get_character": "characters of videos",
    "webhooks": "webhooks",
    "get": "requests to any path",
    "post": "requests to any path",
    "put": "requests to any path",
    "patch": "requests to any path",
    "delete": "requests to any path",
    "request": "requests to any path",
}
_STREAMED: Final = "with_streaming_response"  # of the client and of each resource


class MissingAttributeError(UnsupportedOperationError, AttributeError):
    """An attribute of OpenAI's SDK is not offered; ``hasattr`` says so as well."""


def missing_attribute(owner: object, name: str, path: str) -> Exception:
    """Return the error for an attribute that an object in OpenAI's shape does not have.

    Args:
        owner: The client or the resource.
        name: The attribute.
        path: How the attribute is reached from OpenAI's client, such as ``chat.completions``; empty for the client.
    """
    full = f"{path}.{name}" if path else name
    if name == _STREAMED:
        return MissingAttributeError(
            f"{full} is not offered, since a response may be that of any provider: pass stream=True, or call "
            f"with_raw_response. For responses as they come use OpenAI's SDK: openai.OpenAI().{full}."
        )
    if full in OF_OPENAI:
        return MissingAttributeError(
            f"{full} ({OF_OPENAI[full]}) is not offered: use OpenAI's SDK for it, openai.OpenAI().{full}."
        )
    return AttributeError(f"{type(owner).__name__!r} object has no attribute {name!r}", name=name, obj=owner)


def unsupported_method(path: str, what: str) -> Any:
    """Return the error for a method that is not offered."""
    return UnsupportedOperationError(f"{path}() ({what}) is not offered: use OpenAI's SDK, openai.OpenAI().{path}().")
