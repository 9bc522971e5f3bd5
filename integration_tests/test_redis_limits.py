"""Processes that share a rate limit through a real Redis."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from integration_tests.support.redis_server import RedisServer
from integration_tests.support.upstream import KEY, Upstream

_WORKER = """
import sys, time
from unified_llm import LLMClient
from unified_llm.exceptions import LLMError, RateLimitError

url, key, seconds = sys.argv[1:]
client = LLMClient("vllm/scripted-large", base_url=url, api_key=key, rpm=40)
client.warm()
end, served = time.monotonic() + float(seconds), 0
while (left := end - time.monotonic()) > 1:
    try:
        client.generate("Hello?", deadline=left)
        served += 1
    except RateLimitError:  # no turn before the end
        time.sleep(0.1)
    except LLMError:
        break
print(served, flush=True)
"""


def run_workers(upstream: Upstream, state: str, seconds: float) -> list[int]:
    command = [sys.executable, "-W", "error", "-c", _WORKER, upstream.base_url, KEY, f"{seconds}"]
    environment = {**os.environ, "UNIFIED_LLM_STATE": state}
    root = Path(__file__).parents[1]
    workers = [
        subprocess.Popen(command, env=environment, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    return [int(worker.communicate(timeout=seconds + 30)[0]) for worker in workers]


def test_four_processes_keep_one_limit(upstream: Upstream) -> None:
    with RedisServer() as server:
        counts = run_workers(upstream, server.url, 14)
        keys = [name for name in server.dump() if ":limit:" in name]
    assert 30 <= sum(counts) <= upstream.count() <= 52  # a few change hands between two exchanges, on a busy machine
    assert min(counts) >= 4
    assert len(keys) == 1


def test_a_process_that_never_hears_from_redis_uses_its_own_limit(upstream: Upstream) -> None:
    assert run_workers(upstream, "redis://127.0.0.1:9/0", 20) == [40] * 4  # the third exchange fails after 10 s
