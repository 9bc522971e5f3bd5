"""The rows of the provider table for what people run themselves: MLX, servers that may hold any model, and gateways."""

from __future__ import annotations

from typing import Final

from unified_llm._core.features import (
    CHAT,
    EMBEDDINGS,
    ENDPOINTS,
    EVERYTHING,
    FILES,
    JSON,
    MEDIA,
    TOOLS,
    VISION,
    features,
)
from unified_llm._core.quirks import Quirks
from unified_llm._providers import error_codes
from unified_llm._providers.spec import (
    BOTH_APIS,
    FLOAT_VECTORS,
    NO_NAMED_TOOL_CHOICE,
    OPENAI_LIMITS,
    RESPONSES,
    ProviderSpec,
)

# With text completion, several answers, and word of each model.
_SERVER: Final = EVERYTHING | features("as_text", "n", "model_info")

# Tool results carry names: vLLM and llama.cpp pass them to the chat template (vllm/entrypoints/chat_utils.py, and
# common_chat_msg.tool_name in common/chat.h), and the address may be that of Gemini's compatible endpoint, which
# refuses a result without one (github.com/pydantic/pydantic-ai/issues/1879).
SERVERS: Final = (
    ProviderSpec(
        "ollama",
        "Ollama",
        base_url="http://127.0.0.1:11434/v1",
        key_env=("OLLAMA_API_KEY",),
        base_url_env=("OLLAMA_HOST", "OLLAMA_BASE_URL", "OLLAMA_API_BASE"),
        timeout_env=("OLLAMA_TIMEOUT",),
        key_required=False,
        format="ollama",
        apis={"chat": "openai_chat"},
        features=CHAT | JSON | EMBEDDINGS | features("tools", "images", "model_info", "as_text"),
        api_features={"chat": CHAT | JSON | EMBEDDINGS | features("tools", "images", "speech", "transcription")},
        # docs.ollama.com/api/openai-compatibility; docs.ollama.com/context-length; docs.ollama.com/api/ps
        quirks=Quirks(
            drop=frozenset({"parallel_tool_calls"}),
            loaded_path="/api/ps",
            default_window=4_096,
            any_model=True,
            tool_names=True,
        ),
        hosts=("127.0.0.1", "localhost", "ollama.com"),
        local=True,
        standby=True,
        advice={"model_not_found": "get it with: ollama pull {model}"},
        docs="https://docs.ollama.com/api",
        note='Its own API, at the address of the OpenAI-compatible one (api="chat"). No tool_choice; images as data '
        "only. context_window= sets the context window, and how long the model stays loaded by "
        'extra_body={"keep_alive": "1h"}.',
    ),
    ProviderSpec(
        "mlx",
        "MLX, in this process",
        model_env=("VISION_MODEL",),
        key_required=False,
        format="mlx",
        # Those of some model; a target has those of its own (``model_features``).
        features=CHAT | JSON | TOOLS | EMBEDDINGS | features("images", "as_text"),
        quirks=Quirks(any_model=True, limits=OPENAI_LIMITS),
        local=True,
        standby=True,
        docs="https://github.com/ml-explore/mlx-lm",
        note="Models of the Hugging Face cache or in a folder: no server and no network. What one can do depends on "
        "its files: tools where its chat template takes them, images with a vision_config and the extra vision.",
    ),
    ProviderSpec(
        "lmstudio",
        "LM Studio",
        base_url="http://127.0.0.1:1234/v1",
        key_env=("LM_STUDIO_API_KEY", "LMSTUDIO_API_KEY"),
        base_url_env=("LMSTUDIO_BASE_URL", "LM_STUDIO_API_BASE"),
        key_required=False,
        apis=BOTH_APIS,
        api_features={
            "responses": CHAT | TOOLS | EMBEDDINGS | features("images"),
            "messages": CHAT | features("tools"),
        },
        features=CHAT | TOOLS | EMBEDDINGS | features("json_schema", "images", "as_text", "model_info"),
        # github.com/antropia-studio/linguito/issues/21 (tool_choice); lmstudio-bug-tracker/issues/189 (no json_object)
        quirks=Quirks(
            drop=NO_NAMED_TOOL_CHOICE | FLOAT_VECTORS,
            models_whole=True,
            loaded_path="/api/v0/models",
            any_model=True,
            tool_names=True,
        ),
        hosts=("127.0.0.1", "localhost"),
        local=True,
        standby=True,
        literal_models=True,
        docs="https://lmstudio.ai/docs/developer/openai-compat",
    ),
    ProviderSpec(
        "vllm",
        "vLLM",
        base_url="http://127.0.0.1:8000/v1",
        key_env=("VLLM_API_KEY",),
        base_url_env=("VLLM_BASE_URL",),
        key_required=False,
        apis=BOTH_APIS,
        features=(_SERVER - FILES) | features("transcription", "translation", "stream_transcription"),
        api_features={"messages": CHAT | TOOLS | VISION | features("json_schema", "count_tokens")},
        # docs.vllm.ai/en/latest/api/vllm/entrypoints/serve/middleware/x_request_id
        quirks=Quirks(models_whole=True, any_model=True, tool_names=True, request_id_header="x-request-id"),
        hosts=("127.0.0.1", "localhost"),
        local=True,
        literal_models=True,
        docs="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    ),
    ProviderSpec(
        "llamacpp",
        "llama.cpp",
        base_url="http://127.0.0.1:8080/v1",
        key_env=("LLAMA_API_KEY",),
        base_url_env=("LLAMACPP_BASE_URL",),
        key_required=False,
        apis=BOTH_APIS,
        # It ignores text.format there, and output_config.format and documents here.
        api_features={
            "responses": CHAT | TOOLS | VISION | EMBEDDINGS,
            "messages": CHAT | TOOLS | VISION | features("count_tokens"),
        },
        features=_SERVER - FILES,
        quirks=Quirks(
            drop=NO_NAMED_TOOL_CHOICE | {"tool_choice.none"},
            models_whole=True,
            loaded_path="/props",
            any_model=True,
            tool_names=True,
        ),
        hosts=("127.0.0.1", "localhost"),
        local=True,
        docs="https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
    ),
    ProviderSpec(
        "litellm",
        "LiteLLM proxy",
        base_url="http://127.0.0.1:4000/v1",
        key_env=("LITELLM_API_KEY", "LITELLM_PROXY_API_KEY"),
        base_url_env=("LITELLM_BASE_URL", "LITELLM_PROXY_API_BASE"),
        key_required=False,
        apis=RESPONSES,
        features=_SERVER | MEDIA | ENDPOINTS | features("batch_service"),
        # Identifiers of tool calls may carry Gemini's thought signatures there, so they are never rewritten.
        quirks=Quirks(
            drop=FLOAT_VECTORS,
            tool_id_length=0,
            codes=error_codes.LITELLM,
            any_model=True,
            tool_names=True,
            voice="alloy",
        ),
        hosts=("127.0.0.1", "localhost"),
        literal_models=True,
        docs="https://docs.litellm.ai/docs/simple_proxy",
    ),
    ProviderSpec(
        "openai-compatible",
        "Any OpenAI-compatible server",
        key_env=("OPENAI_COMPATIBLE_API_KEY",),
        base_url_env=("OPENAI_COMPATIBLE_BASE_URL",),
        key_required=False,
        apis=RESPONSES,
        features=_SERVER | MEDIA | ENDPOINTS | features("batch_service"),
        quirks=Quirks(drop=FLOAT_VECTORS, models_whole=True, any_model=True, tool_names=True, voice="alloy"),
        literal_models=True,
        docs="https://platform.openai.com/docs/api-reference/chat",
        note="Needs a base_url.",
    ),
)
