"""Deadlines, waits and breakers: what the policy promises, against servers that do everything wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final

from integration_tests.attacks.breaker_model import differences
from integration_tests.attacks.catalogue import (
    FULL,
    Figure,
    at_most,
    attack,
    megabytes,
    none_of,
    scale,
    seconds,
)
from integration_tests.attacks.concurrency import target
from integration_tests.attacks.measure import Growth
from integration_tests.attacks.servers import OK, Answering, Peer, answering_apart, chat, head, hostile, reply
from unified_llm import BreakerConfig, LLMClient, LLMConfig, health_snapshot, reset_health
from unified_llm.exceptions import LLMError

_DEADLINE: Final = 0.7


def _unread(peer: Peer) -> None:
    time.sleep(60)


def _slow_503(peer: Peer) -> None:
    time.sleep(0.3)
    peer.send(reply({}, "Connection: close", status="503 Down"))


def _drip_body(peer: Peer) -> None:
    peer.send(head())
    peer.drip(b'{"a":' + b" " * 1000)


def _drip_events(peer: Peer) -> None:
    peer.send(head(content_type="text/event-stream"))
    peer.repeat(b": comment\n\n", 0.02)


def _drip_head(peer: Peer) -> None:
    peer.drip(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500)


def _interim(peer: Peer) -> None:
    peer.repeat(b"HTTP/1.1 102 Processing\r\n\r\n", 0.02)


_FAULTS: Final[dict[str, tuple[Callable[[Peer], None], bool, int]]] = {
    # The server, whether it acts before the request, and the bytes of the prompt
    "silence": (Peer.hang, False, 10),
    "an upload of 30 MB that is not read": (_unread, True, 30_000_000),
    "a drip of the head": (_drip_head, False, 10),
    "a drip of the body": (_drip_body, False, 10),
    "a drip of comments": (_drip_events, False, 10),
    "slow 503s": (_slow_503, False, 10),
    "a drip of interim responses": (_interim, False, 10),
}


@attack("deadline of 0.7 s: 7 faults, 4 modes, 1 to 3 targets", kill_after=120)
def deadlines() -> Iterator[Figure]:
    """No call lasts longer than its deadline, whatever the servers do."""
    over = [0.0]
    answered = 0
    for title, (script, before, size) in _FAULTS.items():
        with ExitStack() as stack:
            urls = [stack.enter_context(hostile(script, before=before)) for _ in range(3)]
            for count in (1, 2, 3) if FULL else (1 if before else 3,):
                reset_health()
                results = _in_four_modes(urls[:count], "x" * size)
                over += [lasted - _DEADLINE for lasted, _ in results]
                print(title, count, [f"{lasted:.2f}" for lasted, _ in results])  # noqa: T201
                answered += sum(not isinstance(outcome, LLMError) for _, outcome in results)
    yield Figure("cases", len(over) - 1, 28, least=True)
    yield seconds(max(over), 0.25, "over")
    yield none_of("answered", answered)


def _in_four_modes(urls: list[str], prompt: str) -> list[tuple[float, Any]]:
    def client() -> LLMClient:
        first, *others = [target(f"m{index}", url) for index, url in enumerate(urls)]
        return LLMClient(first, fallbacks=others, deadline=_DEADLINE)

    def sync(streaming: bool) -> tuple[float, Any]:  # noqa: FBT001 - one of two modes
        started = time.monotonic()
        try:
            outcome: Any = list(client().stream(prompt)) if streaming else client().generate(prompt)
        except LLMError as error:
            outcome = error
        return time.monotonic() - started, outcome

    async def one(streaming: bool) -> tuple[float, Any]:  # noqa: FBT001
        started = time.monotonic()
        try:
            if streaming:
                outcome: Any = [chunk async for chunk in client().astream(prompt)]
            else:
                outcome = await client().agenerate(prompt)
        except LLMError as error:
            outcome = error
        return time.monotonic() - started, outcome

    async def both() -> list[tuple[float, Any]]:
        return list(await asyncio.gather(one(streaming=False), one(streaming=True)))

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(sync, [False, True]))
    return [*results, *asyncio.run(both())]


@attack("circuit breaker against an independent model", kill_after=900, parallel=True)
def breaker_against_a_model() -> Iterator[Figure]:
    """Random outcomes at random instants: the primary is asked exactly when the model says so."""
    runs, steps = scale(50, 3000), 400
    wrong = sum(differences(seed, steps) for seed in range(runs))
    yield Figure("steps", runs * steps, 50 * 400, least=True)
    yield none_of("differences", wrong)


@attack("two targets with Retry-After: 50, deadline of 2 s")
def no_wait_beyond_the_deadline() -> Iterator[Figure]:
    """A wait that does not fit into the deadline is not begun, in this call and the next."""
    limited = reply({}, "Retry-After: 50", status="429 No")
    with answering_apart(limited) as one, answering_apart(limited) as two:
        client = LLMClient(target("a", one), fallbacks=[target("b", two)], deadline=2)
        longest = 0.0
        for _ in range(2):
            started = time.monotonic()
            try:
                client.generate("x")
            except LLMError:
                longest = max(longest, time.monotonic() - started)
    yield seconds(longest or float("nan"), 0.25)


@attack("deadlines of 0, -1, NaN, 1e-9, inf; max_retries of 0, 100")
def odd_limits() -> Iterator[Figure]:
    """An odd limit is refused or obeyed."""
    wrong = 0
    longest = 0.0
    with answering_apart(OK) as url:
        for deadline in (0, -1, float("nan"), 1e-9, float("inf"), -float("inf"), True, "1"):
            started = time.monotonic()
            try:
                LLMClient(target("m", url), deadline=deadline).generate("x")  # type: ignore[arg-type]
                wrong += 1
            except LLMError:
                pass
            longest = max(longest, time.monotonic() - started)
    with Answering(reply({}, "Retry-After: 0.01", status="503 Down")) as down:
        for retries in (0, 100):
            reset_health()
            down.requests.clear()
            waits = {"retry_delay": 0.01, "retry_max_delay": 0.01}
            try:
                LLMClient(target("m", down.url, max_retries=retries, **waits), deadline=30).generate("x")
            except LLMError:
                wrong += len(down.requests) != retries + 1
    yield none_of("wrong", wrong)
    yield seconds(longest, 0.5)


@attack("Retry-After: 86400 and an exhausted limit of 23 hours", parallel=True)
def long_retry_after() -> Iterator[Figure]:
    """A target that asks for a day is asked again within 300 s, and the snapshot says until when it is left out."""
    from integration_tests.attacks.fake_time import Clock

    longest_wait, hidden = 0.0, 0
    for response in (
        reply({}, "Retry-After: 86400", status="503 Down"),
        reply({}, "Retry-After: 86400", status="429 No"),
        reply({}, "Retry-After: 86400", status="401 No"),
        reply(chat("hi"), "x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 23h"),
        reply({}, "x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 23h", status="429 No"),
        reply({"error": {"code": "insufficient_quota"}}, "Retry-After: 86400", status="429 No"),
    ):
        reset_health()
        first = [True]

        def answer(_: Any, first: list[bool] = first, response: bytes = response) -> bytes:
            return response if first else OK

        with Answering(answer) as server, answering_apart(OK) as good, Clock() as clock:
            fallback = LLMConfig(model="openai-compatible/f", base_url=good, api_key="sk-of-another-account")
            client = LLMClient(target("m", server.url, max_retries=0), fallbacks=[fallback])
            client.generate("x")
            first.clear()
            asked, started = len(server.requests), clock.time
            hidden += not any(row["state"] != "closed" or row["retry_in"] > 0 for row in health_snapshot())
            for waited in (370, 1000, 10_000, 90_000):
                clock.time = started + waited
                client.generate("x")
                if len(server.requests) > asked:
                    break
            longest_wait = max(longest_wait, waited)
            client.close()
    yield seconds(longest_wait, 375, "asked again after")
    yield none_of("hidden from the snapshot", hidden)


@attack("callers' own mistakes do not open the breaker for others", parallel=True)
def mistakes_of_callers() -> Iterator[Figure]:
    """A short timeout, a missing file and another client's cooldown keep nobody else away."""

    def fail(client: LLMClient, times: int, **options: Any) -> None:
        for _ in range(times):
            try:
                client.generate("x", **options)
            except LLMError:
                continue

    kept_away = 0
    with answering_apart(OK, 0.3) as slow, answering_apart(OK) as good:
        for client_timeout, call_timeout in ((None, 0.05), (0.05, None)):
            reset_health()
            impatient = target("q", slow, max_retries=0, **({"timeout": client_timeout} if client_timeout else {}))
            fail(LLMClient(impatient), 6, **({"timeout": call_timeout} if call_timeout else {}))
            patient = LLMClient(target("q", slow), fallbacks=[target("f", good)])
            kept_away += patient.generate("x").used_fallback
    for bundle in ("/no/such.pem", __file__):
        reset_health()
        fail(LLMClient("openai/q", api_key="k", max_retries=0, verify_ssl=bundle), 6)
        kept_away += any(row["state"] != "closed" for row in health_snapshot())
    reset_health()
    day = BreakerConfig(failures=1, cooldown=86_400, cooldown_max=86_400)
    with Answering(reply({}, status="503 Down")) as down, answering_apart(OK) as good:
        fail(LLMClient(target("q", down.url, max_retries=0, breaker=day)), 1)
        down.answer = OK
        kept_away += LLMClient(target("q", down.url), fallbacks=[target("f", good)]).generate("x").used_fallback
    yield none_of("others kept away", kept_away)


@attack("4,200 other targets, and a breaker that is open", parallel=True, kill_after=90)
def many_targets() -> Iterator[Figure]:
    """An open breaker is not forgotten for idle targets that are well."""
    with Answering(reply({}, status="503 Down")) as down, answering_apart(OK) as good:
        patient = BreakerConfig(cooldown=300)  # longer than what follows takes on a busy machine
        client = LLMClient(target("down", down.url, max_retries=0, breaker=patient), fallbacks=[target("f", good)])
        for _ in range(6):
            client.generate("x")
        asked = len(down.requests)
        growth = Growth()
        other = LLMClient(target("m", good))
        for index in range(scale(4200, 10_000)):
            other.generate("x", model=f"openai-compatible/model-{index}")
        client.generate("x")
        again = len(down.requests) - asked
    yield none_of("asked although open", again)
    yield megabytes(growth.now, 20)


@attack("one warning for each call of an outage", parallel=True)
def quiet_logs() -> Iterator[Figure]:
    """An outage of a thousand calls logs a few warnings, not a thousand."""
    import logging

    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append  # type: ignore[assignment,method-assign]
    logging.getLogger("unified_llm").addHandler(handler)
    with answering_apart(reply({}, status="503 Down")) as down, answering_apart(OK) as good:
        client = LLMClient(target("a", down), fallbacks=[target("b", good)])
        for _ in range(1000):
            client.generate("x")
    yield at_most("warnings", len(records), 10)
