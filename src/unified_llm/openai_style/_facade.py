"""``ChatCompletion``, ``Completion`` and ``Embedding``: the calls of an OpenAI client, without making one.

All calls of the process share one sync and one async client. It is made again where a later call finds that
``configure()``, or a variable of the environment that its models depend on, was changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, Generic, Literal, TypeVar, overload

from unified_llm._config import process_settings
from unified_llm._core.environment import PREFIX, names_with, variable
from unified_llm._core.hidden import Hidden
from unified_llm._lib.fork_safe import make_lock
from unified_llm._providers import registry
from unified_llm.openai_style._streams import AsyncStream, Stream
from unified_llm.openai_style.client import AsyncOpenAI, OpenAI
from unified_llm.openai_style.types.chat.chat_completion import ChatCompletion as ChatCompletionObject
from unified_llm.openai_style.types.chat.chat_completion_chunk import ChatCompletionChunk
from unified_llm.openai_style.types.completion import Completion as CompletionObject
from unified_llm.openai_style.types.create_embedding_response import CreateEmbeddingResponse

ClientT = TypeVar("ClientT", OpenAI, AsyncOpenAI)

_OWN_VARIABLES: Final = ("OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID")
_SEPARATOR: Final = re.compile("[/:]")
_MOST_PROVIDERS: Final = 256


class _SharedClient(Generic[ClientT]):
    """The client of all calls of this process.

    Args:
        make: Makes one.
    """

    def __init__(self, make: Callable[[], ClientT]) -> None:
        self._make: Callable[[], ClientT] = make
        self._lock = make_lock()
        self._client: ClientT | None = None
        self._state: object = None
        # What was set when a provider was first called: of its variables a hash, since some hold keys.
        self._seen: dict[str, Hashable] = {}

    def get(self, given: dict[str, Any]) -> ClientT:
        """Return the client for a call.

        Args:
            given: The arguments of the call.
        """
        providers = {_provider_of(model) for model in _models_of(given)}
        state, now = process_settings.state(), {name: _fingerprint(name) for name in providers}
        client = self._client
        if client is not None and state is self._state and now.items() <= self._seen.items():
            return client
        with self._lock:
            changed = any(self._seen.get(name, value) != value for name, value in now.items())
            if self._client is None or state is not self._state or changed or len(self._seen) > _MOST_PROVIDERS:
                self._client, self._state, self._seen = self._make(), state, {}
            self._seen = {**self._seen, **now}
            return self._client


def _models_of(given: dict[str, Any]) -> Iterable[Any]:
    fallbacks: Any = given.get("fallbacks")
    return (given.get("model"), *(fallbacks if isinstance(fallbacks, (list, tuple)) else ()))


def _provider_of(model: Any) -> str:
    """Return the provider that a model names; OpenAI's where it names none."""
    spec = registry.find(_SEPARATOR.split(model, maxsplit=1)[0]) if isinstance(model, str) else None
    return spec.name if spec else "openai"


def _fingerprint(provider: str) -> int:
    """Return a hash of the variables of the environment that the calls of a provider depend on."""
    spec = registry.row(provider)
    names = (*spec.key_env, *spec.token_env, *spec.address_env, *spec.version_env, *spec.timeout_env)
    return hash(tuple(map(variable, (*names, *_OWN_VARIABLES, *names_with(PREFIX)))))


def make_client() -> OpenAI:
    """Return a client in which ``provider/model`` always names the provider."""
    client = OpenAI()
    client.settings.targets.prefixed = True
    return client


def make_async_client() -> AsyncOpenAI:
    """Do the same for async callers."""
    client = AsyncOpenAI()
    client.settings.targets.prefixed = True
    return client


_client: Final = _SharedClient(make_client)
_aclient: Final = _SharedClient(make_async_client)


class ChatCompletion:
    """Chat completions in the shape of OpenAI's API, of any provider.

    ``ChatCompletion.create(model="anthropic/claude-haiku-4-5", messages=[...], fallbacks=["ollama/llama3.2"])``
    """

    @overload
    @classmethod
    def create(
        cls, model: str, messages: Any, stream: Literal[False] | None = None, **given: Any
    ) -> ChatCompletionObject: ...

    @overload
    @classmethod
    def create(cls, model: str, messages: Any, stream: Literal[True], **given: Any) -> Stream[ChatCompletionChunk]: ...

    @overload
    @classmethod
    def create(cls, model: str, messages: Any, stream: bool | None, **given: Any) -> Any: ...  # noqa: FBT001

    @classmethod
    def create(cls, model: str, messages: Any, stream: Any = None, **given: Any) -> Any:
        """Answer a conversation.

        Args:
            model: ``provider/model``, or a model of OpenAI.
            messages: The conversation, as OpenAI's API has it.
            stream: Return an iterator of chunks.
            **given: The other fields of OpenAI's API, and the options of a call: ``fallbacks``, ``timeout``,
                ``deadline``, ``max_retries``, ``api_key``, ``base_url``, ``extra_headers`` ...

        Raises:
            OpenAIError: No target answered; it is an ``LLMError`` as well.
        """
        hidden = Hidden(_arguments(given, model=model, messages=messages, stream=stream))
        del messages, given
        return _client.get(hidden.value).chat.completions.create(**hidden.value)

    @overload
    @classmethod
    async def acreate(
        cls, model: str, messages: Any, stream: Literal[False] | None = None, **given: Any
    ) -> ChatCompletionObject: ...

    @overload
    @classmethod
    async def acreate(
        cls, model: str, messages: Any, stream: Literal[True], **given: Any
    ) -> AsyncStream[ChatCompletionChunk]: ...

    @overload
    @classmethod
    async def acreate(cls, model: str, messages: Any, stream: bool | None, **given: Any) -> Any: ...  # noqa: FBT001

    @classmethod
    async def acreate(cls, model: str, messages: Any, stream: Any = None, **given: Any) -> Any:
        """Do the same as ``create``, for async callers; awaited with ``stream=True`` it gives an async iterator.

        Where the task is cancelled, the connection is closed.
        """
        hidden = Hidden(_arguments(given, model=model, messages=messages, stream=stream))
        del messages, given
        return await _aclient.get(hidden.value).chat.completions.create(**hidden.value)


class Completion:
    """Text completions in the shape of OpenAI's API, by a chat where a model has no text completion."""

    @overload
    @classmethod
    def create(
        cls, model: str, prompt: Any, stream: Literal[False] | None = None, **given: Any
    ) -> CompletionObject: ...

    @overload
    @classmethod
    def create(cls, model: str, prompt: Any, stream: Literal[True], **given: Any) -> Stream[CompletionObject]: ...

    @overload
    @classmethod
    def create(cls, model: str, prompt: Any, stream: bool | None, **given: Any) -> Any: ...  # noqa: FBT001

    @classmethod
    def create(cls, model: str, prompt: Any, stream: Any = None, **given: Any) -> Any:
        """Continue a text.

        Args:
            model: ``provider/model``, or a model of OpenAI.
            prompt: A text, a list of texts, or tokens in a list or in several.
            stream: Return an iterator of chunks.
            **given: As for ``ChatCompletion.create``.

        Raises:
            OpenAIError: No target completed the text; it is an ``LLMError`` as well.
        """
        hidden = Hidden(_arguments(given, model=model, prompt=prompt, stream=stream))
        del prompt, given
        return _client.get(hidden.value).completions.create(**hidden.value)

    @overload
    @classmethod
    async def acreate(
        cls, model: str, prompt: Any, stream: Literal[False] | None = None, **given: Any
    ) -> CompletionObject: ...

    @overload
    @classmethod
    async def acreate(
        cls, model: str, prompt: Any, stream: Literal[True], **given: Any
    ) -> AsyncStream[CompletionObject]: ...

    @overload
    @classmethod
    async def acreate(cls, model: str, prompt: Any, stream: bool | None, **given: Any) -> Any: ...  # noqa: FBT001

    @classmethod
    async def acreate(cls, model: str, prompt: Any, stream: Any = None, **given: Any) -> Any:
        """Do the same as ``create``, for async callers; awaited with ``stream=True`` it gives an async iterator."""
        hidden = Hidden(_arguments(given, model=model, prompt=prompt, stream=stream))
        del prompt, given
        return await _aclient.get(hidden.value).completions.create(**hidden.value)


class Embedding:
    """Embeddings in the shape of OpenAI's API, of any provider."""

    @classmethod
    def create(cls, model: str, input: Any, **given: Any) -> CreateEmbeddingResponse:  # noqa: A002 - the API's name
        """Return a vector for each text.

        Args:
            model: ``provider/model``, or a model of OpenAI.
            input: A text, a list of texts, or tokens in a list or in several.
            **given: As for ``ChatCompletion.create``; fallbacks are of the same model, or of the same ``space``.

        Raises:
            OpenAIError: No target embedded a text; it is an ``LLMError`` as well.
        """
        hidden = Hidden[dict[str, Any]]({**given, "model": model, "input": input})
        del input, given
        return _client.get(hidden.value).embeddings.create(**hidden.value)

    @classmethod
    async def acreate(cls, model: str, input: Any, **given: Any) -> CreateEmbeddingResponse:  # noqa: A002 - as above
        """Do the same as ``create``, for async callers."""
        hidden = Hidden[dict[str, Any]]({**given, "model": model, "input": input})
        del input, given
        return await _aclient.get(hidden.value).embeddings.create(**hidden.value)


def _arguments(given: dict[str, Any], *, stream: Any, **named: Any) -> dict[str, Any]:
    return {**named, **given} if stream is None else {**named, "stream": stream, **given}


for _public in (ChatCompletion, Completion, Embedding):
    _public.__module__ = "unified_llm"  # where users import it from
