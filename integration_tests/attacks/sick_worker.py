"""A worker of several, with troubles of its own: ``python -m integration_tests.attacks.sick_worker ROLE URLS``.

ROLE ``sick``: make calls with one trouble after the other, each with targets of its own, then end. ROLE ``well``: have
none of them, make one call to each of the same targets, and print what came of its first attempt. URLS is JSON; the
environment has the address of the state that the workers share.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from integration_tests.attacks.calls import call, target
from integration_tests.attacks.network_faults import Info, info, looked_up_by
from unified_llm import BreakerConfig, LLMClient

CONTROL: Final = "a server that refuses"
"""Not a trouble of one worker: the others hear of it."""

_UNREACHABLE: Final = "127.0.0.5"  # an address that only the sick worker is given for a name
_WITHOUT_NAME: Final = {"no such name": socket.EAI_NONAME, "no answer to look-ups": socket.EAI_AGAIN}
_ERRORS: Final = {
    "no route": errno.ENETUNREACH,
    "network down": errno.ENETDOWN,
    "no ports left": errno.EADDRNOTAVAIL,
    "no buffers left": errno.ENOBUFS,
}
_HANGING: Final = "a look-up that hangs"
_NO_DESCRIPTORS: Final = "no descriptors left"
_PROXIES: Final = ("a proxy that is down", "a proxy that answers 403", "a proxy that answers 407", "a proxy that hangs")
_CERTIFICATES: Final = ("certificates of its own", "certificates of SSL_CERT_FILE")
TROUBLES: Final = (*_WITHOUT_NAME, *_ERRORS, _HANGING, _NO_DESCRIPTORS, *_PROXIES, *_CERTIFICATES)


def _host(trouble: str) -> str:
    return f"{trouble.replace(' ', '-')}.workers.internal".lower()


# Breakers that open stay open until the other worker has made its calls.
_target: Final = partial(target, breaker=BreakerConfig(cooldown=200))


def _client(trouble: str, urls: dict[str, str], *, sick: bool) -> LLMClient:
    """Return a client whose primary is that of this trouble; no other client has its fallback."""
    model = trouble.replace(" ", "-")
    if trouble == CONTROL:
        primary = _target(model, "http://127.0.0.1:1")
    elif trouble in _PROXIES:
        os.environ["HTTPS_PROXY"] = urls[trouble if sick else "proxy"]
        primary = _target(model, f"https://{model}.example.com", verify_ssl=False, timeout=0.5)
    elif trouble == "certificates of its own":
        primary = _target(model, urls["tls"], verify_ssl=urls["other bundle" if sick else "bundle"])
    elif trouble in _CERTIFICATES:
        os.environ["SSL_CERT_FILE"] = urls["other bundle" if sick else "bundle"]
        primary = _target(model, urls["tls"])
    else:
        port = urls["good"].rpartition(":")[2]
        primary = _target(model, f"http://{_host(trouble)}:{port}", timeout=0.5)
    fallback = target(f"f-{model}-{sick}", urls["good"])
    # Calls may wait for a descriptor for as long as they can.
    return LLMClient(primary, fallbacks=[fallback], deadline=1 if sick and trouble == _NO_DESCRIPTORS else 10)


def _look_up_sick(name: str, port: int) -> Sequence[Info] | None:
    if not name.endswith(".workers.internal"):
        return None
    for trouble, number in _WITHOUT_NAME.items():
        if name == _host(trouble):
            raise socket.gaierror(number, "not here")
    if name == _host(_HANGING):
        time.sleep(1.5)
        raise socket.gaierror(socket.EAI_AGAIN, "not here")
    return [info("127.0.0.1" if name == _host(_NO_DESCRIPTORS) else _UNREACHABLE, port)]


@contextmanager
def _connecting_fails(number: int) -> Iterator[None]:
    """Let attempts to connect to the unreachable address fail with an error of the system."""

    def failing(connect: Callable[..., Any]) -> Callable[..., Any]:
        def attempt(sock: socket.socket, address: Any) -> Any:
            if address[0] == _UNREACHABLE:
                raise OSError(number, os.strerror(number))
            return connect(sock, address)

        return attempt

    real = socket.socket.connect
    socket.socket.connect = failing(real)  # type: ignore[method-assign]
    try:
        yield
    finally:
        socket.socket.connect = real  # type: ignore[method-assign]


@contextmanager
def _no_descriptors() -> Iterator[None]:
    """Let nothing be opened: the descriptors that there are stay open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
    taken: list[int] = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        yield
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def _be_sick(urls: dict[str, str]) -> None:
    for trouble in (*TROUBLES, CONTROL):
        client = _client(trouble, urls, sick=True)
        with looked_up_by(_look_up_sick), _connecting_fails(_ERRORS.get(trouble, errno.ENETUNREACH)):
            # Without descriptors there is no event loop either.
            modes = ["generate"] * 6 if trouble == _NO_DESCRIPTORS else ["generate", "agenerate"] * 3
            if trouble == _NO_DESCRIPTORS:
                with _no_descriptors():
                    ended = [call(client, mode) for mode in modes]
            else:
                ended = [call(client, mode) for mode in modes]
        sys.stderr.write(f"{trouble}: {[one.attempts for one in ended]} {ended[0].text}\n")
    time.sleep(2)  # what is to be shared is sent now and then


def _be_well(urls: dict[str, str]) -> None:
    outcomes: dict[str, str] = {}
    with looked_up_by(lambda name, port: [info("127.0.0.1", port)] if name.endswith(".workers.internal") else None):
        control = _client(CONTROL, urls, sick=False)
        until = time.monotonic() + 8
        while not call(control, "generate").attempts[0].endswith("skipped") and time.monotonic() < until:
            time.sleep(0.1)
        for trouble in (CONTROL, *TROUBLES):
            ended = call(_client(trouble, urls, sick=False), "generate")
            sys.stderr.write(f"{trouble}: {ended}\n")
            outcomes[trouble] = ended.attempts[0].rpartition(" ")[2]
    sys.stdout.write(json.dumps(outcomes))


if __name__ == "__main__":
    (_be_sick if sys.argv[1] == "sick" else _be_well)(json.loads(sys.argv[2]))
