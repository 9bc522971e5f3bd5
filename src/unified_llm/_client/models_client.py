"""The models of a chain: their lists and descriptions, and whether a provider can be reached."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from unified_llm._client.base_client import BaseClient
from unified_llm._client.call import PreparedCall
from unified_llm._client.model_lists import (
    ModelListKey,
    ModelListMerger,
    Models,
    PageReader,
    model_list_keys,
    with_short_limits,
)
from unified_llm._core import runtime
from unified_llm._state.learned_windows import learn_from_list
from unified_llm.exceptions import LLMError
from unified_llm.types.requests import ModelRequest, ModelsRequest
from unified_llm.types.responses import ModelInfo


class ModelsClient(BaseClient):
    """A client that lists and describes models."""

    def model_info(self, model: str | None = None) -> ModelInfo:
        """Describe a model as its provider does: context window, features. Nothing is cached.

        Args:
            model: As in a call; None for the primary's.

        Raises:
            UnsupportedOperationError: The provider does not describe its models one by one.
        """
        info: ModelInfo = self._run(self._prepare(ModelRequest(), self._targets(model)[:1], self._options))
        return info

    async def amodel_info(self, model: str | None = None) -> ModelInfo:
        """Do the same as ``model_info``, for async callers."""
        info: ModelInfo = await self._arun(self._prepare(ModelRequest(), self._targets(model)[:1], self._options))
        return info

    def list_models(self, *, use_cache: bool = True) -> list[ModelInfo]:
        """List the models of every provider in the chain, in its order.

        A list is kept for ``cache_ttl`` seconds. However many threads and tasks need it at once, one request is made. A
        provider that has no list, or does not respond, is skipped while another does.

        Raises:
            LLMError: No provider responded.
        """
        if not use_cache:
            self.invalidate_cache()
        merger, now, until = ModelListMerger(), runtime.current().now, self._listing_deadline()
        for key in model_list_keys(self._chain):
            try:
                models = self._model_lists.get(key.cache_key, key.ttl, now, partial(self._fetch, key, until))
                self._add_list(merger, key, models)
            except LLMError as error:
                merger.failed(error)
        return merger.result()

    async def alist_models(self, *, use_cache: bool = True) -> list[ModelInfo]:
        """Do the same as ``list_models``, for async callers."""
        if not use_cache:
            self.invalidate_cache()
        merger, now, until = ModelListMerger(), runtime.current().now, self._listing_deadline()
        for key in model_list_keys(self._chain):
            fetch = partial(self._afetch, key, until)
            try:
                self._add_list(merger, key, await self._model_lists.aget(key.cache_key, key.ttl, now, fetch))
            except LLMError as error:
                merger.failed(error)
        return merger.result()

    def invalidate_cache(self) -> None:
        """Drop the model lists, so that the next ``list_models`` requests them again."""
        self._model_lists.forget()

    def health_check(self) -> bool:
        """Check that at least one provider of the chain returns its model list. Never raises for one that is down."""
        try:
            self.list_models(use_cache=False)
        except LLMError:
            return False
        return True

    async def ahealth_check(self) -> bool:
        """Do the same as ``health_check``, for async callers."""
        try:
            await self.alist_models(use_cache=False)
        except LLMError:
            return False
        return True

    # Requests for lists

    def _add_list(self, merger: ModelListMerger, key: ModelListKey, models: Models) -> None:
        """Add a list to the others, and remember the context windows in it."""
        merger.add(models)
        targets = (resolved.target for resolved in self._chain)
        named = (target for targets in self._named.values() for target in targets[:1])
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
            pages.read(self._run(self._prepare(request, (key.target,), self._options, until)))
        return pages.with_windows(loaded)

    async def _afetch(self, key: ModelListKey, until: float | None) -> Models:
        loaded: Models = ()
        if key.target.quirks.loaded_path:
            with suppress(LLMError):
                loaded = (await self._arun(self._prepare_loaded(key, until)))[0]
        pages = PageReader(key.target)
        while (request := pages.next) is not None:
            pages.read(await self._arun(self._prepare(request, (key.target,), self._options, until)))
        return pages.with_windows(loaded)

    def _prepare_loaded(self, key: ModelListKey, until: float | None) -> PreparedCall:
        return self._prepare(ModelsRequest(loaded=True), (with_short_limits(key.target),), self._options, until)
