"""The rows of the provider table for those who host the models of others."""

from __future__ import annotations

from typing import Final

from unified_llm._core.features import CHAT, EMBEDDINGS, EVERYTHING, JSON, TOOLS, VISION, features
from unified_llm._core.quirks import Quirks
from unified_llm._providers import error_codes
from unified_llm._providers.spec import FLOAT_VECTORS, NO_NAMED_TOOL_CHOICE, OPENAI_LIMITS, RESPONSES, ProviderSpec

HOSTS: Final = (
    ProviderSpec(
        "huggingface",
        "Hugging Face",
        base_url="https://router.huggingface.co/v1",
        key_env=("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_API_KEY"),
        format="huggingface",
        apis={"chat": "huggingface", "responses": "openai_responses"},
        features=CHAT | TOOLS | JSON | VISION | EMBEDDINGS,
        api_features={"responses": CHAT | TOOLS | JSON | VISION},
        literal_models=True,
        docs="https://huggingface.co/docs/inference-providers",
        note="Models are org/name, or org/name:provider to choose who runs it.",
    ),
    ProviderSpec(
        "openrouter",
        "OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        version="/api/v1",
        key_env=("OPENROUTER_API_KEY", "OR_API_KEY"),
        apis=RESPONSES,
        features=EVERYTHING | features("as_text", "model_info", "speech"),
        quirks=Quirks(
            has_free_models=True,
            # openrouter.ai/docs/api/api-reference/tts/create-audio-speech; the default is pcm:
            # github.com/open-webui/docs/pull/1343
            drop=frozenset({"instructions"}),
            speech_format="mp3",
            models_whole=True,
            reasoning_details=True,
            efforts={"max": "xhigh"},
            limits=OPENAI_LIMITS,  # openrouter.ai/docs/api-reference/parameters
            max_stops=4,  # unverified
            app_headers={"X-OpenRouter-Title": "unified-llm"},  # openrouter.ai/docs/app-attribution
        ),
        literal_models=True,
        owner_in_names=True,
        docs="https://openrouter.ai/docs/api-reference/overview",
        note="To name your application there, set HTTP-Referer and X-OpenRouter-Title (or X-Title) in default_headers, "
        "in place of the name of this client. Its APIs for images, transcriptions and videos are its own.",
    ),
    ProviderSpec(
        "together",
        "Together AI",
        base_url="https://api.together.ai/v1",
        key_env=("TOGETHER_API_KEY",),
        base_url_env=("TOGETHER_BASE_URL",),
        features=CHAT
        | TOOLS
        | JSON
        | VISION
        | EMBEDDINGS
        | features("n", "as_text", "model_info")
        | features("generate_image", "speech", "transcription", "translation"),
        quirks=Quirks(
            context_status=403,
            # Of media: its SDK, types/image_generate_params.py and types/audio/speech_create_params.py.
            drop=FLOAT_VECTORS | {"quality", "background", "speed", "instructions"},
            image_sides=True,
            models_whole=True,
            logprobs_count=True,
            # its SDK, types/chat/completion_create_params.py
            limits={"frequency_penalty": (-2.0, 2.0), "presence_penalty": (-2.0, 2.0)},
        ),
        hosts=("api.together.ai", "api.together.xyz"),
        literal_models=True,
        docs="https://docs.together.ai/docs/error-codes",
        note="Images to edit go into extra_body (image_url, reference_images). Its APIs for videos, files and batches "
        "are its own.",
    ),
    ProviderSpec(
        "groq",
        "Groq",
        base_url="https://api.groq.com/openai/v1",
        version="/openai/v1",
        key_env=("GROQ_API_KEY",),
        base_url_env=("GROQ_BASE_URL",),
        apis=RESPONSES,
        features=CHAT
        | TOOLS
        | JSON
        | VISION
        | features("model_info", "speech", "transcription", "translation", "file_storage", "batches", "batch_service"),
        quirks=Quirks(
            # Of media: types/audio/speech_create_params.py of its SDK, console.groq.com/docs/text-to-speech (wav).
            drop=frozenset({"logprobs", "top_logprobs", "messages.name", "instructions"}),
            speech_format="wav",
            codes=error_codes.GROQ,
            limits=OPENAI_LIMITS,  # its SDK, types/chat/completion_create_params.py
            max_stops=4,
            reasoning_format=True,  # console.groq.com/docs/reasoning
        ),
        literal_models=True,
        docs="https://console.groq.com/docs/openai",
    ),
    ProviderSpec(
        "fireworks",
        "Fireworks AI",
        base_url="https://api.fireworks.ai/inference/v1",
        version="/inference/v1",
        key_env=("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"),
        base_url_env=("FIREWORKS_BASE_URL",),
        features=CHAT | TOOLS | JSON | VISION | EMBEDDINGS | features("n", "as_text", "model_info"),
        quirks=Quirks(
            drop=FLOAT_VECTORS,
            models_whole=True,
            codes=error_codes.FIREWORKS,
            limits=OPENAI_LIMITS,  # docs.fireworks.ai/api-reference/post-chatcompletions
            max_stops=4,
        ),
        docs="https://docs.fireworks.ai/tools-sdks/openai-compatibility",
    ),
    ProviderSpec(
        "cerebras",
        "Cerebras",
        base_url="https://api.cerebras.ai/v1",
        key_env=("CEREBRAS_API_KEY",),
        features=CHAT | TOOLS | JSON | features("as_text", "model_info"),
        quirks=Quirks(
            drop=NO_NAMED_TOOL_CHOICE | {"frequency_penalty", "presence_penalty"},
            # inference-docs.cerebras.ai/api-reference/chat-completions
            limits={"temperature": (0.0, 1.5), "top_p": (0.0, 1.0), "top_logprobs": (0, 20)},
            max_stops=4,
        ),
        docs="https://inference-docs.cerebras.ai/resources/openai",
    ),
    ProviderSpec(
        "nvidia",
        "NVIDIA NIM",
        base_url="https://integrate.api.nvidia.com/v1",
        key_env=("NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"),
        features=CHAT | TOOLS | JSON | VISION | EMBEDDINGS | features("model_info"),
        quirks=Quirks(models_whole=True, codes=error_codes.NVIDIA),
        literal_models=True,
        docs="https://docs.api.nvidia.com/nim/reference/llm-apis",
    ),
    ProviderSpec(
        "sambanova",
        "SambaNova",
        base_url="https://api.sambanova.ai/v1",
        key_env=("SAMBANOVA_API_KEY",),
        base_url_env=("SAMBA_NOVA_BASE_URL",),
        features=CHAT | TOOLS | JSON | VISION | EMBEDDINGS | features("as_text", "model_info"),
        quirks=Quirks(drop=FLOAT_VECTORS, limits=OPENAI_LIMITS),
        docs="https://docs.sambanova.ai/docs/en/features/openai-compatibility",
    ),
    ProviderSpec(
        "deepinfra",
        "DeepInfra",
        base_url="https://api.deepinfra.com/v1/openai",
        version="/v1/openai",
        key_env=("DEEPINFRA_API_KEY",),
        base_url_env=("DEEPINFRA_BASE_URL", "DEEPINFRA_API_BASE"),
        features=CHAT
        | EMBEDDINGS
        | features("tools", "json_object", "n", "as_text")
        | features("generate_image", "edit_image", "transcription", "translation"),
        # LiteLLM's deepinfra/chat/transformation.py: tool_choice is auto or none; a missing key is a 403 there. The
        # fields of images are those of the models' pages, such as deepinfra.com/black-forest-labs/FLUX-1-schnell/api.
        quirks=Quirks(
            drop=FLOAT_VECTORS | {"quality", "background", "image.format"},
            codes={"403": "auth"},
            limits=OPENAI_LIMITS,
            max_stops=16,
        ),
        literal_models=True,
        docs="https://deepinfra.com/docs/advanced/openai_api",
    ),
)
