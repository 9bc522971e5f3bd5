"""What the resources of an OpenAI client share: how a call is read, and how its errors are raised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from inspect import iscoroutinefunction, isfunction
from typing import TYPE_CHECKING, Any, ClassVar, cast

from unified_llm._client import field_names
from unified_llm._client.call_options import CallOptions
from unified_llm._client.client import LLMClient
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._formats.request_fields import form_fields
from unified_llm._providers.api_fields import is_known
from unified_llm.exceptions import LLMError, ValidationError
from unified_llm.openai_style._omitted import is_omitted
from unified_llm.openai_style._settings import CALL_OPTIONS, Settings
from unified_llm.openai_style._unsupported import missing_attribute

if TYPE_CHECKING:
    from unified_llm.openai_style._raw_responses import AsyncRawMethods, RawMethods


@dataclass(frozen=True, slots=True)
class Call:
    """A call whose arguments were read.

    Attributes:
        client: The client that serves it: ``client.run(request, options)`` and the like.
        options: The options to pass with the request.
        model: The model to name in the request; None for that of a profile.
    """

    client: LLMClient
    options: CallOptions
    model: str | None


class Resource:
    """A resource of an OpenAI client, such as ``client.chat``.

    Args:
        settings: The settings of the client.
    """

    PATH: ClassVar[str] = ""
    """How it is reached from the client, such as ``chat.completions``."""

    def __init_subclass__(cls) -> None:
        """Let the methods of a class keep their arguments out of the tracebacks of errors."""
        for name, method in [*vars(cls).items()]:
            if isfunction(method) and not name.startswith("_"):
                setattr(cls, name, _hiding_arguments(method))

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def with_raw_response(self) -> RawMethods:
        """The same methods, which return their result with what is known of the HTTP response."""
        from unified_llm.openai_style._raw_responses import RawMethods

        return RawMethods(self)

    if not TYPE_CHECKING:  # which would allow any attribute

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name, self.PATH)

    def _read(
        self, given: Mapping[str, Any], *, chat: bool = False, api: str | None = None, needs_model: bool = True
    ) -> tuple[dict[str, Any], Call]:
        """Read the arguments of a call, see ``read_arguments``."""
        return read_arguments(self._settings, given, chat=chat, api=api, needs_model=needs_model)


class AsyncResource(Resource):
    """A resource of an async OpenAI client."""

    @property
    def with_raw_response(self) -> AsyncRawMethods:  # type: ignore[override] # pyright: ignore[reportIncompatibleVariableOverride]
        """The same methods, which return their result with what is known of the HTTP response."""
        from unified_llm.openai_style._raw_responses import AsyncRawMethods

        return AsyncRawMethods(self)


def read_arguments(
    settings: Settings,
    given: Mapping[str, Any],
    *,
    chat: bool = False,
    api: str | None = None,
    needs_model: bool = True,
) -> tuple[dict[str, Any], Call]:
    """Split the keyword arguments of a call into the body of its request and what says how to send it.

    Args:
        settings: The settings of the client.
        given: The arguments. Those that are ``NOT_GIVEN`` or ``omit`` are left out; ``extra_body`` is merged.
        chat: Whether the request is a chat, which alone may be hedged.
        api: The API that the request is written for, where a provider has several.
        needs_model: Whether a model must be named; else the provider of the client serves a call without one.

    Raises:
        ValidationError: An option makes no sense, or no model is named.
        ConfigurationError: The target of the call lacks a key, a URL or a package.
    """
    body, options = dict[str, Any](), dict[str, Any]()
    for name, value in given.items():
        if not is_omitted(value):
            (options if name in CALL_OPTIONS else body)[name] = value
    if (extra := body.pop("extra_body", None)) is not None:
        body.update(_mapping("extra_body", extra))
    client, model, options = settings.read_call(body.get("model"), options, api=api, needs_model=needs_model)
    if headers := options.get("extra_headers"):
        kept = _mapping("extra_headers", headers).items()
        options["extra_headers"] = {name: value for name, value in kept if not is_omitted(value)}
    query = options.pop("extra_query", None)
    call_options = client.options.of_call(options, chat=chat) if options else client.options
    if query:
        call_options = replace(call_options, extra_query=tuple(form_fields(_mapping("extra_query", query))))
    return body, Call(client, call_options, model)


def _hiding_arguments(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that keeps prompts, files and keys among its arguments out of the variables of tracebacks."""

    @wraps(method)
    def call(self: Resource, *arguments: Any, **named: Any) -> Any:
        given = Hidden((arguments, named))
        del arguments, named
        with CLEAR_VARIABLES:
            return method(self, *given.value[0], **given.value[1])

    @wraps(method)
    async def acall(self: Resource, *arguments: Any, **named: Any) -> Any:
        given = Hidden((arguments, named))
        del arguments, named
        with CLEAR_VARIABLES:
            return await method(self, *given.value[0], **given.value[1])

    return acall if iscoroutinefunction(method) else call


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValidationError(f"{name} must be a mapping of names to values, not {type(value).__name__}.")
    return cast("Mapping[str, Any]", value)


def refuse_unknown(given: Mapping[str, Any], known: frozenset[str]) -> None:
    """Refuse arguments of a call that are neither known here nor a documented field of any API.

    Args:
        given: The arguments.
        known: Those that the method has, options of calls included.

    Raises:
        ValidationError: There is such an argument; the message suggests what may be meant.
    """
    if not given.keys() <= known:
        field_names.refuse((name for name in given if name not in known and not is_known(name)), known)


class family_errors:  # noqa: N801 # as the context managers of contextlib
    """Raise our errors as those of the family that OpenAI's SDK has, which are ours as well, in a ``with`` block."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise an error of ours in its other form."""
        if isinstance(error, LLMError):
            raise family_error(error).with_traceback(error.__traceback__) from error.__cause__


def family_error(error: LLMError) -> LLMError:
    """Return an error as one of the family that OpenAI's SDK has, which is one of ours as well."""
    from unified_llm.openai_style import _errors  # which imports OpenAI's SDK where it is installed

    return _errors.translate(error)
