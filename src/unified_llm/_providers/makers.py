"""The rows of the provider table for the makers of models that serve them themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unified_llm._core.features import CHAT, EMBEDDINGS, ENDPOINTS, FILES, JSON, MEDIA, TOOLS, VISION, features
from unified_llm._core.quirks import Quirks
from unified_llm._providers import error_codes
from unified_llm._providers.spec import FLOAT_VECTORS, OPENAI_LIMITS, RESPONSES, ProviderSpec

# Models that reason between tool calls and refuse a history from which that reasoning is missing.
_REASONING_BACK: Final[Mapping[str, str]] = {"messages.reasoning": "reasoning_content"}

# Its reference lists no stop either (what it does with one is unverified), so the client applies it.
_MINIMAX_IGNORES: Final = frozenset(
    {"reasoning_effort", "seed", "frequency_penalty", "presence_penalty", "parallel_tool_calls", "stop"}
)

# docs.x.ai/docs/guides/image-generation
_XAI_RATIOS: Final = (
    "1:1", "3:4", "4:3", "9:16", "16:9", "2:3", "3:2", "9:19.5", "19.5:9", "9:20", "20:9", "1:2", "2:1",
)  # fmt: skip

MAKERS: Final = (
    ProviderSpec(
        "openai",
        "OpenAI",
        base_url="https://api.openai.com/v1",
        key_env=("OPENAI_API_KEY",),
        base_url_env=("OPENAI_BASE_URL",),
        apis=RESPONSES,
        features=CHAT
        | TOOLS
        | JSON
        | VISION
        | EMBEDDINGS
        | MEDIA
        | ENDPOINTS
        | features("files", "n", "model_info", "batch_service"),
        api_features={
            "responses": CHAT
            | TOOLS
            | JSON
            | VISION
            | EMBEDDINGS
            | MEDIA
            | ENDPOINTS
            | FILES
            | features("count_tokens", "model_info", "batch_service")
        },
        quirks=Quirks(
            rename={"max_tokens": "max_completion_tokens"},
            limits=OPENAI_LIMITS,
            max_stops=4,
            words_are_tokens=True,
            voice="alloy",
            pcm_rate=24_000,  # developers.openai.com/api/docs/guides/text-to-speech
            request_id_header="x-client-request-id",  # developers.openai.com/api/reference/overview
        ),
        hosts=("api.openai.com", "*.api.openai.com"),
        docs="https://platform.openai.com/docs/api-reference/chat",
    ),
    ProviderSpec(
        "azure",
        "Azure OpenAI",
        version="/openai/v1",
        key_env=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY", "AZURE_OPENAI_KEY"),
        token_env=("AZURE_OPENAI_AD_TOKEN", "AZURE_AD_TOKEN"),
        version_env=("OPENAI_API_VERSION", "AZURE_API_VERSION"),
        model_env=("AZURE_OPENAI_DEPLOYMENT",),
        base_url_env=("AZURE_OPENAI_ENDPOINT", "AZURE_API_BASE"),
        format="azure",
        apis={"chat": "azure", "responses": "azure_responses"},
        features=CHAT | TOOLS | JSON | VISION | EMBEDDINGS | MEDIA,
        quirks=Quirks(
            rename={"max_tokens": "max_completion_tokens"},
            limits=OPENAI_LIMITS,
            max_stops=4,
            key_header="api-key",
            voice="alloy",
            pcm_rate=24_000,
            request_id_header="x-ms-client-request-id",  # of all services: github.com/microsoft/api-guidelines
        ),
        hosts=("*.openai.azure.com", "*.services.ai.azure.com", "*.cognitiveservices.azure.com"),
        otel_name="azure.ai.openai",
        docs="https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle",
        note="With an api_version by date the deployments API, without one the v1 API. The model is the name of the "
        "deployment; the model list is that of the resource, not of its deployments.",
    ),
    ProviderSpec(
        "anthropic",
        "Anthropic",
        base_url="https://api.anthropic.com/v1",
        key_env=("ANTHROPIC_API_KEY",),
        base_url_env=("ANTHROPIC_BASE_URL",),
        token_env=("ANTHROPIC_AUTH_TOKEN",),
        format="anthropic",
        features=CHAT | TOOLS | VISION | FILES | features("json_schema", "model_info", "count_tokens", "batch_service"),
        # github.com/anthropics/anthropic-sdk-python/issues/893
        quirks=Quirks(
            key_header="x-api-key", closed_schemas=True, limits={"temperature": (0.0, 1.0), "top_p": (0.0, 1.0)}
        ),
        # The version of the API that still knows temperature, which models up to 4.6 take.
        headers={"anthropic-version": "2023-06-01"},
        docs="https://platform.claude.com/docs/en/api/messages",
        note="It has no seed, penalties or log probabilities, which are left out. Every request says how long the "
        "answer may be: max_tokens, or the most that the model can write.",
    ),
    ProviderSpec(
        "gemini",
        "Google Gemini",
        # The aliases gemini-flash-latest and gemini-pro-latest exist in v1beta alone, says the SDK's README.
        base_url="https://generativelanguage.googleapis.com/v1beta",
        version="/v1beta",
        key_env=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        base_url_env=("GOOGLE_GEMINI_BASE_URL",),
        format="gemini",
        features=CHAT
        | TOOLS
        | JSON
        | VISION
        | EMBEDDINGS
        | FILES
        | features("audio", "n", "model_info", "count_tokens")
        | features("generate_image", "edit_image", "speech", "video", "batch_service"),
        # Penalties are below 2, and there are at most 5 stop sequences: ai.google.dev/api/generate-content
        quirks=Quirks(
            key_header="x-goog-api-key",
            drop=frozenset({"parallel_tool_calls"}),
            limits={
                **OPENAI_LIMITS,
                "frequency_penalty": (-2.0, 1.99),
                "presence_penalty": (-2.0, 1.99),
                "seed": (-(2**31), 2**31 - 1),
            },
            max_stops=5,
        ),
        embeds_at_once=100,  # ai.google.dev/api/embeddings
        otel_name="gcp.gemini",
        langsmith_name="google_genai",
        docs="https://ai.google.dev/api",
        note="Video is a file part with a video's media type, or the URL of one on YouTube. Models before Gemini 3 "
        "refuse JSON output together with tools. At most 100 texts are embedded in a request.",
    ),
    ProviderSpec(
        "cohere",
        "Cohere",
        base_url="https://api.cohere.com",
        version="",
        key_env=("CO_API_KEY", "COHERE_API_KEY"),
        base_url_env=("CO_API_URL",),
        format="cohere",
        features=CHAT | TOOLS | JSON | VISION | EMBEDDINGS | features("model_info", "rerank", "transcription"),
        quirks=Quirks(
            # Those of the second line are of transcriptions.
            drop=frozenset({"parallel_tool_calls", "top_logprobs", "presence_penalty.with_frequency_penalty"})
            | {"prompt", "format", "timestamps"},
            # docs.cohere.com/reference/errors and docs.cohere.com/reference/chat
            limits={
                "temperature": (0.0, 1.0),
                "top_p": (0.01, 0.99),
                "frequency_penalty": (0.0, 1.0),
                "presence_penalty": (0.0, 1.0),
            },
            max_stops=5,
        ),
        hosts=("api.cohere.com", "api.cohere.ai"),
        embeds_at_once=96,  # docs.cohere.com/reference/embed
        docs="https://docs.cohere.com/reference/chat",
        note="Reasoning is on or off (reasoning_effort none); its budget, and documents to cite, go into extra_body. A "
        "JSON schema cannot be combined with tools or documents; one request embeds at most 96 texts. A transcription "
        "requires a language.",
    ),
    ProviderSpec(
        "mistral",
        "Mistral",
        base_url="https://api.mistral.ai/v1",
        key_env=("MISTRAL_API_KEY",),
        features=CHAT
        | TOOLS
        | JSON
        | VISION
        | EMBEDDINGS
        | features("n", "model_info", "speech", "transcription", "stream_transcription", "moderation", "file_storage")
        | features("batch_service"),
        quirks=Quirks(
            # Of media: its client, models/speechrequest.py and audiotranscriptionrequest.py.
            rename={"seed": "random_seed", "voice": "voice_id"},
            drop=FLOAT_VECTORS | {"messages.name", "speed", "instructions"},
            bare_form_lists=True,
            speech_events=True,
            batch_jobs=True,
            tool_names=True,  # ToolMessage of its OpenAPI description
            tool_id_length=9,  # github.com/langchain-ai/langchain/pull/24668
            usage_always=True,
            turns="closed",
            # docs.mistral.ai/api/endpoint/chat; a seed has no sign
            limits={**OPENAI_LIMITS, "temperature": (0.0, 1.5), "seed": (0, 2**63 - 1)},
        ),
        hosts=("api.mistral.ai", "*.mistral.ai"),
        otel_name="mistral_ai",
        docs="https://docs.mistral.ai/api/",
        note="A voice is the identifier of one (voice_id); a transcription takes a language or timestamps. Its batches "
        "are jobs of another shape.",
    ),
    ProviderSpec(
        "perplexity",
        "Perplexity",
        base_url="https://api.perplexity.ai",
        version="",
        key_env=("PERPLEXITY_API_KEY", "PPLX_API_KEY", "PERPLEXITYAI_API_KEY"),
        features=VISION | features("streaming", "json_schema"),
        quirks=Quirks(
            drop=frozenset({"seed", "logprobs", "top_logprobs", "messages.name"}),
            models_path="",
            usage_always=True,
            turns="alternating",
            limits={"temperature": (0.0, 1.99), "top_p": (0.0, 1.0)},  # below 2
        ),
        docs="https://docs.perplexity.ai/api-reference/chat-completions-post",
        note="Answers from the web: no tools, no model list.",
    ),
    ProviderSpec(
        "deepseek",
        "DeepSeek",
        base_url="https://api.deepseek.com",
        version="",
        key_env=("DEEPSEEK_API_KEY",),
        features=CHAT | TOOLS | features("json_object", "as_text", "model_info"),
        quirks=Quirks(
            rename=_REASONING_BACK,  # github.com/anomalyco/opencode/issues/24722
            reasoning_filler=" ",
            thinking="level",
            models_whole=True,
            text_path="/beta/completions",
            limits=OPENAI_LIMITS,  # api-docs.deepseek.com/api/create-chat-completion
            max_stops=16,
        ),
        docs="https://api-docs.deepseek.com/guides/thinking_mode",
        note="Reasoning goes back in turns with tool calls, as it requires.",
    ),
    ProviderSpec(
        "xai",
        "xAI",
        base_url="https://api.x.ai/v1",
        key_env=("XAI_API_KEY",),
        apis=RESPONSES,
        features=CHAT | TOOLS | JSON | VISION | features("n", "model_info", "generate_image", "edit_image"),
        # Of images: docs.x.ai/docs/guides/image-generation
        quirks=Quirks(
            reasoning_apart=True,
            drop=frozenset({"format", "background"}),
            limits=OPENAI_LIMITS,
            max_stops=4,
            image_ratios=_XAI_RATIOS,
            edits_as_json=True,
        ),
        otel_name="x_ai",
        docs="https://docs.x.ai/docs/api-reference",
        note="An image has a ratio and a resolution (16:9, 2k) in place of a size in pixels, which becomes the "
        "nearest. Its APIs for speech, transcriptions and videos are its own.",
    ),
    ProviderSpec(
        "moonshot",
        "Moonshot AI (Kimi)",
        base_url="https://api.moonshot.ai/v1",
        key_env=("MOONSHOT_API_KEY", "KIMI_API_KEY"),
        # platform.kimi.ai/docs/api/files-upload and batch-create
        features=CHAT | features("tools", "json_object", "n", "model_info", "file_storage", "batches", "batch_service"),
        quirks=Quirks(
            rename={**_REASONING_BACK, "max_tokens": "max_completion_tokens"},
            reasoning_filler=" ",
            models_whole=True,
            codes=error_codes.MOONSHOT,
            limits={**OPENAI_LIMITS, "temperature": (0.0, 1.0)},
            max_stops=5,
        ),
        hosts=("api.moonshot.ai", "api.moonshot.cn"),
        otel_name="moonshot_ai",
        docs="https://platform.kimi.ai/docs/api/chat",
        note="Reasoning goes back in turns with tool calls, as it requires.",
    ),
    ProviderSpec(
        "zai",
        "Z.ai (GLM)",
        base_url="https://api.z.ai/api/paas/v4",
        version="/api/paas/v4",
        key_env=("ZAI_API_KEY",),
        # docs.z.ai/api-reference/image/generate-image and audio/audio-transcriptions
        features=CHAT | features("tools", "json_object", "model_info", "generate_image", "transcription"),
        quirks=Quirks(
            rename=_REASONING_BACK,
            drop=frozenset({"n", "background", "format", "language", "timestamps"}),
            thinking="switch",
            models_whole=True,
            codes=error_codes.ZAI,
            limits={"temperature": (0.0, 1.0), "top_p": (0.01, 1.0)},
            max_stops=1,
            request_id_field="request_id",
        ),
        docs="https://docs.z.ai/api-reference/llm/chat-completion",
    ),
    ProviderSpec(
        "minimax",
        "MiniMax",
        base_url="https://api.minimax.io/v1",
        key_env=("MINIMAX_API_KEY",),
        features=CHAT | features("tools", "model_info"),
        quirks=Quirks(
            rename={"max_tokens": "max_completion_tokens"},
            drop=_MINIMAX_IGNORES,
            usage_always=True,
            send={"reasoning_split": True},
            reasoning_details=True,
            models_whole=True,
            codes=error_codes.MINIMAX,
            limits={"temperature": (0.01, 1.0), "top_p": (0.01, 1.0)},  # above 0
        ),
        hosts=("api.minimax.io", "api.minimaxi.com"),
        docs="https://platform.minimax.io/docs/api-reference/text-openai-api",
        note="Reasoning goes back in later turns, as it requires; the temperature is above 0 and at most 1.",
    ),
)
