"""The errors of OpenAI's SDK, by its names. Each that is raised is one of ``unified_llm.exceptions`` as well.

Where the SDK is installed, the classes inherit those of the SDK, so that ``except openai.RateLimitError`` works too. It
is imported for that alone, with this module: when the first error is raised, or one of these names is first used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http.client import responses
from typing import Any, ClassVar, Final, TypeVar, cast

from unified_llm import exceptions as ours
from unified_llm._lib.bounded_json import JSONError, parse_lenient
from unified_llm._providers import registry
from unified_llm.openai_style._headers import Headers

try:
    import openai as _sdk
except ImportError:
    _sdk = None  # type: ignore[assignment]

ErrorT = TypeVar("ErrorT", bound="ours.LLMError")

_HOME: Final = "unified_llm.openai_style"
_TEXTS: Final = frozenset({"message", "body", "response", "completion"})  # in no pickle


@dataclass(frozen=True, slots=True)
class ErrorRequest:
    """The request that failed. No key, body or address is kept."""

    method: str = "POST"
    url: str = ""


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """Part that is kept of the response to a request that failed.

    Attributes:
        status_code: The HTTP status.
        headers: The headers that say when to try again, which limits hold, and the provider's ID of the request.
        text: The body.
        request: The request.
    """

    status_code: int
    headers: Headers = field(default_factory=Headers)
    text: str = field(default="", repr=False)
    request: ErrorRequest = ErrorRequest()

    @property
    def content(self) -> bytes:
        """The body as bytes."""
        return self.text.encode()

    @property
    def reason_phrase(self) -> str:
        """What HTTP calls the status."""
        return responses.get(self.status_code, "")

    @property
    def is_success(self) -> bool:
        """Whether the status is one of success, which the body of an unusable response may have had."""
        return 200 <= self.status_code < 300

    @property
    def is_error(self) -> bool:
        """Whether the status is an error."""
        return self.status_code >= 400

    def read(self) -> bytes:
        """Return the body as bytes."""
        return self.content

    def json(self) -> Any:
        """Return the parsed body.

        Raises:
            ValueError: It is no JSON.
        """
        return parse_lenient(self.text)


def _with_sdk(cls: type[ErrorT]) -> type[ErrorT]:
    """Return the class, with that of the SDK of the same name as a further base, where it is installed."""
    cls.__module__ = _HOME
    theirs = getattr(_sdk, cls.__name__, None)
    if not isinstance(theirs, type):
        return cls
    namespace = {name: value for name, value in vars(cls).items() if name not in {"__dict__", "__weakref__"}}
    rebuilt: Any = type(cls.__name__, (*cls.__bases__, theirs), namespace)
    return cast("type[ErrorT]", rebuilt)


@_with_sdk
class OpenAIError(ours.LLMError):
    """Base class of the errors that a client in the shape of OpenAI's SDK raises.

    Attributes:
        message: What happened, on which target, and what to do next.
        request: A placeholder for the request that failed.
        body: The error of the provider's body, parsed; None where none came. It may quote the prompt.
        type: The provider's name for this type of error.
        response: Status, headers and body of the response; None where none came.
    """

    request: Any = None
    response: Any = None
    body: Any = None
    type: str | None = None
    # The class of ours that an error is as well; None where it was not raised by a call.
    raised_as: ClassVar[Any] = None
    default_status: ClassVar[int | None] = None

    def __init__(self, message: str = "", *, request: Any = None, response: Any = None, body: Any = None) -> None:
        ours.LLMError.__init__(self, message)
        self.request, self.response = request or getattr(response, "request", None), response
        if response is not None:
            self.status_code = response.status_code
            self.request_id = response.headers.get("x-request-id")
        self._take_body(body)

    @property
    def message(self) -> str:
        """What happened, on which target, and what to do next."""
        return str(self)

    def _take_body(self, body: Any) -> None:
        self.body = body
        if isinstance(body, Mapping):
            self.type = _text(body.get("type"))
            if "code" in body:
                self.code, self.param = _text(body["code"]), _text(body.get("param"))

    def complete(self, source: ours.LLMError) -> None:
        """Take what people read of an error of the SDK from an error of ours.

        Args:
            source: This error, or that of the first target where several failed.
        """
        for name in ("status_code", "request_id", "code", "param", "detail", "response_body", "response_headers"):
            setattr(self, name, getattr(source, name, None))
        if isinstance(self, APIStatusError) and (self.status_code or 0) < 300:
            self.status_code = self.default_status  # such as a model that a list, which came, does not have
        self.request = ErrorRequest()
        self._take_body(_error_of(self.response_body))
        if isinstance(self, (APIStatusError, APIResponseValidationError)):
            headers = Headers(self.response_headers or {})
            if self.request_id:
                headers.setdefault("x-request-id", self.request_id)
            self.response = ErrorResponse(self.status_code or 0, headers, self.response_body or "", self.request)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the texts of a provider."""
        kind = self.raised_as or ours.LLMError
        _, (_, message, state) = kind.__reduce__(self)
        kept = {name: value for name, value in state.items() if name not in _TEXTS}
        if isinstance(self.response, ErrorResponse):
            headers = Headers({"x-request-id": self.request_id} if self.request_id else {})
            kept["response"] = replace(self.response, text="", headers=headers)
        return (_restore, (self.raised_as, type(self).__name__, message, kept))


@_with_sdk
class APIError(OpenAIError):
    """A call failed."""


@_with_sdk
class APIResponseValidationError(APIError, ours.GenerationError):
    """The response is unusable: empty, malformed, or of the wrong type."""


@_with_sdk
class APIStatusError(APIError):
    """The provider answered with a status of 4xx or 5xx."""


@_with_sdk
class APIConnectionError(APIError):
    """No connection could be made, or it broke."""


@_with_sdk
class APITimeoutError(APIConnectionError):
    """No response came in time."""


@_with_sdk
class BadRequestError(APIStatusError):
    """The request was refused, by the provider or before it was sent."""

    default_status = 400


@_with_sdk
class AuthenticationError(APIStatusError):
    """The API key was refused."""

    default_status = 401


@_with_sdk
class PermissionDeniedError(APIStatusError):
    """The API key may not do this."""

    default_status = 403


@_with_sdk
class NotFoundError(APIStatusError):
    """The provider has no such model or path."""

    default_status = 404


@_with_sdk
class ConflictError(APIStatusError):
    """The provider was busy with another request."""

    default_status = 409


@_with_sdk
class UnprocessableEntityError(APIStatusError):
    """The provider could not process the request."""

    default_status = 422


@_with_sdk
class RateLimitError(APIStatusError):
    """Too many requests, or no credit left."""

    default_status = 429


@_with_sdk
class InternalServerError(APIStatusError):
    """The provider failed."""

    default_status = 500


@_with_sdk
class LengthFinishReasonError(OpenAIError, ours.GenerationError):
    """A response that was to be parsed was cut at its length limit.

    Attributes:
        completion: The response.
    """

    def __init__(self, *, completion: Any = None) -> None:
        ours.LLMError.__init__(self, "The response was cut at its length limit, so that it cannot be parsed.")
        self.completion = completion


@_with_sdk
class ContentFilterFinishReasonError(OpenAIError, ours.GenerationError):
    """A response that was to be parsed was cut by the provider's content filter.

    Attributes:
        completion: The response, or None.
    """

    def __init__(self, *, completion: Any = None) -> None:
        ours.LLMError.__init__(self, "The response was cut by the content filter, so that it cannot be parsed.")
        self.completion = completion


_BY_STATUS: Final[Mapping[int, type[APIStatusError]]] = {
    kind.default_status: kind for kind in APIStatusError.__subclasses__() if kind.default_status
}  # fmt: skip
_BY_CLASS: Final[Mapping[type[ours.LLMError], type[OpenAIError]]] = {
    ours.AuthenticationError: AuthenticationError,
    ours.PermissionDeniedError: PermissionDeniedError,
    ours.QuotaExceededError: RateLimitError,
    ours.RateLimitError: RateLimitError,
    ours.ModelNotFoundError: NotFoundError,
    ours.ContentFilterError: BadRequestError,
    ours.ContextOverflowError: BadRequestError,
    ours.ValidationError: BadRequestError,
    ours.UnsupportedOperationError: BadRequestError,
    ours.ConnectionError: APIConnectionError,
    ours.TimeoutError: APITimeoutError,
    ours.ServiceUnavailableError: InternalServerError,
    ours.GenerationError: APIResponseValidationError,
    ours.ConfigurationError: OpenAIError,
}
# The methods of ``LLMClient`` in hints, and those of an OpenAI client.
_METHODS: Final[Mapping[str, str]] = {
    "embed()": "embeddings.create()",
    "generate()": "chat.completions.create()",
    "generate_image()": "images.generate()",
    "generate_speech()": "audio.speech.create()",
    "generate_video()": "videos.create()",
    "transcribe()": "audio.transcriptions.create()",
}
_COMBINED: Final[dict[tuple[type[OpenAIError], type[ours.LLMError]], type[OpenAIError]]] = {}
# Whose status says more than the class, at any provider.
_BY_STATUS_FIRST: Final = (
    ours.BadRequestError,
    ours.UnsupportedOperationError,
    ours.ServiceUnavailableError,
    ours.ConfigurationError,
    ours.TimeoutError,
)


def family_of(error: ours.LLMError) -> type[OpenAIError]:
    """Return the class of OpenAI's SDK, as it is here, that an error belongs to."""
    if isinstance(error, ours.AllTargetsFailedError):
        return family_of(error.errors[0]) if error.errors else APIError
    if isinstance(error, ours.StreamInterruptedError):
        # An error that the provider sent in the stream has no status of its own, so it is none of those for a status.
        cause = error.__cause__
        return family_of(cause) if isinstance(cause, (ours.ConnectionError, ours.TimeoutError)) else APIError
    status = error.status_code
    by_status = isinstance(error, _BY_STATUS_FIRST) or (
        _has_openais_api(error.provider) and not isinstance(error, ours.ConnectionError)
    )
    if status is not None and status >= 300 and by_status:
        return _BY_STATUS.get(status) or (InternalServerError if status >= 500 else APIStatusError)
    if isinstance(error, ours.ConfigurationError) and any(made.outcome != "skipped" for made in error.attempts):
        return APIConnectionError  # such as a certificate that was refused
    return next((_BY_CLASS[kind] for kind in type(error).__mro__ if kind in _BY_CLASS), APIError)


def _in_our_shape(message: str) -> str:
    """Return a message whose hint names the method of an OpenAI client before that of ``LLMClient``."""
    for method, theirs in _METHODS.items():
        message = message.replace(f"use {method}", f"use {theirs}, of LLMClient {method}")
    return message


def _has_openais_api(provider: str | None) -> bool:
    """Return whether a provider speaks OpenAI's format: there OpenAI's SDK goes by the status alone."""
    spec = registry.find(provider) if provider else None
    return spec is not None and spec.format in {"openai_chat", "azure", "huggingface"}


def translate(error: ours.LLMError) -> ours.LLMError:
    """Return an error as one of the family as well, with the same message and attributes."""
    if isinstance(error, OpenAIError):
        return error
    kind = combined(family_of(error), type(error))
    translated = kind.__new__(kind)
    args = map(_in_our_shape, error.args) if isinstance(error, ours.UnsupportedOperationError) else error.args
    Exception.__init__(translated, *args)
    translated.__dict__.update(error.__dict__)
    source = error.errors[0] if isinstance(error, ours.AllTargetsFailedError) and error.errors else error
    translated.complete(source)
    return translated


def combined(family: type[OpenAIError], kind: type[ours.LLMError]) -> type[OpenAIError]:
    """Return the class of errors that are of the family and of a class of ours; the same one each time."""
    made = _COMBINED.get((family, kind))
    if made is None:
        bases = (family,) if issubclass(family, kind) else (family, kind)
        namespace = {"__module__": _HOME, "__doc__": family.__doc__, "raised_as": kind}
        # Of two threads that make it at once, both get the one that was stored first.
        made = _COMBINED.setdefault((family, kind), type(family.__name__, bases, namespace))
    return made


def _restore(kind: Any, name: str, message: str, state: dict[str, Any]) -> ours.LLMError:
    family: type[OpenAIError] = globals()[name]
    return ours.restore(combined(family, kind) if kind else family, message, state)


def _error_of(body: str | None) -> Any:
    """Return the error in a body, as OpenAI's SDK does: the field of that name, the whole object, or the text."""
    if not body:
        return None
    try:
        parsed = parse_lenient(body)
    except JSONError:
        return body
    return parsed.get("error", parsed) if isinstance(parsed, dict) else parsed


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
