"""The engines of a process: their states, their queues, and which model is unloaded; without MLX."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from tests.support.mlx_calls import TIMEOUT, prompt
from tests.support.set_clock import Clock
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
from unified_llm._backends.mlx.weight_sizes import SizeEstimate
from unified_llm._core.target import Target

END = Finished("stop", 1, 1)


class Model:
    """A model that answers where the test says so: `release` lets the next request be answered."""

    size = 0

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
    monkeypatch.setattr(engines, "unavailable_reason", lambda: "so that no memory is reserved")
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


def test_an_interrupted_exit_waits_for_all_threads_and_starts_none(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_has_exited", False)
    started = [engines.get_engine(key(tmp_path, name)) for name in ("a", "b")]
    join, interrupts = Engine.join, [KeyboardInterrupt, KeyboardInterrupt]

    def interrupted_join(engine: Engine) -> None:
        if interrupts:
            raise interrupts.pop()
        join(engine)

    monkeypatch.setattr(Engine, "join", interrupted_join)
    engines.close_at_exit()
    assert not any(engine.is_alive for engine in started)
    with pytest.raises(EngineError, match="The process ends"):
        engines.get_engine(key(tmp_path))


def test_a_process_without_threads_gets_an_error_and_tries_again(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(EngineError, match="No thread could be started"):
            engines.get_engine(key(tmp_path))
        assert engines.snapshot() == []
    assert engines.get_engine(key(tmp_path)).wait_loaded(TIMEOUT)


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


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The sizes of models by the names of their folders."""
    sizes: dict[str, int] = {}

    def estimate(key: EngineKey, *, on_gpu: bool) -> SizeEstimate:
        assert not on_gpu
        return SizeEstimate(sizes[key.folder.name], sizes.get(f"{key.folder.name} packed", sizes[key.folder.name]))

    monkeypatch.setattr(engines, "unavailable_reason", lambda: None)
    monkeypatch.setattr(engines, "has_gpu", lambda: False)
    monkeypatch.setattr(engines, "active_memory", lambda: sizes.get("active", 0))
    monkeypatch.setattr(engines, "estimate_size", estimate)
    return sizes


def loaded(folder: Path, name: str, clock: Clock, **options: Any) -> Engine:
    """Load a model, one second later than the last."""
    clock.now += 1
    engine = engines.get_engine(key(folder, name), **options)
    assert engine.wait_loaded(TIMEOUT)
    return engine


def names() -> list[str]:
    return sorted(facts.key.folder.name for facts in engines.snapshot())


def test_the_least_recently_used_idle_models_make_room(
    model: Model, tmp_path: Path, clock: Clock, sizes: dict[str, int]
) -> None:
    sizes |= {"a": 40, "b": 30, "c": 30, "d": 35}
    a, b, c = (loaded(tmp_path, name, clock, memory_limit=100) for name in "abc")
    assert [engine.size for engine in (a, b, c)] == [40, 30, 30]
    clock.now += 1
    _, outputs = submit(a)
    assert loaded(tmp_path, "d", clock, memory_limit=110).state == "ready"
    assert names() == ["a", "c", "d"], "b is older than c, and a is in use"
    assert b.state == "ended", "its memory was free before the next was loaded"
    model.release.release()
    assert outputs.get(timeout=TIMEOUT) is END
    assert names() == ["a", "c", "d"], "nothing else is needed"


def test_a_model_in_use_is_not_unloaded_and_one_that_is_too_big_unloads_nothing(
    model: Model, tmp_path: Path, clock: Clock, sizes: dict[str, int]
) -> None:
    sizes |= {"a": 60_000_000_000, "b": 50_000_000_000, "c": 101_000_000_000}
    a = loaded(tmp_path, "a", clock, memory_limit=100_000_000_000)
    submit(a)
    refused = loaded(tmp_path, "b", clock, memory_limit=100_000_000_000)
    assert refused.ended is not None
    assert refused.ended.kind == "conflict"
    assert "takes about 50 GB of memory, and other models take 60 GB of the 100 GB" in str(refused.ended)
    too_big = loaded(tmp_path, "c", clock, memory_limit=100_000_000_000)
    assert too_big.ended is not None
    assert too_big.ended.kind == "unsupported"
    assert "takes about 101 GB of memory, and memory_limit allows 100 GB" in str(too_big.ended)
    assert a.state == "ready"
    larger = loaded(tmp_path, "c", clock, memory_limit=200_000_000_000)
    assert larger.state == "ready", "another limit is another try"


def test_a_caller_may_load_a_model_only_where_nothing_is_unloaded_for_it(
    model: Model, tmp_path: Path, clock: Clock, sizes: dict[str, int]
) -> None:
    sizes |= {"a": 60, "b": 50}
    loaded(tmp_path, "a", clock, memory_limit=100)
    refused = loaded(tmp_path, "b", clock, memory_limit=100, unload_others=False)
    assert refused.ended is not None
    assert refused.ended.kind == "conflict"
    assert loaded(tmp_path, "b", clock, memory_limit=100).state == "ready"
    assert names() == ["b"]


def test_what_running_requests_take_counts(model: Model, tmp_path: Path, clock: Clock, sizes: dict[str, int]) -> None:
    sizes |= {"a": 40, "b": 40, "active": 65}
    loaded(tmp_path, "a", clock, memory_limit=200)
    refused = loaded(tmp_path, "b", clock, memory_limit=100, unload_others=False)
    assert refused.ended is not None
    assert refused.ended.kind == "conflict"
    fits = loaded(tmp_path, "b", clock, memory_limit=105)
    assert (fits.state, fits.room) == ("ready", 40)


def test_quantized_weights_stay_packed_where_there_is_no_room(
    model: Model, tmp_path: Path, clock: Clock, sizes: dict[str, int]
) -> None:
    sizes |= {"a": 80, "a packed": 20}
    engine = loaded(tmp_path, "a", clock, memory_limit=100)
    assert (engine.room, engine.size) == (100, 80)
    engines.close_engines()
    engine = loaded(tmp_path, "a", clock, memory_limit=50)
    assert (engine.room, engine.size) == (50, 20)


def test_a_model_is_unloaded_after_the_time_without_a_request(
    model: Model, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "unified_llm")
    assert engines.unload_idle() is None
    engine = engines.get_engine(key(tmp_path), settings=MLXConfig(unload_after=60))
    kept = engines.get_engine(key(tmp_path, "kept"), settings=MLXConfig(unload_after=float("inf")))
    assert engine.wait_loaded(TIMEOUT)
    assert kept.wait_loaded(TIMEOUT)
    clock.now += 59
    assert engines.unload_idle() == 1
    _, outputs = submit(engine)
    clock.now += 1000
    assert engines.unload_idle() == 60, "a request runs"
    model.release.release()
    assert outputs.get(timeout=TIMEOUT) is END
    clock.now += 61
    assert engines.unload_idle() == float("inf")
    assert names() == ["kept"]
    assert "had no request for 61 s" in caplog.text


def test_one_thread_unloads_models_by_itself(model: Model, tmp_path: Path) -> None:
    slow = engines.get_engine(key(tmp_path))
    quick = engines.get_engine(key(tmp_path, "quick"))
    assert slow.wait_loaded(TIMEOUT)
    assert quick.wait_loaded(TIMEOUT)
    engines.get_engine(quick.key, settings=MLXConfig(unload_after=0.001))
    quick.join()
    assert names() == ["model"]
    assert [thread.name for thread in threading.enumerate()].count("mlx-unload-idle") == 1
