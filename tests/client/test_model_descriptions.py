"""``ModelInfo``: what lists say of models, and what is known of them besides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets
from unified_llm import LLMClient, LLMConfig, ModelInfo
from unified_llm._core.outcome import Done
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._state.model_list_records import read_models, write_models
from unified_llm.types.requests import ModelsRequest


def listed(provider: str, body: Any, *, loaded: bool = False) -> Any:
    target: Target = LLMClient(LLMConfig(provider=provider, api_key="sk-x")).targets[0]
    done: Any = codec_for(target.format).decode(ModelsRequest(loaded=loaded), target, body)
    assert isinstance(done, Done)
    (info,) = done.value[0]
    return info


def test_it_is_made_as_the_design_has_it_and_the_window_has_two_names() -> None:
    info = ModelInfo("m", "ollama", "model", 1, "me", 4096, "A model.")
    assert (info.object, info.created, info.owned_by, info.context_length, info.description) == (
        "model", 1, "me", 4096, "A model.",
    )  # fmt: skip
    assert info.context_window == 4096
    assert ModelInfo("m", "p", context_window=7).context_length == 7
    assert ModelInfo("m", "p", context_window=7) == ModelInfo("m", "p", context_length=7)
    assert replace(info, context_window=8).context_length == 8
    assert ModelInfo("m", "p").context_length is None
    assert "A model." not in repr(info)


@each(
    ("provider", "item", "expected"),
    [
        (
            "openrouter",
            {"id": "a/b", "description": "Draws.", "architecture": {"output_modalities": ["image", "text"]}},
            ("Draws.", None, {"image", "text"}),
        ),
        ("together", {"id": "a/b", "type": "embedding"}, (None, None, {"embeddings"})),
        ("mistral", {"id": "m", "description": "Small."}, ("Small.", None, None)),
        ("gemini", {"name": "models/m", "description": "Fast."}, ("Fast.", None, None)),
        ("gemini", {"name": "models/m", "supportedGenerationMethods": ["embedContent"]}, (None, None, {"embeddings"})),
        ("ollama", {"model": "m", "details": {"family": "qwen3"}}, (None, "qwen3", None)),
        ("ollama", {"model": "m", "capabilities": ["completion", "tools"]}, (None, None, {"text"})),
        ("ollama", {"model": "m", "capabilities": ["embedding", 7]}, (None, None, {"embeddings"})),
        ("cohere", {"name": "m", "endpoints": ["embed", 7]}, (None, None, {"embeddings"})),
        ("openai", {"id": "m", "description": 7, "type": ["chat"], "arch": {}}, (None, None, None)),
    ],
)
def test_a_list_says_what_a_model_makes_its_family_and_more(provider: str, item: Any, expected: Any) -> None:
    info = listed(provider, {"data": [item], "models": [item]})
    assert (info.description, info.family, info.output_types) == expected


def test_what_lm_studio_says_of_its_models_is_added_to_its_list() -> None:
    item = {"id": "m", "type": "vlm", "arch": "qwen2_vl", "state": "not-loaded", "max_context_length": 32768}
    loaded = listed("lmstudio", {"data": [item]}, loaded=True)
    assert (loaded.family, loaded.output_types, loaded.context_window, loaded.context_length) == (
        "qwen2_vl", {"text"}, None, None,
    )  # fmt: skip
    plain = ModelInfo("m", "lmstudio"), ModelInfo("n", "lmstudio")
    targets = ScriptedTargets({"lmstudio": [[Done(((loaded,), None))], [Done((plain, None))]]})
    first: Any
    with targets.running():
        first, second = LLMClient(LLMConfig(provider="lmstudio")).list_models()
    assert (first.family, first.output_types, second.family) == ("qwen2_vl", {"text"}, None)


def test_what_is_known_of_a_model_is_added_but_no_window() -> None:
    models = ModelInfo("gpt-4o", "openai"), ModelInfo("text-embedding-3-small", "openai"), ModelInfo("new", "openai")
    targets = ScriptedTargets({"openai": [[Done((models, None))]]})
    chat: Any
    embeddings: Any
    with targets.running():
        chat, embeddings, new = LLMClient("openai/gpt-4o", api_key="sk-x").list_models()
    assert (chat.output_types, chat.max_output, chat.context_window) == ({"text"}, 16384, None)
    assert embeddings.output_types == {"embeddings"}
    assert (new.output_types, new.max_output) == (None, None)


def test_other_processes_read_all_of_it() -> None:
    info = ModelInfo(
        "m", "p", description="A model.", context_window=7, family="llama", output_types=frozenset({"text", "image"})
    )
    assert read_models(write_models((info,))) == (info,)
    read: Any = read_models(write_models((info,)))
    assert read[0].output_types == {"text", "image"}
