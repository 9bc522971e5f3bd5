"""Real models that take a while to load: calls that wait for them, and fallbacks on standby."""

from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration_tests.support.tiny_models import make_model
from integration_tests.support.waiting import wait_until
from tests.support import tiny_bert
from unified_llm import LLMClient, LLMConfig
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engines import close_engines, snapshot
from unified_llm.exceptions import ServiceUnavailableError
from unified_llm.testing import outage

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

LOADING = 2.5  # seconds
# Nothing listens there: connections are refused at once.
DOWN = LLMConfig(model="vllm/any", base_url="http://127.0.0.1:9/v1", max_retries=0)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("standby") / "tiny")


@pytest.fixture
def slow_loading(template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let models take a while to load from now on."""
    LLMClient(f"mlx/{template}").generate("Hello?", max_tokens=1)  # what is imported with the first model
    load = vars(Engine)["_load"]

    def load_slowly(engine: Engine) -> Any:
        time.sleep(LOADING)
        return load(engine)

    monkeypatch.setattr(Engine, "_load", load_slowly)


@pytest.fixture
def slow(template: Path, tmp_path: Path, slow_loading: None) -> str:
    """Return the name of a chat model that is not loaded yet."""
    del slow_loading
    return f"mlx/{shutil.copytree(template, tmp_path / 'slow')}"


def in_sync(client: LLMClient) -> Any:
    return client.generate("Hello?", max_tokens=2)


def in_async(client: LLMClient) -> Any:
    return asyncio.run(client.agenerate("Hello?", max_tokens=2))


def in_stream(client: LLMClient) -> Any:
    return list(client.stream("Hello?", max_tokens=2))[-1]


@pytest.mark.parametrize("way", [in_sync, in_async, in_stream])
def test_a_timeout_that_is_shorter_than_loading_is_that_of_the_attempt(slow: str, way: Callable[..., Any]) -> None:
    client = LLMClient(slow, timeout=LOADING * 0.8, max_retries=0)
    (attempt,) = way(client).attempts
    assert attempt.outcome == "ok"
    assert attempt.waited >= LOADING
    assert attempt.seconds < LOADING * 0.8
    assert way(client).attempts[0].waited == 0.0


@pytest.mark.usefixtures("slow_loading")
def test_embeddings_have_their_time_once_the_model_is_loaded(tmp_path: Path) -> None:
    tiny_bert.write(tmp_path)
    client = LLMClient(f"mlx/{tmp_path}", timeout=LOADING * 0.8, max_retries=0)
    assert client.embed(["one", "two"]).attempts[0].waited >= LOADING
    assert asyncio.run(client.aembed(["one"])).attempts[0].waited == 0.0


def test_in_a_simulated_outage_a_real_fallback_is_waited_for_in_the_same_way(slow: str) -> None:
    client = LLMClient(DOWN, fallbacks=[{"model": slow, "timeout": LOADING * 0.8}])
    with outage("vllm", "503"):
        attempt = in_sync(client).attempts[-1]
    assert (attempt.target, attempt.outcome) == (slow, "ok")
    assert attempt.waited >= LOADING


def test_calls_at_once_wait_for_one_loading(slow: str) -> None:
    client = LLMClient(slow, timeout=LOADING * 0.8, max_retries=0)

    async def main() -> list[Any]:
        return await asyncio.gather(*(client.agenerate("Hello?", max_tokens=2) for _ in range(8)))

    assert len(asyncio.run(main())) == 8


def test_a_call_that_is_cancelled_or_whose_deadline_passes_while_it_waits_leaves_the_model_to_others(slow: str) -> None:
    client = LLMClient(slow, max_retries=0)
    with pytest.raises(ServiceUnavailableError, match="its model was still being loaded when the deadline"):
        client.generate("Hello?", max_tokens=2, deadline=0.2)

    async def cancelled() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.agenerate("Hello?", max_tokens=2), 0.2)

    asyncio.run(cancelled())
    assert client.generate("Hello?", max_tokens=2).attempts[0].waited < LOADING


def test_a_fallback_on_standby_is_loaded_while_another_one_serves(
    slow: str, template: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "unified_llm")
    other = f"mlx/{template}"
    client = LLMClient(DOWN, fallbacks=[{"model": slow, "standby": "warm"}, other])
    attempts = [client.generate("Hello?", max_tokens=2).attempts[-1] for _ in range(4)]
    assert [(attempt.target, attempt.waited) for attempt in attempts] == [(other, 0.0)] * 4
    assert wait_until(lambda: (client.health()[1]["standby"] or {}).get("state") == "loaded")
    assert client.health()[1]["standby"]["reason"] == "vllm/any: 3 failures within 60 s"
    response = client.generate("Hello?", max_tokens=2)
    assert response.attempts[-1].target == slow
    lines = [line for line in caplog.messages if "on standby" in line]
    assert [line.partition(": on standby, ")[2][:25] for line in lines] == [
        "its model is being loaded",
        "its model was loaded in 2",
    ]


def test_no_model_is_unloaded_for_one_on_standby_but_for_a_call_that_needs_it(
    slow: str, template: Path, caplog: pytest.LogCaptureFixture
) -> None:
    close_engines()
    other, size = f"mlx/{template}", sum(path.stat().st_size for path in template.glob("*.safetensors"))
    local = {"model": slow, "standby": "warm", "memory_limit": int(size * 1.6), "timeout": LOADING * 0.8}
    client, alone = LLMClient(DOWN, fallbacks=[local, other]), LLMClient(DOWN, fallbacks=[local])
    for _ in range(4):
        assert in_sync(client).attempts[-1].target == other
    assert wait_until(lambda: any("its model could not be loaded" in line for line in caplog.messages))
    assert [facts.key.folder for facts in snapshot() if facts.state == "ready"] == [template.resolve()]
    attempt = in_sync(alone).attempts[-1]
    assert attempt.target == slow
    assert attempt.waited >= LOADING
    close_engines()


def test_a_process_ends_while_a_model_is_being_loaded_in_the_background(template: Path) -> None:
    code = f"""
        import time
        import logging
        from unified_llm import LLMClient
        from unified_llm._backends.mlx.engine import Engine
        load = Engine._load
        Engine._load = lambda engine: (time.sleep(3.0), load(engine))[1]
        down = {{"model": "vllm/any", "base_url": "http://127.0.0.1:9/v1", "max_retries": 0}}
        client = LLMClient(down, fallbacks=[{{"model": "mlx/{template}", "standby": "warm"}}])
        alone = LLMClient(down)
        logging.getLogger("unified_llm").addFilter(lambda record: "breaker" not in record.getMessage())
        for _ in range(5):
            try:
                alone.generate("Hello?")
            except Exception as error:
                print(type(error).__name__)
        client.health()
        time.sleep(0.2)
        print(client.health()[1]["standby"]["state"])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "loading"
