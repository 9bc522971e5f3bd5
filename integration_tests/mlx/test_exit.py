"""Processes that end while models are used, and what they leave: nothing on standard error, no compiled kernels."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from integration_tests.support.tiny_models import Shape, make_model
from tests.support import tiny_bert
from unified_llm._backends.mlx import unavailable_reason

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

PRELUDE = """
    import asyncio, gc, itertools, os, sys, threading
    from pathlib import Path
    from unified_llm import LLMClient, MLXConfig
    from unified_llm._backends.mlx import engines
    MODEL, BERT = sys.argv[1:]
    options = dict(max_tokens=200, temperature=1.0, top_p=0.9, seed=1, extra_body={"top_k": 20})
    batch = LLMClient("mlx/" + MODEL, **options)
    serial = LLMClient("mlx/" + MODEL, mlx=MLXConfig(kv_bits=8, kv_group_size=32), **options)
    drafted = LLMClient("mlx/" + MODEL, mlx=MLXConfig(draft_model=MODEL), **options)
    embedder = LLMClient("mlx/" + BERT)
    """


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A chat model and an embedding model."""
    folder = tmp_path_factory.mktemp("models")
    make_model(folder / "chat", Shape(hidden=128, heads=4))  # groups of 32 divide its heads
    tiny_bert.write(folder / "bert")
    return str(folder / "chat"), str(folder / "bert")


def run(program: str, models: tuple[str, str], **environment: str) -> subprocess.CompletedProcess[str]:
    code = textwrap.dedent(PRELUDE) + textwrap.dedent(program)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *models],
        capture_output=True, text=True, timeout=120, check=False, env=os.environ | environment,
    )  # fmt: skip


EXITS = {
    "in every kind of request at once": """
        streams = [client.stream("What is RAG?") for client in (batch, serial, drafted)]
        for stream in streams:
            next(iter(stream))
        embedder.embed("x")
        """,
    "while models are loaded, unloaded and idle": """
        embedder.embed("x")
        batch.generate("x", max_tokens=1)
        assert engines.unload(engines.engine_key(batch.targets[0]))
        threading.Thread(target=drafted.generate, args=["x"], daemon=True).start()
        while len(engines.snapshot()) < 2:
            pass
        """,
    "in an event loop that has ended, and in a thread that exits": """
        async def first():
            async for _ in batch.astream("What is RAG?"):
                return

        def leave():
            next(iter(serial.stream("What is RAG?")))
            raise SystemExit

        asyncio.run(first())
        thread = threading.Thread(target=leave)
        thread.start()
        thread.join()
        sys.exit(3)
        """,
    "in callbacks of atexit, which may use a model that is loaded, and load no other": """
        import atexit

        def use():
            assert batch.generate("x", max_tokens=1).usage.completion_tokens
            try:
                embedder.embed("x")
            except Exception as error:
                assert "The process ends" in str(error), error
                return
            os._exit(1)

        batch.generate("x", max_tokens=1)
        atexit.register(use)
        """,
    "in callbacks of atexit, after the models were closed": """
        import atexit

        def use():
            try:
                batch.generate("x", max_tokens=1)
            except Exception as error:
                assert "The process ends" in str(error), error
                return
            os._exit(1)

        atexit.unregister(engines.close_at_exit)
        atexit.register(use)
        atexit.register(engines.close_at_exit)
        batch.generate("x", max_tokens=1)
        """,
    "in a forked child that goes on with a stream of its parent": """
        stream = batch.stream("What is RAG?")
        next(iter(stream))
        if child := os.fork():
            stream.close()
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
        else:
            try:
                list(stream)
            except Exception as error:
                assert "MLX does not survive a fork" in str(error), error
                sys.exit(4)
        """,
}


@pytest.mark.parametrize("case", EXITS)
def test_a_process_ends_cleanly(case: str, models: tuple[str, str]) -> None:
    ended = run(EXITS[case], models)
    assert (ended.returncode, ended.stderr) == (3 if "sys.exit(3)" in EXITS[case] else 0, "")


def test_an_interrupted_process_ends_as_others_do(models: tuple[str, str]) -> None:
    ended = run(
        """
        for count, _ in enumerate(serial.stream("What is RAG?")):
            if count == 3:
                os.kill(os.getpid(), 2)
        """,
        models,
    )
    assert ended.returncode == -signal.SIGINT
    assert ended.stderr.splitlines()[-1] == "KeyboardInterrupt"


def test_nothing_is_compiled_at_run_time(models: tuple[str, str], tmp_path: Path) -> None:
    """MLX would start a C++ compiler on a CPU, and load what it made from a folder whose name everybody can predict."""
    tools, temporary = tmp_path / "tools", tmp_path / "temporary"
    tools.mkdir()
    temporary.mkdir()
    for name in ("g++", "c++", "clang++", "cc"):
        (tools / name).write_text(f"#!/bin/sh\necho $0 >> {tmp_path / 'started'}\nexit 1\n")
        (tools / name).chmod(0o700)
    program = """
        for client in (batch, serial, drafted):
            assert client.generate("x", max_tokens=8).usage.completion_tokens
        penalties = {"extra_body": {"min_p": 0.01, "repetition_penalty": 1.1}}
        assert batch.generate("x", max_tokens=8, presence_penalty=0.5, **penalties)
        assert embedder.embed("x")
        """
    ended = run(program, models, PATH=str(tools), TMPDIR=str(temporary))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not (tmp_path / "started").exists()
    assert [path for path in temporary.rglob("*") if path.is_file()] == []
