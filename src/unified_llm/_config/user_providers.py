"""A provider of one's own: a row of the table, or an object.

An object needs nothing of ours but the shapes of requests and responses. It gets all the rest: retries, failover,
deadlines, breakers, and its place in every chain and framework.
"""

from __future__ import annotations

import atexit
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol, Unpack, cast, get_args, runtime_checkable

from unified_llm._config.field_types import check_variable, text_of_url
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.unknown_fields import refuse_unknown
from unified_llm._core import base_url as url
from unified_llm._core import headers, paths
from unified_llm._core.features import CHAT, Feature
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._core.quirks import Quirks
from unified_llm._core.redaction import quoted
from unified_llm._formats.codecs import codec_for
from unified_llm._lib.fork_safe import make_lock
from unified_llm._lib.signatures import Keywords, field_defaults, show_keywords
from unified_llm._providers import registry
from unified_llm._providers.spec import ProviderSpec
from unified_llm.exceptions import ConfigurationError
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import LLMChunk, LLMResponse

if TYPE_CHECKING:
    from unified_llm._config.keywords import ProviderKeywords

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_FEATURES: Final[tuple[str, ...]] = get_args(Feature)
# What an object can do beyond chat because it has a method for it; or cannot, because there is none to have.
_BY_METHOD: Final[Mapping[Feature, str | None]] = {
    "embeddings": "embed", "models": "list_models", "model_info": None, "count_tokens": None, "rerank": None,
}  # fmt: skip
_ROW_FIELDS: Final = tuple(
    each.name
    for each in fields(ProviderSpec)
    if each.name not in {"name", "base_url", "url_template", "url_parts", "instance"}
)
_ARGUMENTS: Final = (*_ROW_FIELDS, "provider", "base_url", "api_key_env")
_KNOWN_ARGUMENTS: Final = f"known are {', '.join(_ARGUMENTS)}."
_NUMBERS: Final = count(1)
_REGISTERING: Final = make_lock()


@runtime_checkable
class Generates(Protocol):
    """The least that a provider object needs: without ``stream``, a response comes in one chunk."""

    def generate(self, request: LLMRequest) -> LLMResponse | str | Awaitable[LLMResponse | str]:
        """Return the whole response. ``request.model`` is the model as the user named it, after the provider's name."""
        ...


@runtime_checkable
class ChatProvider(Generates, Protocol):
    """The protocol of a user-defined provider. Nothing has to be inherited; each method may be ``async`` or not.

    ``isinstance(provider, ChatProvider)`` is true of an object with both methods.

    It may also have ``embed(request) -> EmbeddingResponse`` (an ``EmbeddingRequest`` comes in), ``list_models() ->
    Iterable[ModelInfo]``, ``close()`` (called when another object takes its last name, and when the interpreter ends),
    and the attributes ``features`` (names such as ``tools``: what it can do beyond plain chat) and ``context_window``,
    in tokens.

    A sync method runs in a thread of its own, which is abandoned when the attempt times out; so it may be called from
    several threads at once. For a sync caller an ``async`` method runs on an event loop of its own, one for each
    attempt. What a configuration sets (``temperature``, ``extra_body`` ...) is in the request.

    Failures are raised: an ``LLMError`` of their kind (``RateLimitError``, ``ServiceUnavailableError`` ...), or the
    exceptions of an HTTP library. A ``TypeError`` and the like are mistakes in the code, which no fallback should hide:
    they are raised to the caller.
    """

    def stream(
        self, request: LLMRequest
    ) -> Iterator[LLMChunk | str] | AsyncIterator[LLMChunk | str] | Awaitable[AsyncIterator[LLMChunk | str]]:
        """Stream the response. Finish reason and usage may come on any chunk; tool calls whole or in fragments."""
        ...


def _keywords() -> Keywords:
    from unified_llm._config.keywords import ProviderKeywords

    return ProviderKeywords, field_defaults(ProviderSpec)


@show_keywords(_keywords)
def register_provider(
    name: str,
    provider: ChatProvider | Generates | None = None,
    *,
    base_url: str | None = None,
    api_key_env: str | Iterable[str] | None = None,
    features: Iterable[str] | None = None,
    **row_fields: Unpack[ProviderKeywords],
) -> None:
    """Register a provider in this process, so that ``name/model`` is a model string like any other.

    A provider is a server with a known wire format, or an object. Registering a name again
    replaces its provider; existing clients keep the one they have, but an object that has no name any more is closed.
    Other processes have to register it as well, those that get a pickled client among them.

    Args:
        name: The part of a model string before the slash: small letters, digits, ``-`` and ``_``.
        provider: An object with the methods of ``ChatProvider``.
        base_url: The address, with or without the version path.
        api_key_env: The environment variable that may hold the key, or several. The key goes to the host of
            ``base_url`` alone.
        features: What its models can do: ``tools``, ``tool_choice``, ``json_object``, ``json_schema``, ``images``,
            ``image_urls``, ``audio``, ``files``, ``file_urls``, ``embeddings`` ...; plain chat, streaming and the list
            of models need not be named. A request that needs more than that skips the target. None: of a server, what
            any server of its format can, as at ``openai-compatible``; of an object, what it declares itself.
        **row_fields: Further fields of the provider table: ``format`` (``openai_chat`` by default),
            ``quirks``, ``hosts``, ``local``, ``key_required``, ``literal_models``, ``headers``, ``title``, ``version``
            ...; docs/user-providers.md lists them.

    Raises:
        ConfigurationError: The name is taken by a provider of the table, or something else is not as described here.
    """
    given = Hidden({"provider": provider, "base_url": base_url, "api_key_env": api_key_env, **row_fields})
    del provider, base_url, api_key_env, row_fields
    with CLEAR_VARIABLES:
        _register(name, features=features, **given.value)


def _register(name: str, provider: Any, base_url: Any, api_key_env: Any, *, features: Any, **row_fields: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError("A provider's name has small letters, digits, - and _ only, such as my-gateway.")
    refuse_unknown(row_fields, _ARGUMENTS, f"register_provider({name!r})", otherwise=_KNOWN_ARGUMENTS)
    if provider is None and base_url is None:
        raise ConfigurationError(
            f"register_provider({name!r}) needs a base_url= or an object that has generate(request); it got neither."
        )
    if provider is not None and base_url is not None:
        raise ConfigurationError(f"register_provider({name!r}) takes a base_url= or an object that answers, not both.")
    if features is None and provider is None:
        row_fields = _like_the_format(row_fields)
    row_fields = {"title": name, "features": _features(features), **row_fields}
    variables = _variables(api_key_env)
    if provider is not None:
        if variables:
            raise ConfigurationError("api_key_env= is for a base_url=: an object finds its own key.")
        row = _object_row(name, provider, row_fields)
    else:
        row = _address_row(name, base_url, {"key_env": variables, "key_required": bool(variables), **row_fields})
    with _REGISTERING:
        before = registry.register(row)
        kept = [id(each.instance[1]) for each in registry.registered() if each.instance]
    if before is not None and before.instance and id(before.instance[1]) not in kept:
        _close(before.instance[1])


def _like_the_format(row_fields: dict[str, Any]) -> dict[str, Any]:
    """Add what a server can do of which nothing is said: what any server of its format can, tools and schemas included.

    Of a server with OpenAI's format that is what ``openai-compatible`` can, whose quirks it has as well.
    """
    wire_format = row_fields.get("format", "openai_chat")
    if not wire_format.startswith("openai"):
        like = next((row for row in registry.ROWS if row.format == wire_format), None)
        return {**row_fields, "features": like.features} if like else row_fields
    like, quirks = registry.row("openai-compatible"), row_fields.get("quirks", {})
    if isinstance(quirks, Mapping):
        quirks = {**{each.name: getattr(like.quirks, each.name) for each in fields(Quirks)}, **quirks}
    return {**row_fields, "features": like.features, "quirks": quirks}


def _names(given: Any, what: str) -> tuple[str, ...]:
    """Read one name, or several."""
    several = (given,) if isinstance(given, str) else () if given is None else given
    names: list[Any] = list(several) if isinstance(several, Iterable) else [None]
    if not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{what} is a name, or several.")
    return tuple(names)


def _variables(given: Any) -> tuple[str, ...]:
    """Read the names of environment variables; one that is a key is not repeated, here or in later messages."""
    names = _names(given, "api_key_env=")
    for name in names:
        check_variable(name)
    return names


def _features(features: Any) -> frozenset[Feature]:
    given = frozenset(_names(features, "features="))
    refuse_unknown(dict.fromkeys(given), _FEATURES, "features=", otherwise=f"known are {', '.join(_FEATURES)}.")
    return cast("frozenset[Feature]", given)


def _address_row(name: str, base_url: Any, row_fields: dict[str, Any]) -> ProviderSpec:
    quirks = _quirks(row_fields.get("quirks", {}), holds_any_model=row_fields.get("local") is True)
    version = row_fields.get("version", "/v1")
    row_headers = LLMConfig(default_headers=row_fields.get("headers", {})).default_headers  # are these headers?
    row_fields = {**row_fields, "quirks": quirks, "headers": row_headers}
    codec_for(row_fields.get("format", "openai_chat"))  # is there such a format?
    _check_http(name, version, quirks, row_headers)
    given = text_of_url(base_url)
    if not isinstance(given, str):
        raise ConfigurationError(
            f"register_provider({name!r}): base_url= must be a string, not {type(given).__name__}."
        )
    address = url.normalise(given, source="base_url=", version=version)
    return ProviderSpec(name, base_url=address, **{**row_fields, "features": CHAT | row_fields["features"]})


def _check_http(name: str, version: Any, quirks: Quirks, row_headers: Mapping[str, str]) -> None:
    """Check what of a row becomes part of the URL or the head of every request."""
    for path in (version, quirks.models_path, quirks.text_path):
        if not isinstance(path, str) or (path and (not path.startswith("/") or not path.isascii())):
            raise ConfigurationError(f"register_provider({name!r}): a path begins with a slash and is plain ASCII.")
        if problem := paths.problem_with(path.partition("?")[0]):
            raise ConfigurationError(f"register_provider({name!r}): a path of it {problem}.")
    key_header = quirks.key_header
    if key_header and (not headers.is_name(key_header) or key_header.lower() in headers.NOT_FOR_USERS):
        raise ConfigurationError(f"register_provider({name!r}): key_header is no name of a header that can hold a key.")
    headers.check(row_headers, "headers", ConfigurationError, key_header=key_header)


def _quirks(given: Quirks | Mapping[str, Any], *, holds_any_model: bool) -> Quirks:
    if isinstance(given, Quirks):
        return given
    known = tuple(field.name for field in fields(Quirks))
    refuse_unknown(given, known, "quirks=", otherwise=f"known are {', '.join(known)}.")
    row_quirks: dict[str, Any] = {"any_model": holds_any_model, **given}
    return Quirks(**row_quirks)


def _object_row(name: str, provider: Any, row_fields: dict[str, Any]) -> ProviderSpec:
    known = ("title", "note", "docs", "first_token", "local", "features")
    refuse_unknown(row_fields, known, f"register_provider({name!r})", otherwise=f"known are {', '.join(known)}.")
    if isinstance(provider, type):
        raise ConfigurationError(f"{quoted(provider.__name__)} is a class: register an object of it.")
    if isinstance(provider, str):
        raise ConfigurationError(f"register_provider({name!r}) got a string: an address goes into base_url=.")
    if not callable(getattr(provider, "generate", None)):
        raise ConfigurationError(
            f"{quoted(type(provider).__name__)} is no provider: it needs generate(request) -> LLMResponse, and may "
            "have stream(request) -> Iterator[LLMChunk], each async or not."
        )
    able: set[Feature] = {"streaming", *row_fields.pop("features"), *_features(getattr(provider, "features", None))}
    has: set[Feature] = {
        feature for feature, method in _BY_METHOD.items() if method and callable(getattr(provider, method, None))
    }
    if claimed := sorted(able & _BY_METHOD.keys() - has):
        need = _BY_METHOD[claimed[0]]
        why = f"that takes a method {need}" if need else "an object cannot be asked for that"
        raise ConfigurationError(f"{quoted(type(provider).__name__)} has no {claimed[0]}: {why}.")
    able |= has
    return ProviderSpec(
        name,
        features=frozenset(able),
        format="user",
        instance=(next(_NUMBERS), provider),
        key_required=False,
        literal_models=True,
        **row_fields,
    )


def _close(provider: Any) -> None:
    """Close an object that has no name any more. Exceptions are ignored: there is no caller to raise them to."""
    close: Callable[[], Any] | None = getattr(provider, "close", None)
    if close is not None:
        from unified_llm._backends.objects.user_provider import close_object

        close_object(close)


@atexit.register
def _close_all() -> None:
    for provider in {id(row.instance[1]): row.instance[1] for row in registry.registered() if row.instance}.values():
        _close(provider)


for _public in (ChatProvider, register_provider):
    _public.__module__ = "unified_llm"  # where users import them from
