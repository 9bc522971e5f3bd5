"""Requests to further endpoints of OpenAI's API, whose bodies pass unchanged: files, batches, moderations ...

They are made by ``unified_llm.openai_style``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from unified_llm.types.media_requests import MediaFile
from unified_llm.types.records import Attempt
from unified_llm.types.requests import FurtherRequest
from unified_llm.types.responses import FurtherResponse


@dataclass(frozen=True, slots=True)
class RawRequest(FurtherRequest):
    """A request to an endpoint of OpenAI's API.

    Attributes:
        method: ``GET``, ``POST`` or ``DELETE``.
        path: The path below the version path, with a slash before it; identifiers in it are percent-encoded.
        feature: What the target needs, by its name in the provider table (``file_storage``, ``moderation`` ...).
        query: The fields of the query.
        body: The JSON body. Where it has a ``model``, the target's takes its place.
        form: The fields of a form instead, in order: texts and files.
        returns: What comes back.
        one_account: Whether it names what is stored in one account, so that no other target is asked.
        stream: Whether the response is a stream of server-sent events.
        model: Replaces the primary for this call.
        extra_body: Further fields of the body, over all others.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    feature: str
    query: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    form: tuple[tuple[str, str | MediaFile], ...] | None = field(default=None, repr=False)
    returns: Literal["json", "text", "bytes"] = "json"
    one_account: bool = False
    stream: bool = False
    model: str | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    @property
    def names_model(self) -> bool:
        """Whether it has a field for the model, which the target then needs."""
        return "model" in (self.body or {}) or any(name == "model" for name, _ in self.form or ())

    @property
    def runs_model(self) -> bool:
        """Whether a model answers it: no time to load one is expected."""
        return False

    @property
    def shows_health(self) -> bool:
        """Whether what becomes of it shows if its target can do its work: to read what is stored shows nothing."""
        return self.method == "POST"

    @property
    def has_any_content(self) -> bool:
        """Whether a response in bytes or text may be of any type, JSON included: the content of a file."""
        return True


@dataclass(frozen=True, slots=True)
class RawChunk:
    """A server-sent event of a stream: its data, as it came."""

    data: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RawResponse(FurtherResponse):
    """Response of such an endpoint.

    Attributes:
        value: Parsed JSON, a text or bytes; None at the end of a stream.
        provider: The provider that answered.
        model: The model at the target that answered; empty where the request needs none.
        request_id: The provider's identifier of the request, for its support.
        used_fallback: Whether another target than the first answered.
        attempts: Every attempt in order.
        headers: The headers of the HTTP response that say when to ask again, and how much is left of a rate limit.
    """

    value: Any = field(default=None, repr=False)
    provider: str = ""
    model: str = ""
    request_id: str | None = None
    used_fallback: bool = False
    attempts: tuple[Attempt, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


for _class in (
    RawRequest,
    RawChunk,
    RawResponse,
):
    _class.__module__ = "unified_llm.types"  # where users import it from
