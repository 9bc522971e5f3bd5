"""Body fields that each provider's API documents for chat requests, beyond those that ``LLMRequest`` has.

A keyword argument of such a name is a field of the body; of another name, it may be a misspelling. ``provider_fields``
says which of them mean the same at several APIs.

The names are those of SDKs (openai 3.57, anthropic 2.14, groq 1.7, cerebras_cloud_sdk 1.91, together 3.1, mistralai
3.7, cohere 7.3, ollama 0.6, google-genai 3.6: the classes of the parameters of a chat request), and of the pages that
are named beside a list. Fields that hold the conversation itself (``messages``, ``prompt``, ``system`` ...) are left
out: a request has only one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unified_llm._core.nested_settings import GEMINI_SPELLINGS, OLLAMA_OPTIONS, camel_case
from unified_llm._core.target import Target
from unified_llm._providers.registry import api_of


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Chat, and text completion (echo, suffix, best_of). functions and function_call are older names of tools.
_OPENAI: Final = _names(
    "audio best_of echo function_call functions logit_bias metadata modalities moderation prediction "
    "prompt_cache_key prompt_cache_options prompt_cache_retention safety_identifier service_tier store "
    "stream_options suffix user verbosity web_search_options"
)
_RESPONSES: Final = _names(
    "access_programs background background_options context_management conversation include instructions "
    "max_output_tokens max_tool_calls metadata moderation previous_response_id prompt_cache_key prompt_cache_options "
    "prompt_cache_retention reasoning safety_identifier service_tier store stream_options text truncation user"
)
_ANTHROPIC: Final = _names(
    "betas cache_control compaction container context_management diagnostics inference_geo mcp_servers metadata "
    "output_config output_format service_tier speed thinking thread top_k user_profile_id workspace_id"
)
# ai.google.dev/api/generate-content; Google's JSON takes names with underscores and in camel case.
_GEMINI_BODY: Final = _names("cached_content generation_config labels safety_settings service_tier store tool_config")
# docs.cohere.com/v2
_COHERE: Final = _names("citation_options documents k p priority raw_prompting safety_mode strict_tools thinking")
# docs.ollama.com/api; options are also taken beside ``options``.
_OLLAMA: Final = _names("format keep_alive options shift think truncate") | OLLAMA_OPTIONS
# vllm/entrypoints/openai: ChatCompletionRequest
_VLLM: Final = _names(
    "add_generation_prompt add_special_tokens allowed_token_ids bad_words best_of cache_salt chat_template "
    "chat_template_kwargs continue_final_message documents echo guided_choice guided_decoding_backend guided_grammar "
    "guided_json guided_regex guided_whitespace_pattern ignore_eos include_reasoning include_stop_str_in_output "
    "kv_transfer_params length_penalty logit_bias logits_processors min_p min_tokens mm_processor_kwargs priority "
    "prompt_logprobs repetition_penalty request_id return_token_ids return_tokens_as_token_ids skip_special_tokens "
    "spaces_between_special_tokens stop_token_ids stream_options structural_tag structured_outputs "
    "thinking_token_budget top_k truncate_prompt_tokens use_beam_search user vllm_xargs"
)
# tools/server/README.md of llama.cpp
_LLAMACPP: Final = _names(
    "adaptive_decay adaptive_target add_generation_prompt cache_prompt chat_template_kwargs dry_allowed_length "
    "dry_base dry_multiplier dry_penalty_last_n dry_sequence_breakers dynatemp_exponent dynatemp_range grammar "
    "grammar_lazy grammar_triggers id_slot ignore_eos json_schema logit_bias lora min_keep min_p mirostat "
    "mirostat_eta mirostat_tau n_cache_reuse n_discard n_indent n_keep n_predict n_probs parse_tool_calls "
    "post_sampling_probs preserved_tokens repeat_last_n repeat_penalty response_fields return_progress return_tokens "
    "samplers stream_options t_max_predict_ms thinking_forced_open timings_per_token top_k top_n_sigma typical_p "
    "xtc_probability xtc_threshold"
)
# lmstudio.ai/docs/developer/openai-compat
_LMSTUDIO: Final = _names("draft_model logit_bias min_p repeat_penalty stream_options top_k ttl")
# docs.sglang.ai/basic_usage/openai_api_completions.html; docs.litellm.ai/docs/proxy
_OTHER_SERVERS: Final = _names(
    "allowed_openai_params custom_logit_processor ebnf guardrails litellm_metadata lora_path mock_response "
    "no_stop_trim regex rid separate_reasoning session_params stream_reasoning"
)
OPENAI_FIELDS: Final[Mapping[str, frozenset[str]]] = {"openai": _OPENAI, "openai:openai_responses": _RESPONSES}
"""The further body fields of each API of OpenAI."""
_SPECIAL: Final[Mapping[str, frozenset[str]]] = {
    "openai": _OPENAI,
    "azure": _OPENAI | _names("data_sources user_security_context"),  # learn.microsoft.com/azure/ai-foundry/openai
    "groq": _names(
        "citation_options compound_custom disable_tool_validation documents exclude_domains function_call functions "
        "include_domains include_reasoning logit_bias metadata search_settings service_tier store stream_options "
        "user"
    ),
    "cerebras": _names(
        "clear_thinking disable_reasoning logit_bias min_completion_tokens min_tokens model_parameters prediction "
        "prompt_cache_key service_tier stream_options user"
    ),
    "together": _names(
        "chat_template_kwargs compliance context_length_exceeded_behavior echo function_call logit_bias min_p "
        "reasoning repetition_penalty safety_model stream_options top_k"
    ),
    "mistral": _names(
        "guardrails metadata min_tokens prediction prompt_cache_key prompt_logprobs prompt_mode random_seed "
        "repetition_penalty safe_prompt service_tier top_k top_prompt_logprobs"
    ),
    # openrouter.ai/docs/api-reference/overview, openrouter.ai/docs/api-reference/parameters
    "openrouter": _names(
        "cache_control debug image_config include_reasoning logit_bias metadata min_p modalities models plugins "
        "prediction preset provider reasoning repetition_penalty route safety_identifier service_tier session_id "
        "stream_options structured_outputs top_a top_k trace transforms usage user verbosity web_search_options"
    ),
    # docs.perplexity.ai/api-reference/chat-completions-post
    "perplexity": _names(
        "disable_search enable_search_classifier image_domain_filter image_format_filter language_preference "
        "last_updated_after_filter last_updated_before_filter media_response num_search_results return_images "
        "return_related_questions search_after_date_filter search_before_date_filter search_domain_filter "
        "search_language_filter search_mode search_recency_filter stream_mode top_k web_search_options"
    ),
    "deepseek": _names("stream_options thinking user_id"),  # api-docs.deepseek.com/api/create-chat-completion
    # docs.fireworks.ai/api-reference/post-chatcompletions
    "fireworks": _names(
        "context_length_exceeded_behavior echo echo_last ignore_eos logit_bias metadata min_p mirostat_lr "
        "mirostat_target perf_metrics_in_response prediction prompt_cache_isolation_key prompt_cache_key "
        "prompt_cache_max_len prompt_truncate_len raw_output reasoning_history repetition_penalty return_token_ids "
        "safe_tokenization service_tier speculation stream_options thinking top_k typical_p user"
    ),
    # docs.x.ai/docs/api-reference
    "xai": _names("deferred logit_bias search_parameters stream_options user web_search_options"),
    "nvidia": _VLLM | _names("nvext"),  # docs.nvidia.com/nim/large-language-models
    # platform.kimi.ai/docs/api/chat
    "moonshot": _names("prompt_cache_key safety_identifier stream_options thinking"),
    # docs.z.ai/api-reference/llm/chat-completion
    "zai": _names("do_sample request_id stream_options thinking tool_stream user_id"),
    # platform.minimax.io/docs/api-reference/text-openai-api
    "minimax": _names("mask_sensitive_info reasoning_split stream_options"),
    # docs.sambanova.ai/docs/en/api-reference/endpoints/chat
    "sambanova": _names("chat_template_kwargs do_sample repetition_penalty stream_options top_k"),
    # deepinfra.com/docs/advanced/openai_api
    "deepinfra": _names(
        "chat_template_kwargs min_p prompt_cache_key reasoning repetition_penalty service_tier stream_options top_k "
        "user"
    ),
    "lmstudio": _LMSTUDIO,
    # Those of vLLM and mlx_lm.server that _backends.mlx.request_options reads.
    "mlx": _names(
        "chat_template_kwargs guided_choice guided_grammar guided_json guided_regex logit_bias min_p "
        "repetition_context_size repetition_penalty structured_outputs top_k"
    ),
    "vllm": _VLLM,
    "llamacpp": _LLAMACPP,
}


# What a server may know that is no provider's own: what any of those know whose format it speaks.
_COMPATIBLE: Final = frozenset[str]().union(_OTHER_SERVERS, *_SPECIAL.values())
_BY_FORMAT: Final[Mapping[str, frozenset[str]]] = {
    "openai_chat": _COMPATIBLE,
    "azure": _SPECIAL["azure"],
    "huggingface": _COMPATIBLE,  # a gateway to many providers
    "openai_responses": _RESPONSES,
    "azure_responses": _RESPONSES,
    "anthropic": _ANTHROPIC,
    "gemini": _GEMINI_BODY | {camel_case(name) for name in _GEMINI_BODY} | GEMINI_SPELLINGS.keys(),
    "cohere": _COHERE,
    "ollama": _OLLAMA,
}
_KNOWN: Final = frozenset[str]().union(*_BY_FORMAT.values())


def fields_of(target: Target) -> frozenset[str]:
    """Return the further body fields that a target's API documents.

    At an address that is not the provider's own, another server may answer: any field of the format counts.
    """
    own = _SPECIAL.get(api_of(target), frozenset())
    general = _BY_FORMAT.get(target.format, frozenset())
    if target.format == "openai_chat" and target.provider == "ollama":
        return general | _OLLAMA
    return own if own and target.vendor_host else own | general


def is_known(name: str) -> bool:
    """Return whether any API documents a body field of this name."""
    return name in _KNOWN
