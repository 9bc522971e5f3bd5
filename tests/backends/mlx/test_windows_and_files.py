"""The context window of a model's folder, the rest of it for answers, and files that cannot be loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from tests.support.mlx_calls import TIMEOUT
from tests.support.mlx_ways import EVERY_WAY, WHOLE
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient, LLMConfig, health_snapshot
from unified_llm._backends.mlx import engine, engines, exchange, loading, model_names, unavailable_reason
from unified_llm._backends.mlx.batch import Batch
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import EngineError, EngineRequest, Finished, Output, Prompt, TextChunk
from unified_llm._backends.mlx.engines import get_engine
from unified_llm._backends.mlx.hub_cache import find_snapshot
from unified_llm._backends.mlx.loading import LoadedModel
from unified_llm._backends.mlx.model_folder import read_window
from unified_llm._backends.mlx.scheduler import Scheduler
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import ConfigurationError, ContextOverflowError, UnsupportedOperationError
from unified_llm.llama_index import UnifiedLLM

NO_MLX = pytest.mark.skipif(unavailable_reason() is not None, reason="MLX is not installed")


def write(folder: Path, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    return folder


@pytest.fixture(autouse=True)
def _any_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_llm._config.make_target.check_mlx", lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of a model; its engine is closed after the test."""
    yield tmp_path / "model"
    engines.close_engines()


# Windows


def test_local_6_the_window_is_that_of_the_configuration(folder: Path) -> None:
    cases: list[tuple[dict[str, Any], int | None]] = [
        ({"max_position_embeddings": 4_096}, 4_096),
        ({"text_config": {"max_position_embeddings": 131_072}}, 131_072),
        ({"max_position_embeddings": 64, "text_config": {"max_position_embeddings": 4_096}}, 64),
        ({"max_position_embeddings": None, "text_config": None}, None),
        ({}, None),
    ]
    for config, window in cases:
        write(folder, **config)
        assert read_window(folder) == window
        assert LLMClient(f"mlx/{folder}").targets[0].context_window == window
        assert UnifiedLLM(model=f"mlx/{folder}").metadata.context_window == (window or 3_900)
    write(folder, max_position_embeddings=4_096)
    assert LLMClient(f"mlx/{folder}", context_window=2_048).targets[0].context_window == 2_048
    assert UnifiedLLM(model="mlx/demo").metadata.context_window == 1_024
    behind = UnifiedLLM(model="openai-compatible/x", base_url="http://127.0.0.1:9/v1", fallbacks=["mlx/demo"])
    assert behind.metadata.context_window == 3_900, "a last resort lowers nothing"


@WHOLE
def test_local_6_an_overflow_of_a_small_folder_goes_on_to_a_larger_one(ask: Any, tmp_path: Path) -> None:
    small = write(tmp_path / "small", max_position_embeddings=64)
    same = write(tmp_path / "same", max_position_embeddings=64)
    large = write(tmp_path / "large", max_position_embeddings=4_096)
    scripts: dict[str, Any] = {f"mlx/{small}": [Failure("context")], f"mlx/{large}": [say("Hello")]}
    with ScriptedTargets(scripts).running() as targets:
        assert ask(LLMClient(f"mlx/{small}", fallbacks=[f"mlx/{same}", f"mlx/{large}"]), "x").content == "Hello"
        assert targets.names == [f"mlx/{small}", f"mlx/{large}"]


class FakeTokenizer:
    has_chat_template = True
    has_thinking = False
    chat_template = None  # so that its Python is called
    special_tokens_map: dict[str, Any] = {}  # noqa: RUF012
    eos_token_ids = frozenset({0})
    detokenizer: Any = None

    def apply_chat_template(self, messages: Any, *, add_generation_prompt: bool) -> list[int]:
        assert add_generation_prompt
        if messages[0]["role"] == "system":
            raise ValueError("System role not supported")
        return [1] * len(messages[0]["content"])

    def decode(self, tokens: Any) -> str:
        return "x" * len(tokens)


class FakeGenerator:
    def __init__(self, queue: SimpleQueue[EngineRequest | None]) -> None:
        self.limits: list[int] = []
        self.queue = queue

    def insert_segments(self, segments: Any, max_tokens: list[int], **options: Any) -> list[int]:
        assert len(segments) == 1
        assert options == {
            "caches": [None], "all_tokens": [[]], "samplers": [None], "logits_processors": [[]]
        }  # fmt: skip
        self.limits += max_tokens
        return [len(self.limits)]

    def next(self) -> tuple[list[Any], list[Any]]:
        self.queue.put(None)  # end the engine
        return [], []

    def remove(self, uids: list[int]) -> None: ...

    def close(self) -> None: ...


def insert(monkeypatch: pytest.MonkeyPatch, own: int | None, role: str = "user", **fields: Any) -> int:
    """Put a prompt of 60 tokens into the batch of a model with a window; return the limit of the answer.

    Raises:
        EngineError: The prompt was refused.
    """
    queue: SimpleQueue[EngineRequest | None] = SimpleQueue()
    generator, outputs = FakeGenerator(queue), SimpleQueue[Output]()

    def put(output: Output) -> None:
        outputs.put(output)
        queue.put(None)

    monkeypatch.setattr(Batch, "_new_generator", lambda _: generator)
    model: Any = None
    tokenizer: Any = FakeTokenizer()
    queue.put(EngineRequest(Prompt(({"role": role, "content": "x" * 60},), **fields), put, lambda _: None))
    Scheduler(LoadedModel(Path("model"), model, tokenizer, own)).serve(queue)
    if not generator.limits:
        error = outputs.get_nowait()
        assert isinstance(error, EngineError)
        raise error
    return generator.limits[0]


def test_local_15_an_answer_may_have_the_rest_of_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    assert insert(monkeypatch, 4_096) == 4_036
    assert insert(monkeypatch, 4_096, max_tokens=100) == 100
    assert insert(monkeypatch, 4_096, max_tokens=5_000) == 4_036
    assert insert(monkeypatch, 4_096, window=1_024) == 964, "the declared window is smaller"
    assert insert(monkeypatch, None) > 4_096, "no limit is known"
    with pytest.raises(EngineError, match="has 60 tokens and the model reads 32") as refused:
        insert(monkeypatch, 4_096, window=32)
    assert (refused.value.kind, refused.value.context_window) == ("context", 32)


@EVERY_WAY
def test_local_15_only_the_demo_model_stops_at_512_tokens(
    ask: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts: list[Prompt] = []

    class Recording:
        def submit(self, payload: Prompt, on_output: Callable[[Output], None]) -> EngineRequest:
            prompts.append(payload)
            on_output(TextChunk("yes"))
            on_output(Finished("stop", 5, 1))
            return EngineRequest(payload, on_output, lambda _: None)

    monkeypatch.setattr(exchange, "get_engine", lambda *_, **__: Recording())
    write(folder, max_position_embeddings=4_096)
    ask(LLMClient("mlx/demo"), "x")
    ask(LLMClient(f"mlx/{folder}"), "x")
    ask(LLMClient(f"mlx/{folder}", max_tokens=7, context_window=2_048), "x")
    limits = [(prompt.max_tokens, prompt.window) for prompt in prompts]
    assert limits == [(512, 1_024), (None, 4_096), (7, 2_048)]


def test_local_2_a_template_that_refuses_a_role_is_no_mistake_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match=r"refused the messages \(ValueError\)") as refused:
        insert(monkeypatch, 64, role="system")
    assert refused.value.kind == "unsupported"


def test_the_window_in_an_engines_error_reaches_the_policy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def submit(self, payload: Prompt, on_output: Callable[[Output], None]) -> EngineRequest:
            on_output(EngineError("context", "The prompt has 99 tokens and the model reads 64.", context_window=64))
            return EngineRequest(payload, on_output, lambda _: None)

    monkeypatch.setattr(exchange, "get_engine", lambda *_, **__: Full())
    client = LLMClient(f"mlx/{write(folder)}")
    with pytest.raises(ContextOverflowError, match="reads 64"):
        client.generate("x")
    assert UnifiedLLM(model=f"mlx/{folder}").metadata.context_window == 64


# Files that cannot be loaded


@NO_MLX
@EVERY_WAY
def test_local_15_files_that_cannot_be_loaded_are_loaded_once(
    ask: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Local 15: one load of gigabytes, the next target at once, and no weight at the breaker."""
    loads: list[Path] = []

    def load(path: Path) -> None:
        loads.append(path)
        raise ValueError("Model type mystery not supported.")

    monkeypatch.setattr(loading, "_load", load)
    write(folder, model_type="mystery")
    client = LLMClient(f"mlx/{folder}")
    for _ in range(6):
        with pytest.raises(UnsupportedOperationError, match=r"type 'mystery' of the model in .*; update it with pip"):
            ask(client, "x")
    assert len(loads) == 1
    (known,) = health_snapshot()
    assert (known["state"], known["consecutive_failures"]) == ("closed", 0)
    write(folder, model_type="mystery", revision="another file")
    with pytest.raises(UnsupportedOperationError):
        ask(client, "x")
    assert len(loads) == 2, "the files have changed"


@NO_MLX
def test_local_15_damaged_files_are_no_failure_of_the_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases: list[tuple[Exception, str, str]] = [
        (RuntimeError("[load_safetensors] Invalid json header"), "unsupported", "check that its files are whole"),
        (ValueError("Missing 3 parameters"), "unsupported", "check that its files are whole"),
        (MemoryError(), "server", "use a smaller one"),
    ]
    for number, (error, kind, advice) in enumerate(cases):

        def load(_: Path, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(loading, "_load", load)
        write(folder, number=number)
        outputs: SimpleQueue[Output] = SimpleQueue()
        engine = get_engine(folder)
        engine.submit(Prompt(({"role": "user", "content": "x"},)), outputs.put)
        refused = outputs.get(timeout=TIMEOUT)
        assert isinstance(refused, EngineError)
        assert (refused.kind, str(refused).rpartition(": ")[2]) == (kind, f"{advice}.")
        engine.close()
        assert engine.may_be_replaced == (kind == "server"), "memory may be free again"
        (folder / f"{number}").touch()


@NO_MLX
def test_an_engine_that_was_closed_is_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = None
    tokenizer: Any = FakeTokenizer()
    monkeypatch.setattr(engine, "load", lambda *_: LoadedModel(folder, model, tokenizer, 64))
    monkeypatch.setattr(Batch, "_new_generator", lambda _: FakeGenerator(SimpleQueue()))
    first = get_engine(write(folder))
    assert get_engine(folder) is first
    first.close()
    second = get_engine(folder)
    assert isinstance(second, Engine)
    assert second is not first


# Names of Hugging Face


def snapshot(cache: Path, name: str, commit: str, *, main: bool = True) -> Path:
    model = cache / f"models--{name.replace('/', '--')}"
    if main:
        (model / "refs").mkdir(parents=True, exist_ok=True)
        (model / "refs" / "main").write_text(commit)
    folder = write(model / "snapshots" / commit, max_position_embeddings=40_960)
    (folder / "model.safetensors").touch()
    return folder


def test_local_15_a_name_is_found_in_the_cache_of_hugging_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "mlx-community/Qwen3-4B-4bit"
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(ConfigurationError, match="no model of that name in the local Hugging Face cache") as missing:
        LLMClient(f"mlx/{name}")
    assert repr(str(Path.cwd() / name)) in str(missing.value)
    assert f"run unified-llm mlx pull {name}, or pass download=True" in str(missing.value)
    assert "mlx/demo" not in str(missing.value)
    places = {
        "": tmp_path / "home" / ".cache" / "huggingface" / "hub",
        "XDG_CACHE_HOME": tmp_path / "xdg" / "huggingface" / "hub",
        "HF_HOME": tmp_path / "hf" / "hub",
        "HF_HUB_CACHE": tmp_path / "hub",
    }
    values = {"XDG_CACHE_HOME": tmp_path / "xdg", "HF_HOME": tmp_path / "hf", "HF_HUB_CACHE": tmp_path / "hub"}
    for variable, cache in places.items():
        if variable:
            monkeypatch.setenv(variable, str(values[variable]))
        snapshot(cache, name, "0" * 40, main=False)
        current = snapshot(cache, name, "1" * 40)
        assert model_names.resolve_folder(name) == current
    (target,) = LLMClient(f"mlx/{name}").targets
    assert (target.name, target.context_window) == (f"mlx/{name}", 40_960)
    assert LLMClient(LLMConfig(provider="mlx", model=name)).targets[0].model == name


def test_without_a_branch_the_newest_snapshot_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    old, new = (snapshot(tmp_path, "org/model", commit * 40, main=False) for commit in "ab")
    os.utime(old, (1, 1))
    assert find_snapshot("org/model") == new
    (tmp_path / "models--org--model" / "refs").mkdir()
    for text in ("../../..", "gone", ""):
        (tmp_path / "models--org--model" / "refs" / "main").write_text(text)
        assert find_snapshot("org/model") == new
    for name in ("../model", "org/model/more", "a/..", "", "/etc", "org\\model"):
        assert find_snapshot(name) is None
