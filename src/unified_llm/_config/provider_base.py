"""An optional base class of user-defined providers, with what most of them would write themselves."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final

from unified_llm import exceptions as exc
from unified_llm._core import token_estimates
from unified_llm._core.chunks import as_chunks, as_response
from unified_llm._core.features import Output
from unified_llm._core.outcome import Done, FailureKind, kind_of_status
from unified_llm._providers.output_types import describe
from unified_llm.exceptions import LLMError
from unified_llm.types.messages import Message
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import LLMChunk, LLMResponse

# What of a request is no parameter of the model: its conversation, and what the client does with it.
_NO_PARAMETERS: Final = frozenset({
    "messages", "model", "stream", "native", "extra_body", "request_id", "timeout_override", "reasoning_format",
    "text_tool_calls", "merge_messages",
})  # fmt: skip
_NO_DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType({})
# The exceptions for kinds of failure that a status can mean; any other is a request that was refused.
_BY_KIND: Final[Mapping[FailureKind, type[LLMError]]] = {
    "auth": exc.AuthenticationError,
    "quota": exc.QuotaExceededError,
    "permission": exc.PermissionDeniedError,
    "model_not_found": exc.ModelNotFoundError,
    "not_found": exc.ConfigurationError,
    "connect": exc.ConnectionError,
    "request_timeout": exc.TimeoutError,
    "conflict": exc.ServiceUnavailableError,
    "too_large": exc.ContextOverflowError,
    "rate_limit": exc.RateLimitError,
    "server": exc.ServiceUnavailableError,
}


class ProviderBase:
    """An optional base class: write ``generate`` or ``stream`` (without ``async``); the other is derived from it.

    The other methods are helpers to call from these two. What they raise is raised to the caller, or leads to the next
    target, as if the provider had refused the request.

    Attributes:
        defaults: Parameters that hold unless a request sets them, for ``merge_parameters``.
        context_window: Tokens that a prompt and its response can have, for ``check_limits`` and for the client; None
            where that is not known.
        max_output: The most tokens of a response, for ``check_limits``; None where that is not known.
        outputs: What the model makes, for ``check_output``: ``text``, ``image``, ``audio``, ``video``, ``speech``,
            ``transcription``, ``embeddings``, ``rerank``, ``moderation``.
        estimate_error: The share by which ``estimate_tokens`` may be too high. Set it to 0 in a class whose
            ``estimate_tokens`` counts with the model's own tokenizer.
    """

    defaults: Mapping[str, Any] = _NO_DEFAULTS
    context_window: int | None = None
    max_output: int | None = None
    outputs: Collection[str] = ("text",)
    estimate_error: float = token_estimates.ESTIMATE_ERROR

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Refuse a class from whose methods the other cannot be derived.

        Raises:
            TypeError: One method is ``async``, and the other is not there.
        """
        super().__init_subclass__(**arguments)
        for name, other in (("generate", "stream"), ("stream", "generate")):
            method = getattr(cls, name)
            native = inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)
            if native and getattr(cls, other) is getattr(ProviderBase, other):
                raise TypeError(
                    f"{cls.__name__}.{name} is async, so {other} cannot be derived from it: write that as well."
                )

    def generate(self, request: LLMRequest) -> LLMResponse | str:
        """Join the chunks of ``stream`` into the whole response."""
        if type(self).stream is ProviderBase.stream:
            raise NotImplementedError(f"{type(self).__name__} needs a method generate or stream.")
        from unified_llm._backends.objects.user_provider import StreamChecker

        checker = StreamChecker()
        chunks = [chunk for piece in self.stream(request) if (chunk := checker.check_chunk(piece))]
        end = checker.finish()
        return as_response(chunks, end.value if isinstance(end, Done) else LLMChunk())

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk | str]:
        """Yield the response of ``generate`` in one chunk."""
        response = self.generate(request)
        content, last = as_chunks(LLMResponse(response) if isinstance(response, str) else response)
        if content:
            yield content
        yield last

    @staticmethod
    def validate_messages(messages: Sequence[Message]) -> None:
        """Check that a conversation can be answered.

        Raises:
            ValidationError: There is no message, a turn of the user or the assistant is empty, or the result of a tool
                belongs to no call before it.
        """
        if not messages:
            raise exc.ValidationError("messages is empty: a request needs at least one.")
        calls: set[str] = set()
        for index, message in enumerate(messages):
            calls.update(call.id for call in message.tool_calls)
            if message.role == "tool":
                if message.tool_call_id not in calls:
                    raise exc.ValidationError(f"messages[{index}] is a tool's result for a call that is not before it.")
            elif not (message.tool_calls or message.text.strip() or not isinstance(message.content, str)):
                raise exc.ValidationError(f"messages[{index}] is empty: it has neither text, parts nor tool calls.")

    def merge_parameters(self, request: LLMRequest, **defaults: Any) -> dict[str, Any]:
        """Return the parameters for the model, by the names of ``LLMRequest``, without those that nobody set.

        Those of ``extra_body`` come before the fields of the request, these before ``defaults``, and the arguments
        before the attribute of this name. The settings of the target are in the request already.
        """
        given = {each.name: getattr(request, each.name) for each in fields(request) if each.name not in _NO_PARAMETERS}
        unset = {each.name: each.default for each in fields(request)}
        chosen = {name: value for name, value in given.items() if value is not None and value != unset[name]}
        merged = {**self.defaults, **defaults, **chosen, **request.extra_body}
        return {name: value for name, value in merged.items() if value is not None}

    def estimate_tokens(self, content: str | Iterable[Message]) -> int:
        """Return how many tokens a text or a conversation probably has; images, audio and files are not counted.

        For English, code, JSON and Markdown, it is within 15 % of the number of ``cl100k_base``. Other languages differ
        more from one tokenizer to another: the estimate is between half and twice the number.
        """
        if isinstance(content, str):
            return token_estimates.estimate_tokens(content)
        return token_estimates.estimate_prompt(content)

    def check_limits(self, request: LLMRequest, *, tokens: int | None = None) -> None:
        """Refuse a request that does not fit into ``context_window``, or wants more than ``max_output``.

        Args:
            request: The request.
            tokens: The tokens of its prompt, where they are known. None for ``estimate_tokens``, of which as much is
                taken off as it may be too high: what might fit is not refused.

        Raises:
            ContextOverflowError: The prompt and ``max_tokens`` together are more than ``context_window``.
            ValidationError: ``max_tokens`` is more than ``max_output``.
        """
        wanted = request.max_tokens or 0
        if self.max_output is not None and wanted > self.max_output:
            raise exc.ValidationError(
                f"max_tokens is {wanted:,}, and the model writes at most {self.max_output:,} tokens: lower it."
            )
        if self.context_window is None:
            return
        least = tokens
        if least is None:
            least = int(self.estimate_tokens(request.messages) * (1 - self.estimate_error))
        if least + wanted > self.context_window:
            more = f", and max_tokens {wanted:,} more" if wanted else ""
            raise exc.ContextOverflowError(
                f"The prompt has at least {least:,} tokens{more}; the context window has {self.context_window:,}. "
                "Shorten the prompt, or add a fallback with a larger window."
            )

    def check_output(self, wanted: Output = "text") -> None:
        """Refuse a request for what the model does not make.

        Raises:
            UnsupportedOperationError: ``wanted`` is not among ``outputs``; the message says what the model makes.
        """
        if wanted not in self.outputs:
            raise exc.UnsupportedOperationError(
                f"{type(self).__name__} makes no {wanted}: its model {describe(self.outputs)}."
            )

    @staticmethod
    def error(status: int, message: str = "", *, code: str | None = None, retry_after: float | None = None) -> LLMError:
        """Make the exception for an HTTP status that is no success, to be raised.

        Args:
            status: The status.
            message: The server's message; it is in ``.detail`` alone.
            code: The server's own code, one word.
            retry_after: Seconds, where the server asked for patience.
        """
        kind = _BY_KIND.get(kind_of_status(status), exc.ValidationError)
        error = kind(f"HTTP {status}", status_code=status, code=code, detail=message or None)
        if isinstance(error, exc.RateLimitError):
            error.retry_after = retry_after
        return error


ProviderBase.__module__ = "unified_llm"  # where users import it from
