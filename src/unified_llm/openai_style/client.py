"""``OpenAI`` and ``AsyncOpenAI``: clients in the shape of OpenAI's SDK."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._lib.short_repr import short_repr
from unified_llm.openai_style._omitted import NOT_GIVEN
from unified_llm.openai_style._resource import family_errors
from unified_llm.openai_style._settings import Settings
from unified_llm.openai_style._unsupported import missing_attribute

if TYPE_CHECKING:
    from types import TracebackType

    from unified_llm.openai_style._audio import AsyncAudio, Audio
    from unified_llm.openai_style._batches import AsyncBatches, Batches
    from unified_llm.openai_style._chat import AsyncBeta, AsyncChat, Beta, Chat
    from unified_llm.openai_style._completions import AsyncCompletions, Completions
    from unified_llm.openai_style._embeddings import AsyncEmbeddings, Embeddings
    from unified_llm.openai_style._files import AsyncFiles, Files
    from unified_llm.openai_style._images import AsyncImages, Images
    from unified_llm.openai_style._models import AsyncModels, Models
    from unified_llm.openai_style._moderations import AsyncModerations, Moderations
    from unified_llm.openai_style._responses import AsyncResponses, Responses
    from unified_llm.openai_style._videos import AsyncVideos, Videos


class BaseOpenAI:
    """What the sync and the async client share: settings and copies."""

    def __init__(
        self,
        *,
        api_key: Any = None,
        organization: str | None = None,
        project: str | None = None,
        base_url: Any = None,
        timeout: Any = NOT_GIVEN,
        max_retries: Any = NOT_GIVEN,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        **own: Any,
    ) -> None:
        given = Hidden({
            "api_key": api_key, "organization": organization, "project": project, "base_url": base_url,
            "timeout": timeout, "max_retries": max_retries, "default_headers": default_headers,
            "default_query": default_query, **own,
        })  # fmt: skip
        del api_key, default_headers, own
        with CLEAR_VARIABLES, family_errors():
            self._settings = Settings.read(given.value)

    def with_options(self, **changes: Any) -> Self:
        """Return a client with other options for its calls; targets and connections are shared.

        Args:
            **changes: ``timeout``, ``max_retries``, ``default_headers`` and ``default_query`` (added to what there is),
                ``api_key``, ``base_url``, ``organization``, ``project``, ``fallbacks``, ``deadline`` ...

        Raises:
            ValidationError: One of them is unknown.
        """
        given = Hidden(changes)
        del changes
        with CLEAR_VARIABLES, family_errors():
            copy = type(self).__new__(type(self))
            copy.__dict__["_settings"] = self._settings.with_options(given.value)
            return copy

    copy = with_options

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the settings; keys are left out."""
        return {"_settings": self._settings}

    @property
    def settings(self) -> Settings:
        """The targets, and what holds for each call; for adapters."""
        return self._settings

    @property
    def base_url(self) -> str:
        """The address for models without a provider in their name; empty for that of the provider table."""
        return self._settings.targets.own.base_url or ""

    @property
    def api_key(self) -> Any:
        """The key for models without a provider in their name, which no repr shows; None for that of the environment.

        A ``Secret``, whose ``reveal()`` returns the text, or what calls the given callable.
        """
        settings = self._settings
        return settings.defaults.value.get("api_key") or settings.targets.own.api_key

    @property
    def default_headers(self) -> Mapping[str, str]:
        """The headers that every request to the provider of this client has, beside those of the connection."""
        settings = self._settings
        return {**settings.targets.own.default_headers, **(settings.defaults.value.get("extra_headers") or {})}

    def is_closed(self) -> bool:
        """Return False: a closed client may be used again."""
        return False

    @property
    def timeout(self) -> float | None:
        """Seconds for an attempt; None where none were set."""
        return self._settings.defaults.value.get("timeout")

    @property
    def max_retries(self) -> int | None:
        """Further requests of a call to each target; None where none were set."""
        return self._settings.defaults.value.get("max_retries")

    @property
    def organization(self) -> str | None:
        """The organisation that calls are made for."""
        return self._settings.account.get("organization")

    @property
    def project(self) -> str | None:
        """The project that calls are made for."""
        return self._settings.account.get("project")

    if not TYPE_CHECKING:  # which would allow any attribute

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name, "")

    def __repr__(self) -> str:
        """Return the provider of models without one in their name; no key."""
        settings: Settings | None = vars(self).get("_settings")  # None where a setting was refused
        return short_repr(self, [settings.targets.own.provider or ""] if settings else [])


class OpenAI(BaseOpenAI):
    """OpenAI's client over any target.

    A ``model`` in a call is ``provider/model``, or a model of OpenAI, or of the server at ``base_url``. The key of a
    provider is found in its own environment variable when the first call needs it.

    Args:
        api_key: The key for models without a provider in their name, or a callable that returns it.
        organization: Sent as ``OpenAI-Organization``; None: the variable ``OPENAI_ORG_ID``.
        project: Sent as ``OpenAI-Project``; None: the variable ``OPENAI_PROJECT_ID``.
        base_url: The address of another server; None: the variable ``OPENAI_BASE_URL``, or OpenAI's own.
        timeout: Seconds for an attempt, an object with ``connect`` and ``read``, or None for no limit. Not given: as
            for ``LLMClient``.
        max_retries: Further requests of a call to each target. Not given: as for ``LLMClient``.
        default_headers: Sent with every request to the provider of this client.
        default_query: Added to the address of every request to it.
        **own: Arguments of ``LLMClient``: ``model`` (for calls that name none), ``fallbacks``, ``deadline``,
            ``hedge_after``, ``failover_on``, ``on_attempt``, ``verify_ssl``, ``proxy`` ...

    Raises:
        ConfigurationError: A setting is wrong, or one of OpenAI's SDK that is not offered.
    """

    @cached_property
    def completions(self) -> Completions:
        """Text completions."""
        from unified_llm.openai_style._completions import Completions

        return Completions(self._settings)

    @cached_property
    def embeddings(self) -> Embeddings:
        """The vectors of texts."""
        from unified_llm.openai_style._embeddings import Embeddings

        return Embeddings(self._settings)

    @cached_property
    def beta(self) -> Beta:
        """Chat completions where older programs find ``parse()``; no other beta features."""
        from unified_llm.openai_style._chat import Beta

        return Beta(self._settings)

    @cached_property
    def chat(self) -> Chat:
        """Chat completions."""
        from unified_llm.openai_style._chat import Chat

        return Chat(self._settings)

    @cached_property
    def models(self) -> Models:
        """The models of the client's provider and of its fallbacks."""
        from unified_llm.openai_style._models import Models

        return Models(self._settings)

    @cached_property
    def moderations(self) -> Moderations:
        """What is wrong with texts and pictures."""
        from unified_llm.openai_style._moderations import Moderations

        return Moderations(self._settings)

    @cached_property
    def files(self) -> Files:
        """Files that are stored at the client's provider."""
        from unified_llm.openai_style._files import Files

        return Files(self._settings)

    @cached_property
    def batches(self) -> Batches:
        """Batches of requests at the client's provider."""
        from unified_llm.openai_style._batches import Batches

        return Batches(self._settings)

    @cached_property
    def images(self) -> Images:
        """Images of any target that makes them."""
        from unified_llm.openai_style._images import Images

        return Images(self._settings)

    @cached_property
    def audio(self) -> Audio:
        """Speech, transcriptions and translations."""
        from unified_llm.openai_style._audio import Audio

        return Audio(self._settings)

    @cached_property
    def videos(self) -> Videos:
        """Videos at the client's provider."""
        from unified_llm.openai_style._videos import Videos

        return Videos(self._settings)

    @cached_property
    def responses(self) -> Responses:
        """The Responses API, at targets that have it and at any other."""
        from unified_llm.openai_style._responses import Responses

        return Responses(self._settings)

    def close(self) -> None:
        """Close every connection. The client may be used again."""
        for client in self._settings.targets.clients:
            client.close()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


class AsyncOpenAI(BaseOpenAI):
    """The same as ``OpenAI``, with async methods."""

    @cached_property
    def completions(self) -> AsyncCompletions:
        """Text completions."""
        from unified_llm.openai_style._completions import AsyncCompletions

        return AsyncCompletions(self._settings)

    @cached_property
    def embeddings(self) -> AsyncEmbeddings:
        """The vectors of texts."""
        from unified_llm.openai_style._embeddings import AsyncEmbeddings

        return AsyncEmbeddings(self._settings)

    @cached_property
    def beta(self) -> AsyncBeta:
        """Chat completions where older programs find ``parse()``; no other beta features."""
        from unified_llm.openai_style._chat import AsyncBeta

        return AsyncBeta(self._settings)

    @cached_property
    def chat(self) -> AsyncChat:
        """Chat completions."""
        from unified_llm.openai_style._chat import AsyncChat

        return AsyncChat(self._settings)

    @cached_property
    def models(self) -> AsyncModels:
        """The models of the client's provider and of its fallbacks."""
        from unified_llm.openai_style._models import AsyncModels

        return AsyncModels(self._settings)

    @cached_property
    def moderations(self) -> AsyncModerations:
        """What is wrong with texts and pictures."""
        from unified_llm.openai_style._moderations import AsyncModerations

        return AsyncModerations(self._settings)

    @cached_property
    def files(self) -> AsyncFiles:
        """Files that are stored at the client's provider."""
        from unified_llm.openai_style._files import AsyncFiles

        return AsyncFiles(self._settings)

    @cached_property
    def batches(self) -> AsyncBatches:
        """Batches of requests at the client's provider."""
        from unified_llm.openai_style._batches import AsyncBatches

        return AsyncBatches(self._settings)

    @cached_property
    def images(self) -> AsyncImages:
        """Images of any target that makes them."""
        from unified_llm.openai_style._images import AsyncImages

        return AsyncImages(self._settings)

    @cached_property
    def audio(self) -> AsyncAudio:
        """Speech, transcriptions and translations."""
        from unified_llm.openai_style._audio import AsyncAudio

        return AsyncAudio(self._settings)

    @cached_property
    def videos(self) -> AsyncVideos:
        """Videos at the client's provider."""
        from unified_llm.openai_style._videos import AsyncVideos

        return AsyncVideos(self._settings)

    @cached_property
    def responses(self) -> AsyncResponses:
        """The Responses API, at targets that have it and at any other."""
        from unified_llm.openai_style._responses import AsyncResponses

        return AsyncResponses(self._settings)

    async def close(self) -> None:
        """Close every connection, those of the running event loop included. The client may be used again."""
        for client in self._settings.targets.clients:
            await client.aclose()

    aclose = close

    async def __aenter__(self) -> Self:
        """Close at the end of the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()


for _public in (OpenAI, AsyncOpenAI):
    _public.__module__ = "unified_llm.openai_style"  # where users import it from
