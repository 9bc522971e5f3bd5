"""Azure OpenAI: OpenAI's formats at other addresses.

With a dated ``api_version`` requests go to ``/openai/deployments/{deployment}/...?api-version=``, as in Azure's
documentation and the older SDKs; without one they go to ``/openai/v1``, and the body names the deployment. Request and
response bodies are OpenAI's. Content filter results of a prompt come in a first chunk without choices, or as an error
with an inner error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import quote, unquote

from unified_llm._core.codec import AnyRequest, Codec, Decoder, Framing, MediaDecoder, StreamedMedia, WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.paths import segment
from unified_llm._core.target import Target
from unified_llm._formats.openai_chat import CODEC as OPENAI_CHAT
from unified_llm.types.requests import LLMRequest

__all__ = ["CODEC", "Azure"]

# Paths below a deployment; the others (models, responses) are paths of the resource (openai.lib.azure).
_DEPLOYMENT_PATHS: Final = frozenset({
    "/chat/completions", "/completions", "/embeddings", "/audio/speech", "/audio/transcriptions", "/audio/translations",
    "/images/generations", "/images/edits",
})  # fmt: skip
_DEPLOYMENT_URL: Final = re.compile(r"(?P<resource>.*?)/openai/deployments/(?P<name>[^/]+)")


class Azure:
    """One of OpenAI's codecs at Azure's addresses. It has no state of a request, so all clients share one.

    Args:
        inner: The codec that encodes requests and decodes responses.
    """

    __slots__ = ("_inner", "framing")

    def __init__(self, inner: Codec) -> None:
        self._inner = inner
        self.framing: Framing = inner.framing

    def encode(self, request: AnyRequest, target: Target) -> WireRequest:
        """Encode OpenAI's request for the URL of the deployment.

        A deployment named in the target's base URL takes precedence over the model's name.

        Raises:
            ValidationError: The request contains a value that cannot be serialised, or content that this format cannot
                represent.
            UnsupportedOperationError: The format has no such request.
        """
        deployment = _deployment_target(target)
        wire = self._inner.encode(request, deployment)
        version = target.api_version
        if not version:
            return wire
        route, mark, query = wire.url.removeprefix(deployment.base_url).partition("?")
        if target.has_dated_api and route in _DEPLOYMENT_PATHS:
            route = f"/deployments/{segment(deployment.model)}{route}"
        query = f"{query}{'&' if mark else ''}api-version={quote(version, safe='')}"
        return replace(wire, url=f"{deployment.base_url}{route}?{query}")

    def decode(self, request: AnyRequest, target: Target, body: object) -> Done | Failure:
        """Decode a whole response."""
        return self._inner.decode(request, _deployment_target(target), body)

    def decoder(self, request: LLMRequest, target: Target) -> Decoder:
        """Return a decoder for one streamed response."""
        return self._inner.decoder(request, _deployment_target(target))

    def media_decoder(self, request: StreamedMedia, target: Target) -> MediaDecoder:
        """Return a decoder for one stream of media."""
        return self._inner.media_decoder(request, _deployment_target(target))

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Failure:
        """Classify an error response by its status and body."""
        return self._inner.failure(status, headers, body, target)


def _deployment_target(target: Target) -> Target:
    """Return the target with the base URL of its API and the name of its deployment, from any form of the address."""
    base, model = target.base_url.removesuffix("/openai/v1"), target.model
    match = _DEPLOYMENT_URL.fullmatch(base)
    if match:
        base, model = match["resource"], unquote(match["name"])
    version = "" if target.has_dated_api else "/v1"
    return replace(target, base_url=f"{base.removesuffix('/openai')}/openai{version}", model=model)


CODEC = Azure(OPENAI_CHAT)
