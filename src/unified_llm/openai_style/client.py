"""``OpenAI`` and ``AsyncOpenAI``: clients in the shape of OpenAI's SDK."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

from unified_llm.openai_style._base_client import BaseOpenAI

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
    from unified_llm.openai_style._raw_responses import AsyncRawMethods, RawMethods
    from unified_llm.openai_style._responses import AsyncResponses, Responses
    from unified_llm.openai_style._videos import AsyncVideos, Videos


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

    @property
    def with_raw_response(self) -> RawMethods:
        """The same methods, which return their result with what is known of the HTTP response."""
        from unified_llm.openai_style._raw_responses import RawMethods

        return RawMethods(self)

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

    @property
    def with_raw_response(self) -> AsyncRawMethods:
        """The same methods, which return their result with what is known of the HTTP response."""
        from unified_llm.openai_style._raw_responses import AsyncRawMethods

        return AsyncRawMethods(self)

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
