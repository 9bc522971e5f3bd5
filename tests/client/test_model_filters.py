"""Model lists of one provider, of models with given features, and the health of each provider of a chain."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, HAIKU, SONAR
from tests.support.scripted_targets import Attempt, ScriptedTargets
from unified_llm import LLMClient, LLMConfig, ModelInfo, Provider, health_snapshot
from unified_llm._core import runtime
from unified_llm._core.outcome import Done, Failure
from unified_llm.exceptions import AuthenticationError, ValidationError
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM

OPENAI, ANTHROPIC, OLLAMA = "openai", "anthropic", "ollama"
MODELS = (ModelInfo("gpt-4o", "openai"), ModelInfo("gpt-3.5-turbo-instruct", "openai"))
OTHERS = (ModelInfo("claude-haiku-4-5", "anthropic"),)


def page(*models: ModelInfo) -> list[Attempt]:
    return [[Done((models, None))]]


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Any:
    """Return a function that calls a method of a client: sync or async."""

    def call(client: Any, method: str, **arguments: Any) -> Any:
        if request.param == "sync":
            return getattr(client, method)(**arguments)
        return asyncio.run(getattr(client, f"a{method}")(**arguments))

    return call


def names(models: list[ModelInfo]) -> list[str]:
    return [info.id for info in models]


def test_only_the_provider_that_is_named_is_asked(call: Any) -> None:
    targets = ScriptedTargets({OPENAI: page(*MODELS), ANTHROPIC: page(*OTHERS)})
    with targets.running():
        client = LLMClient(GPT, fallbacks=[HAIKU])
        assert call(client, "list_models", provider="anthropic") == list(OTHERS)
        for name in ("Anthropic", Provider.ANTHROPIC):
            assert call(client, "list_models", provider=name) == list(OTHERS), "an alias, and the list of before"
        assert targets.names == [ANTHROPIC]
        call(client, "list_models", provider="openai", use_cache=False)
        call(client, "list_models", provider="anthropic")
        assert targets.names == [ANTHROPIC, OPENAI], "the other list is kept"
        targets.scripts = {OPENAI: [Failure("auth", 401)]}
        with pytest.raises(AuthenticationError):
            call(client, "list_models", provider="openai", use_cache=False)


@each(
    "arguments, message",
    [
        ({"provider": "groq"}, "the chain has no provider 'groq': it has openai, anthropic. Make a client"),
        ({"provider": "anthropc"}, "the chain has no provider 'anthropc': did you mean 'anthropic'?"),
        ({"provider": "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"}, "the chain has no provider of that name"),
        ({"provider": ""}, "the chain has no provider ''"),
        ({"provider": 7}, "provider= must be the name of a provider in the chain: openai, anthropic."),
        ({"provider": ["openai"]}, "provider= must be the name of a provider in the chain: openai, anthropic."),
        ({"supports": "vision"}, "there is no feature 'vision': did you mean 'images'?"),
        ({"supports": ["tools", "function calling"]}, "there is no feature 'function calling': did you mean 'tools'?"),
        ({"supports": "tool"}, "there is no feature 'tool': did you mean 'tools'?"),
        ({"supports": "telepathy"}, "there is no feature 'telepathy': known are tools, tool_choice, json_object"),
        ({"supports": 7}, 'supports= must be a feature such as "tools", or a list of features: known are'),
        ({"supports": [None]}, 'supports= must be a feature such as "tools"'),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_refused_with_what_to_write(arguments: Any, message: str) -> None:
    targets = ScriptedTargets({})
    with targets.running():
        client = LLMClient(GPT, fallbacks=[HAIKU])
        with pytest.raises(ValidationError) as caught:
            client.list_models(**arguments)
        assert message in str(caught.value)
        with pytest.raises(ValidationError):
            asyncio.run(client.alist_models(**arguments))
    assert targets.asked == []


def test_models_are_filtered_by_what_their_list_states(call: Any) -> None:
    tools, images = frozenset({"tools"}), frozenset({"images", "image_urls"})
    models = (
        ModelInfo("a", "openrouter", features=tools),
        ModelInfo("b", "openrouter", features=images),
        ModelInfo("c", "openrouter", features=tools | images),
        ModelInfo("d", "openrouter"),
        ModelInfo("text-embed", "openrouter"),
        ModelInfo("vectors", "openrouter", output_types=frozenset({"embeddings"})),
    )
    with ScriptedTargets({"openrouter": page(*models)}).running():
        client = LLMClient("openrouter/a")
        for supports, expected in (
            ("tools", ["a", "c", "d"]),
            (["tools", "images"], ["c", "d"]),
            (("images",), ["b", "c", "d"]),
            ("json_schema", ["a", "b", "c", "d"]),  # which the list states for none
            ("embeddings", ["text-embed", "vectors"]),
            ([], ["a", "b", "c", "d", "text-embed", "vectors"]),
        ):
            assert names(call(client, "list_models", supports=supports)) == expected, supports


def test_models_that_their_list_does_not_describe_are_judged_by_their_names() -> None:
    listed = ("gpt-4o", "gpt-4", "gpt-3.5-turbo-instruct", "text-embedding-3-small", "gpt-99-unheard-of")
    local = ("llama3.2:latest", "nomic-embed-text", "all-minilm")
    targets = ScriptedTargets(
        {
            OPENAI: page(*(ModelInfo(name, "openai") for name in listed)),
            OLLAMA: page(*(ModelInfo(name, "ollama") for name in local)),
            "cohere": page(*(ModelInfo(name, "cohere") for name in ("command-r-08-2024", "embed-v4.0", "rerank-v3.5"))),
        }
    )
    with targets.running():
        client = LLMClient(GPT, fallbacks=["ollama/llama3.2", "cohere/command-r-08-2024"])
        assert names(client.list_models(supports="tools")) == [
            "gpt-4o", "gpt-4", "gpt-99-unheard-of", "llama3.2:latest", "command-r-08-2024",
        ]  # fmt: skip
        assert names(client.list_models(supports="images", provider="openai")) == ["gpt-4o", "gpt-99-unheard-of"]
        assert names(client.list_models(supports="embeddings")) == [
            "text-embedding-3-small", "nomic-embed-text", "all-minilm", "embed-v4.0",
        ]  # fmt: skip
        assert names(client.list_models(supports="rerank")) == ["rerank-v3.5"]
        assert len(client.list_models()) == len(listed) + len(local) + 3


def test_a_chain_is_filtered_even_where_no_model_is_left() -> None:
    with ScriptedTargets({OLLAMA: page(ModelInfo("all-minilm", "ollama"))}).running():
        assert LLMClient("ollama/llama3.2").list_models(supports="tools") == []


def test_each_provider_is_checked_by_one_request(call: Any) -> None:
    targets = ScriptedTargets({OPENAI: page(*MODELS), ANTHROPIC: [Failure("auth", 401)]})
    with targets.running():
        client = LLMClient(
            GPT,
            fallbacks=[
                HAIKU,
                "openai/gpt-4o",
                SONAR,
                LLMConfig(model=GPT, base_url="https://eu.example", api_key="k-eu"),
            ],
        )
        checks = call(client, "check_providers")
        assert [(check["provider"], check["ok"], check["models"]) for check in checks] == [
            ("openai", True, 2), ("anthropic", False, None), ("perplexity", False, None), ("openai", True, 2),
        ]  # fmt: skip
        assert checks[0]["seconds"] > 0
        assert checks[3]["base_url"] == "https://eu.example/v1"
        assert checks[0]["error"] is None
        assert "anthropic: the API key was refused" in checks[1]["error"]
        assert "list its models" in checks[2]["error"]
        json.dumps(checks)
        assert sorted(targets.names) == [ANTHROPIC, OPENAI, OPENAI]
        assert call(client, "health_check")
        assert call(client, "health_check", provider="openai")
        assert not call(client, "health_check", provider="anthropic")
        with pytest.raises(ValidationError, match="no provider"):
            call(client, "health_check", provider="groq")


async def test_async_code_checks_all_providers_at_once() -> None:
    both = asyncio.Barrier(2)

    class Exchange:
        async def open(self, until: float) -> None:
            await asyncio.wait_for(both.wait(), 10)

        async def read(self, until: float) -> Done:
            return Done((MODELS, None))

        async def close(self) -> None:
            pass

    with runtime.use(replace(runtime.Runtime(), aexchange=lambda *_: Exchange())):
        assert await LLMClient(GPT, fallbacks=[HAIKU]).ahealth_check()


@pytest.mark.parametrize("adapter", [ChatUnified, UnifiedLLM])
def test_adapters_pass_the_arguments_on(adapter: Any, call: Any) -> None:
    targets = ScriptedTargets({OPENAI: page(*MODELS), ANTHROPIC: page(*OTHERS)})
    with targets.running():
        llm = adapter(model=GPT, fallbacks=[HAIKU])
        assert names(call(llm, "list_models", provider="openai", supports="tools")) == ["gpt-4o"]
        assert [check["ok"] for check in call(llm, "check_providers", provider="anthropic")] == [True]
        with pytest.raises(ValidationError):
            call(llm, "list_models", provider="groq")
    assert health_snapshot()


def test_a_feature_of_media_lists_the_models_that_make_them(call: Any) -> None:
    every = ("gpt-5-mini", "gpt-image-2", "dall-e-3", "tts-1", "whisper-1", "sora-2", "text-embedding-3-small")
    targets = ScriptedTargets({OPENAI: page(*(ModelInfo(name, "openai") for name in every))})
    expected = {
        "generate_image": ["gpt-image-2", "dall-e-3"], "edit_image": ["gpt-image-2"], "speech": ["tts-1"],
        "transcription": ["whisper-1"], "video": ["sora-2"], "tools": ["gpt-5-mini"],
        "embeddings": ["text-embedding-3-small"],
    }  # fmt: skip
    with targets.running():
        client = LLMClient(GPT)
        found = {name: names(call(client, "list_models", supports=name)) for name in expected}
    assert found == expected
