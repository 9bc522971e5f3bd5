"""The models of a chain: their lists and descriptions, and whether a provider can be reached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from unified_llm._client.base_client import BaseClient
from unified_llm._client.call import PreparedCall
from unified_llm._client.call_options import CallOptions
from unified_llm._client.model_filters import of_provider, read_features, supporting
from unified_llm._client.model_lists import (
    ModelListKey,
    ModelListMerger,
    PageReader,
    ProviderCheck,
    model_list_keys,
    with_known_facts,
    with_short_limits,
)
from unified_llm._config.call_targets import CallChain
from unified_llm._core import runtime
from unified_llm._state.learned_windows import learn_from_list
from unified_llm.exceptions import LLMError
from unified_llm.types.requests import ModelRequest, ModelsRequest
from unified_llm.types.responses import ModelInfo

if TYPE_CHECKING:
    from unified_llm._state.model_list_cache import ModelListCache, Models


def _lists() -> ModelListCache:
    """Return the lists of this process; they are loaded here, since few programs list models."""
    from unified_llm._state import model_list_cache

    return model_list_cache.current()


class ModelsClient(BaseClient):
    """A client that lists and describes models."""

    def model_info(self, model: str | None = None) -> ModelInfo:
        """Describe a model as its provider does: context window, features. Nothing is cached.

        Args:
            model: As in a call; None for the primary's.

        Raises:
            UnsupportedOperationError: The provider does not describe its models one by one.
        """
        return self.run_model_info(model, self._options)

    async def amodel_info(self, model: str | None = None) -> ModelInfo:
        """Do the same as ``model_info``, for async callers."""
        return await self.arun_model_info(model, self._options)

    def run_model_info(self, model: str | None, options: CallOptions) -> ModelInfo:
        """Do the same as ``model_info``, with the options of a call."""
        return with_known_facts(self._run(self._describing(model, options)))

    async def arun_model_info(self, model: str | None, options: CallOptions) -> ModelInfo:
        """Do the same as ``run_model_info``, for async callers."""
        return with_known_facts(await self._arun(self._describing(model, options)))

    def _describing(self, model: str | None, options: CallOptions) -> PreparedCall:
        first = self._chain_of(model, options).targets[:1]
        return self._prepare(ModelRequest(), CallChain(first), options)

    def list_models(
        self, *, use_cache: bool = True, provider: str | None = None, supports: str | Iterable[str] | None = None
    ) -> list[ModelInfo]:
        """List the models of every provider in the chain, in its order.

        A list is kept for ``cache_ttl`` seconds, for all clients of this process with the same provider, address,
        account and headers. However many threads and tasks need it at once, one request is made. Where a new request
        fails or takes longer than a second, the old list is returned, for a day at most, and its models are marked as
        ``stale``. A provider that has no list, or does not respond, is skipped while another does.

        Args:
            use_cache: False requests the lists again, and returns no old one.
            provider: The only provider to ask, one of the chain.
            supports: A feature, or several, that the models must have: ``tools``, ``images``, ``json_schema``,
                ``embeddings`` ... A model that is not known to lack one is listed.

        Raises:
            ValidationError: The chain has no such provider, or there is no such feature.
            LLMError: No provider responded.
        """
        keys, features = self._list_keys(provider), read_features(supports)
        merger, until = ModelListMerger(), self._listing_deadline()
        for key in keys:
            try:
                merger.add(supporting(self._list(key, until, use_cache=use_cache), features))
            except LLMError as error:
                merger.failed(error)
        return merger.result()

    async def alist_models(
        self, *, use_cache: bool = True, provider: str | None = None, supports: str | Iterable[str] | None = None
    ) -> list[ModelInfo]:
        """Do the same as ``list_models``, for async callers."""
        keys, features = self._list_keys(provider), read_features(supports)
        merger, until = ModelListMerger(), self._listing_deadline()
        for key in keys:
            try:
                merger.add(supporting(await self._alist(key, until, use_cache=use_cache), features))
            except LLMError as error:
                merger.failed(error)
        return merger.result()

    def invalidate_cache(self) -> None:
        """Drop the model lists of this chain, so that the next ``list_models`` requests them again.

        Other clients with the same provider, address, account and headers have the same lists.
        """
        _lists().forget(key.cache_key for key in self._list_keys(None))

    def health_check(self, *, provider: str | None = None) -> bool:
        """Check that at least one provider of the chain returns its model list. Never raises for one that is down.

        Args:
            provider: The only provider to ask, one of the chain.

        Raises:
            ValidationError: The chain has no such provider.
        """
        return any(check["ok"] for check in self.check_providers(provider=provider))

    async def ahealth_check(self, *, provider: str | None = None) -> bool:
        """Do the same as ``health_check``, for async callers."""
        return any(check["ok"] for check in await self.acheck_providers(provider=provider))

    def check_providers(self, *, provider: str | None = None) -> list[dict[str, Any]]:
        """Request the model list of each provider in the chain; say which respond, and why others do not.

        Never raises for one that is down. ``health()`` says what is known without sending anything.

        Args:
            provider: The only provider to ask, one of the chain.

        Returns:
            One plain dict for each provider, which ``json.dumps`` accepts, in the order of the chain (two where a
            provider is in it with two addresses, accounts or sets of headers):

            - ``provider``: its name.
            - ``base_url``: its address; None for models in this process.
            - ``ok``: it returned its list.
            - ``models``: how many models are in the list; None where there is none.
            - ``seconds``: that it took.
            - ``error``: why there is no list, and what to do; None where there is one.

        Raises:
            ValidationError: The chain has no such provider.
        """
        until = self._listing_deadline()
        checks = [ProviderCheck(key) for key in self._list_keys(provider)]
        for check in checks:
            with check.recording():
                check.models = self._list(check.key, until, use_cache=False)
        return [check.row() for check in checks]

    async def acheck_providers(self, *, provider: str | None = None) -> list[dict[str, Any]]:
        """Do the same as ``check_providers``, for async callers, with all providers at once."""
        import asyncio

        until = self._listing_deadline()

        async def run(check: ProviderCheck) -> dict[str, Any]:
            with check.recording():
                check.models = await self._alist(check.key, until, use_cache=False)
            return check.row()

        return list(await asyncio.gather(*(run(ProviderCheck(key)) for key in self._list_keys(provider))))

    # Requests for lists

    def _list_keys(self, provider: str | None) -> Sequence[ModelListKey]:
        return of_provider(model_list_keys(self._chain), provider)

    def _list(self, key: ModelListKey, until: float | None, *, use_cache: bool) -> Models:
        models = _lists().get(key.wanted(use_cache=use_cache), partial(self._fetch, key, until))
        self._learn_from(key, models)
        return models

    async def _alist(self, key: ModelListKey, until: float | None, *, use_cache: bool) -> Models:
        fetch = partial(self._afetch, key, until)
        models = await _lists().aget(key.wanted(use_cache=use_cache), fetch)
        self._learn_from(key, models)
        return models

    def _learn_from(self, key: ModelListKey, models: Models) -> None:
        """Remember the context windows in a list."""
        targets = (resolved.target for resolved in self._chain)
        named = (target for chain in [*self._named.values()] for target in chain.targets)
        learn_from_list(models, [target for target in (*targets, *named) if key.serves(target)])

    def _listing_deadline(self) -> float | None:
        """Return the instant at which the deadline for all pages of all lists passes."""
        deadline = self._options.deadline
        return None if deadline is None else runtime.current().now() + deadline

    def _fetch(self, key: ModelListKey, until: float | None) -> Models:
        loaded: Models = ()
        if key.target.quirks.loaded_path:
            with suppress(LLMError):  # older servers do not have it
                loaded = self._run(self._prepare_loaded(key, until))[0]
        pages = PageReader(key.target)
        while (request := pages.next) is not None:
            pages.read(self._run(self._prepare(request, CallChain((key.target,)), self._options, until)))
        return pages.with_loaded(loaded)

    async def _afetch(self, key: ModelListKey, until: float | None) -> Models:
        loaded: Models = ()
        if key.target.quirks.loaded_path:
            with suppress(LLMError):
                loaded = (await self._arun(self._prepare_loaded(key, until)))[0]
        pages = PageReader(key.target)
        while (request := pages.next) is not None:
            pages.read(await self._arun(self._prepare(request, CallChain((key.target,)), self._options, until)))
        return pages.with_loaded(loaded)

    def _prepare_loaded(self, key: ModelListKey, until: float | None) -> PreparedCall:
        chain = CallChain((with_short_limits(key.target),))
        return self._prepare(ModelsRequest(loaded=True), chain, self._options, until)
