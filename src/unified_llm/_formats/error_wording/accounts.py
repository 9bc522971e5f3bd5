"""Sentences about the key, the account, and filters of content."""

from __future__ import annotations

from typing import Final

from unified_llm._formats.error_wording.sentence import (
    AUTH,
    BLOCKED_PATH,
    DISABLED,
    FILTER,
    MODEL_QUOTA,
    NO_SUCH_PATH,
    QUOTA,
    REGION,
    TOO_DEAR,
    sentences,
)

# A filter refused the prompt or what the model wrote. ``error_wording`` adds the general form of these sentences.
FILTER_SENTENCES: Final = sentences(
    FILTER,
    ("(Prompt|Response) blocked due to security configurations", "Cloudflare AI Gateway; unverified"),
    ("Content Exists Risk", "DeepSeek, deepseek-ai/DeepSeek-V3"),
    ("Output blocked by content filtering policy", "anthropics/claude-code"),
    ("System detected potentially unsafe or sensitive content", "docs.z.ai/api-reference/api-code"),
    ("Content violates usage guidelines", "UKGovernmentBEIS/inspect_ai#2267 (xAI)"),
    ("Your request was rejected (as a result of|by) our safety system", "platform.openai.com"),
    ("Invalid prompt: we've limited access to this content for safety reasons", "OpenAI; unverified"),
    ("Invalid prompt: (your prompt |)(was |)flagged", "platform.openai.com"),
    ("The response was filtered", "learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter"),
    ("(Input|Output) data may contain inappropriate content", "help.aliyun.com/en/model-studio/error-code"),
    ("The request was rejected because it was considered high risk", "platform.kimi.ai; unverified"),
    ("Your chosen model requires moderation and your input was flagged", "openrouter.ai/docs/errors"),
    ("Violated (guardrail policy|content safety policy|OpenAI moderation policy)", "docs.litellm.ai/docs/proxy"),
    ("litellm.ContentPolicyViolationError", "docs.litellm.ai/docs/exception_mapping"),
    ("ContentPolicyViolationError", "docs.litellm.ai/docs/exception_mapping"),
)

# The key or the account. These start a cooldown of the key, so the sentence has to be the whole message (see
# ``error_wording``), unless the status is 401, 402, 403 or 429.
ACCOUNT_SENTENCES: Final = (
    *sentences(
        BLOCKED_PATH,
        ("error code: {n}", "Cloudflare, plain text at 403"),
        ("Public access is disabled", "Azure; unverified"),
        ("Access denied due to Virtual Network/Firewall rules", "learn.microsoft.com/azure; unverified"),
    ),
    *sentences(
        NO_SUCH_PATH,
        ("Unexpected endpoint or method", "LM Studio, at 200"),
    ),
    *sentences(
        AUTH,
        ("API key not valid(. Please pass a valid API key|)", "ai.google.dev/gemini-api/docs/troubleshooting"),
        ("API key (expired. Please renew the API key|not found. Please pass a valid API key)", "ai.google.dev"),
        (
            (
                "(Incorrect|Invalid) API key( provided|)(: {name}|)(. You can obtain an API key from "
                "https://console.x.ai|)"
            ),
            "docs.x.ai",
        ),
    ),
    *sentences(
        DISABLED,
        (
            "(This|Your) (organization|account|workspace) has been (disabled|deactivated|suspended)",
            "anthropics/claude-code#75341",
        ),
        (
            "Organization has been restricted(. Please reach out to support if you believe this was in error|)",
            "tashfeenahmed/freellmapi#522 (Groq)",
        ),
    ),
    *sentences(
        REGION,
        (
            "User location is not supported for the API use( without a billing account linked|)",
            "ai.google.dev/gemini-api/docs/troubleshooting",
        ),
        (
            (
                "Gemini API free tier is not available in your country. Please enable billing on your project "
                "in Google AI Studio"
            ),
            "ai.google.dev/gemini-api/docs/troubleshooting",
        ),
    ),
    *sentences(
        TOO_DEAR,
        ("This request requires more credits, or fewer max_tokens", "decocms/studio#3959 (OpenRouter)"),
    ),
    *sentences(
        MODEL_QUOTA,
        (
            "The free (tier|quota|allocated quota) of (the|this) model has been (exhausted|used up)",
            "diegosouzapw/OmniRoute#8323 (Alibaba)",
        ),
        ("The free quota has been exhausted", "help.aliyun.com/en/model-studio/error-code; unverified"),
    ),
    *sentences(
        QUOTA,
        (
            (
                "Your credit balance is too low to access the (Anthropic|Claude) API(. Please go to Plans & "
                "Billing to upgrade or purchase credits|)"
            ),
            "anthropics/claude-code#4207",
        ),
        (
            (
                "You have reached your specified (workspace |)API usage limits(. You will regain access on "
                "{name} at {name} UTC|)"
            ),
            "platform.claude.com",
        ),
        (
            "You're out of extra usage(. Add more at claude.ai/settings/usage and keep going|)",
            "anthropics/claude-code; unverified",
        ),
        ("Your team{text} has (either |)used all available credits", "continuedev/continue#10373 (xAI)"),
        (
            (
                "Account {name} is suspended, possibly due to reaching the monthly spending limit or failure "
                "to pay past invoices(. Please go to https://fireworks.ai/account/billing for more "
                "information|)"
            ),
            "docs.fireworks.ai",
        ),
        ("(Your |)prepay(ment|) credits are depleted", "discuss.ai.google.dev/t/183654"),
        ("Your project has exceeded its {words}(spend|spending) cap", "ai.google.dev"),
        (
            "You are using a Trial key, which is limited to {n} API calls / month",
            "diegosouzapw/OmniRoute#12252 (Cohere)",
        ),
        ("Sorry, your account balance is insufficient", "SiliconFlow; unverified"),
        ("Insufficient (balance|credits)", "DeepSeek, MiniMax, openrouter.ai"),
    ),
)
