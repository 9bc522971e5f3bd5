"""Models that make no text, or no vectors: what is known to fail is refused before anything is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, get_args

import pytest

from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient, register_provider
from unified_llm._core.features import Output
from unified_llm._providers import registry
from unified_llm._providers.output_types import _LINES, output_types
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM

KEY = "sk-a-key-of-a-test"
NO_CHAT = {
    "openai/dall-e-3": "makes images", "openai/dall-e-2": "makes images", "openai/gpt-image-1": "makes images",
    "openai/gpt-image-1-mini": "makes images", "openai/tts-1": "makes speech", "openai/tts-1-hd": "makes speech",
    "openai/gpt-4o-mini-tts": "makes speech", "openai/whisper-1": "transcribes speech",
    "openai/gpt-4o-transcribe": "transcribes speech", "openai/sora-2": "makes videos", "openai/sora-2-pro": "videos",
    "openai/omni-moderation-latest": "moderation", "openai/text-embedding-3-small": "use embed()",
    "openai/text-embedding-ada-002": "use embed()", "azure/dall-e-3": "images", "gemini/imagen-4.0-generate-001":
    "images", "gemini/veo-3.0-generate-001": "videos", "gemini/gemini-embedding-001": "embeddings",
    "mistral/mistral-embed": "embeddings", "cohere/embed-v4.0": "embeddings", "cohere/rerank-v3.5": "use rerank()",
    "groq/whisper-large-v3-turbo": "transcribes", "xai/grok-2-image-1212": "images", "zai/cogview-4": "images",
    "minimax/speech-02-hd": "speech", "together/black-forest-labs/FLUX.1-schnell": "images",
    "together/BAAI/bge-large-en-v1.5": "embeddings", "hf/sentence-transformers/all-MiniLM-L6-v2": "embeddings",
    "nvidia/nvidia/nv-embedqa-e5-v5": "embeddings", "openrouter/openai/text-embedding-3-small": "embeddings",
    "litellm/text-embedding-3-large": "embeddings", "openai-compatible/dall-e-3": "images",
    "gemini/gemini-3.8-flash-tts": "makes speech", "gemini/gemini-2.5-flash-preview-tts": "makes speech",
    "gemini/gemini-omni-1.1-flash": "makes videos", "groq/canopylabs/orpheus-v1-english": "makes speech",
    "cohere/cohere-transcribe-03-2026": "transcribes", "openrouter/openai/gpt-4o-mini-tts": "makes speech",
    "bedrock/amazon.nova-canvas-v1:0": "images", "vertex/google/imagen-4.0-generate-001": "images",
}  # fmt: skip
ASKED = (
    "openai/gpt-4o-audio-preview", "openai/gpt-realtime", "openai/a-model-of-tomorrow", "gemini/gemini-2.5-flash-image",
    "gemini/gemini-2.5-flash-native-audio-latest", "openrouter/black-forest-labs/flux.2-pro",
    "openrouter/openai/gpt-image-1",
    "ollama/llama3.2", "ollama/nomic-embed-text", "lmstudio/text-embedding-nomic-embed-text-v1.5",
    "vllm/BAAI/bge-m3", "azure/my-whisper-deployment", "azure/whisper-helper", "azure/support-tts",
    "together/Qwen/Qwen3-32B",
    "fireworks/accounts/fireworks/models/gpt-oss-120b", "nvidia/nvidia/nemotron-4-340b-reward",
)  # fmt: skip
CHAT: list[Callable[[Any], Any]] = [
    lambda model: LLMClient(model, **fields(model)).generate("x"),
    lambda model: asyncio.run(LLMClient(model, **fields(model)).agenerate("x")),
    lambda model: list(LLMClient(model, **fields(model)).stream("x")),
    lambda model: ChatUnified(model=model, **fields(model)).invoke("x"),
    lambda model: UnifiedLLM(model=model, **fields(model)).complete("x"),
]
EMBED: list[Callable[[Any], Any]] = [
    lambda model: LLMClient(model, **fields(model)).embed("x"),
    lambda model: UnifiedEmbeddings(model=model, **fields(model)).embed_query("x"),
    lambda model: UnifiedEmbedding(model=model, **fields(model)).get_text_embedding("x"),
]


def fields(model: str) -> dict[str, Any]:
    without_address = {"azure": "https://r.openai.azure.com", "openai-compatible": "https://gateway.example/v1"}
    address = without_address.get(model.partition("/")[0])
    return {"api_key": KEY, **({"base_url": address} if address else {})}


def draw(made: LLMClient) -> Any:
    return made.generate_image("A fox")


def read_aloud(made: LLMClient) -> Any:
    return made.generate_speech("Hello")


def transcribe(made: LLMClient) -> Any:
    return made.transcribe(b"RIFF\x24\x00\x00\x00WAVEfmt ", language="en")


@each(("model", "what"), NO_CHAT.items())
def test_a_chat_with_a_model_that_makes_no_text_is_refused_with_what_it_makes(model: str, what: str) -> None:
    targets = ScriptedTargets({})
    for chat in CHAT if model == "openai/dall-e-3" else CHAT[:1]:
        with targets.running(), pytest.raises(UnsupportedOperationError, match="cannot chat, since its model") as error:
            chat(model)
        assert what in str(error.value)
    assert targets.asked == []


@each("model", ASKED)
def test_what_is_not_known_to_fail_is_asked(model: str) -> None:
    name = LLMClient(model, **fields(model)).targets[0].name
    with ScriptedTargets({name: [say("Yes.")]}).running():
        assert LLMClient(model, **fields(model)).generate("x").content == "Yes."


@each("model", ["openai/gpt-4o", "openai/o4-mini", "gemini/gemini-2.5-flash", "openai/dall-e-3", "cohere/rerank-v3.5"])
def test_vectors_of_a_model_that_makes_none_are_refused(model: str) -> None:
    targets = ScriptedTargets({})
    for embed in EMBED:
        with targets.running(), pytest.raises(UnsupportedOperationError, match="cannot make embeddings, since"):
            embed(model)
    assert targets.asked == []


MEDIA: dict[str, tuple[str, Callable[[LLMClient], Any]]] = {
    "groq/llama-3.3-70b-versatile": ("cannot transcribe recordings, since its model is for chat", transcribe),
    "mistral/voxtral-mini-latest": ("cannot read texts aloud, since its model transcribes", read_aloud),
    "mistral/voxtral-mini-tts-2603": ("cannot transcribe recordings, since its model makes speech", transcribe),
    "xai/grok-4-0709": ("cannot make images, since its model is for chat", draw),
    "zai/glm-4.6": ("cannot make images, since its model is for chat", draw),
    "gemini/gemini-3.8-flash-tts": ("cannot make images, since its model makes speech", draw),
    "gemini/gemini-3.1-flash-image": ("cannot read texts aloud, since its model makes images", read_aloud),
    "cohere/command-a-03-2025": ("cannot transcribe recordings, since its model is for chat", transcribe),
}


@each("model", MEDIA)
def test_media_of_a_model_that_makes_others_or_texts_are_refused_with_what_it_does(model: str) -> None:
    why, call = MEDIA[model]
    targets = ScriptedTargets({})
    with targets.running(), pytest.raises(UnsupportedOperationError, match=why):
        call(LLMClient(model, api_key=KEY))
    assert targets.asked == []


def test_a_name_of_a_chat_model_may_mean_anything_at_a_server_of_ones_own() -> None:
    here = LLMClient("openai/gpt-4o", base_url="http://127.0.0.1:9/v1", api_key=KEY).targets[0]
    assert here.outputs == frozenset()
    assert LLMClient("openai/dall-e-3", base_url="http://127.0.0.1:9/v1", api_key=KEY).targets[0].outputs == {"image"}


def test_in_a_chain_such_a_target_is_skipped_with_the_reason() -> None:
    client = LLMClient("openai/dall-e-3", api_key=KEY, fallbacks=["ollama/llama3.2"])
    with ScriptedTargets({"ollama/llama3.2": [say("Yes.")]}).running():
        response = client.generate("x")
    assert [(attempt.target, attempt.outcome) for attempt in response.attempts] == [
        ("openai/dall-e-3", "skipped"),
        ("ollama/llama3.2", "ok"),
    ]
    assert response.attempts[0].reason == "it cannot chat, since its model makes images: use generate_image()"


def test_what_an_object_makes_is_its_own_affair() -> None:
    class Mine:
        def generate(self, _request: Any) -> str:
            return "An answer."

    register_provider("mine", Mine())
    try:
        assert LLMClient("mine/dall-e-3").generate("x").content == "An answer."
    finally:
        registry.unregister("mine")


def test_the_table_is_made_of_known_providers_and_words() -> None:
    rows = {row.name for row in registry.ROWS}
    for line in _LINES:
        assert set(line.providers) <= rows
        assert line.makes <= set(get_args(Output))
        assert all(pattern == pattern.lower() for pattern in line.patterns)
    assert output_types("openai", "gpt-5-mini") == {"text"}
    assert output_types("gemini", "gemini-3.1-flash-image-preview") == {"text", "image"}
    assert output_types("vllm", "anything") == frozenset()
