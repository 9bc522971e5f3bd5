"""Whose fault it is: keys, hosts and tenants that must not be blamed for one another."""

from __future__ import annotations

import time
from collections.abc import Iterator

from integration_tests.attacks.catalogue import Figure, attack, none_of, seconds
from integration_tests.attacks.servers import OK, Answering, Request, answering_apart, reply
from unified_llm import LLMClient, LLMConfig, reset_health
from unified_llm.exceptions import LLMError

_KEYS = ("EMPTY", "sk-1234")
_REFUSALS = {
    "a rate limit": reply({}, "Retry-After: 3", status="429 No"),
    "a refused key": reply({}, status="401 No"),
    "a forbidden model": reply({}, status="403 No"),
    "no credit": reply({"error": {"code": "insufficient_quota"}}, status="429 No"),
    "payment": reply({}, status="402 Pay"),
}


@attack("two servers with one dummy key, the first refuses: the second answers")
def one_dummy_key() -> Iterator[Figure]:
    """A key identifies no account where everybody has the same one: the replica is asked at once."""
    unanswered, longest = 0, 0.0
    for refusal in _REFUSALS.values():
        with answering_apart(refusal) as first, answering_apart(OK) as second:
            for key in _KEYS:
                reset_health()
                client = LLMClient(
                    "openai-compatible/q", base_url=first, api_key=key, deadline=1.5, fallbacks=[{"base_url": second}]
                )
                started = time.monotonic()
                try:
                    unanswered += client.generate("x").content != "hi"
                except LLMError:
                    unanswered += 1
                longest = max(longest, time.monotonic() - started)
    yield none_of("unanswered", unanswered)
    yield seconds(longest, 0.5)


@attack("two local servers of other providers with one dummy key", parallel=True)
def one_dummy_key_at_local_servers() -> Iterator[Figure]:
    """The same for rows of local servers, gateways, and a vendor's row with another address."""
    unanswered = 0
    for provider in ("vllm", "lmstudio", "llamacpp", "litellm", "openai", "ollama", "anthropic"):
        with answering_apart(_REFUSALS["a refused key"]) as first, answering_apart(_any_format) as second:
            reset_health()
            try:
                config = LLMConfig(model=f"{provider}/q", base_url=first, api_key="EMPTY")
                client = LLMClient(config, fallbacks=[{"base_url": second}])
                unanswered += client.generate("x").content != "hi"
            except LLMError as error:
                print(provider, repr(error))  # noqa: T201
                unanswered += 1
    yield none_of("unanswered", unanswered)


def _any_format(request: Request) -> bytes:
    if request.path.endswith("/messages"):
        return reply({"content": [{"type": "text", "text": "hi"}], "model": "m", "stop_reason": "end_turn"})
    if request.path.endswith("/api/chat"):
        return reply({"model": "m", "message": {"content": "hi"}, "done": True, "done_reason": "stop"})
    return OK


_HEADERS = ("X-Api-Key", "Ocp-Apim-Subscription-Key", "X-Goog-Api-Key", "Helicone-Auth", "cf-aig-authorization")


@attack("one tenant's refused key in a header", parallel=True)
def keys_in_headers() -> Iterator[Figure]:
    """A key that travels in a header belongs to its tenant: the other tenants are served by the primary."""
    held = 0
    for header in _HEADERS:
        for key in (None, "shared-gateway-key"):
            for status in ("401 No", "402 Pay", "429 No"):
                held += _holds_the_others(header, key, status)
    yield none_of("tenants held", held)


def _holds_the_others(header: str, key: str | None, status: str) -> bool:
    """Return whether a tenant with a good key is kept from the primary because another one's was refused."""

    def gate(request: Request) -> bytes:
        return OK if request.headers.get(header.lower()) == "good" else reply({}, status=status)

    with answering_apart(gate) as url, answering_apart(OK) as good:

        def tenant(value: str) -> LLMClient:
            headers = {header: value}
            config = LLMConfig(model="openai-compatible/m", base_url=url, api_key=key, default_headers=headers)
            return LLMClient(config, fallbacks=[{"model": "openai-compatible/f", "base_url": good, "api_key": "z"}])

        reset_health()
        tenant("good").generate("x")
        for _ in range(2):
            tenant("bad").generate("x")
        return tenant("good").generate("x").used_fallback


@attack("one tenant's refused key in api_key", parallel=True)
def keys_of_tenants() -> Iterator[Figure]:
    """A refused key holds the calls with this key, and no others."""
    held = asked_again = 0

    def gate(request: Request) -> bytes:
        return OK if request.headers["authorization"] == "Bearer good" else reply({}, status="401 No")

    with Answering(gate) as server, answering_apart(OK) as good:
        fallback = {"model": "openai-compatible/f", "base_url": good, "api_key": "z"}

        def tenant(key: str) -> LLMClient:
            return LLMClient("openai-compatible/m", base_url=server.url, api_key=key, fallbacks=[fallback])

        for index in range(20):
            tenant(f"bad-{index}").generate("x")
            held += tenant("good").generate("x").used_fallback
        before = len(server.requests)
        tenant("bad-3").generate("x")
        asked_again = len(server.requests) - before
    yield none_of("tenants held", held)
    yield none_of("refused key asked again", asked_again)
