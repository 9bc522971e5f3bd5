"""Connections that cannot be made and do not say so: servers (bar D2), addresses (bar D7), proxies (bar D9)."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

from integration_tests.attacks.calls import (
    MODES,
    Ended,
    acall,
    answer,
    answer_and_close,
    call,
    calls_apart,
    in_threads,
    target,
    warm_up,
)
from integration_tests.attacks.catalogue import Figure, all_of, at_most, attack, seconds
from integration_tests.attacks.network_faults import (
    Info,
    SilentResolver,
    black_hole,
    has_ipv6,
    has_several_addresses,
    info,
    looked_up_by,
    only_if,
    silent,
)
from integration_tests.attacks.servers import Answering, Peer, answering_apart, hostile
from unified_llm import LLMClient

_SOON: Final = 5.3
"""Seconds to the fallback: 5 for a connection, and what a busy machine needs."""


def _drip_handshake(peer: Peer) -> None:
    peer.send(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")  # a record of 16 KiB with the beginning of a ServerHello
    peer.drip(bytes(16000), 0.1)


@contextmanager
def _dead_ends() -> Iterator[dict[str, str]]:
    """Yield URLs of servers that cannot be reached and do not say so, by the way in which they do not."""
    with ExitStack() as stack:
        hole = stack.enter_context(black_hole())
        dead = ["127.0.0.1"]
        if has_several_addresses():
            dead += [f"127.0.0.{last}" for last in (2, 3, 4)]
        for address in dead[1:]:
            stack.enter_context(black_hole(address, hole))
        no_handshake = stack.enter_context(silent())
        drip = stack.enter_context(hostile(_drip_handshake, before=True))
        resolver = SilentResolver()

        def look_up(name: str, port: int) -> Sequence[Info] | None:
            if name == "many.internal":
                return [info(address, port) for address in dead]
            return resolver(name, port)

        stack.enter_context(looked_up_by(look_up))
        yield {
            "no answer to SYN": f"http://127.0.0.1:{hole}",
            "four such addresses": f"http://many.internal:{hole}",
            "no TLS handshake": f"https://127.0.0.1:{no_handshake}",
            "a drip of a TLS handshake": drip.replace("http:", "https:"),
            "no answer to a look-up": "http://api.silent.internal",
        }


def _in_all_ways(urls: dict[str, str], good: str, deadlines: Sequence[float | None]) -> list[Ended]:
    """Call in every mode, with each of the URLs as primary and each deadline; each primary has a health of its own."""
    fallback = target("f", good)
    calls = []
    for number, (url, mode, deadline) in enumerate(itertools.product(urls.values(), MODES, deadlines)):
        client = LLMClient(target(f"m{number}", url), fallbacks=[fallback], deadline=deadline)
        calls.append(partial(call, client, mode))
    ended = in_threads(calls)
    for (way, _, deadline), one in zip(itertools.product(urls, MODES, deadlines), ended, strict=True):
        print(f"{way}, {deadline}: {one}")  # noqa: T201
    return ended


def _attempts_at_primary(ended: Sequence[Ended]) -> int:
    return max(sum(attempt.startswith("m") for attempt in one.attempts) for one in ended)


@attack("a primary that answers no SYN, look-up or TLS handshake: 5 ways, 6 modes", bar="D2")
def fallback_of_a_dead_end() -> Iterator[Figure]:
    """The fallback is asked once one connection has had its 5 seconds."""
    with answering_apart(answer) as good, _dead_ends() as urls:
        ended = _in_all_ways(urls, good, [60])
    yield all_of("answered", sum(one.answered for one in ended), 30)
    yield seconds(max(one.seconds for one in ended), _SOON)
    yield at_most("attempts at the primary", _attempts_at_primary(ended), 1)


@attack("the same 5 ways, deadlines of 3, 5, 8 and 10 s", bar="D2", parallel=True)
def deadlines_with_a_dead_end() -> Iterator[Figure]:
    """Whatever the deadline, a target that was never asked is asked within it."""
    with answering_apart(answer) as good, _dead_ends() as urls:
        ended = _in_all_ways(urls, good, [3, 5, 8, 10])
    yield all_of("answered", sum(one.answered for one in ended), 120)
    yield seconds(max(one.seconds for one in ended), _SOON)


@attack("three such primaries before a good one, deadlines of 3 and 10 s; alone, 3 s", bar="D2", parallel=True)
def several_dead_ends() -> Iterator[Figure]:
    """Each target that was not tried yet has a share of the time; alone, one has all of it, and no more."""
    with answering_apart(answer) as good, _dead_ends() as urls:
        calls = []
        for number, (deadline, mode) in enumerate(itertools.product((3, 10), MODES)):
            ways = list(urls.values())[number % 3 : number % 3 + 3]
            dead = [target(f"m{number}-{position}", url) for position, url in enumerate(ways)]
            client = LLMClient(dead[0], fallbacks=[*dead[1:], target("f", good)], deadline=deadline)
            calls.append(partial(call, client, mode))
        for number, (url, mode) in enumerate(itertools.product(urls.values(), MODES)):
            calls.append(partial(call, LLMClient(target(f"alone{number}", url), deadline=3), mode))
        ended = in_threads(calls)
    print(*ended, sep="\n")  # noqa: T201
    chains, alone = ended[:12], ended[12:]
    yield all_of("answered", sum(one.answered for one in chains), 12)
    yield seconds(max(one.over(limit) for one, limit in zip(chains, [3] * 6 + [10] * 6, strict=True)), 0.05, "over")
    yield seconds(max(one.over(3) for one in alone), 0.05, "alone over")


# Addresses of one name


def _repeat(url: str, mode: str) -> list[Ended]:
    """Make four calls with one client, one after the other, each over a new connection."""
    warm_up()
    client = LLMClient(target(f"m-{mode}", url), deadline=20)
    if mode == "generate":
        return [call(client, mode) for _ in range(4)]

    async def run() -> list[Ended]:
        return [(await acall(client, mode))[0] for _ in range(4)]

    return asyncio.run(run())


def _times(name: str, port: int) -> tuple[float, float]:
    """Return the seconds of the first call to a name, and the most of later ones, sync and async.

    Each of both runs in a process of its own, since one would learn from the other.
    """
    ended = calls_apart(
        [partial(_repeat, f"http://{name}.internal:{port}", mode) for mode in ("generate", "agenerate")]
    )
    assert all(one.answered for one in ended), ended
    return max(ended[0].seconds, ended[4].seconds), max(one.seconds for one in ended[1:4] + ended[5:])


@attack("the first address, the first 3, the first 7 are black holes: sync, async", bar="D7", kill_after=90)
@only_if(has_several_addresses, "one address")
def dead_addresses() -> Iterator[Figure]:
    """Addresses are tried 0.25 s apart, and the one that worked comes first from then on."""
    with answering_apart(answer_and_close) as url, ExitStack() as stack:
        port = int(url.rpartition(":")[2])
        holes = [f"127.0.0.{last}" for last in range(2, 9)]
        for address in holes:
            stack.enter_context(black_hole(address, port))

        def look_up(name: str, _: int) -> list[Info] | None:
            count = name.partition(".")[0].removeprefix("dead")
            return [info(address, port) for address in [*holes[: int(count)], "127.0.0.1"]]

        stack.enter_context(looked_up_by(look_up))
        for count, bound in ((1, 0.4), (3, 1.0), (7, 2.0)):
            first, later = _times(f"dead{count}", port)
            yield seconds(first, bound, f"{count} dead: first")
            yield seconds(later, 0.05, "then")


@attack("IPv6 that is a black hole, IPv4 that works: sync, async", bar="D7")
@only_if(has_ipv6, "no IPv6")
def broken_ipv6() -> Iterator[Figure]:
    """The families of addresses take turns, so that one that is broken costs 0.25 s."""
    with answering_apart(answer_and_close) as url, ExitStack() as stack:
        port = int(url.rpartition(":")[2])
        stack.enter_context(black_hole("::1", port))
        stack.enter_context(looked_up_by(lambda *_: [info("::1", port), info("::1", port), info("127.0.0.1", port)]))
        first, later = _times("broken", port)
    yield seconds(first, 0.4, "first")
    yield seconds(later, 0.05, "then")


@attack("addresses that refuse before one that works; the one that worked becomes a black hole", bar="D7")
@only_if(has_several_addresses, "one address")
def addresses_that_change() -> Iterator[Figure]:
    """A refusal costs no time, and what was learned about addresses can become wrong."""
    with ExitStack() as stack:
        url = stack.enter_context(answering_apart(answer_and_close))
        port = int(url.rpartition(":")[2])
        refusing = [info(f"127.0.0.{last}", port) for last in range(2, 6)]
        stack.enter_context(looked_up_by(lambda *_: [*refusing, info("127.0.0.1", port)]))
        first, later = _times("refusing", port)
        yield seconds(max(first, later), 0.25, "refused")
    ended = calls_apart([partial(_one_dies, mode) for mode in ("generate", "agenerate")])
    yield all_of("answered", sum(one.answered for one in ended), 4)
    yield seconds(max(one.seconds for one in ended), 0.4, "after a change")


def _one_dies(mode: str) -> list[Ended]:
    """Call a name with two addresses; the one that was used becomes a black hole."""
    with ExitStack() as stack:
        with answering_apart(answer_and_close) as url:
            port = int(url.rpartition(":")[2])
            stack.enter_context(looked_up_by(lambda *_: [info("127.0.0.1", port), info("127.0.0.2", port)]))
            client = LLMClient(target("m", f"http://two.internal:{port}"), deadline=20)
            ended = [call(client, mode)]
        other = socket.create_server(("127.0.0.2", port))
        stack.enter_context(Answering(answer_and_close, listener=other))
        stack.enter_context(black_hole("127.0.0.1", port))
        return [*ended, call(client, mode)]


# Proxies


def _drip_head(peer: Peer) -> None:
    peer.drip(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500, 0.1)


def _accept_then_hang(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    peer.hang()


def _through_proxy(proxy: str, good: str, deadlines: Sequence[float]) -> list[Ended]:
    """Call in every mode through a proxy, with each deadline; the fallback needs none."""
    os.environ.update(HTTPS_PROXY=proxy, NO_PROXY="", no_proxy="")
    with looked_up_by(SilentResolver()):
        urls = {"through a proxy": "https://api.example.com"}
        return _in_all_ways(urls, good, deadlines)


def _proxy_attack(proxies: Sequence[str], good: str) -> Iterator[Figure]:
    deadlines = (60, 20, 5)
    ended = calls_apart([partial(_through_proxy, proxy, good, deadlines) for proxy in proxies])
    yield all_of("answered", sum(one.answered for one in ended), len(proxies) * len(deadlines) * len(MODES))
    yield seconds(max(one.seconds for one in ended), _SOON)
    yield seconds(max(one.seconds for one in ended[2 :: len(deadlines)]), 5.0, "of a deadline of 5 s")
    yield at_most("attempts at the primary", _attempts_at_primary(ended), 1)


@attack(
    "a proxy that does not answer CONNECT: deadlines of 60, 20, 5 s, 6 modes", bar="D9", parallel=True, kill_after=100
)
def silent_proxy() -> Iterator[Figure]:
    """CONNECT is part of making a connection, and the fallback is asked when its 5 seconds are over."""
    with answering_apart(answer) as good, silent() as port:
        yield from _proxy_attack([f"http://127.0.0.1:{port}"], good)


@attack(
    "proxies that drip, accept and hang, answer no SYN, handshake, look-up: 6 modes",
    bar="D9",
    parallel=True,
    kill_after=100,
)
def hostile_proxies() -> Iterator[Figure]:
    """Each phase of a connection through a proxy is limited, whichever hangs."""
    with answering_apart(answer) as good, ExitStack() as stack:
        proxies = [
            stack.enter_context(hostile(_drip_head)),
            stack.enter_context(hostile(_accept_then_hang)),
            f"http://127.0.0.1:{stack.enter_context(black_hole())}",
            f"https://127.0.0.1:{stack.enter_context(silent())}",
            "http://proxy.silent.internal:3128",
        ]
        yield from _proxy_attack(proxies, good)
