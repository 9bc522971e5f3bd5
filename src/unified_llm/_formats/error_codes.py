"""Error codes and types that mean the same at every provider, with their sources.

A code is more precise than the status that it came with, and than the message. Codes that only one provider uses are in
the rows of the provider table (``_providers/error_codes``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from unified_llm._core.outcome import ErrorMeaning, FailureKind
from unified_llm._formats.error_wording.sentence import MODEL_QUOTA, NO_ACCESS


@dataclass(frozen=True, slots=True)
class Code:
    """A code in lower case, what it means, and where it was found."""

    name: str
    meaning: ErrorMeaning
    source: str


def _codes(kind: FailureKind | ErrorMeaning, source: str, *names: str) -> tuple[Code, ...]:
    meaning = kind if isinstance(kind, ErrorMeaning) else ErrorMeaning(kind)
    return tuple(Code(name, meaning, source) for name in names)


_OPENAI: Final = "platform.openai.com/docs/guides/error-codes"
_ANTHROPIC: Final = "anthropic SDK 2.10, _error_classes.py"
_ALIBABA: Final = "help.aliyun.com/en/model-studio/error-code"

CODES: Final = (
    *_codes("context", _OPENAI, "context_length_exceeded"),
    *_codes("context", "ggml-org/llama.cpp tools/server", "exceed_context_size_error"),
    *_codes("context", "Z.ai, as a reason to end", "model_context_window_exceeded"),
    *_codes("context", "GitHub Models", "tokens_limit_reached"),
    *_codes("context", "GitHub Copilot", "model_max_prompt_tokens_exceeded"),
    *_codes("context", "openrouter.ai, error_type", "token_limit_exceeded"),
    *_codes("context", "Baidu Qianfan; unverified", "tokens_too_long"),
    *_codes("too_large", "OpenAI; openrouter.ai, error_type", "string_above_max_length", "string_too_long"),
    *_codes("too_large", "OpenAI, embeddings; unverified", "max_tokens_per_request"),
    *_codes("too_large", _ANTHROPIC, "request_body_too_large_after_decoding"),
    *_codes(
        "filter",
        _OPENAI,
        *("content_policy_violation", "moderation_blocked", "invalid_prompt", "bio_policy"),
        *("misalignment_policy_violation", "image_content_policy_violation"),
    ),
    *_codes(
        "filter",
        "learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter",
        *("content_filter", "responsibleaipolicyviolation"),
    ),
    *_codes("filter", "portkey.ai, guardrails (status 446); unverified", "hooks_failed"),
    *_codes("filter", _ALIBABA, "data_inspection_failed", "datainspectionfailed"),
    *_codes("quota", _OPENAI, "insufficient_quota", "billing_hard_limit_reached", "billing_not_active"),
    *_codes("quota", _OPENAI, "credit_balance_exhausted", "organization_usage_limit_exceeded"),
    *_codes("quota", _ANTHROPIC, "billing_error", "enforced_spend_limit_reached", "contract_spend_limit_reached"),
    *_codes("quota", _ANTHROPIC, "linked_organization_spend_limit_reached", "linked_organization_billing_unavailable"),
    *_codes("quota", _ANTHROPIC, "organization_on_hold"),
    *_codes("quota", _ALIBABA, "arrearage"),
    *_codes("quota", "docs.litellm.ai/docs/proxy/users", "budget_exceeded"),
    *_codes("quota", "OpenAI's Codex; unverified", "usage_limit_reached"),
    *_codes("quota", "openrouter.ai/docs/errors", "payment_required"),
    *_codes(MODEL_QUOTA, "diegosouzapw/OmniRoute#8323 (Alibaba)", "allocationquota.freetieronly"),
    *_codes("auth", _OPENAI, "invalid_api_key", "invalid_authentication_error"),
    *_codes("auth", "platform.claude.com/docs/en/api/errors", "authentication_error"),
    *_codes("auth", "ai.google.dev/gemini-api/docs/troubleshooting", "api_key_invalid"),
    *_codes("permission", "songquanpeng/one-api#1764 (Groq)", "organization_restricted"),
    *_codes("permission", "OpenAI; unverified", "account_deactivated", "organization_deactivated"),
    *_codes("permission", "unverified", "account_suspended", "account_disabled", "organization_disabled"),
    *_codes("model_not_found", _OPENAI, "model_not_found"),
    *_codes("model_not_found", "console.groq.com/docs/deprecations", "model_decommissioned", "model_not_active"),
    *_codes("model_not_found", "docs.mistral.ai; docs.perplexity.ai", "invalid_model"),
    *_codes("model_not_found", "truefoundry/models#919 (GitHub Models)", "unknown_model"),
    *_codes("model_not_found", "learn.microsoft.com/azure/ai-foundry/openai", "deploymentnotfound"),
    *_codes("model_not_found", "docs.together.ai/docs/error-codes", "model_not_available"),
    *_codes("model_not_found", "huggingface.co/docs/inference-providers", "model_not_supported"),
    *_codes("model_not_found", _ALIBABA, "modelnotfound"),
    *_codes(
        NO_ACCESS,
        "router-for-me/CLIProxyAPI#3689 (Groq)",
        *("model_permission_blocked_org", "model_permission_blocked_project"),
    ),
    *_codes(NO_ACCESS, _ALIBABA, "model.accessdenied"),
    *_codes(NO_ACCESS, "console.groq.com; unverified", "model_terms_required"),
    *_codes(NO_ACCESS, "GitHub Models; unverified", "no_access"),
    *_codes(NO_ACCESS, "Volcengine Ark; unverified", "modelnotopen"),
    *_codes(
        NO_ACCESS,
        "docs.litellm.ai/docs/proxy",
        *("key_model_access_denied", "team_model_access_denied", "user_model_access_denied"),
    ),
    *_codes("unsupported", _OPENAI, "unsupported_parameter", "unsupported_value", "unknown_parameter"),
    *_codes("unsupported", "GitHub Copilot; unverified", "unsupported_api_for_model"),
    *_codes("unsupported", "ggml-org/llama.cpp tools/server", "not_supported_error"),
    *_codes("unsupported", "learn.microsoft.com/azure/ai-foundry/openai", "operationnotsupported"),
    *_codes("rate_limit", "openclaw/openclaw#147644 (Groq, status 413)", "rate_limit_exceeded"),
)
"""Codes that count before the message and the status."""

BY_NAME: Final[Mapping[str, ErrorMeaning]] = {code.name: code.meaning for code in CODES}

# Codes that are no more precise than a status: for a body or an event at HTTP 200, where there is no other status.
AT_200: Final[Mapping[str, FailureKind]] = {
    "rate_limit_error": "rate_limit",
    "slow_down": "rate_limit",
    "too_many_requests": "rate_limit",
    "resource_exhausted": "rate_limit",
    "permission_error": "permission",
    "permission_denied": "permission",
    "request_too_large": "too_large",
    "not_found_error": "model_not_found",
    "invalid_argument": "bad_request",
    "invalid_request_error": "bad_request",
    "badrequesterror": "bad_request",
    # Hugging Face's error_type
    "overloaded": "rate_limit",
    "validation": "bad_request",
    # OpenAI's codes for an image in a failed response.
    "invalid_image": "bad_request",
    "invalid_image_format": "bad_request",
    "invalid_base64_image": "bad_request",
    "invalid_image_url": "bad_request",
    "invalid_image_mode": "bad_request",
    "image_too_large": "bad_request",
    "image_too_small": "bad_request",
    "image_parse_error": "bad_request",
    "image_file_too_large": "bad_request",
    "unsupported_image_media_type": "bad_request",
    "empty_image_file": "bad_request",
    "failed_to_download_image": "bad_request",
    "image_file_not_found": "bad_request",
}
"""Kinds of codes that say no more than a status would."""

_SPEND_LIMIT: Final = "_spend_limit_exceeded"
_FILTER: Final = ErrorMeaning("filter")
_QUOTA: Final = ErrorMeaning("quota")
# A code that speaks of safety, policy, moderation or harm is a filter's; not one about the policy of an account.
_FILTER_CODE: Final = re.compile(
    r"safety|moderation|content_?(?:filter|policy|violation|blocked)|policy_?violation|(?:usage|bio|cyber)_?policy|harmful"
    r"|unsafe|sensitive_?content|sensitivecontent|risk_?content|prohibited_?content|inappropriate|guardrail"
)
# Names of request fields that a code may be about.
_FIELD_CODE: Final = re.compile(r"safety_?(?:identifier|setting)")


def meaning_of(code: str, provider_codes: Mapping[str, FailureKind]) -> ErrorMeaning | None:
    """Return what a code means at a provider; None where it says no more than the status.

    Args:
        code: The code, in lower case.
        provider_codes: The codes of the provider's row. One that says ``bad_request`` says no more than the status, so
            that the message can be more precise.
    """
    kind = provider_codes.get(code)
    if kind is not None:
        return None if kind == "bad_request" else ErrorMeaning(kind)
    if code in BY_NAME:
        return BY_NAME[code]
    if code.endswith(_SPEND_LIMIT):
        return _QUOTA
    return _FILTER if _FILTER_CODE.search(code) and not _FIELD_CODE.search(code) else None
