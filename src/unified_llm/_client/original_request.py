"""The request of a program that was written for an API of OpenAI: which target gets it as it was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, Self

from unified_llm._client.fitted_request import fit
from unified_llm._core.codec import AnyRequest
from unified_llm._core.target import Target
from unified_llm._formats.original_body import APIS, takes_original
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, OriginalFormat

# The API of each format, by its name in the tables of body fields.
_API_NAMES: Final[Mapping[OriginalFormat, str]] = {
    "openai_chat": "openai",
    "openai_completion": "openai",
    "openai_embeddings": "openai",
    "openai_responses": "openai:openai_responses",
}


class SplitRequest(NamedTuple):
    """A request as any target gets it, and as the primary does.

    Attributes:
        request: The request for any target.
        original: The one that the primary gets instead, and the same model at another address; or None.
        written_for: The API that it was written for, where the primary has another.
        no_other_form: Why other targets than the one that gets ``original`` are skipped, or None.
    """

    request: AnyRequest
    original: LLMRequest | EmbeddingRequest | None = None
    written_for: str | None = None
    no_other_form: str | None = None

    def without_original(self) -> Self:
        """Return the request for any target alone, which the primary gets too."""
        original = self.original
        if original is None or original is not self.request:
            return self._replace(original=None)
        return self._replace(request=replace(original, original=None), original=None)


def split_original(request: AnyRequest, chain: Sequence[Target], primary: Target | None) -> SplitRequest:
    """Split a request into what a program wrote and what it was read to.

    The primary, and the same model at another address, get what the program wrote, if they have the API and take
    everything that is asked for: what would have to be changed for them (names of tools, stop sequences that they do
    not take) is in the other request alone. Where there is no other target, both are the same object.

    Args:
        request: The request of a call.
        chain: The targets of the call.
        primary: The first of them, for which the program wrote it; None where that is left out of the chain.
    """
    if not isinstance(request, (LLMRequest, EmbeddingRequest)) or request.original is None:
        return SplitRequest(request)
    original = request.original
    has_api = primary is not None and primary.format in APIS[original.format]
    written_for = None if has_api else _API_NAMES[original.format]
    is_taken = primary is not None and takes_original(request, primary) and fit(request, primary, primary) is None
    plain = request if is_taken and len(chain) == 1 else replace(request, original=None)
    return SplitRequest(plain, request if is_taken else None, written_for, original.no_other_form)


def gets_original(request: LLMRequest | EmbeddingRequest | None, target: Target, primary: Target | None) -> bool:
    """Return whether a target gets a request as a program wrote it for the primary.

    The same model at another address does as well, such as a deployment in another region, unless the request names
    something that is kept at one address (``previous_response_id``).

    Args:
        request: The request as the program wrote it; None where the primary does not take it so.
        target: The target.
        primary: The target that the program wrote it for.
    """
    if request is None or primary is None or request.original is None:
        return False
    if target is primary:
        return True
    is_kept_there = request.original.format == "openai_responses" and request.original.no_other_form is not None
    same = (target.provider, target.format, target.model) == (primary.provider, primary.format, primary.model)
    return same and not is_kept_there
