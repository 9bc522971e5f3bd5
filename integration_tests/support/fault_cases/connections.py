"""Cases 1 to 14: no connection, one with the wrong protocol, or one that breaks before the response."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from integration_tests.support.fault_harness import KEY, Answers, Case, Fails, StartServer, serving
from integration_tests.support.fault_responses import FIRST, answer, refusal, streamed
from integration_tests.support.fault_server import Close, FaultServer, Hang, Peek, Reset, Send, Step, ok
from unified_llm.exceptions import ConfigurationError, ConnectionError, TimeoutError

_HERE: Final = Path(__file__).parent
TRUSTED: Final = str(_HERE.parents[2] / "tests" / "support" / "localhost.pem")
EXPIRED: Final = str(_HERE / "expired.pem")
UNCONNECTED: Final = Fails("connect", ConnectionError)
SILENT: Final = Fails("timeout", TimeoutError)
BROKEN: Final = Fails("connection", ConnectionError)
SENT_AGAIN: Final = Answers(FIRST, times=2, before="stale")
REFUSED_CERTIFICATE: Final = Fails("tls", ConfigurationError)
MOVED: Final = Fails("redirect", ConfigurationError)
PICTURE: Final = "CANARY-picture " * 500_000


def unused_port() -> int:
    """Return a port without a listener."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def looked_up(*addresses: tuple[str, int]) -> Iterator[None]:
    """Resolve every name to these addresses; without addresses, no name resolves."""
    real = socket.getaddrinfo

    def resolve(host: str, *arguments: Any, **fields: Any) -> list[Any]:
        if host[0].isdigit():
            return real(host, *arguments, **fields)
        if not addresses or fields.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve)
        yield


@contextmanager
def nowhere() -> Iterator[str]:
    """A host name that does not resolve."""
    with looked_up():
        yield "https://no-such-host.example"


@contextmanager
def refused() -> Iterator[str]:
    """A port without a listener."""
    yield f"http://127.0.0.1:{unused_port()}"


@contextmanager
def black_hole() -> Iterator[str]:
    """An address that answers no packet: the queue is full, so the system drops every SYN."""
    with socket.socket() as listener, ExitStack() as held:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def after_a_black_hole(good: bytes) -> StartServer:
    """A name with two addresses, the first of which is a black hole."""

    @contextmanager
    def start_server() -> Iterator[str]:
        with black_hole() as hole, FaultServer([Send(good)]) as server:
            with looked_up(("127.0.0.1", int(hole.rpartition(":")[2])), ("127.0.0.1", server.port)):
                yield "http://two.localhost"
            assert server.settles_at(0)

    return start_server


def certified(path: str) -> Callable[[], ssl.SSLContext]:
    """Return a factory of the TLS context of a server with this certificate."""

    def make() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    return make


def under_another_name(start_server: StartServer) -> StartServer:
    """A server whose certificate is for another name than that of the request."""

    @contextmanager
    def other() -> Iterator[str]:
        with start_server() as url, looked_up(("127.0.0.1", int(url.rpartition(":")[2]))):
            yield "https://other.internal"

    return other


def secured(start_server: StartServer) -> StartServer:
    """The same server with an https URL."""

    @contextmanager
    def other() -> Iterator[str]:
        with start_server() as url:
            yield url.replace("http:", "https:")

    return other


def behind_a_proxy(response: bytes) -> StartServer:
    """A public host behind a proxy that answers every CONNECT with this response. It never receives the key."""

    @contextmanager
    def start_server() -> Iterator[str]:
        with FaultServer([Send(response)]) as proxy, pytest.MonkeyPatch.context() as patch:
            for name in ("HTTPS_PROXY", "https_proxy"):
                patch.setenv(name, proxy.url)
            for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
                patch.delenv(name, raising=False)
            yield "https://api.example.com"
            assert [request.method for request in proxy.requests] == ["CONNECT"]
            assert KEY not in repr([request.headers for request in proxy.requests])
            assert proxy.settles_at(0)

    return start_server


def redirects(status: int, location: str, tls: Callable[[], ssl.SSLContext] | None = None) -> StartServer:
    """A server that redirects to another one, to which no connection may be made; ``{}`` stands for its URL."""

    @contextmanager
    def start_server() -> Iterator[str]:
        with FaultServer() as other:
            moved = ok(b"", f"Location: {location.format(other.url)}", status=f"{status} Moved")
            with serving([Send(moved)], tls=tls)() as url:
                yield url
            assert other.accepted == 0

    return start_server


def once_warm(*then: Step, good: bytes) -> StartServer:
    """A server that answers one request, runs these steps for the next one on that connection, and then answers."""

    @contextmanager
    def start_server() -> Iterator[str]:
        with FaultServer([Send(good)], list(then), [Send(good)]) as server:
            yield server.url
            assert [request.connection for request in server.requests] == [0, 0, 1]
            assert server.settles_at(0)

    return start_server


def goaway() -> bytes:
    """The reply of an HTTP/2 server to an old client: SETTINGS, then GOAWAY with INTERNAL_ERROR."""
    return bytes.fromhex("000000040000000000" + "000008070000000000" + "00000000" + "00000002")


CASES: Final = [
    Case(1, "a name that does not exist", nowhere, UNCONNECTED),
    Case(2, "two addresses, the first a black hole", after_a_black_hole(answer()), Answers(FIRST), ("call",),
         {"timeout": 30}),
    Case(2, "two addresses, the first a black hole", after_a_black_hole(streamed()), Answers(FIRST), ("stream",),
         {"timeout": 30}),
    Case(3, "a refused connection", refused, UNCONNECTED),
    Case(4, "a connection that hangs", black_hole, SILENT, config={"timeout": 0.2}),
    Case(5, "a self-signed certificate", serving(tls=certified(TRUSTED)), REFUSED_CERTIFICATE),
    Case(5, "a certificate that has expired", serving(tls=certified(EXPIRED)), REFUSED_CERTIFICATE,
         config={"verify_ssl": EXPIRED}),
    Case(5, "a certificate for another name", under_another_name(serving(tls=certified(TRUSTED))), REFUSED_CERTIFICATE,
         config={"verify_ssl": TRUSTED}),
    Case(6, "a port with plain HTTP that waits", secured(serving(on_accept=[Hang()])), SILENT,
         config={"timeout": 0.2}),
    Case(6, "a port with plain HTTP that answers 400",
         secured(serving(on_accept=[Send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Hang()])), REFUSED_CERTIFICATE),
    Case(7, "closed after it was accepted", serving(on_accept=[Close()]), BROKEN),
    Case(7, "reset after it was accepted", serving(on_accept=[Peek(), Reset()]), BROKEN),
    Case(7, "closed after the request", serving([Close()]), BROKEN),
    Case(8, "reset in the middle of an upload", serving(on_accept=[Peek(), Reset()]), BROKEN, prompt=PICTURE),
    Case(9, "a kept connection that is closed at its next use", once_warm(Close(), good=answer()), SENT_AGAIN,
         ("call",), warm=1),
    Case(9, "a kept connection that is closed at its next use", once_warm(Close(), good=streamed()), SENT_AGAIN,
         ("stream",), warm=1),
    Case(9, "a kept connection that is reset at its next use", once_warm(Reset(), good=answer()), SENT_AGAIN,
         ("call",), warm=1),
    Case(9, "a kept connection that is reset at its next use", once_warm(Reset(), good=streamed()), SENT_AGAIN,
         ("stream",), warm=1),
    Case(10, "HTTP/1.1 with a server that offers HTTP/2",
         serving([Send(answer())], tls=certified(TRUSTED)), Answers(FIRST), ("call",), {"verify_ssl": TRUSTED}),
    Case(10, "HTTP/1.1 with a server that offers HTTP/2",
         serving([Send(streamed())], tls=certified(TRUSTED)), Answers(FIRST), ("stream",), {"verify_ssl": TRUSTED}),
    Case(10, "a GOAWAY instead of a response", serving([Send(goaway()), Close()]), BROKEN),
    Case(12, "a proxy that requires a password", behind_a_proxy(
        ok(b"<html>who are you?</html>", status="407 Proxy Authentication Required", content_type="text/html")),
        UNCONNECTED),
    Case(12, "a proxy with a page of its own", behind_a_proxy(
        ok(b"<html>no way</html>", status="502 Bad Gateway", content_type="text/html")), UNCONNECTED),
    Case(12, "a proxy that answers 407 in place of the server",
         serving([Send(refusal("407 Proxy Authentication Required", b"<html>"))]), UNCONNECTED),
    *(Case(13, f"{status} to another host", redirects(status, "{}/v1/chat/completions"), MOVED)
      for status in (301, 302, 303, 307, 308)),
    Case(13, "307 to the same host", redirects(307, "/v2/chat/completions"), MOVED),
    Case(13, "308 in a circle", redirects(308, "/v1/chat/completions"), MOVED),
    Case(13, "302 from https to http", redirects(302, "{}/", tls=certified(TRUSTED)), MOVED,
         config={"verify_ssl": TRUSTED}),
    Case(13, "300 without a place to go", serving([Send(ok(b"", status="300 Multiple Choices"))]), MOVED),
    Case(14, "an IPv6 address", serving([Send(answer())], host="::1"), Answers(FIRST), ("call",)),
    Case(14, "an IPv6 address", serving([Send(streamed())], host="::1"), Answers(FIRST), ("stream",)),
]  # fmt: skip
