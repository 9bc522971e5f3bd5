"""What models make: text, or only images, speech, vectors ... A chat with such a model is known to fail.

The words are those of OpenRouter's list of models (openrouter.ai/docs/api_reference/models), and ``moderation``. The
sources are the providers' own model pages. A model that no line matches is unknown, and is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, NamedTuple

from unified_llm._core.features import Output

__all__ = ["Output", "output_types"]

_OPENAI: Final = ("openai", "azure")
_GEMINI: Final = ("gemini", "vertex")
# They serve the models of others, under the names of their makers.
_HOSTS: Final = ("together", "fireworks", "deepinfra", "huggingface", "nvidia")
_ANY: Final[tuple[str, ...]] = ()


class _Line(NamedTuple):
    """Models and what they make.

    Attributes:
        providers: The providers at which the names mean these models; empty for every server that is spoken to by HTTP.
        patterns: Shell patterns over the name in lower case, as a whole or after its last slash.
        makes: What they make.
    """

    providers: tuple[str, ...]
    patterns: tuple[str, ...]
    makes: frozenset[Output]


def _line(providers: tuple[str, ...], patterns: str, *makes: Output) -> _Line:
    return _Line(providers, tuple(patterns.split()), frozenset(makes))


# The first match wins, so the particular stands before the general.
_LINES: Final = (
    # platform.openai.com/docs/models. Servers that imitate OpenAI use the same names for the same tasks.
    _line(_ANY, "text-embedding-3-* text-embedding-ada-002*", "embeddings"),
    _line(_ANY, "dall-e-[23]*", "image"),
    _line(_ANY, "tts-1 tts-1-*", "speech"),
    _line(_ANY, "whisper-1", "transcription"),
    _line(_ANY, "sora-[0-9]*", "video"),
    _line(_OPENAI, "gpt-image-* chatgpt-image-*", "image"),
    _line(("openai",), "*-tts *-tts-*", "speech"),
    _line(("openai",), "whisper* *-transcribe *-transcribe-*", "transcription"),
    # learn.microsoft.com/azure/ai-foundry/openai/concepts/models: of deployments, which may have any name, those that
    # are called like a model.
    _line(("azure",), "tts tts-hd gpt-4o-mini-tts gpt-4o-mini-tts-20*", "speech"),
    _line(("azure",), "whisper gpt-transcribe gpt-4o-transcribe gpt-4o-transcribe-* gpt-4o-mini-transcribe*",
          "transcription"),
    _line(_OPENAI, "omni-moderation-* text-moderation-*", "moderation"),
    _line(_OPENAI, "gpt-4o*audio* gpt-audio*", "text", "audio"),
    _line(_OPENAI, "*realtime*"),  # not by this API at all
    _line(_OPENAI, "gpt-[3-9]* chatgpt-* o[134] o[134]-* ft:* codex-* davinci-002 babbage-002", "text"),
    # ai.google.dev/gemini-api/docs/models
    _line(_GEMINI, "gemini-embedding-* text-embedding-* embedding-00?", "embeddings"),
    _line(_GEMINI, "imagen-*", "image"),
    _line(_GEMINI, "veo-*", "video"),
    _line(_GEMINI, "gemini-*-image*", "text", "image"),
    _line(("gemini",), "gemini-*-tts*", "speech"),
    _line(("gemini",), "gemini-omni-*", "video"),
    _line(("gemini",), "gemini-*-transcribe*", "transcription"),
    _line(("gemini",), "lyria-*", "audio"),
    _line(_GEMINI, "gemini-*-tts* gemini-*-live* gemini-*audio*"),  # what they make is chosen in extra_body
    _line(_GEMINI, "gemini-*", "text"),
    # docs.mistral.ai/getting-started/models
    _line(("mistral",), "mistral-embed* codestral-embed*", "embeddings"),
    _line(("mistral",), "mistral-moderation-*", "moderation"),
    _line(("mistral",), "voxtral-*-transcribe*", "transcription"),
    _line(("mistral",), "voxtral-*-tts*", "speech"),
    _line(("mistral",), "voxtral-*", "text", "transcription"),
    _line(
        ("mistral",),
        "mistral-large* mistral-medium* mistral-small* ministral* magistral* codestral* devstral* pixtral*",
        "text",
    ),
    # docs.cohere.com/docs/models
    _line(("cohere",), "embed-*", "embeddings"),
    _line(("cohere",), "rerank-*", "rerank"),
    _line(("cohere",), "cohere-transcribe*", "transcription"),
    _line(("cohere",), "command*", "text"),
    # console.groq.com/docs/models
    _line(("groq",), "whisper-* distil-whisper-*", "transcription"),
    _line(("groq",), "playai-tts* orpheus-*", "speech"),
    _line(("groq",), "llama-* meta-llama/llama-* gpt-oss-* qwen/qwen* compound*", "text"),
    # docs.x.ai/docs/models
    _line(("xai",), "grok-*-image* grok-imagine-image*", "image"),
    _line(("xai",), "grok-imagine-video*", "video"),
    _line(("xai",), "grok-[3-9]* grok-code-*", "text"),
    # docs.z.ai/guides/overview
    _line(("zai",), "cogview-* glm-image*", "image"),
    _line(("zai",), "cogvideox-* vidu*", "video"),
    _line(("zai",), "embedding-[23]", "embeddings"),
    _line(("zai",), "glm-asr*", "transcription"),
    _line(("zai",), "glm-4.[5-9]* glm-[5-9]*", "text"),
    # platform.minimax.io/docs/api-reference
    _line(("minimax",), "image-0*", "image"),
    _line(("minimax",), "speech-*", "speech"),
    _line(("minimax",), "minimax-hailuo-* t2v-* i2v-* s2v-* video-0*", "video"),
    _line(("minimax",), "music-*", "audio"),
    # docs.sambanova.ai/docs/en/models/sambacloud-models
    _line(("sambanova",), "e5-*", "embeddings"),
    _line(("sambanova",), "whisper-*", "transcription"),
    # docs.aws.amazon.com/bedrock/latest/userguide/models-supported.html
    _line(("bedrock",), "amazon.titan-embed* cohere.embed-*", "embeddings"),
    _line(("bedrock",), "amazon.nova-canvas* amazon.titan-image* stability.*", "image"),
    _line(("bedrock",), "amazon.nova-reel* luma.ray*", "video"),
    _line(("bedrock",), "amazon.rerank-* cohere.rerank-*", "rerank"),
    # openrouter.ai/models?output_modalities=embeddings; it makes images in a chat as well, so those are asked.
    _line(("openrouter",), "*-embedding-* text-embedding-* mistral-embed* *-embed-*", "embeddings"),
    _line(("openrouter",), "*-tts *-tts-*", "speech"),
    # docs.together.ai/docs/serverless-models, fireworks.ai/models, deepinfra.com/models, huggingface.co/models,
    # build.nvidia.com/models
    _line(_HOSTS, "black-forest-labs/* flux*schnell* flux*dev* flux*kontext* *stable-diffusion-*", "image"),
    _line(_HOSTS, "whisper-large* whisper-v3* whisper-tiny* whisper-base* whisper-small* whisper-medium*",
          "transcription"),
    _line(_HOSTS, "sonic-* kokoro-* orpheus-*", "speech"),
    _line(_HOSTS, "*reranker* *-rerank-* llama-rank-*", "rerank"),
    _line(_HOSTS, "bge-*-en* bge-m3* *e5-small* *e5-base* *e5-large* all-minilm-* all-mpnet-* gte-*base* gte-*large*",
          "embeddings"),
    _line(_HOSTS, "nomic-embed-text-* m2-bert-* nv-embed* *-embedqa-* qwen3-embedding-* mxbai-embed-*", "embeddings"),
    # Ollama, LM Studio, vLLM and llama.cpp hold what somebody has given a name there: they are asked.
)  # fmt: skip

# What to say of a model that does not make text; ``UnifiedEmbeddings`` is LangChain's name, the other LlamaIndex's.
_WHAT_IT_DOES: Final[Mapping[Output, str]] = {
    "embeddings": "makes embeddings: use embed(), UnifiedEmbeddings or UnifiedEmbedding",
    "rerank": "ranks documents: use rerank() or UnifiedRerank",
    "image": "makes images: use generate_image()",
    "video": "makes videos: use generate_video()",
    "speech": "makes speech: use generate_speech()",
    "transcription": "transcribes speech: use transcribe()",
    "moderation": "rates texts for moderation: use moderations of unified_llm.openai_style.OpenAI",
    "text": "is for chat: use generate(), ChatUnified or UnifiedLLM",
    "audio": "makes audio",  # of a model that chats as well, the chat is what there is a method for
}


# What a model has to make for a feature; those that are not here say nothing of what it makes.
_OUTPUT_OF: Final[Mapping[str, Output]] = {
    **dict.fromkeys(("tools", "tool_choice", "json_object", "json_schema", "streaming", "n", "as_text"), "text"),
    **dict.fromkeys(("generate_image", "edit_image", "stream_image"), "image"),
    **dict.fromkeys(("transcription", "translation", "stream_transcription"), "transcription"),
    "speech": "speech", "video": "video", "moderation": "moderation",
}  # fmt: skip


def features_for(features: Iterable[str], makes: Collection[str]) -> frozenset[str]:
    """Return those of a provider's features that a model has which makes this; all where that is not known."""
    if not makes:
        return frozenset(features)
    return frozenset(name for name in features if name not in _OUTPUT_OF or _OUTPUT_OF[name] in makes)


@lru_cache(maxsize=1024)
def output_types(provider: str, model: str) -> frozenset[Output]:
    """Return what a model of a provider makes; empty where that is not known."""
    whole = model.lower()
    last = whole.rpartition("/")[2]
    for line in _LINES:
        if (not line.providers or provider in line.providers) and any(
            fnmatchcase(whole, pattern) or fnmatchcase(last, pattern) for pattern in line.patterns
        ):
            return line.makes
    return frozenset()


def describe(makes: Collection[str]) -> str:
    """Say what a model does that makes this, and not what it was asked for."""
    return next((text for output, text in _WHAT_IT_DOES.items() if output in makes), "makes something else")
