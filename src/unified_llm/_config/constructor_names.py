"""Arguments that the constructors of other packages have, and what to write here: one sentence for each.

The names are those of LangChain's ``ChatOpenAI``, ``AzureChatOpenAI``, ``ChatAnthropic``, ``ChatGoogleGenerativeAI``,
``ChatOllama`` and ``init_chat_model``, of LlamaIndex's ``OpenAI`` and ``Ollama``, of openai-python's clients, and of
LiteLLM's ``completion`` and ``Router``. ``_core.not_in_a_body`` has those that no call takes either: keys, addresses,
headers and connections. What this table says goes before that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from unified_llm._core.not_in_a_body import advice_on
from unified_llm.exceptions import ConfigurationError

# Accepted, since they mean exactly the same: in calls and constructors, and in constructors alone.
CALL_ALIASES: Final[Mapping[str, str]] = {
    "model_name": "model",
    "stop_sequences": "stop",
    "request_timeout": "timeout",
    "max_completion_tokens": "max_tokens",
}
ALIASES: Final[Mapping[str, str]] = {**CALL_ALIASES, "fallback_configs": "fallbacks"}
# Other names for max_tokens, the text of a system message and a deployment, whose advice differs between the two.
MAX_TOKENS_NAMES: Final = (
    "max_output_tokens", "max_new_tokens", "max_tokens_to_sample", "max_length", "num_predict", "n_predict",
)  # fmt: skip
SYSTEM_NAMES: Final = ("system", "system_prompt", "system_message", "system_instruction", "instructions", "developer")
DEPLOYMENT_NAMES: Final = ("azure_deployment", "deployment", "deployment_name", "deployment_id")

_BY_ADVICE: Final[Mapping[str, tuple[str, ...]]] = {
    "write max_tokens=.": MAX_TOKENS_NAMES,
    "write context_window=.": ("num_ctx", "n_ctx", "max_input_tokens", "max_model_len", "max_context_length"),
    'the provider is part of the model string, model="provider/model", or provider=.': (
        "model_provider", "custom_llm_provider", "provider_name", "llm_provider",
    ),
    "write model=.": ("model_id", "repo_id", "hf_model_name", "model_path", "llm", "llm_name"),
    'the deployment is the model: model="azure/<deployment>".': (
        *DEPLOYMENT_NAMES, "engine",
    ),
    "write api_version=.": ("openai_api_version", "azure_api_version"),
    "an Entra token is passed as api_key=, and so is the callable that returns it.": (
        "use_azure_ad", "azure_ad_token", "azure_ad_token_provider", "azure_ad_async_token_provider",
    ),
    "write api_key=.": ("api_token", "huggingfacehub_api_token", "hf_token", "huggingface_api_token", "bearer"),
    "tools belong to a call: generate(..., tools=[...]), or bind_tools([...]) of a LangChain model.": (
        "tools", "tool_choice", "functions", "function_call", "mcp_servers",
    ),
    "the form of an answer belongs to a call: generate(..., response_format=...), or with_structured_output(...) of a "
    "LangChain model.": (
        "response_format", "response_schema", "response_mime_type", "json_mode", "json_schema", "format", "strict",
        "response_model", "output_schema",
    ),
    "a call of an adapter has one answer; of a client, generate(..., n=2) has several, in .alternatives.": (
        "n", "num_completions", "candidate_count", "num_return_sequences", "best_of",
    ),
    "it belongs to a call: generate(..., {name}=...).": ("parallel_tool_calls", "logprobs", "top_logprobs"),
    "call stream() or astream() for an answer in chunks.": ("stream", "streaming"),
    "the usage is on the last chunk of every stream: leave it out.": ("stream_usage", "stream_options"),
    'a system text is a message of each call: [("system", "..."), ("user", "...")].': SYSTEM_NAMES,
    "the prompt belongs to a call: generate(...).": ("messages", "prompt", "input"),
    "it belongs to LangChain's models: ChatUnified has it; a client has on_attempt= and the log unified_llm.": (
        "callbacks", "verbose", "tags", "disable_streaming", "output_version", "profile",
    ),
    "it belongs to LlamaIndex's models: UnifiedLLM has it.": (
        "callback_manager", "messages_to_prompt", "completion_to_prompt", "pydantic_program_mode", "output_parser",
        "is_function_calling_model",
    ),
    "pass on_attempt=, a function that gets each attempt.": (
        "success_callback", "failure_callback", "logger_fn", "on_failure", "on_error",
    ),
    "answers are not cached here: leave it out.": ("cache", "caching", "cache_seed"),
    "write rpm= or tpm=: the requests, or the tokens, that a target gets within a minute.": (
        "rate_limiter", "requests_per_minute", "requests_per_second", "tokens_per_minute", "rate_limit",
    ),
    "how many requests are in flight is up to the caller; rpm= and tpm= limit them by the minute.": (
        "max_parallel_requests", "max_concurrency", "max_workers",
    ),
    'write reasoning_effort="low" or "high"; a field of one provider goes into extra_body={{"{name}": ...}}.': (
        "thinking", "thinking_budget", "thinking_level", "include_thoughts", "effort", "reasoning", "think",
    ),
    "further targets are listed in fallbacks=[...], in order.": (
        "context_window_fallback_dict", "context_window_fallbacks", "content_policy_fallbacks", "default_fallbacks",
        "fallback", "fallback_models", "backup", "backups", "models", "model_list", "routing_strategy",
    ),
    "write breaker=BreakerConfig(...).": ("allowed_fails", "cooldown_time", "circuit_breaker"),
    "write max_retries=.": ("retries", "retry", "max_attempts", "retry_policy", "num_retries"),
    "write retry_delay= and retry_max_delay=.": ("retry_after", "backoff", "retry_wait", "retry_strategy"),
    'it is a header: default_headers={{"anthropic-beta": "..."}}.': ("betas", "anthropic_beta"),
    "the size of batches belongs to embeddings: embed(texts, batch_size=...), or a constructor of embeddings.": (
        "batch_size", "chunk_size", "embed_batch_size", "embedding_ctx_length",
    ),
    "the model is vertex/google/<model>, the project and the location are in GOOGLE_CLOUD_PROJECT and "
    "GOOGLE_CLOUD_LOCATION, or in base_url=.": ("vertexai", "location", "vertex_project", "vertex_location"),
    "the region is in AWS_REGION, or in base_url=.": ("region_name", "aws_region_name", "aws_region"),
    "Amazon Bedrock takes an API key: api_key= or AWS_BEARER_TOKEN_BEDROCK.": (
        "credentials_profile_name", "aws_access_key_id", "aws_secret_access_key", "aws_session_token",
    ),
    "settings that a model does not take are left out, with one warning: leave it out.": (
        "drop_params", "additional_drop_params", "allowed_openai_params", "convert_system_message_to_human",
    ),
    "in tests, unified_llm.testing.outage(..., reply=...) answers.": ("mock_response", "mock_tool_calls"),
    "connections are this package's own: proxy=, client_cert= and verify_ssl= say how they are made.": (
        "client_kwargs", "async_client_kwargs", "sync_client_kwargs", "http_options", "session", "max_connections",
        "keepalive",
    ),
    "write proxy=.": ("proxies", "openai_proxy", "anthropic_proxy", "http_proxy", "https_proxy", "proxy_url"),
    "write client_cert=.": ("cert", "cert_file", "client_certificate", "ssl_certfile", "ssl_cert"),
    "write verify_ssl=.": (
        "ssl", "ssl_context", "verify", "ssl_verify", "verify_certs", "ca_bundle", "ca_cert", "ca_certs", "cafile",
    ),
    "further fields of the request go into extra_body={{...}}.": (
        "model_kwargs", "additional_kwargs", "extra_params", "optional_params", "generation_config", "generate_kwargs",
    ),
    "write allow_http=True.": ("insecure", "allow_insecure"),
    "it is a setting of a whole chain: LLMClient(..., {name}=...), or ChatUnified and UnifiedLLM.": (
        "deadline", "failover_on", "hedge_after", "on_attempt", "on_stream_break", "skip_unconfigured",
    ),
    "it has no counterpart here: leave it out.": (
        "_strict_response_validation", "_enforce_credentials", "validate_model_on_init", "reuse_last_container",
        "check_embedding_ctx_length", "allowed_special", "disallowed_special", "tiktoken_enabled", "skip_empty",
        "show_progress_bar", "prompt_key", "config_prefix", "configurable_fields", "input_cost_per_token",
        "output_cost_per_token", "model_version", "task",
    ),
}  # fmt: skip
_ADVICE: Final = {name: advice for advice, names in _BY_ADVICE.items() for name in names}
# Fields of requests that no list of an API has: Ollama's options, and those of Hugging Face.
_BODY_FIELDS: Final = frozenset({
    "audio", "cached_content", "do_sample", "encoding_format", "image_config", "include", "inference_geo", "keep_alive",
    "length_penalty", "media_resolution", "mirostat", "mirostat_eta", "mirostat_tau", "num_beams", "num_gpu",
    "num_thread", "output_config", "context_management", "prompt_cache_options", "repeat_last_n", "response_modalities",
    "tfs_z",
})  # fmt: skip


def advice(name: str) -> str | None:
    """Say what to write in place of an argument of other constructors; None for a name that none has."""
    if text := _ADVICE.get(name.lower()):
        return text.format(name=name)
    if general := advice_on(name):
        return general
    from unified_llm._providers.api_fields import is_known  # which imports the table of providers

    if is_known(name) or name in _BODY_FIELDS:
        return f'it is a field of the request\'s body: extra_body={{"{name}": ...}}.'
    return None


def field_of(name: str, before: Collection[str]) -> str:
    """Return the field that a name means.

    Args:
        name: The name, or another one of the field.
        before: The fields that were read before.

    Raises:
        ConfigurationError: It is among these, by another name.
    """
    field = ALIASES.get(name, name)
    if field in before:
        raise ConfigurationError(f"{field} is given twice, by two names: leave one out.")
    return field
