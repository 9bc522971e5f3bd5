"""Keys, proxies' passwords and prompts in variables of frames, reprs, dumps and pickles."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module, util
from typing import Any, Final

from integration_tests.attacks.catalogue import Figure, attack, none_of
from integration_tests.attacks.servers import Answering, Peer, hostile
from tests.support.canary_checks import own_frames
from unified_llm import LLMClient, LLMConfig
from unified_llm.exceptions import LLMError

_KEY: Final = "sk-CANARYabcdef0123456789"
_PROVIDERS: Final = ("openai-compatible", "anthropic", "gemini", "ollama", "cohere", "azure")


def variables(error: BaseException, canary: str = "CANARY") -> list[str]:
    """Return the lines of variables of the package's frames, in an error and its causes, that show a canary."""
    return [
        f"{frame.filename.rpartition('/')[2]}:{frame.name}: {name}"
        for frame in own_frames(error)
        for name, value in (frame.locals or {}).items()
        if canary in value
    ]


class _Soft(Exception):  # noqa: N818 - what a library's soft time limit raises
    pass


def _raise(*_: object) -> None:
    raise _Soft


def interrupted(call: Callable[[], Any], after: float) -> BaseException | None:
    """Make a call, interrupted by a signal; return what it raised."""
    signal.signal(signal.SIGALRM, _raise)
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - its variables are looked at
        return error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None


async def ainterrupted(call: Callable[[], Any], after: float) -> BaseException | None:
    """Do the same for an async call, by ``wait_for``."""
    try:
        await asyncio.wait_for(call(), after)
    except BaseException as error:  # noqa: BLE001 - its variables are looked at
        return error
    return None


def _client(provider: str, url: str) -> LLMClient:
    fields: dict[str, Any] = {"api_version": "2024-10-21"} if provider == "azure" else {}
    return LLMClient(
        LLMConfig(model=f"{provider}/m", base_url=url, api_key=_KEY, default_headers={"X-Api-Key-2": _KEY}, **fields)
    )


async def _consume(client: LLMClient, prompt: str) -> None:
    async for _ in client.astream(prompt):
        pass


def _events(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    peer.repeat(b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n', 0.02)


@attack("calls interrupted in the upload, in the wait, in the stream: 6 formats, 4 modes", kill_after=90, parallel=True)
def interrupted_calls() -> Iterator[Figure]:
    """No variable of our frames shows the key, wherever a signal or a cancellation interrupts the call."""
    shown, cases = set[str](), 0
    # Whether the server acts before the request, and the bytes of the prompt
    places = {"upload": (Peer.reset, 30_000_000), "wait": (Peer.hang, 10), "stream": (_events, 10)}
    for place, (script, size) in places.items():
        with _never_reading() if place == "upload" else hostile(script) as url:
            for provider in _PROVIDERS:
                client, prompt = _client(provider, url), "x" * size
                errors = _interrupt_in_four_modes(client, prompt)
                cases += sum(error is not None for error in errors)
                shown |= {f"{place}: {line}" for error in errors if error for line in variables(error, _KEY)}
    print("\n".join(sorted(shown)))  # noqa: T201
    yield Figure("cases", cases, 50, least=True)
    yield none_of("variables that show it", len(shown))


def _interrupt_in_four_modes(client: LLMClient, prompt: str) -> list[BaseException | None]:
    calls: list[Callable[[], Any]] = [lambda: client.generate(prompt), lambda: list(client.stream(prompt))]
    acalls: list[Callable[[], Any]] = [lambda: client.agenerate(prompt), lambda: _consume(client, prompt)]
    errors = [interrupted(call, 0.3) for call in calls]
    return [*errors, *(asyncio.run(ainterrupted(call, 0.3)) for call in acalls)]


@contextmanager
def _never_reading() -> Iterator[str]:
    """Accept connections in the kernel alone: nothing is ever read."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@attack("proxies with user:password that are silent, refuse or talk nonsense", parallel=True)
def proxies() -> Iterator[Figure]:
    """The password of a proxy is in no message and in no variable of our frames."""

    def refuse(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    def talk(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nthis is no TLS")

    shown, texts = set[str](), 0
    for script in (Peer.hang, refuse, talk, Peer.reset):
        with hostile(script) as url:
            for scheme in ("http", "socks5"):
                os.environ["HTTPS_PROXY"] = f"{scheme}://user:pass-CANARY@{url.removeprefix('http://')}"
                client = LLMClient("openai/m", api_key=_KEY, max_retries=0)
                call, acall = partial(client.generate, "x"), partial(client.agenerate, "x")
                errors = [interrupted(call, 0.3), asyncio.run(ainterrupted(acall, 0.3))]
                for error in errors:
                    if error:
                        shown |= {*variables(error, "CANARY")}
                        texts += "pass-CANARY" in f"{error}{error!r}"
    print("\n".join(sorted(shown)))  # noqa: T201
    yield none_of("variables that show it", len(shown))
    yield none_of("messages", texts)


@attack("interim responses without end from a proxy, before its tunnel")
def interim_responses_of_a_proxy() -> Iterator[Figure]:
    """A proxy that never comes to its answer is given up at the deadline."""
    import time

    from integration_tests.attacks.catalogue import seconds

    longest = 0.0
    for again in (b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n", b"A: b\r\n"):

        def flood(peer: Peer, again: bytes = again) -> None:
            peer.repeat(again)

        with hostile(flood) as url:
            os.environ["HTTPS_PROXY"] = url
            for way in ("sync", "async"):
                client, started = LLMClient("openai/m", api_key=_KEY, max_retries=0, deadline=0.5), time.monotonic()
                with suppress(LLMError):
                    client.generate("x") if way == "sync" else asyncio.run(client.agenerate("x"))
                longest = max(longest, time.monotonic() - started)
    yield seconds(longest, 0.75)


_BAD: Final[tuple[dict[str, Any], ...]] = (
    {"model": "openai/m", "fallbacks": [{"model": "nope/x", "api_key": _KEY}]},
    {"model": "openai/m", "base_url": "https://u:pw-CANARY@h.example"},
    {"model": "openai/m", "api_key": _KEY, "timeout": -1},
    {"model": "openai/m", "api_key": _KEY + "\n"},
    {"model": "openai/m", "default_headers": {"X-Api-Key": _KEY}, "timeout": "x"},
    {"model": "openai/m", "default_headers": {"Authorization": _KEY}},
    {"model": "openai/m", "default_headers": {"X-Api-Key": _KEY + "\r\n"}},
    {"model": "openai/m", "extra_body": {"key": _KEY}, "nonsense": 1},
    {"model": "openai/m", "extra_body": {"key": {_KEY}}, "api_key": "k"},
    {"model": "nope/m", "api_key": _KEY},
    {"model": "openai/m", "fallbacks": [{"model": "openai/x", "default_headers": {"X-Key": _KEY}, "timeout": -1}]},
    {"model": "openai/m", "api_key": _KEY, "verify_ssl": 5},
    {"model": "openai/m", "api_key": [_KEY]},
)


@attack("constructions that fail, with a key in every place, 4 ways", parallel=True)
def failed_constructions() -> Iterator[Figure]:
    """Neither the message nor a variable of our frames shows a key that stands anywhere in a bad configuration."""
    from unified_llm.langchain import ChatUnified, UnifiedEmbeddings

    os.environ["OPENAI_API_KEY"] = "sk-operator"
    ways: dict[str, Callable[[dict[str, Any]], Any]] = {
        "mapping": LLMClient,
        "fields": lambda fields: LLMClient(fields["model"], **{k: v for k, v in fields.items() if k != "model"}),
        "ChatUnified": lambda fields: ChatUnified(**fields),
        "UnifiedEmbeddings": lambda fields: UnifiedEmbeddings(**fields),
    }
    shown, texts, raised = set[str](), 0, 0
    for name, way in ways.items():
        for number, fields in enumerate(_BAD):
            try:
                way(fields)
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not show the key
                raised += 1
                shown |= {f"{name} {number}: {line}" for line in variables(error, "CANARY")}
                texts += "CANARY" in f"{error}{error!r}"
    print("\n".join(sorted(shown)))  # noqa: T201
    yield Figure("failed", raised, 40, least=True)
    yield none_of("variables that show it", len(shown))
    yield none_of("messages", texts)


@attack("places that show something of clients, configurations, models and answers", parallel=True)
def places() -> Iterator[Figure]:
    """Of all reprs, dumps, pickles and identifying parameters, none shows a key."""
    if util.find_spec("integration_tests.attacks.secret_places") is None:
        yield none_of("not there: secret_places", 1)
        return
    results: Any = import_module("integration_tests.attacks.secret_places").measure()
    print(results)  # noqa: T201
    yield Figure("places", results.places, 208, least=True)
    yield none_of("that show a key", len(results.shown))


@attack("ChatUnified.invoke(api_key=...) and openai_api_key=: used or refused, and seen by no tracer", parallel=True)
def keys_of_calls() -> Iterator[Figure]:
    """The key of a call is used, one by another name is refused, and no tracer of LangChain's was given either."""
    from langchain_core.tracers import BaseTracer

    from unified_llm.langchain import ChatUnified

    class Tracer(BaseTracer):
        def __init__(self) -> None:
            super().__init__()
            self.runs: list[Any] = []

        def _persist_run(self, run: Any) -> None:
            self.runs.append(run)

    tracer, shown, used, refused = Tracer(), set[str](), 0, 0
    with Answering() as server:
        model: Any = ChatUnified(model="openai-compatible/m", base_url=server.url, api_key="k")
        for name in ("api_key", "openai_api_key"):
            try:
                model.invoke("x", config={"callbacks": [tracer]}, **{name: _KEY})
                used += name == "api_key"
            except Exception as error:  # noqa: BLE001 - its variables are looked at
                refused += name == "openai_api_key"
                shown |= {*variables(error, _KEY)}
    print(shown, [run for run in tracer.runs if _KEY in f"{vars(run)}"])  # noqa: T201
    yield none_of("runs that show it", sum(_KEY in f"{vars(run)}" for run in tracer.runs))
    yield none_of("variables that show it", len(shown))
    yield Figure("used", used, 1, least=True)
    yield Figure("refused", refused, 1, least=True)
