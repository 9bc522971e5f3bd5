"""The engines of a process: their states, their queues, and which model is unloaded; without MLX."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.support.mlx_calls import TIMEOUT, prompt
from unified_llm import MLXConfig
from unified_llm._backends.mlx import engine as engine_module
from unified_llm._backends.mlx import engines
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import (
    EngineError,
    EngineKey,
    EngineRequest,
    Finished,
    Output,
    UnloadableError,
)
from unified_llm._core.target import Target

END = Finished("stop", 1, 1)


class Model:
    """A model that answers where the test says so: `release` lets the next request be answered."""

    def __init__(self) -> None:
        self.release = threading.Semaphore(0)

    def serve(self, queue: SimpleQueue[EngineRequest | None]) -> None:
        while (request := queue.get()) is not None:
            if not request.cancelled:
                assert self.release.acquire(timeout=TIMEOUT)
                request.deliver(END)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    """Let every engine run this model, which is loaded at once."""
    model = Model()
    monkeypatch.setattr(Engine, "_load", lambda _: model)
    monkeypatch.setattr(engine_module, "_release_thread", lambda: None)
    yield model
    model.release.release(1000)
    engines.close_engines()


def key(folder: Path, name: str = "model") -> EngineKey:
    return EngineKey((folder / name).resolve())


def submit(engine: Engine) -> tuple[EngineRequest, SimpleQueue[Output]]:
    outputs: SimpleQueue[Output] = SimpleQueue()
    return engine.submit(prompt("x"), outputs.put), outputs


def test_a_full_queue_refuses_one_more_request_and_a_place_is_free_once_a_request_has_ended(
    model: Model, tmp_path: Path
) -> None:
    engine = engines.get_engine(key(tmp_path), settings=MLXConfig(max_queue=2))
    (first, _), (_, outputs) = submit(engine), submit(engine)
    refusal = submit(engine)[1].get_nowait()
    assert isinstance(refusal, EngineError)
    assert refusal.kind == "rate_limit"
    assert "has 2 requests that wait or run" in str(refusal)
    first.cancel()
    assert engine.pending == 1, "at once, whatever the thread is doing"
    _, last = submit(engine)
    model.release.release(3)
    assert outputs.get(timeout=TIMEOUT) is last.get(timeout=TIMEOUT) is END
    assert engine.pending == 0
    first.cancel()
    assert engine.pending == 0


def test_a_caller_that_cannot_be_called_back_takes_no_place(model: Model, tmp_path: Path) -> None:
    called = threading.Event()

    def fail(_: Output) -> None:
        called.set()
        raise RuntimeError

    engine = engines.get_engine(key(tmp_path))
    engine.submit(prompt("x"), fail)
    model.release.release()
    assert called.wait(TIMEOUT)
    engine.close()
    assert engine.pending == 0


def test_an_engine_tells_when_its_model_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, begun = threading.Event(), threading.Event()

    def load(_: Engine) -> Model:
        begun.set()
        assert go_on.wait(TIMEOUT)
        return Model()

    monkeypatch.setattr(Engine, "_load", load)
    monkeypatch.setattr(engine_module, "_release_thread", lambda: None)
    engine = Engine(key(tmp_path))
    states: list[str] = []
    engine.when_loaded(lambda: states.append(engine.state))
    assert begun.wait(TIMEOUT)
    assert (engine.state, engine.wait_loaded(0), states) == ("loading", False, [])
    go_on.set()
    assert engine.wait_loaded(TIMEOUT)
    assert (engine.state, states) == ("ready", ["ready"])
    engine.when_loaded(lambda: states.append("again"))
    assert states[-1] == "again", "at once"
    engine.close()
    assert engine.state == "ended"
    assert engine.wait_loaded(0), "there is nothing to wait for"


def test_an_error_reaches_all_requests_that_wait_for_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: tuple[tuple[Exception, str], ...] = (
        (UnloadableError("Its files are wrong."), "unsupported"),
        (MemoryError(), "server"),
        (RuntimeError(), "server"),
    )
    monkeypatch.setattr(engine_module, "_release_thread", lambda: None)
    for error, kind in errors:
        go_on = threading.Event()

        def load(_: Engine, go_on: threading.Event = go_on, error: Exception = error) -> Model:
            assert go_on.wait(TIMEOUT)
            raise error

        monkeypatch.setattr(Engine, "_load", load)
        engine = Engine(key(tmp_path))
        waiting = [submit(engine)[1] for _ in range(3)]
        go_on.set()
        assert engine.wait_loaded(TIMEOUT)
        for outputs in (*waiting, submit(engine)[1]):
            output = outputs.get(timeout=TIMEOUT)
            assert output is engine.ended
            assert engine.ended.kind == kind
        engine.close()
        assert (engine.state, engine.pending) == ("ended", 0)


def test_an_adapter_and_a_draft_model_make_another_engine(model: Model, tmp_path: Path) -> None:
    plain = key(tmp_path)
    adapted, drafted = EngineKey(plain.folder, adapter=tmp_path), EngineKey(plain.folder, draft=tmp_path)
    assert len({engines.get_engine(each) for each in (plain, adapted, drafted, plain)}) == 3
    assert engines.get_engine(plain.folder) is engines.get_engine(plain)


def test_the_key_of_a_target_has_resolved_folders(tmp_path: Path) -> None:
    for name in ("model", "draft", "adapter"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "model")
    config = MLXConfig(adapter_path=str(tmp_path / "draft" / ".." / "adapter"), draft_model=str(tmp_path / "draft"))
    target = Target(provider="mlx", model=str(tmp_path / "link"), format="mlx", base_url="", mlx=config)
    found = engines.engine_key(target)
    assert found == EngineKey(*((tmp_path / name).resolve() for name in ("model", "adapter", "draft")))


def test_an_idle_model_is_unloaded_and_loaded_again_by_the_next_request(model: Model, tmp_path: Path) -> None:
    engine = engines.get_engine(key(tmp_path))
    _, outputs = submit(engine)
    assert not engines.unload(engine.key), "a request waits"
    model.release.release()
    assert outputs.get(timeout=TIMEOUT) is END
    assert engines.unload(engine.key)
    assert not engines.unload(engine.key)
    again = engines.get_engine(engine.key)
    assert again is not engine
    assert [facts.key for facts in engines.snapshot()] == [engine.key]
    engines.close_engines()
    assert (engine.state, again.state, engines.snapshot()) == ("ended", "ended", [])


def test_a_snapshot_says_what_engines_are_doing(model: Model, tmp_path: Path) -> None:
    engine = engines.get_engine(key(tmp_path), settings=MLXConfig(unload_after=5))
    assert engine.wait_loaded(TIMEOUT)
    submit(engine)
    (facts,) = engines.snapshot()
    assert (facts.key, facts.state, facts.pending, facts.unload_after) == (engine.key, "ready", 1, 5)
    assert facts.last_used == engine.last_used
