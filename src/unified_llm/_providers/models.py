"""Profiles of models, by the pattern of their names: where they differ from what their provider's row says.

Sources are the providers' own model pages. Only what has one is here; the window of anything else is None, and a model
that no pattern matches is as its row says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, Literal

from unified_llm._core.features import FILES, JSON, TOOLS, VISION, Feature, features

_STOP: Final = frozenset({"stop"})
# What OpenAI's reasoning models answer with 400, unsupported_parameter (platform.openai.com/docs/guides/reasoning). The
# models of the first generation refuse parallel_tool_calls as well. From 5.1 on, sampling is allowed while there is no
# reasoning; stop is not (github.com/crewAIInc/crewAI/pull/4521).
_SAMPLERS: Final = frozenset(
    {"temperature", "top_p", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs"}
)
_GPT_5_SAMPLING: Final = _SAMPLERS | _STOP
_SAMPLING: Final = _GPT_5_SAMPLING | {"parallel_tool_calls"}
_EFFORT: Final = frozenset({"reasoning_effort"})
_PENALTIES: Final = frozenset({"frequency_penalty", "presence_penalty"})
_XAI: Final = _PENALTIES | _STOP
_FIXED: Final = _PENALTIES | {"temperature", "top_p"}
_NOTHING_BUT_TEXT: Final[frozenset[Feature]] = VISION | FILES
_NOTHING_BUT_VECTORS: Final[frozenset[Feature]] = TOOLS | JSON | VISION | FILES | features("audio", "n", "streaming")

_DRAW: Final = frozenset({"temperature", "top_p", "top_k"})  # how tokens are drawn
_ONE_SAMPLER: Final = frozenset({"top_p.with_temperature"})
_NO_SCHEMA: Final[frozenset[Feature]] = features("json_schema")

# platform.openai.com/docs/guides/reasoning
_LOW_TO_HIGH: Final = frozenset({"low", "medium", "high"})
_MINIMAL_TO_HIGH: Final = _LOW_TO_HIGH | {"minimal"}
_NONE_TO_HIGH: Final = _LOW_TO_HIGH | {"none"}
_NONE_TO_XHIGH: Final = _NONE_TO_HIGH | {"xhigh"}

_OPENAI: Final = ("openai", "azure")
_CLAUDE: Final = ("anthropic",)
_GEMINI: Final = ("gemini", "vertex")
_ANY: Final[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """Profile of the models of these names.

    Attributes:
        providers: The providers at which the names mean these models; empty for all.
        pattern: A shell pattern over the name in lower case, as a whole or after its last slash.
        window: Tokens that a prompt can have.
        output: The most tokens that an answer can have.
        lacks: Features that the row claims and these models do not have.
        gains: Features that the row does not claim and these models have.
        drop: Request fields that they refuse.
        drop_reasoning: Request fields that they refuse while they reason.
        reasoning: They may think for minutes before the first token.
        unasked: They reason unless ``reasoning_effort`` is ``none``; otherwise they do not, unless it is sent.
        thinks: How their effort is set: see ``Quirks``.
        efforts: The values of ``reasoning_effort`` that they take; empty where that is not known.
        vector_length: The length of their vectors, where they have only one: not where ``dimensions`` chooses it.
        voice: The voice that reads aloud where a request names none, at a provider that requires one.
        api: The format that they need, by its name in their provider's ``apis``, where it is not the usual one.
    """

    providers: tuple[str, ...]
    pattern: str
    window: int | None = None
    lacks: frozenset[Feature] = frozenset()
    gains: frozenset[Feature] = frozenset()
    drop: frozenset[str] = frozenset()
    drop_reasoning: frozenset[str] = frozenset()
    reasoning: bool = False
    unasked: bool = False
    output: int | None = None
    thinks: Literal["budget", "asked", "disabled", "between_tools", "always"] | None = None
    vector_length: int | None = None
    voice: str = ""
    api: str | None = None
    efforts: frozenset[str] = frozenset()


# Settings that images of models before GPT Image do not have.
_NO_IMAGE_SETTINGS: Final = frozenset({"format", "background", "partial_images"})

# The first match wins, so the particular stands before the general.
MODELS: Final = (
    # What models of media do not take: types/image_generate_params.py, types/audio/speech_create_params.py,
    # transcription_create_params.py and translation_create_params.py of OpenAI's SDK.
    Model(_ANY, "dall-e-2", lacks=features("stream_image"), drop=_NO_IMAGE_SETTINGS),
    Model(_ANY, "dall-e-3*", lacks=features("stream_image", "edit_image"), drop=_NO_IMAGE_SETTINGS),
    Model(_ANY, "tts-1*", drop=frozenset({"instructions"})),
    Model(_ANY, "whisper-1", lacks=features("stream_transcription")),
    Model(_OPENAI, "gpt-*-tts*"),
    Model(
        _OPENAI,
        "gpt-*transcribe-diarize*",
        lacks=features("translation"),
        drop=frozenset({"prompt", "timestamps"}),
    ),
    Model(_OPENAI, "gpt-*transcribe*", lacks=features("translation")),
    # openrouter.ai/docs/guides/overview/multimodal/tts, console.groq.com/docs/text-to-speech (a voice of each model),
    # docs.together.ai/docs/text-to-speech
    Model(("openrouter",), "gpt-*-tts*", voice="alloy"),
    Model(("groq",), "orpheus-v1-english", voice="autumn"),
    Model(("groq",), "orpheus-arabic-saudi", voice="fahad"),
    Model(("together",), "orpheus-3b-*", voice="tara"),
    # models/audiotranscriptionrequest.py of Mistral's client: neither a prompt nor a format.
    Model(("mistral",), "voxtral-*-tts*"),
    Model(("mistral",), "voxtral-*", drop=frozenset({"prompt", "format"})),
    # docs.z.ai/api-reference/audio/audio-transcriptions
    Model(("zai",), "glm-asr*", drop=frozenset({"temperature"})),
    # platform.openai.com/docs/models: the window of gpt-5 is 400,000, of which a prompt can have 272,000. The length of
    # an answer is from the same pages.
    Model(_OPENAI, "gpt-4.1*", 1_047_576, drop=_EFFORT, output=32_768),
    Model(_OPENAI, "gpt-4o*audio*", 128_000, lacks=_NOTHING_BUT_TEXT | JSON, gains=features("audio"), drop=_EFFORT),
    Model(_OPENAI, "gpt-audio*", 128_000, lacks=_NOTHING_BUT_TEXT | JSON, gains=features("audio"), drop=_EFFORT),
    Model(_OPENAI, "text-embedding-ada-002*", vector_length=1_536),
    Model(_OPENAI, "gpt-4o-2024-05-13", 128_000, lacks=features("json_schema"), drop=_EFFORT, output=4_096),
    Model(_OPENAI, "gpt-4o*", 128_000, drop=_EFFORT, output=16_384),
    Model(_OPENAI, "gpt-4-turbo*", 128_000, lacks=FILES | features("json_schema"), drop=_EFFORT, output=4_096),
    Model(_OPENAI, "gpt-4-*-preview", 128_000, lacks=_NOTHING_BUT_TEXT | features("json_schema"), drop=_EFFORT),
    Model(_OPENAI, "gpt-4", 8_192, lacks=_NOTHING_BUT_TEXT | JSON, drop=_EFFORT, output=8_192),
    Model(_OPENAI, "gpt-4-0613", 8_192, lacks=_NOTHING_BUT_TEXT | JSON, drop=_EFFORT, output=8_192),
    Model(
        _OPENAI,
        "gpt-3.5-turbo-instruct*",
        4_096,
        lacks=_NOTHING_BUT_TEXT | TOOLS | JSON,
        gains=features("as_text"),
        drop=_EFFORT,
        output=4_096,
    ),
    Model(_OPENAI, "gpt-3.5*", 16_385, lacks=_NOTHING_BUT_TEXT | features("json_schema"), drop=_EFFORT, output=4_096),
    # These speak the Responses format alone (openai.types.shared.responses_model).
    Model(_OPENAI, "o[13]-pro*", 200_000, drop=_SAMPLING, reasoning=True, api="responses", output=100_000),
    Model(_OPENAI, "o[34]*-deep-research*", 200_000, drop=_SAMPLING, reasoning=True, api="responses", output=100_000),
    Model(_OPENAI, "computer-use-preview*", 8_192, lacks=JSON, drop=_SAMPLING, reasoning=True, api="responses"),
    Model(_OPENAI, "codex-mini*", 200_000, drop=_SAMPLING, reasoning=True, api="responses", output=100_000),
    Model(_OPENAI, "gpt-5.5-pro*", 1_050_000, drop=_GPT_5_SAMPLING, reasoning=True, api="responses", output=128_000),
    Model(_OPENAI, "gpt-5*-pro*", 272_000, drop=_GPT_5_SAMPLING, reasoning=True, api="responses", output=272_000),
    Model(_OPENAI, "gpt-5*-codex*", 272_000, drop=_GPT_5_SAMPLING, reasoning=True, api="responses", output=128_000),
    Model(_OPENAI, "gpt-*-cyber*", drop=_GPT_5_SAMPLING, reasoning=True, api="responses"),
    Model(_OPENAI, "gpt-daybreak-*", drop=_GPT_5_SAMPLING, reasoning=True, api="responses"),
    Model(_OPENAI, "gpt-*rosalind*", drop=_GPT_5_SAMPLING, reasoning=True, api="responses"),
    Model(_OPENAI, "o1-mini*", 128_000, _NOTHING_BUT_TEXT | TOOLS | JSON, drop=_SAMPLING | _EFFORT, reasoning=True),
    Model(
        _OPENAI,
        "o3-mini*",
        200_000,
        lacks=_NOTHING_BUT_TEXT,
        drop=_SAMPLING,
        reasoning=True,
        output=100_000,
        efforts=_LOW_TO_HIGH,
    ),
    Model(_OPENAI, "o[134]", 200_000, drop=_SAMPLING, reasoning=True, output=100_000, efforts=_LOW_TO_HIGH),
    Model(_OPENAI, "o[134]-*", 200_000, drop=_SAMPLING, reasoning=True, output=100_000, efforts=_LOW_TO_HIGH),
    Model(_OPENAI, "gpt-5-chat*", 128_000, drop=_EFFORT, output=16_384),
    Model(_OPENAI, "gpt-5.?-chat*", 128_000, drop=_GPT_5_SAMPLING, reasoning=True, output=16_384),
    Model(_OPENAI, "gpt-5", 272_000, drop=_GPT_5_SAMPLING, reasoning=True, output=128_000, efforts=_MINIMAL_TO_HIGH),
    Model(_OPENAI, "gpt-5-*", 272_000, drop=_GPT_5_SAMPLING, reasoning=True, output=128_000, efforts=_MINIMAL_TO_HIGH),
    # From 5.1 on, sampling is allowed exactly while there is no reasoning: with the effort none, the default up to 5.4.
    Model(
        _OPENAI,
        "gpt-5.1*",
        272_000,
        drop=_STOP,
        drop_reasoning=_SAMPLERS,
        reasoning=True,
        output=128_000,
        efforts=_NONE_TO_HIGH,
    ),
    Model(
        _OPENAI,
        "gpt-5.2*",
        272_000,
        drop=_STOP,
        drop_reasoning=_SAMPLERS,
        reasoning=True,
        output=128_000,
        efforts=_NONE_TO_XHIGH,
    ),
    Model(_OPENAI, "gpt-5.4-[mn]*", 272_000, drop=_STOP, drop_reasoning=_SAMPLERS, reasoning=True, output=128_000),
    Model(_OPENAI, "gpt-5.4*", 1_050_000, drop=_STOP, drop_reasoning=_SAMPLERS, reasoning=True, output=128_000),
    Model(
        _OPENAI,
        "gpt-5.5*",
        1_050_000,
        drop=_STOP,
        drop_reasoning=_SAMPLERS,
        reasoning=True,
        unasked=True,
        output=128_000,
    ),
    Model(_OPENAI, "gpt-5.6*", 922_000, drop=_STOP, drop_reasoning=_SAMPLERS, reasoning=True, unasked=True),
    Model(_OPENAI, "gpt-6*", 922_000, drop=_STOP, drop_reasoning=_SAMPLERS, reasoning=True, unasked=True),
    # The completion models that are left; they have no chat.
    Model(_OPENAI, "davinci-002", 16_384, lacks=_NOTHING_BUT_TEXT | TOOLS | JSON, gains=features("as_text")),
    Model(_OPENAI, "babbage-002", 16_384, lacks=_NOTHING_BUT_TEXT | TOOLS | JSON, gains=features("as_text")),
    # platform.claude.com/docs/en/about-claude/models; from 4.7 on no sampling can be chosen
    Model(_CLAUDE, "claude-3-7*", 200_000, lacks=_NO_SCHEMA, thinks="budget", output=64_000),
    Model(_CLAUDE, "claude-3-5*", 200_000, lacks=_NO_SCHEMA, drop=_EFFORT, output=8_192),
    Model(_CLAUDE, "claude-3*", 200_000, lacks=_NO_SCHEMA | FILES, drop=_EFFORT, output=4_096),
    Model(_CLAUDE, "claude-opus-4-1*", 200_000, drop=_ONE_SAMPLER, thinks="budget", output=32_000),
    Model(_CLAUDE, "claude-*-4-5*", 200_000, drop=_ONE_SAMPLER, thinks="budget", output=64_000),
    Model(_CLAUDE, "claude-*-4-6*", 1_000_000, drop=_ONE_SAMPLER, reasoning=True, thinks="asked", output=128_000),
    Model(_CLAUDE, "claude-*-4-[78]*", 1_000_000, drop=_DRAW, reasoning=True, thinks="asked", output=128_000),
    Model(_CLAUDE, "claude-opus-4*", 200_000, lacks=_NO_SCHEMA, thinks="budget", output=32_000),
    Model(_CLAUDE, "claude-sonnet-4*", 200_000, lacks=_NO_SCHEMA, thinks="budget", output=64_000),
    Model(_CLAUDE, "claude-sonnet-5-5*", 1_000_000, drop=_DRAW, reasoning=True, thinks="between_tools", output=128_000),
    Model(_CLAUDE, "claude-opus-5-5*", 1_000_000, drop=_DRAW, reasoning=True, thinks="always", output=128_000),
    Model(_CLAUDE, "claude-fable*", 1_000_000, drop=_DRAW, reasoning=True, thinks="always", output=128_000),
    Model(_CLAUDE, "claude-mythos*", drop=_DRAW, reasoning=True, thinks="always", output=64_000),
    Model(_CLAUDE, "claude-*-5*", 1_000_000, drop=_DRAW, reasoning=True, thinks="disabled", output=128_000),
    Model(_CLAUDE, "claude-*", drop=_DRAW, reasoning=True, thinks="always", output=64_000),
    # ai.google.dev/gemini-api/docs/models
    Model(("gemini",), "gemini-embedding-001", 2_048, lacks=_NOTHING_BUT_VECTORS),
    Model(("gemini",), "gemini-embedding-2*", 8_192, lacks=_NOTHING_BUT_VECTORS),
    Model(_GEMINI, "gemini-2.0*", 1_048_576, output=8_192, lacks=features("image_urls"), drop=_EFFORT),
    Model(_GEMINI, "gemini-2.5-pro*", 1_048_576, output=65_536, reasoning=True),
    Model(_GEMINI, "gemini-2.5-flash*", 1_048_576, output=65_536),
    # docs.cloud.google.com/gemini-enterprise-agent-platform/models/gemini/3-5-flash-lite: penalties are an error.
    Model(_GEMINI, "gemini-3.[5-9]*flash-lite*", 1_048_576, output=65_536, drop=_PENALTIES),
    Model(_GEMINI, "gemini-3.[5-9]*", 1_048_576, output=65_536, drop=_PENALTIES, reasoning=True),
    Model(_GEMINI, "gemini-3*flash-lite*", 1_048_576, output=65_536),
    Model(_GEMINI, "gemini-3*", 1_048_576, output=65_536, reasoning=True),
    Model(_GEMINI, "gemini-flash-lite-latest", 1_048_576, output=65_536, drop=_PENALTIES),
    Model(_GEMINI, "gemini-*-latest", 1_048_576, output=65_536, drop=_PENALTIES, reasoning=True),
    # docs.mistral.ai/getting-started/models
    Model(("mistral",), "mistral-embed", vector_length=1_024),
    Model(("mistral",), "magistral*", 262_144, reasoning=True),
    Model(("mistral",), "codestral*", 128_000, lacks=VISION),
    Model(("mistral",), "devstral*", 256_000, lacks=VISION),
    Model(("mistral",), "ministral-3b*", 131_072),
    Model(("mistral",), "mistral-large-2512", 262_144),
    Model(("mistral",), "mistral-medium*", 262_144),
    Model(("mistral",), "open-mistral-nemo*", 128_000, lacks=VISION),
    # api-docs.deepseek.com; github.com/deepseek-ai/DeepSeek-V3/issues/1376: tool_choice is refused while thinking
    Model(("deepseek",), "deepseek-v4*", 1_000_000, lacks=features("tool_choice"), reasoning=True),
    Model(("deepseek",), "deepseek-reasoner", 131_072, lacks=features("tool_choice"), reasoning=True, output=65_536),
    Model(("deepseek",), "deepseek-chat", 131_072, output=8_192),
    # docs.x.ai/docs/guides/reasoning: reasoning models refuse both penalties and stop; grok-4 has no effort to choose
    Model(("xai",), "grok-*non-reasoning*"),
    Model(("xai",), "grok-4.[567]*", 500_000, drop=_XAI, reasoning=True),
    Model(("xai",), "grok-4.[23]*", 1_000_000, drop=_XAI, reasoning=True),
    Model(("xai",), "grok-4*", drop=_XAI | _EFFORT, reasoning=True),
    Model(("xai",), "grok-3-mini*", lacks=VISION, drop=_XAI, reasoning=True, efforts=frozenset({"low", "high"})),
    Model(("xai",), "grok-code*", 256_000, drop=_XAI | _EFFORT, reasoning=True),
    # docs.perplexity.ai/getting-started/models
    Model(("perplexity",), "sonar-pro", 200_000),
    Model(("perplexity",), "sonar-reasoning*", 128_000, reasoning=True),
    Model(("perplexity",), "sonar-deep-research", 128_000, reasoning=True),
    Model(("perplexity",), "sonar", 128_000),
    # platform.kimi.ai/docs: sampling is fixed for kimi models, and only k3 takes which tool to call
    Model(("moonshot",), "moonshot-v1-128k*", 131_072),
    Model(("moonshot",), "moonshot-v1-32k*", 32_768),
    Model(("moonshot",), "moonshot-v1-8k*", 8_192),
    Model(("moonshot",), "kimi-k2.[567]*", 262_144, gains=VISION, drop=_FIXED, reasoning=True),
    Model(("moonshot",), "kimi-k3*", 1_048_576, gains=VISION | features("tool_choice"), drop=_FIXED, reasoning=True),
    Model(("moonshot",), "kimi-*", drop=_FIXED),
    # platform.minimax.io/docs/api-reference/text-openai-api
    Model(("minimax",), "minimax-m2*", 204_800, reasoning=True),
    Model(("minimax",), "minimax-m*", reasoning=True),
    # docs.z.ai/guides/llm
    Model(("zai",), "glm-4.5v*", 128_000, gains=VISION),
    Model(("zai",), "glm-4.5*", 128_000, output=98_304),
    Model(("zai",), "glm-5v*", 200_000, gains=VISION),
    Model(("zai",), "glm-4.[67]*", 200_000, reasoning=True, output=131_072),
    # docs.cohere.com/docs/models
    Model(("cohere",), "embed-*-light-v3*", vector_length=384),
    Model(("cohere",), "embed-*-v3*", vector_length=1_024),
    Model(("cohere",), "command-a-plus*", 128_000, reasoning=True, output=64_000),
    Model(("cohere",), "command-a-vision*", 128_000, lacks=TOOLS, drop=_EFFORT, output=8_000),
    Model(("cohere",), "command-a-reasoning*", 256_000, lacks=VISION, reasoning=True, output=32_000),
    Model(("cohere",), "command-a-translate*", 8_000, lacks=VISION, drop=_EFFORT, output=8_000),
    Model(("cohere",), "command-a*", 256_000, lacks=VISION, drop=_EFFORT, output=8_000),
    Model(("cohere",), "command-r7b*", 128_000, lacks=VISION, drop=_EFFORT, output=4_000),
    Model(("cohere",), "command-r*", 128_000, lacks=VISION | features("tool_choice"), drop=_EFFORT, output=4_000),
    # ollama.com/search: no model of these families thinks, and the server refuses requests with an effort.
    Model(("ollama",), "llama[234]*", drop=_EFFORT),
    Model(("ollama",), "codellama*", drop=_EFFORT),
    Model(("ollama",), "mistral", drop=_EFFORT),
    Model(("ollama",), "mistral:*", drop=_EFFORT),
    Model(("ollama",), "gemma[23]*", drop=_EFFORT),
    Model(("ollama",), "qwen2*", drop=_EFFORT),
    Model(("ollama",), "phi3*", drop=_EFFORT),
    # Models that many places run; for embeddings their pages at huggingface.co, under BAAI, sentence-transformers,
    # mixedbread-ai and intfloat (the length of e5 and bge is that of their names' sizes).
    Model(_ANY, "all-minilm*", vector_length=384),
    Model(_ANY, "bge-m3*", vector_length=1_024),
    Model(_ANY, "bge-small-*", vector_length=384),
    Model(_ANY, "bge-base-*", vector_length=768),
    Model(_ANY, "bge-large*", vector_length=1_024),
    Model(_ANY, "*e5-small*", vector_length=384),
    Model(_ANY, "*e5-base*", vector_length=768),
    Model(_ANY, "*e5-large*", vector_length=1_024),
    # docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html
    Model(("bedrock",), "openai.gpt-oss*", 128_000, lacks=VISION, reasoning=True, efforts=_LOW_TO_HIGH),
    # github.com/openai/gpt-oss
    Model(_ANY, "gpt-oss*", 131_072, lacks=VISION, reasoning=True, efforts=_LOW_TO_HIGH),
    Model(_ANY, "*deepseek-r1*", reasoning=True),
    Model(_ANY, "*qwq*", reasoning=True),
    Model(_ANY, "*-thinking*", reasoning=True),
    Model(_ANY, "*-reasoning*", reasoning=True),
    # OpenAI's and xAI's reasoning models behind gateways, which hand stop on (and get a refusal) or ignore it.
    Model(_ANY, "o[134]*", drop=_STOP, reasoning=True),
    Model(_ANY, "gpt-5*", drop=_STOP, reasoning=True),
    Model(_ANY, "grok-4*", drop=_STOP),
)


def is_slow(model: str, *, reasoning: bool) -> bool:
    """Return whether a model may think for many minutes: for deep research, or a reasoning model named ``-pro``."""
    name = model.lower()
    return "deep-research" in name or (reasoning and "pro" in re.split(r"[^a-z0-9]", name.rpartition("/")[2])[1:])


@lru_cache(maxsize=1024)  # every client that is made asks, and there are hundreds of patterns
def find(provider: str, model: str) -> Model | None:
    """Return what is known of a model at a provider, or None."""
    of_provider = (each for each in MODELS if not each.providers or provider in each.providers)
    return next(_matching(model, of_provider), None)


def maker(model: str) -> str | None:
    """Return the provider whose models have such a name, for suggestions."""
    return next((each.providers[0] for each in _matching(model, MODELS) if each.providers), None)


def _matching(model: str, rows: Iterable[Model]) -> Iterator[Model]:
    whole = model.lower()
    last = whole.rpartition("/")[2]
    return (each for each in rows if fnmatchcase(whole, each.pattern) or fnmatchcase(last, each.pattern))
