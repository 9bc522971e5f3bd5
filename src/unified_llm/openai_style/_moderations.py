"""``client.moderations``: what is wrong with texts and pictures."""

from __future__ import annotations

from typing import Any

from unified_llm.openai_style._omitted import NOT_GIVEN
from unified_llm.openai_style._raw_calls import AsyncRawCalls, RawCall, RawCalls
from unified_llm.openai_style.types.moderation_create_response import ModerationCreateResponse


def _create(given: dict[str, Any]) -> RawCall[ModerationCreateResponse]:
    read = ModerationCreateResponse.from_json
    return RawCall("POST", "/moderations", "moderation", given, read, one_account=False)


class Moderations(RawCalls):
    """Moderation, at the provider of the client or at that of ``model``."""

    PATH = "moderations"

    def create(self, *, input: Any, model: Any = NOT_GIVEN, **options: Any) -> ModerationCreateResponse:  # noqa: A002
        """Rate texts and pictures for moderation.

        Fails over to the fallbacks that name a model for moderation, such as ``openai/omni-moderation-latest``.

        Args:
            input: A text, several, or content parts.
            model: The model; not given: the provider's default.
            **options: ``timeout``, ``extra_headers``, ``extra_body`` ... of the call.

        Raises:
            OpenAIError: No target served the call.
        """
        return self._send(_create({"input": input, "model": model, **options}))


class AsyncModerations(AsyncRawCalls):
    """The same as ``Moderations``, with async methods."""

    PATH = "moderations"

    async def create(self, *, input: Any, model: Any = NOT_GIVEN, **options: Any) -> ModerationCreateResponse:  # noqa: A002
        """Do the same as ``Moderations.create``."""
        return await self._send(_create({"input": input, "model": model, **options}))
