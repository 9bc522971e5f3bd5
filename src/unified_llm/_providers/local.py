"""The rows of the provider table for what people run themselves: servers that may hold any model, and gateways."""

from __future__ import annotations

from typing import Final

from unified_llm._core.target import CHAT
from unified_llm._providers import error_codes
from unified_llm._providers.spec import (
    BOTH_APIS,
    CHOICE_BY_WORD,
    EMBEDDINGS,
    EVERYTHING,
    EYES,
    PLAIN_VECTORS,
    RESPONSES,
    TOOLS,
    Row,
    having,
)

# With text completion, several answers, and word of each model.
_SERVER: Final = EVERYTHING | having("as_text", "n", "model_info")

SERVERS: Final = (
    Row(
        "lmstudio",
        "LM Studio",
        base_url="http://127.0.0.1:1234/v1",
        key_env=("LM_STUDIO_API_KEY", "LMSTUDIO_API_KEY"),
        base_url_env=("LMSTUDIO_BASE_URL", "LM_STUDIO_API_BASE"),
        key_required=False,
        apis=BOTH_APIS,
        api_features={
            "responses": CHAT | TOOLS | EMBEDDINGS | having("images"),
            "messages": CHAT | having("tools"),
        },
        features=CHAT | TOOLS | EMBEDDINGS | having("json_schema", "images", "as_text", "model_info"),
        # github.com/antropia-studio/linguito/issues/21 (tool_choice); lmstudio-bug-tracker/issues/189 (no json_object)
        quirks={"drop": CHOICE_BY_WORD | PLAIN_VECTORS, "models_whole": True},
        hosts=("127.0.0.1", "localhost"),
        local=True,
        literal_models=True,
        docs="https://lmstudio.ai/docs/developer/openai-compat",
    ),
    Row(
        "vllm",
        "vLLM",
        base_url="http://127.0.0.1:8000/v1",
        key_env=("VLLM_API_KEY",),
        base_url_env=("VLLM_BASE_URL",),
        key_required=False,
        apis=BOTH_APIS,
        features=_SERVER - having("files"),
        api_features={"messages": CHAT | TOOLS | EYES | having("json_schema", "count_tokens")},
        quirks={"models_whole": True},
        hosts=("127.0.0.1", "localhost"),
        local=True,
        literal_models=True,
        docs="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    ),
    Row(
        "llamacpp",
        "llama.cpp",
        base_url="http://127.0.0.1:8080/v1",
        key_env=("LLAMA_API_KEY",),
        base_url_env=("LLAMACPP_BASE_URL",),
        key_required=False,
        apis=BOTH_APIS,
        # It ignores text.format there, and output_config.format and documents here.
        api_features={
            "responses": CHAT | TOOLS | EYES | EMBEDDINGS,
            "messages": CHAT | TOOLS | EYES | having("count_tokens"),
        },
        features=_SERVER - having("files"),
        quirks={"drop": CHOICE_BY_WORD | {"tool_choice.none"}, "models_whole": True},
        hosts=("127.0.0.1", "localhost"),
        local=True,
        docs="https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
    ),
    Row(
        "litellm",
        "LiteLLM proxy",
        base_url="http://127.0.0.1:4000/v1",
        key_env=("LITELLM_API_KEY", "LITELLM_PROXY_API_KEY"),
        base_url_env=("LITELLM_BASE_URL", "LITELLM_PROXY_API_BASE"),
        key_required=False,
        apis=RESPONSES,
        features=_SERVER,
        # Identifiers of tool calls may carry Gemini's thought signatures there, so they are never rewritten.
        quirks={"drop": PLAIN_VECTORS, "tool_id_length": 0, "codes": error_codes.LITELLM},
        hosts=("127.0.0.1", "localhost"),
        literal_models=True,
        docs="https://docs.litellm.ai/docs/simple_proxy",
    ),
    Row(
        "openai-compatible",
        "Any OpenAI-compatible server",
        key_env=("OPENAI_COMPATIBLE_API_KEY",),
        base_url_env=("OPENAI_COMPATIBLE_BASE_URL",),
        key_required=False,
        apis=RESPONSES,
        features=_SERVER,
        quirks={"drop": PLAIN_VECTORS, "models_whole": True},
        literal_models=True,
        docs="https://platform.openai.com/docs/api-reference/chat",
        note="Needs a base_url.",
    ),
)
