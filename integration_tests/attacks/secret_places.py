"""Places that could show a key, a password, a prompt or a response: variables of interrupted calls, and objects.

Calls over real sockets are interrupted where they wait: in an upload that is not read, while the server is silent, in a
slow stream, in a TLS handshake, and while a proxy is silent. An exception from a signal handler interrupts sync calls,
``asyncio.wait_for`` async ones. ``python -m integration_tests.attacks.secret_places`` prints the figures.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import util
from traceback import walk_tb
from types import CodeType
from typing import Any, Final

from tests.support.causes import error_and_causes
from tests.support.variables import MARK, is_ours_or_library, is_own, traceback_leaks
from unified_llm import LLMClient, LLMConfig, health_snapshot
from unified_llm.exceptions import LLMError
from unified_llm.types import Message, ToolCall

_KEY: Final = "sk-CANARY-key-7f3a9c"
_MODELS: Final = ("openai/gpt-5-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash")
_FIELDS: Final[dict[str, Any]] = {
    "api_key": _KEY,
    "default_headers": {"X-Gateway-Key": "CANARY-header-5b1d"},
    "extra_body": {"user_token": "CANARY-body-99e1"},
    "max_retries": 0,
}
_SECONDS: Final = 0.15  # until a call is interrupted
_EVENTS: Final[dict[str, dict[str, Any]]] = {
    "openai": {"choices": [{"index": 0, "delta": {"content": "CANARY-answer "}}]},
    "anthropic": {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "CANARY-answer "}},
    "gemini": {"candidates": [{"content": {"parts": [{"text": "CANARY-answer "}]}}]},
}
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


@dataclass
class Results:
    """Figures of all places.

    Attributes:
        places: How many were looked at.
        shown: Where a canary was, in the package's own variables and objects.
        libraries: Variables of libraries that showed one.
    """

    places: int = 0
    shown: list[str] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)


class _Interrupted(BaseException):
    pass


def _interrupt(*_: object) -> None:
    raise _Interrupted


# Servers, each of which handles its connections in threads


def _silent(_: socket.socket) -> None:
    """Read nothing, send nothing."""


def _reads(peer: socket.socket) -> None:
    """Read all, send nothing."""
    while peer.recv(1 << 16):
        pass


def _drips(event: Mapping[str, Any]) -> Callable[[socket.socket], None]:
    def answer(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        peer.sendall(_HEAD + b"data: %s\n\n" % json.dumps(event).encode())
        _reads(peer)

    return answer


def _proxy_then_silent(peer: socket.socket) -> None:
    peer.recv(1 << 16)
    peer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    _reads(peer)


def _socks_then_silent(peer: socket.socket) -> None:
    """Ask for user name and password, as SOCKS 5 does, and be silent."""
    peer.recv(1 << 16)
    peer.sendall(b"\x05\x02")
    _reads(peer)


@contextmanager
def _serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve on a port of this machine; all connections are closed at the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    peers: list[socket.socket] = []

    def handle(peer: socket.socket) -> None:
        with suppress(OSError):
            answer(peer)

    def accept() -> None:
        with suppress(OSError):
            while True:
                peer, _ = listener.accept()
                peers.append(peer)
                threading.Thread(target=handle, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        for sock in (listener, *peers):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = dict(os.environ)
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "HTTP_PROXY"):
        os.environ.pop(name, None)
        os.environ.pop(name.lower(), None)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


# Interruptions


def _ways(client: LLMClient, prompt: list[Message]) -> dict[str, Callable[[], BaseException | None]]:
    async def stream() -> None:
        async for chunk in client.astream(prompt):
            del chunk

    def astream() -> BaseException | None:
        return _async_error(stream)

    def sync_stream() -> None:
        for chunk in client.stream(prompt):
            del chunk

    return {
        "sync": lambda: _sync_error(lambda: client.generate(prompt)),
        "sync stream": lambda: _sync_error(sync_stream),
        "async": lambda: _async_error(lambda: client.agenerate(prompt)),
        "async stream": astream,
    }


def _sync_error(call: Callable[[], object]) -> BaseException | None:
    before = signal.signal(signal.SIGALRM, _interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, _SECONDS)
        call()
    except (_Interrupted, LLMError) as error:
        return error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return None


def _async_error(call: Callable[[], Any]) -> BaseException | None:
    async def run() -> None:
        await asyncio.wait_for(call(), _SECONDS)

    try:
        asyncio.run(run())
    except (TimeoutError, LLMError) as error:
        return error
    return None


def _conversation(*, large: bool) -> list[Message]:
    call = ToolCall.parse("c1", "find", '{"what": "CANARY-argument"}')
    return [
        Message.system("CANARY-system"),
        Message.user("CANARY-prompt " * (1_000_000 if large else 1)),
        Message.assistant("CANARY-earlier", tool_calls=[call]),
        Message.tool("CANARY-result", "c1"),
    ]


def _interruptions(model: str) -> Iterator[tuple[str, Callable[[], Iterator[LLMClient]], bool]]:
    """Yield situations: a name, how to get a client in it, and whether its prompt is large."""
    format_name = model.partition("/")[0]

    def plain(answer: Callable[[socket.socket], None], scheme: str = "http") -> Callable[[], Iterator[LLMClient]]:
        def situation() -> Iterator[LLMClient]:
            with _serving(answer) as port, LLMClient(model, base_url=f"{scheme}://127.0.0.1:{port}", **_FIELDS) as made:
                yield made

        return situation

    def through(answer: Callable[[socket.socket], None], url: str, name: str = "HTTPS_PROXY") -> Any:
        def situation() -> Iterator[LLMClient]:
            with (
                _serving(answer) as port,
                _environment(**{name: url.format(port)}),
                LLMClient(model, **_FIELDS) as made,
            ):
                yield made

        return situation

    userinfo = "user:CANARY-proxy@127.0.0.1:{}"
    yield "upload that is not read", plain(_silent), True
    yield "silent", plain(_reads), False
    yield "slow stream", plain(_drips(_EVENTS[format_name])), False
    yield "TLS handshake", plain(_reads, "https"), False
    yield "proxy that is silent", through(_reads, f"http://{userinfo}"), False
    yield "proxy, then TLS handshake", through(_proxy_then_silent, f"http://{userinfo}"), False
    yield "TLS handshake with a proxy", through(_reads, f"https://{userinfo}"), False
    if util.find_spec("socksio"):
        yield "SOCKS proxy that is silent", through(_reads, f"socks5://{userinfo}", "ALL_PROXY"), False
        yield "SOCKS proxy after the password", through(_socks_then_silent, f"socks5://{userinfo}", "ALL_PROXY"), False


def interruptions(results: Results) -> None:
    """Interrupt calls in every format, situation and way."""
    for model in _MODELS:
        for name, situation, large in _interruptions(model):
            for client in situation():
                for way, interrupt in _ways(client, _conversation(large=large)).items():
                    error = interrupt()
                    place = f"{model}, {name}, {way}"
                    results.places += 1
                    if error is None or not any(map(is_own, _codes(error))):
                        results.shown.append(f"{place}: it was not interrupted")
                        continue
                    own = traceback_leaks(error)
                    results.shown += [f"{place}: {leak}" for leak in own]
                    others = set(traceback_leaks(error, is_ours_or_library)) - set(own)
                    results.libraries += [f"{place}: {leak}" for leak in sorted(others)]


def _codes(error: BaseException) -> Iterator[CodeType]:
    for raised in error_and_causes(error):
        for frame, _ in walk_tb(raised.__traceback__):
            yield frame.f_code


# Objects


def _objects() -> Iterator[tuple[str, Any]]:
    from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
    from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM, UnifiedRerank

    fallback = {"model": "groq/x", "api_key": _KEY, "default_headers": {"X-Gateway-Key": "CANARY-header-5b1d"}}
    for model in _MODELS:
        fields = {**_FIELDS, "fallbacks": [fallback], "extra_body": {}}
        client = LLMClient(LLMConfig(model=model, **fields))
        yield f"LLMClient {model}", client
        yield f"LLMConfig {model}", LLMConfig(model=model, **fields)
        yield from ((f"Target {target.name}", target) for target in client.targets)
        yield from ((f"headers of {target.name}", target.headers) for target in client.targets)
        # Embeddings fail over only to the same model.
        elsewhere = {**fallback, "base_url": "https://gateway.example/v1"}
        del elsewhere["model"]
        for adapter in (ChatUnified, UnifiedEmbeddings, UnifiedLLM, UnifiedEmbedding, UnifiedRerank):
            last = elsewhere if adapter in (UnifiedEmbeddings, UnifiedEmbedding) else fallback
            made = adapter(model=model, **{**fields, "fallbacks": [last]})
            yield f"{adapter.__name__} {model}", made
            yield f"client of {adapter.__name__} {model}", made.client
    yield "health_snapshot()", health_snapshot()


def _views(thing: Any) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "repr", lambda: repr(thing)
    yield "str", lambda: str(thing)
    yield "copy", lambda: copy.copy(thing)
    yield "deepcopy", lambda: copy.deepcopy(thing)
    if hasattr(thing, "__dict__"):
        yield "vars", lambda: vars(thing)
    for protocol in (2, pickle.HIGHEST_PROTOCOL):
        yield f"pickle {protocol}", partial(pickle.dumps, thing, protocol)
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        yield "asdict", lambda: dataclasses.asdict(thing)
    for name in ("model_dump", "to_json", "to_dict", "_get_ls_params", "_get_llm_string"):
        if callable(method := getattr(thing, name, None)):
            yield name, method
    if hasattr(thing, "_identifying_params"):
        yield "_identifying_params", lambda: thing._identifying_params


def objects(results: Results) -> None:
    """Look at objects in every way that shows something of them."""
    for name, thing in _objects():
        for view, look in _views(thing):
            if isinstance(thing, dict) and view.startswith("pickle"):
                continue  # a mapping of headers by itself is the headers
            try:
                shown = repr(look())
            except (TypeError, NotImplementedError, AttributeError, pickle.PicklingError):
                continue  # it has no such view
            results.places += 1
            if MARK in shown:
                results.shown.append(f"{view} of {name}")


def measure() -> Results:
    """Look at all places."""
    results = Results()
    interruptions(results)
    objects(results)
    return results


if __name__ == "__main__":
    figures = measure()
    counts = f"{len(figures.shown)} show something, and {len(figures.libraries)} variables of libraries"
    print(f"{figures.places} places, of which {counts}")  # noqa: T201
    for line in (*figures.shown, *figures.libraries):
        print(" ", line)  # noqa: T201
