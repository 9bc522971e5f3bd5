"""Azure OpenAI: OpenAI's formats at other addresses.

With a dated ``api_version`` requests go to ``/openai/deployments/{deployment}/...?api-version=``, as the resource's own
pages and the older SDKs have it; without one to ``/openai/v1``, where the deployment is named in the body. What is
written and read is OpenAI's, content filters included: those of a prompt come in a first chunk without choices, and as
an error with an inner one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import quote, unquote

from unified_llm._core.codec import AnyRequest, Codec, Decoder, WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.openai_chat import CODEC as OPENAI_CHAT
from unified_llm.types.requests import LLMRequest

__all__ = ["CODEC", "Azure"]

# What belongs to a deployment; the rest (models, responses) belongs to the resource (openai.lib.azure).
_OF_A_DEPLOYMENT: Final = frozenset({"/chat/completions", "/completions", "/embeddings"})
_DEPLOYMENT: Final = re.compile(r"(?P<resource>.*?)/openai/deployments/(?P<name>[^/]+)")
# ``preview`` and ``v1`` are versions of the v1 API; the older one has dates.
_DATED: Final = re.compile(r"\d{4}-\d\d-\d\d")


class Azure:
    """One of OpenAI's codecs at Azure's addresses. It holds nothing else, so one serves everybody."""

    __slots__ = ("_inner",)
    framing: Final = "events"

    def __init__(self, inner: Codec) -> None:
        """Write and read with that codec."""
        self._inner = inner

    def encode(self, request: AnyRequest, target: Target) -> WireRequest:
        """OpenAI's request, sent to the deployment.

        A deployment that the target's address names is asked, whatever the model is called.

        Raises:
            ValidationError: It holds a value that cannot be written, or content that this format cannot carry.
            UnsupportedOperationError: There is no such request.
        """
        deployment = _deployment(target)
        wire = self._inner.encode(request, deployment)
        version = target.api_version
        if not version:
            return wire
        route, mark, query = wire.url.removeprefix(deployment.base_url).partition("?")
        if _is_dated(version) and route in _OF_A_DEPLOYMENT:
            route = f"/deployments/{quote(deployment.model, safe='')}{route}"
        query = f"{query}{'&' if mark else ''}api-version={quote(version, safe='')}"
        return replace(wire, url=f"{deployment.base_url}{route}?{query}")

    def decode(self, request: AnyRequest, target: Target, body: object) -> Done | Failure:
        """The whole answer."""
        return self._inner.decode(request, _deployment(target), body)

    def decoder(self, request: LLMRequest, target: Target) -> Decoder:
        """A decoder for one streamed answer."""
        return self._inner.decoder(request, _deployment(target))

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Failure:
        """What a response of that status says."""
        return self._inner.failure(status, headers, body, target)


def _deployment(target: Target) -> Target:
    """The target by the address of its API and the name of its deployment, whatever part of the address was given."""
    base, model = target.base_url.removesuffix("/openai/v1"), target.model
    named = _DEPLOYMENT.fullmatch(base)
    if named:
        base, model = named["resource"], unquote(named["name"])
    version = "" if _is_dated(target.api_version or "") else "/v1"
    return replace(target, base_url=f"{base.removesuffix('/openai')}/openai{version}", model=model)


def _is_dated(version: str) -> bool:
    return _DATED.match(version) is not None


CODEC = Azure(OPENAI_CHAT)
