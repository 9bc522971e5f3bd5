"""``client.models``: the models of the providers of a client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from unified_llm._client.client import LLMClient
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm.exceptions import ValidationError
from unified_llm.openai_style._omitted import is_omitted
from unified_llm.openai_style._pages import AsyncPage, AsyncPaginator, SyncPage
from unified_llm.openai_style._resource import AsyncResource, Resource, family_errors
from unified_llm.openai_style._unsupported import unsupported_method
from unified_llm.openai_style.types.model import Model
from unified_llm.types.responses import ModelInfo


class SyncModelPage(SyncPage):
    """The models of all providers of a client."""

    data: list[Model]


class AsyncModelPage(AsyncPage):
    """The models of all providers of a client."""

    data: list[Model]


class _Shared(Resource):
    """Base of the sync and the async resource."""

    PATH = "models"

    def _lister(self, given: Mapping[str, Any]) -> LLMClient:
        """Return the client whose models are listed.

        Raises:
            ValidationError: There are options, which the requests for lists do not take.
        """
        if names := sorted(name for name, value in given.items() if value is not None and not is_omitted(value)):
            raise ValidationError(
                f"models.list() takes no {', '.join(names)}: make a client with such settings, such as "
                "default_headers=, and list its models."
            )
        return self._settings.targets.default_client()

    def _as_page(self, models: Sequence[ModelInfo]) -> dict[str, Any]:
        own = self._settings.targets.own.provider
        return {"object": "list", "data": [_as_model(info, own) for info in models]}


class Models(_Shared):
    """The models of the client's provider and of its fallbacks."""

    def list(self, **options: Any) -> SyncModelPage:
        """List the models of the provider of the client and of its fallbacks.

        Models of fallbacks have ``provider/model`` as their ``id``, which can be passed as ``model``.

        Args:
            **options: None is taken; they are refused with a hint.

        Raises:
            OpenAIError: No provider responded.
        """
        with family_errors():
            models = self._lister(options).list_models(use_cache=False)
        return SyncModelPage.from_json(self._as_page(models))

    def retrieve(self, model: str, **options: Any) -> Model:
        """Describe a model.

        Args:
            model: As for a call.
            **options: ``timeout``, ``extra_headers`` ... of a call.
        """
        with family_errors():
            _, call = self._read({"model": model, **options})
            info = call.client.run_model_info(call.model, call.options)
        return Model.from_json(_as_model(info, info.provider))

    def delete(self, model: str, **_: Any) -> NoReturn:
        """Refuse: only OpenAI deletes models, those that were fine-tuned there.

        Raises:
            UnsupportedOperationError: Always.
        """
        with family_errors():
            raise unsupported_method("models.delete", f"the deletion of a fine-tuned model such as {model}")


class AsyncModels(_Shared, AsyncResource):
    """The same as ``Models``, with async methods."""

    def list(self, **options: Any) -> AsyncPaginator[AsyncModelPage]:
        """Do the same as ``Models.list``; await it, or iterate over it with ``async for``."""
        given = Hidden(options)
        del options

        async def fetch() -> AsyncModelPage:
            with CLEAR_VARIABLES, family_errors():  # which runs after ``list`` has returned
                models = await self._lister(given.value).alist_models(use_cache=False)
            return AsyncModelPage.from_json(self._as_page(models))

        return AsyncPaginator(fetch)

    async def retrieve(self, model: str, **options: Any) -> Model:
        """Do the same as ``Models.retrieve``."""
        with family_errors():
            _, call = self._read({"model": model, **options})
            info = await call.client.arun_model_info(call.model, call.options)
        return Model.from_json(_as_model(info, info.provider))

    async def delete(self, model: str, **_: Any) -> NoReturn:
        """Refuse, as ``Models.delete``."""
        with family_errors():
            raise unsupported_method("models.delete", f"the deletion of a fine-tuned model such as {model}")


def _as_model(info: ModelInfo, own: str | None) -> dict[str, Any]:
    name = info.id if info.provider == own else info.model_string
    owner = info.owned_by or info.provider
    return {"id": name, "object": "model", "created": info.created or 0, "owned_by": owner}
