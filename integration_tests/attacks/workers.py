"""Troubles of one worker, which say nothing of the provider: descriptors, names, routes, proxies (bar D5)."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import certifi

from integration_tests.attacks.calls import SYNC, Ended, acall, answer, apart, call, target
from integration_tests.attacks.catalogue import Figure, all_of, at_most, attack, none_of
from integration_tests.attacks.connections import CERTIFICATE, encrypted_server, tunnel
from integration_tests.attacks.network_faults import silent
from integration_tests.attacks.servers import Peer, answering_apart, head, hostile
from integration_tests.attacks.sick_worker import CONTROL, TROUBLES
from unified_llm import LLMClient, health_snapshot

_ROOT: Final = Path(__file__).parents[2]
_CALLS: Final = 150
_LIMIT: Final = 64
_SAYS: Final = "too many open files"


def _few_descriptors(url: str, good: str, mode: str) -> dict[str, Any]:
    """Make many calls at once with few descriptors; count those that failed, and that did not say why."""
    fallbacks = [target("f", good)] if good else []
    client = LLMClient(target("m", url), fallbacks=fallbacks, deadline=20)

    async def run() -> list[Ended]:
        await acall(client, mode)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_LIMIT, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        return [ended for ended, _ in await asyncio.gather(*[acall(client, mode) for _ in range(_CALLS)])]

    if mode in SYNC:
        call(client, mode)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_LIMIT, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        with ThreadPoolExecutor(_CALLS) as pool:
            ended = list(pool.map(lambda _: call(client, mode), range(_CALLS)))
    else:
        ended = asyncio.run(run())
    failed = [one for one in ended if not one.answered]
    silent_ones = [one for one in failed if _SAYS not in one.text.lower()]
    states = [row["state"] for row in health_snapshot()]
    print(url, mode, bool(good), len(failed), states, *silent_ones[:1], flush=True)  # noqa: T201
    return {
        "failed": len(failed),
        "silent": len(silent_ones),
        "open": sum(state != "closed" for state in states),
        "afterwards": call(client, "generate").answered,
    }


@attack(
    "150 calls at once with 64 descriptors: 6 modes, address, name, fallback", bar="D5", parallel=True, kill_after=90
)
def few_descriptors() -> Iterator[Figure]:
    """Calls wait for a descriptor or fail saying that there is none, and no breaker moves."""
    with answering_apart(answer, 0.3) as url, answering_apart(answer, 0.3) as good:
        named = url.replace("127.0.0.1", "localhost")
        modes = ("generate", "stream", "embed", "agenerate", "astream", "aembed")
        cases = [(url, ""), (named, ""), (url, good)]
        results = []
        for one in cases:  # not all at once: they compete for two cores
            results += apart([partial(_few_descriptors, *one, mode) for mode in modes])
    yield at_most("failed", sum(result["failed"] for result in results), _CALLS * len(results))
    yield none_of("without saying why", sum(result["silent"] for result in results))
    yield none_of("breakers not closed", sum(result["open"] for result in results))
    yield all_of("answered afterwards", sum(result["afterwards"] for result in results), len(results))


def _refuse(status: str, peer: Peer) -> None:
    peer.send(head("Content-Length: 0", "Connection: close", status=status))


@attack(
    "troubles of one worker, and another that shares its state through Redis: 14 kinds",
    bar="D5",
    parallel=True,
    kill_after=120,
)
def troubles_of_one_worker() -> Iterator[Figure]:
    """The other worker asks the primary as before; of a server that refuses, it hears."""
    from integration_tests.support.redis_server import RedisServer

    with ExitStack() as stack:
        urls = {
            "good": stack.enter_context(answering_apart(answer)),
            "tls": stack.enter_context(hostile(encrypted_server, before=True)).replace(
                "http://127.0.0.1", "https://localhost"
            ),
            "proxy": stack.enter_context(hostile(tunnel, before=True)),
            "a proxy that is down": "http://127.0.0.1:1",
            "a proxy that answers 403": stack.enter_context(hostile(partial(_refuse, "403 Forbidden"))),
            "a proxy that answers 407": stack.enter_context(hostile(partial(_refuse, "407 Who?"))),
            "a proxy that hangs": f"http://127.0.0.1:{stack.enter_context(silent())}",
            "bundle": str(CERTIFICATE),
            "other bundle": certifi.where(),
        }
        server = stack.enter_context(RedisServer())
        outcomes = {}
        for role in ("sick", "well"):
            outcomes = _work(role, urls, server.url)
    others = {trouble: outcomes[trouble] for trouble in TROUBLES}
    print(others)  # noqa: T201
    yield none_of("kept from the primary", sum(outcome == "skipped" for outcome in others.values()))
    yield all_of("that asked it with success", sum(outcome == "ok" for outcome in others.values()), len(TROUBLES))
    yield all_of("heard of a refusal", outcomes[CONTROL] == "skipped", 1)


def _work(role: str, urls: dict[str, str], state: str) -> dict[str, str]:
    """Run a worker; return what it prints."""
    command = [sys.executable, "-W", "ignore", "-m", "integration_tests.attacks.sick_worker", role, json.dumps(urls)]
    environment = os.environ | {"UNIFIED_LLM_STATE": state, "NO_PROXY": "", "no_proxy": ""}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=_ROOT, env=environment, check=False)
    print(ended.stderr[-6000:])  # noqa: T201
    return dict(json.loads(ended.stdout or "{}"))
