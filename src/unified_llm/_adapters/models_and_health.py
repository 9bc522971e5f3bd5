"""What every adapter says of the models and the health of its chain: the methods of its client, with its exceptions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unified_llm._client.client import LLMClient
    from unified_llm.types.responses import ModelInfo


class ModelsAndHealth:
    """Lists of models, and health, of a chain that has a client."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        @abstractmethod
        def client(self) -> LLMClient:
            """The client of the chain."""

        @classmethod
        @abstractmethod
        def translated(cls) -> AbstractContextManager[None]:
            """Return a context that raises our errors as those of the framework."""

    def list_models(
        self, *, use_cache: bool = True, provider: str | None = None, supports: str | Iterable[str] | None = None
    ) -> list[ModelInfo]:
        """List the models of every provider in the chain: see ``LLMClient.list_models``.

        Args:
            use_cache: False requests the lists again; they are cached for ``cache_ttl`` seconds.
            provider: The only provider to ask, one of the chain.
            supports: A feature, or several, that no model may be known to lack.

        Raises:
            LLMError: An argument is wrong, or no provider answered.
        """
        with self.translated():
            return self.client.list_models(use_cache=use_cache, provider=provider, supports=supports)

    async def alist_models(
        self, *, use_cache: bool = True, provider: str | None = None, supports: str | Iterable[str] | None = None
    ) -> list[ModelInfo]:
        """Do the same as ``list_models``, for async callers."""
        with self.translated():
            return await self.client.alist_models(use_cache=use_cache, provider=provider, supports=supports)

    def check_providers(self, *, provider: str | None = None) -> list[dict[str, Any]]:
        """Request the model list of each provider, and say which respond: see ``LLMClient.check_providers``."""
        with self.translated():
            return self.client.check_providers(provider=provider)

    async def acheck_providers(self, *, provider: str | None = None) -> list[dict[str, Any]]:
        """Do the same as ``check_providers``, for async callers, with all providers at once."""
        with self.translated():
            return await self.client.acheck_providers(provider=provider)

    def health(self) -> list[dict[str, Any]]:
        """Return what this process knows of each target of the chain, in its order: see ``LLMClient.health``."""
        return self.client.health()
