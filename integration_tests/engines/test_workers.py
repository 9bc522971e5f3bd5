"""The examples on Celery and Prefect, against a real Redis and scripted upstreams."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration_tests.support.processes import stop
from integration_tests.support.ray_cluster import kill
from integration_tests.support.redis_server import RedisServer
from integration_tests.support.upstream import KEY, Upstream
from integration_tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
AT_ONCE = 8  # of the examples


@pytest.fixture
def environment(upstream: Upstream, second: Upstream, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The environment of the examples: their Redis, their targets, their folders."""
    with RedisServer() as redis:
        yield {
            **os.environ,
            "REDIS_URL": redis.url,
            "PROMPTS_FOLDER": str(tmp_path / "finished"),
            "PROMPTS_MODEL": "vllm/scripted-large", "VLLM_BASE_URL": upstream.base_url, "VLLM_API_KEY": KEY,
            "PROMPTS_FALLBACK": "llamacpp/scripted-small", "LLAMACPP_BASE_URL": second.base_url, "LLAMA_API_KEY": KEY,
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "PREFECT_HOME": str(tmp_path / "prefect"), "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        }  # fmt: skip


@contextmanager
def celery_worker(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    options = ["--app", "examples.celery_app", "worker", "--concurrency", "2", "--loglevel", "ERROR"]
    worker = subprocess.Popen(
        [Path(sys.executable).parent / "celery", *options], env=environment, cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield worker
    finally:
        stop(worker)


def start(program: list[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *program], env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def lines_of(program: subprocess.Popen[str]) -> list[str]:
    output, errors = program.communicate(timeout=150)
    assert program.returncode == 0, errors
    return output.splitlines()


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def prompts_of(*upstreams: Upstream) -> Counter[str]:
    requests = [request for upstream in upstreams for request in upstream.requests]
    return Counter(request.body["messages"][-1]["content"] for request in requests)


def answers(prompts: list[str]) -> list[str]:
    return [f"You said: {prompt}. This is all I know about it." for prompt in prompts]


def test_tasks_of_celery_survive_the_end_of_a_worker_and_share_what_it_learned(
    environment: Mapping[str, str], upstream: Upstream, second: Upstream
) -> None:
    pytest.importorskip("celery", reason="Celery has no wheel for this Python")
    prompts = [f"prompt {number}" for number in range(250)]
    upstream.delay = 0.1
    with celery_worker(environment) as worker:
        with start(["-m", "examples.celery_app", *prompts], environment) as program:
            assert wait_until(lambda: upstream.count() > 60)
            kill(children_of(worker)[0])
            assert lines_of(program) == answers(prompts)
        asked = prompts_of(upstream, second)
        second.requests.clear()
        assert set(asked) == {*prompts}
        assert sum(asked.values()) - 250 <= AT_ONCE

        upstream.requests.clear()
        upstream.status, upstream.headers, upstream.delay = 429, {"Retry-After": "120"}, 0.0
        more = [f"other {number}" for number in range(250)]
        with start(["-m", "examples.celery_app", *more[:100]], environment) as program:
            assert lines_of(program) == answers(more[:100])
        learned = upstream.count()
        time.sleep(1.5)  # a worker reads what others have learned once a second
        with start(["-m", "examples.celery_app", *more[100:]], environment) as program:
            assert lines_of(program) == answers(more[100:])
    assert 0 < learned <= AT_ONCE
    assert upstream.count() == learned
    assert set(prompts_of(second)) == {*more}


def test_a_flow_of_prefect_that_runs_again_sends_nothing_that_has_a_response(
    environment: Mapping[str, str], upstream: Upstream, second: Upstream
) -> None:
    pytest.importorskip("prefect", reason="Prefect has no wheel for this Python")
    prompts = [f"prompt {number % 100}" for number in range(250)]  # the first two tasks are equal
    twice = "import sys; from examples.prefect_flow import main; main(sys.argv[1:]); main(sys.argv[1:])"
    with start(["-c", twice, *prompts], environment) as program:
        assert lines_of(program) == answers(prompts) * 2
    # Three tasks send 24 at once, more than the first target gets at the start: the fallback may have the rest.
    assert prompts_of(upstream, second) == Counter(prompts)
