"""Search for model servers on this machine: one GET of the model list at each usual address, all at once.

It happens only when somebody asks for it (the command line does); no client does it by itself. No key is sent, only
loopback addresses are asked, redirects are not followed, and nothing is learned about the health of a target.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from unified_llm._config.credentials import endpoint_in_environment
from unified_llm._core import runtime
from unified_llm._core.base_url import is_loopback
from unified_llm._core.features import CHAT
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import RetryLimits, Target, Timing
from unified_llm._formats.codecs import codec_for
from unified_llm._formats.json_values import is_list, is_object
from unified_llm._providers import registry
from unified_llm._providers.spec import ProviderSpec
from unified_llm.exceptions import ConfigurationError
from unified_llm.types.requests import ModelsRequest
from unified_llm.types.responses import ModelInfo

if TYPE_CHECKING:
    from unified_llm._core.codec import AnyRequest, Framing
    from unified_llm._core.exchange import Exchange

TIMEOUT: Final = 0.3
"""Seconds that a server has to answer with its whole list."""

# A list of thousands of models is smaller; what is larger is something else.
_MAX_BYTES: Final = 1 << 20
# Providers whose servers listen at a port of their own. Others listen at 8000 or 8080, as many programs do, and a
# gateway may pass prompts on to a paid service: these are chosen only where the list names its server.
_OWN_PORT: Final = frozenset({"ollama", "lmstudio"})
# What servers call themselves in ``owned_by``, and the provider that speaks to them: vllm/entrypoints/openai/engine/
# protocol.py, sglang/srt/entrypoints/openai/protocol.py, tools/server/server-context.cpp of llama.cpp. Ollama puts the
# namespace of the model there (openai/openai.go), LM Studio always the same word.
_SERVERS: Final[Mapping[str, str]] = {
    "vllm": "vllm",
    "llamacpp": "llamacpp",
    "organization_owner": "lmstudio",
    "library": "ollama",
    "sglang": "openai-compatible",
}


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A server on this machine that answered with a list of models.

    Attributes:
        provider: The provider to use it with, as in ``provider/model``.
        base_url: Its address, to be given as ``base_url=``.
        models: Its models; empty where none is loaded or downloaded.
        certain: The program is known to be a local model server, by the name in its list or by its port. False where
            anything may have answered (ports 8000 and 8080), or a gateway did: offer it, but do not choose it.
    """

    provider: str
    base_url: str
    models: tuple[ModelInfo, ...]
    certain: bool


def find_local_servers(*, timeout: float = TIMEOUT) -> list[LocalServer]:
    """Return the servers that answer on this machine, those that are certain first.

    Asked are the usual addresses of Ollama, LM Studio, vLLM, llama.cpp and LiteLLM, those in their environment
    variables (``OLLAMA_HOST`` ...) and those of registered providers, where they are on this machine. Whatever answers
    with anything but a model list in OpenAI's format is no server.

    Args:
        timeout: Seconds that each server has for its whole answer; all are asked at once.
    """
    from concurrent.futures import ThreadPoolExecutor

    from unified_llm._backends.http import Transport

    transport, codec, targets = Transport(), _StrictListCodec(), [_target(*place, timeout) for place in _places()]
    # Made before the time begins: importing the HTTP client takes longer than an answer may.
    exchanges = [transport.exchange(codec, ModelsRequest(), target) for target in targets]
    until = runtime.current().now() + timeout
    with ThreadPoolExecutor(len(exchanges), thread_name_prefix="unified-llm-local") as pool:
        outcomes = list(pool.map(lambda exchange: _read(exchange, until), exchanges))
    transport.close()
    servers = [_server(target, outcome) for target, outcome in zip(targets, outcomes, strict=True)]
    return sorted(filter(None, servers), key=lambda server: not server.certain)


def _places() -> list[tuple[ProviderSpec, str]]:
    """Return each address on this machine once, with the provider that is usually there."""
    places: dict[str, ProviderSpec] = {}
    for spec in registry.specs():
        if not spec.key_required:
            for base_url in (_address_in_environment(spec), spec.base_url):
                if base_url and is_loopback(base_url):
                    places.setdefault(base_url, spec)
    return [(spec, base_url) for base_url, spec in places.items()]


def _address_in_environment(spec: ProviderSpec) -> str:
    with suppress(ConfigurationError):  # it is malformed, which a target that uses it says
        if endpoint := endpoint_in_environment(spec):
            return endpoint.base_url
    return ""


def _target(spec: ProviderSpec, base_url: str, timeout: float) -> Target:
    return Target(
        provider=spec.name,
        model="",
        format="openai_chat",  # in which each of them has a list, Ollama as well
        base_url=base_url,
        features=CHAT,
        timing=Timing(connect=timeout, first_token=timeout, whole=timeout, gap=timeout, fixed=True, of_call=True),
        retry=RetryLimits(limit=0),
        max_response_bytes=_MAX_BYTES,
    )


class _StrictListCodec:
    """OpenAI's format, whose lists are read only as it writes them: a list in any other is that of another program."""

    def __init__(self) -> None:
        self._codec = codec_for("openai_chat")
        self.encode, self.decoder, self.failure = self._codec.encode, self._codec.decoder, self._codec.failure
        self.media_decoder = self._codec.media_decoder
        self.framing: Framing = self._codec.framing

    def decode(self, request: AnyRequest, target: Target, body: object) -> Done | Failure:
        if not is_object(body) or body.get("object") != "list":
            return Failure("malformed")
        items: object = body.get("data")
        items = [] if items is None else items  # null is how Ollama writes an empty list
        if not is_list(items) or not all(is_object(item) and isinstance(item.get("id"), str) for item in items):
            return Failure("malformed")
        return self._codec.decode(request, target, {"data": items})


def _read(exchange: Exchange, until: float) -> Done | None:
    """Return the list; None where none came in time, whatever the reason."""
    try:
        outcome = exchange.open(until) or exchange.read(until)
    finally:
        exchange.close()
    return outcome if isinstance(outcome, Done) else None


def _server(target: Target, outcome: Done | None) -> LocalServer | None:
    if outcome is None:
        return None
    models: tuple[ModelInfo, ...] = outcome.value[0]
    named = _SERVERS.get(models[0].owned_by or "") if models else None
    provider = named or target.provider
    models = tuple(replace(info, provider=provider) for info in models)
    return LocalServer(provider, target.base_url, models, certain=named is not None or provider in _OWN_PORT)
