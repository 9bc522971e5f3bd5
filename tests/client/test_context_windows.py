"""Context windows of targets: declared, learned from servers, and prompts that a server cut without a word."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW

from tests.support.each import each
from tests.support.mlx_ways import EVERY_WAY
from tests.support.scripted_targets import Attempt, ScriptedTargets, say
from unified_llm import LLMClient, LLMConfig, ModelInfo, Usage, reset_health
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.codecs import codec_for
from unified_llm._state import process_health
from unified_llm.exceptions import ConfigurationError, ContextOverflowError
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM
from unified_llm.types import LLMResponse, ModelsRequest

LLAMACPP, VLLM, OLLAMA = "llamacpp/small", "vllm/qwen", "ollama/qwen3:8b"
FULL = Failure("context", 400)
LONG = "word " * 20_000


def page(*models: ModelInfo) -> Attempt:
    return [Done((models, None))]


def listing(provider: str, window: int | None, name: str = "x") -> Attempt:
    return page(ModelInfo(name, provider, context_window=window))


def chain(*models: str | LLMConfig) -> LLMClient:
    return LLMClient(models[0], fallbacks=models[1:])


@EVERY_WAY
def test_local_4_a_prompt_too_long_for_one_local_server_reaches_the_next(ask: Any) -> None:
    """Local 4: no window of the chain is known."""
    with ScriptedTargets({LLAMACPP: [FULL], VLLM: [say("from the larger one")]}).running() as targets:
        assert ask(chain(LLAMACPP, VLLM), "x")
        assert targets.names == [LLAMACPP, VLLM]


def test_local_4_the_window_in_a_refusal_is_remembered_for_other_calls() -> None:
    refusal = Failure("context", 400, context_window=4_096)
    scripts: dict[str, Any] = {LLAMACPP: [refusal], VLLM: [FULL], OLLAMA: [say("O")]}
    with ScriptedTargets(scripts).running() as targets:
        chain(LLAMACPP, OLLAMA).generate("x")
        targets.asked.clear()
        known_larger = LLMConfig(model=VLLM, context_window=8_192)
        chain(known_larger, LLAMACPP, OLLAMA).generate("x")
        assert targets.names == [VLLM, OLLAMA], "llama.cpp said that it has no more than 4,096"
        with process_health.apart():
            chain(known_larger, LLAMACPP, OLLAMA).generate("x")
        assert targets.names[2:] == [VLLM, LLAMACPP, OLLAMA], "what is learned stays in its block"
        reset_health()
        targets.asked.clear()
        chain(known_larger, LLAMACPP, OLLAMA).generate("x")
        assert targets.names == [VLLM, LLAMACPP, OLLAMA]


@each("how", ["list_models", "alist_models", "health_check", "ahealth_check"])
@each(
    ("model", "pages"),
    [
        (VLLM, [listing("vllm", 4_096, "qwen")]),
        (LLAMACPP, [listing("llamacpp", 4_096, "/models/tiny.gguf"), listing("llamacpp", None, "tiny.gguf")]),
        ("ollama/qwen3", [listing("ollama", 4_096, "qwen3:latest"), listing("ollama", None, "qwen3:latest")]),
    ],
)
def test_local_4_windows_are_learned_where_models_are_listed(how: str, model: str, pages: list[Attempt]) -> None:
    """Local 4: ``max_model_len``, ``/props`` and ``/api/ps``, none of which a call asks for."""
    provider = model.partition("/")[0]
    big = "openai-compatible/big"
    with ScriptedTargets({provider: pages, model: [say("A")], big: [FULL]}).running() as targets:
        first = LLMConfig(model=big, base_url="http://127.0.0.1:9", context_window=8_192)
        client = chain(first, model)
        targets.scripts = {**targets.scripts, "openai-compatible": [Failure("server", 500)]}
        client.generate("x")
        assert targets.names == [big, model], "not known yet: it is tried"
        targets.asked.clear()
        result = getattr(client, how)()
        if how.startswith("a"):
            asyncio.run(result)
        loaded = [name for name, request in targets.asked if isinstance(request, ModelsRequest) and request.loaded]
        assert loaded == ([provider] if len(pages) > 1 else [])
        targets.asked.clear()
        with pytest.raises(Exception, match="longer than the model's context window"):
            client.generate("x")
        assert targets.names == [big], "known to be no larger"


def test_a_list_is_complete_without_the_loaded_models() -> None:
    scripts: dict[str, Any] = {"llamacpp": [Failure("not_found", 404), listing("llamacpp", None)]}
    with ScriptedTargets(scripts).running() as targets:
        client = LLMClient(LLAMACPP)
        assert client.list_models() == asyncio.run(client.alist_models()) == [ModelInfo("x", "llamacpp")]
        assert len(targets.asked) == 2


def test_the_models_of_two_loaded_ones_keep_their_own_windows() -> None:
    models = [ModelInfo("a:1b", "ollama"), ModelInfo("b:1b", "ollama")]
    loaded = page(ModelInfo("b:1b", "ollama", context_window=8_192))
    with ScriptedTargets({"ollama": [loaded, page(*models)]}).running():
        listed = LLMClient("ollama/a:1b").list_models()
    assert [(info.id, info.context_window) for info in listed] == [("a:1b", None), ("b:1b", 8_192)]


def test_the_only_model_of_ollama_is_not_any_other() -> None:
    """A server that serves one model under any name (llama.cpp) is another case."""
    other = listing("ollama", 2_048, "llama3.2:1b")
    with ScriptedTargets({"ollama": [other, other]}).running():
        LLMClient(OLLAMA).list_models()
        assert UnifiedLLM(model=OLLAMA).metadata.context_window == DEFAULT_CONTEXT_WINDOW


def test_local_4_lm_studio_names_the_windows_of_the_models_that_are_loaded() -> None:
    codec, box = codec_for("openai_chat"), LLMClient("lmstudio/a", base_url="http://box:1234/v1").targets[0]
    request = ModelsRequest(loaded=True)
    assert codec.encode(request, box).url == "http://box:1234/api/v0/models"
    listed = [
        {"id": "a", "state": "not-loaded", "max_context_length": 32_768},
        {"id": "b", "state": "loaded", "max_context_length": 32_768, "loaded_context_length": 4_096},
    ]
    read = codec.decode(request, box, {"data": listed})
    assert isinstance(read, Done)
    assert [(info.id, info.context_window) for info in read.value[0]] == [("a", None), ("b", 4_096)]


def test_the_users_declaration_outweighs_what_a_server_named() -> None:
    declared = LLMClient(OLLAMA, context_window=32_768)
    with ScriptedTargets({"ollama": [listing("ollama", 4_096, "qwen3:8b")]}).running():
        declared.list_models()
        assert UnifiedLLM(model=OLLAMA).metadata.context_window == 4_096
        assert UnifiedLLM(model=OLLAMA, context_window=32_768).metadata.context_window == 32_768


# Declared windows


def test_local_1_and_4_a_window_is_declared_for_a_target_and_by_every_adapter() -> None:
    client = LLMClient(LLMConfig(model=VLLM, context_window=131_072), fallbacks=[{"model": OLLAMA}, {"timeout": 5}])
    assert [target.context_window for target in client.targets] == [131_072, None, 131_072]
    for adapter in (
        ChatUnified(model=OLLAMA, context_window=32_768),
        UnifiedLLM(model=OLLAMA, context_window=32_768),
        UnifiedEmbedding(model=OLLAMA, context_window=32_768),
    ):
        (target,) = adapter.client.targets
        assert (target.context_window, target.window_declared) == (32_768, True)
    for wrong in (0, -1, True, "many"):
        with pytest.raises(ConfigurationError, match="context_window"):
            LLMConfig(model=VLLM, context_window=wrong)  # type: ignore[arg-type]


def test_a_declared_window_is_that_of_its_model_alone() -> None:
    with ScriptedTargets({OLLAMA: [FULL], "ollama/other": [FULL], VLLM: [say("V")]}).running() as targets:
        client = LLMClient(OLLAMA, context_window=8_192, fallbacks=[LLMConfig(model=VLLM, context_window=8_192)])
        for model in ("ollama/other", "other"):
            assert client.generate("x", model=model).provider == "vllm", "its window is not known"
        with pytest.raises(ContextOverflowError):
            client.generate("x", model=OLLAMA)
        assert targets.names == ["ollama/other", VLLM, "ollama/other", VLLM, OLLAMA]


def test_local_1_the_number_that_the_user_sends_to_ollama_is_its_window() -> None:
    for fields in ({"options": {"num_ctx": 8_192}}, {"num_ctx": 8_192}):
        assert UnifiedLLM(model=OLLAMA, additional_kwargs=fields).metadata.context_window == 8_192
        (target,) = LLMClient(OLLAMA, extra_body=fields).targets
        assert target.context_window == 8_192
    assert LLMClient("ollama/gpt-oss:20b").targets[0].context_window is None, "the model's, not the server's"
    assert LLMClient("vllm/gpt-oss-20b").targets[0].context_window == 131_072


def test_an_unknown_window_beside_a_known_one_counts_as_llamaindexs_default(caplog: pytest.LogCaptureFixture) -> None:
    known = LLMConfig(model=VLLM, context_window=131_072)
    llm = UnifiedLLM(model=LLAMACPP, fallbacks=[known])
    for _ in range(3):
        assert llm.metadata.context_window == 3_900
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "llamacpp/small: its context window is not known" in record.getMessage()
    assert "context_window=" in record.getMessage()
    caplog.clear()
    small = LLMConfig(model=VLLM, context_window=2_000)
    assert UnifiedLLM(model=LLAMACPP, fallbacks=[small]).metadata.context_window == 2_000
    assert UnifiedLLM(model=LLAMACPP).metadata.context_window == 3_900
    assert UnifiedLLM(model=LLAMACPP, context_window=8_192, fallbacks=[known]).metadata.context_window == 8_192
    assert caplog.records == []


# Prompts that were cut


def answered(prompt_tokens: int) -> Attempt:
    return [LLMResponse("a confident answer", usage=Usage(prompt_tokens, 5, prompt_tokens + 5))]


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@EVERY_WAY
def test_local_1_a_prompt_that_was_cut_is_warned_of(ask: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Local 1: a server that does not know ``truncate`` keeps the last 4,096 tokens, and its answer is a success."""
    with ScriptedTargets({OLLAMA: [answered(4_096)]}).running():
        ask(LLMClient(OLLAMA), LONG)
        (text,) = warnings_of(caplog)
    assert "ollama/qwen3:8b: it read 4096 tokens of a prompt of about 25000" in text
    assert "context_window=" in text
    assert "word" not in text


def test_other_prompts_are_not(caplog: pytest.LogCaptureFixture) -> None:
    cases: list[tuple[str, int, str, dict[str, Any]]] = [
        (OLLAMA, 3_800, LONG, {}),  # below 95 % of 4,096: something else was counted
        (OLLAMA, 4_096, "word " * 4_000, {}),  # about what was sent
        (OLLAMA, 4_096, LONG, {"context_window": 32_768}),  # cached, with a window that is far from full
        (OLLAMA, 4_096, LONG, {"extra_body": {"num_ctx": 32_768}}),
        (VLLM, 4_096, LONG, {}),  # refuses instead
    ]
    for model, tokens, prompt, fields in cases:
        with ScriptedTargets({model: [answered(tokens)]}).running():
            LLMClient(model, **fields).generate(prompt)
        assert warnings_of(caplog) == []


def test_the_window_that_a_call_asks_for_is_the_one_that_is_full(caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedTargets({OLLAMA: [answered(2_048)]}).running():
        LLMClient(OLLAMA).generate(LONG, extra_body={"options": {"num_ctx": 2_048}})
        assert len(warnings_of(caplog)) == 1
        LLMClient(OLLAMA).generate(LONG, extra_body={"num_ctx": 4_096})
        assert len(warnings_of(caplog)) == 1


# What servers send


def test_props_and_ps_are_read() -> None:
    (llamacpp,), (ollama,) = LLMClient(LLAMACPP).targets, LLMClient(OLLAMA).targets
    openai, native = codec_for("openai_chat"), codec_for("ollama")
    request = ModelsRequest(loaded=True)
    assert openai.encode(request, llamacpp).url == "http://127.0.0.1:8080/props"
    props = {"default_generation_settings": {"n_ctx": 1_024, "id": 0}, "model_path": "/models/tiny.gguf"}
    read = openai.decode(request, llamacpp, props)
    assert isinstance(read, Done)
    assert [(info.id, info.context_window) for info in read.value[0]] == [("/models/tiny.gguf", 1_024)]
    for broken in ({}, {"default_generation_settings": {"n_ctx": 0}}, {"default_generation_settings": [1]}):
        assert isinstance(openai.decode(request, llamacpp, broken), Failure)
    running = {"models": [{"name": "qwen3:8b", "model": "qwen3:8b", "size_vram": 5, "context_length": 8_192}]}
    for codec in (native, openai):  # Ollama's address of OpenAI's format has no list of loaded models of its own
        read = codec.decode(request, ollama, running)
        assert isinstance(read, Done)
        assert [(info.id, info.context_window) for info in read.value[0]] == [("qwen3:8b", 8_192)]
    (chat,) = LLMClient(OLLAMA, api="chat").targets
    assert openai.encode(request, chat).url == "http://127.0.0.1:11434/api/ps"
