"""Names that move to another machine (bar D8)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial

from integration_tests.attacks.calls import MODES, SYNC, Ended, acall, answer, call, in_threads, target
from integration_tests.attacks.catalogue import Figure, all_of, at_most, attack, seconds
from integration_tests.attacks.fake_time import Clock
from integration_tests.attacks.network_faults import Info, has_several_addresses, info, looked_up_by, only_if
from integration_tests.attacks.servers import Answering, Request, answering_apart, reply
from unified_llm import LLMClient


class _Moving:
    """Names on 127.0.0.1, which move to 127.0.0.2 one by one; the old machine then answers with a status.

    A name is ``<status>-<mode>.moving.internal``.
    """

    def __init__(self) -> None:
        self.moved: set[str] = set()
        self.old = Answering(self._old)
        self.port = int(self.old.url.rpartition(":")[2])
        self.new = Answering(answer, listener=socket.create_server(("127.0.0.2", self.port)))

    def __call__(self, name: str, port: int) -> Sequence[Info]:
        """Look a name up."""
        return [info("127.0.0.2" if name in self.moved else "127.0.0.1", port)]

    def _old(self, request: Request) -> bytes:
        name = request.headers["host"].partition(":")[0]
        status = name.partition("-")[0]
        return reply({}, status=f"{status} Draining") if name in self.moved and status.isdigit() else answer(request)

    def url(self, name: str) -> str:
        """Return the URL of a name."""
        return f"http://{name}:{self.port}"


@attack("a name that moves: the old machine answers 502, 503, 504; 6 modes", bar="D8")
@only_if(has_several_addresses, "one address")
def moved_name() -> Iterator[Figure]:
    """The retry looks the name up again, and so reaches the new machine."""
    moving = _Moving()
    names = {f"{status}-{mode}.moving.internal": mode for status in (502, 503, 504) for mode in MODES}
    with moving.old, moving.new, looked_up_by(moving):
        ended = in_threads([partial(_call_moved, moving, name, mode) for name, mode in names.items()])
    print(*ended, sep="\n")  # noqa: T201
    yield all_of("answered", sum(one.answered for one in ended), 18)
    yield at_most("requests to the old machine, for each call", (len(moving.old.requests) - 18) / 18, 1)


def _call_moved(moving: _Moving, name: str, mode: str) -> Ended:
    client = LLMClient(target("m", moving.url(name)), deadline=20)
    if mode in SYNC:
        assert call(client, mode).answered
        moving.moved.add(name)
        return call(client, mode)

    async def run() -> Ended:
        assert (await acall(client, mode))[0].answered
        moving.moved.add(name)
        return (await acall(client, mode))[0]

    return asyncio.run(run())


@attack("a call every 30 s, for 10 minutes of another clock: new connections, sync, async", bar="D8")
def greatest_age() -> Iterator[Figure]:
    """A connection has a greatest age of 5 minutes, however busy it is, and makes way for a new look-up."""

    async def run(client: LLMClient, clock: Clock) -> None:
        for _ in range(20):
            await client.agenerate("x")
            clock.time += 30

    with Answering(answer) as server, Clock(connections=True) as clock:
        client = LLMClient(target("m", server.url))
        for _ in range(20):
            client.generate("x")
            clock.time += 30
        by_threads = server.connections
        asyncio.run(run(client, clock))
    yield Figure("sync", by_threads, 2, least=True)
    yield Figure("async", server.connections - by_threads, 2, least=True)
    yield at_most("the most", max(by_threads, server.connections - by_threads), 3)


@attack("a name that moves: the old machine is switched off; 6 modes", bar="D8")
@only_if(has_several_addresses, "one address")
def machine_gone() -> Iterator[Figure]:
    """A kept connection that was closed, and an address that refuses, lead to a new look-up."""
    moved = [False]

    def look_up(_: str, port: int) -> Sequence[Info]:
        return [info("127.0.0.2" if moved[0] else "127.0.0.1", port)]

    with looked_up_by(look_up), ExitStack() as stack:
        with answering_apart(answer) as old:
            port = int(old.rpartition(":")[2])
            stack.enter_context(Answering(answer, listener=socket.create_server(("127.0.0.2", port))))
            urls = {mode: f"http://{mode}.gone.internal:{port}" for mode in MODES}
            clients = {mode: LLMClient(target("m", url), deadline=20) for mode, url in urls.items()}
            assert all(call(client, mode).answered for mode, client in clients.items())
        moved[0] = True
        ended = in_threads([partial(call, client, mode) for mode, client in clients.items()])
    yield all_of("answered", sum(one.answered for one in ended), 6)
    yield seconds(max(one.seconds for one in ended), 3.0)
