"""Sentences about what is too long or too large: the prompt, a batch, a request for a limit per minute."""

from __future__ import annotations

from typing import Final

from unified_llm._formats.error_wording.sentence import (
    CONTEXT,
    NO_VECTOR,
    PHYSICAL_BATCH,
    TOO_LARGE,
    TOO_LARGE_FOR_RATE,
    sentences,
)

# The prompt, or the prompt and the answer, are longer than the context window.
LIMIT_SENTENCES: Final = (
    *sentences(
        CONTEXT,
        (
            "(This|The) (model|endpoint)'s maximum (context|prompt|input|model) length is {window}",
            "vllm-project/vllm#20409; docs.x.ai",
        ),
        ("The maximum context length of (the|this) model is {window}", "docs.sambanova.ai"),
        ("The maximum context length of {name} is {window}", "docs.sambanova.ai"),
        ("Prompt is too long: {n} tokens > {window} maximum", "platform.claude.com/docs/en/api/errors"),
        ("(The |)prompt is too long: {n}, model maximum context length: {window}", "docs.fireworks.ai"),
        (
            "(The |Your |)(prompt|input|request) is too long",
            "earendil-works/pi-mono utils/overflow.ts (Anthropic, Bedrock)",
        ),
        (
            "input length and `max_tokens` exceed context limit: {n} + {n} > {window}",
            "platform.claude.com/docs/en/api/errors",
        ),
        ("Input tokens exceed the configured limit of {window} tokens", "OpenAI, GPT-5"),
        (
            "The input token count ({n}) exceeds the maximum number of tokens allowed ({window})",
            "ai.google.dev/gemini-api/docs/troubleshooting",
        ),
        ("The input token count exceeds the maximum number of tokens allowed {window}", "Gemini; unverified"),
        ("The input token count", "Gemini, other forms; unverified"),
        (
            "Unable to submit request because the input token count is {n} but model only supports up to {window}",
            "Vertex AI; unverified",
        ),
        (
            "Prompt contains {n} tokens{words}, too large for model with {window} maximum context length",
            "docs.mistral.ai",
        ),
        (
            "Prompt contains {n} tokens and {n} draft tokens, too large for model with {window} maximum context length",
            "docs.mistral.ai",
        ),
        (
            "Prompt contains {n} tokens, too large for model with {window} maximum context length",
            "docs.mistral.ai; unverified",
        ),
        ("(Invalid request: |)Your request exceeded model token limit: {window}", "platform.kimi.ai/docs/api/errors"),
        ("(Invalid request: |)total message size {n} exceeds limit {n}", "MoonshotAI/kimi-code#476"),
        ("(Invalid request: |)total message size", "MoonshotAI/kimi-code#476"),
        ("Input token length too long", "platform.kimi.ai/docs/api/errors"),
        ("Prompt exceeds max length", "stefandevo/glm-acp-agent#44 (Z.ai 1261)"),
        ("tokens in request more than max tokens allowed", "anomalyco/opencode#35918 (Z.ai 1210)"),
        ("(invalid params, |)context window exceeds limit", "MiniMax-AI/MiniMax-M2#119"),
        (
            "Context (window|length|size|limit) (exceeded|has been exceeded|exceeds)",
            "lmstudio-ai/lmstudio-bug-tracker#546",
        ),
        (
            "The (decoder |encoder |)prompt (length {n}) is longer than the maximum model length of {window}",
            "vllm-project/vllm#12165",
        ),
        (
            (
                "The (decoder |encoder |)prompt (total length {n}) is too long to fit into the model (context "
                "length {window})"
            ),
            "vllm-project/vllm#10440; unverified",
        ),
        ("The engine prompt length {n} exceeds the max_model_len {window}", "vllm-project/vllm; unverified"),
        (
            (
                "You passed {n} input tokens and requested {n} output tokens. However, the model's context "
                "length is only {window}"
            ),
            "vllm-project/vllm#33418; unverified",
        ),
        ("You passed {n} input (characters|tokens)", "vllm-project/vllm#33418; unverified"),
        (
            (
                "'max_tokens' or 'max_completion_tokens' is too large: {n}. This model's maximum context "
                "length is {window} tokens"
            ),
            "vllm-project/vllm, serving_engine; unverified",
        ),
        ("max_tokens={n} cannot be greater than max_model_len={window}", "vllm-project/vllm; unverified"),
        ("max_tokens must be at least 1, got -{n}", "vllm-project/vllm#4667"),
        (
            "Input prompt ({n} tokens) is too long and exceeds (the capacity|limit) of {window}",
            "vllm-project/vllm#10440",
        ),
        (
            "The input ({n} tokens) is longer than the model's context length ({window} tokens)",
            "NVIDIA-NeMo/Switchyard#426 (SGLang)",
        ),
        ("Input length ({n}) exceeds model's maximum context length ({window})", "SGLang, earendil-works/pi-mono"),
        (
            "Input length ({n} tokens) exceeds the maximum allowed length ({window} tokens)",
            "SGLang, tokenizer_manager; unverified",
        ),
        (
            (
                "(The input|Input length|Requested token count|The total number of tokens) exceeds the "
                "(model's |)maximum (context length|allowed input length|allowed length|context limit) of "
                "{window}"
            ),
            "SGLang, LiteLLM tests",
        ),
        ("Requested token count exceeds the model's maximum context length", "SGLang, earendil-works/pi-mono"),
        (
            "(Input validation error: |)`inputs` tokens + `max_new_tokens` must be <= {window}",
            "huggingface/text-generation-inference",
        ),
        (
            "(Input validation error: |)`inputs` must have less than {window} tokens",
            "huggingface/text-embeddings-inference",
        ),
        ("Input token count + max_tokens must be less than the context length", "docs.together.ai/docs/error-codes"),
        ("The sum of prompt length ({n}) and", "DeepSpeed-MII, TensorRT-LLM; unverified"),
        ("request ({n} tokens) exceeds the available context size ({window} tokens)", "ggml-org/llama.cpp#17284"),
        ("the request exceeds the available context size", "ggml-org/llama.cpp#17284"),
        (
            "input ({n} tokens) is larger than the max context size ({window} tokens)",
            "ggml-org/llama.cpp, server-context; unverified",
        ),
        (
            (
                "Trying to keep the first {n} tokens when context (the |)overflows. However, the model is "
                "loaded with context length of only {window} tokens"
            ),
            "lmstudio-ai/lmstudio-bug-tracker#237",
        ),
        (
            "(The number of |)tokens to keep from the initial prompt is greater than the context length",
            "Gitlawb/openclaude#353 (LM Studio)",
        ),
        ("Reached context length of {window} tokens", "LM Studio; unverified"),
        (
            "Cannot truncate prompt with n_keep ({n}) >= n_ctx ({window})",
            "lmstudio-ai/lmstudio-bug-tracker; unverified",
        ),
        ("the prompt is longer than the context length", "ollama/ollama server/routes.go"),
        ("(the |)input (length |)exceeds (the |)(maximum |)context length", "ollama/ollama server/routes.go"),
        ("prompt too long; exceeded (max |)context length", "ollama/ollama; earendil-works/pi-mono"),
        ("Input is too long for requested model", "aws.amazon.com Bedrock; earendil-works/pi-mono"),
        ("Too many input tokens. Max input tokens: {window}", "Bedrock, Nova; unverified"),
        ("Too many input tokens", "Bedrock, Nova; unverified"),
        ("prompt token count of {n} exceeds the limit of {window}", "GitHub Copilot, earendil-works/pi-mono"),
        ("Request body too large for {name} model. Max size: {window} tokens", "GitHub Models"),
        ("too many tokens: total number of tokens in the prompt cannot exceed {window}", "docs.cohere.com"),
        ("too many tokens: size limit exceeded by {n} tokens", "docs.cohere.com"),
        (
            "Please reduce the length of the messages or completion. Current length is {n} while limit is {window}",
            "inference-docs.cerebras.ai",
        ),
        ("Please reduce the length of (the|your) (messages|prompt|input)", "Groq, earendil-works/pi-mono"),
        ("Range of input length should be [{n}, {window}]", "help.aliyun.com/en/model-studio/error-code"),
        ("Total tokens of image and text exceed max message tokens", "Volcengine Ark; unverified"),
        (
            (
                "The estimated number of input and maximum output tokens ({n}) exceeded this model context "
                "window limit ({window})"
            ),
            "Cloudflare Workers AI; unverified",
        ),
        (
            "Prompt has {n} tokens, but the configured context size is {window} tokens",
            "antirez/ds4, earendil-works/pi-mono",
        ),
        ("(The |Your |User |)(prompt|message|conversation) (is |was |)too (long|large)", "several; unverified"),
        ("(This|The) model's context (window|length|size) is {window}", "several; unverified"),
        ("(exceeds|exceeded) (the |)(maximum |max |)context", "several; unverified"),
        ("Token limit exceeded", "earendil-works/pi-mono"),
        ("Total tokens {n} exceeds maximum context length {window}", "docs.perplexity.ai; unverified"),
        ("length of prompt_tokens ({n}) must be less than max_seq_len ({window})", "SiliconFlow"),
        ("prompt (tokens |)too long", "Baidu Qianfan, Tencent Hunyuan; unverified"),
        ("context shift is disabled", "ggml-org/llama.cpp, server-context; unverified"),
        ("Prompt length ({n}) exceeds maximum input length ({window})", "TensorRT-LLM; unverified"),
        ("Prompt length {n} is greater than max_seq_len {window}", "TabbyAPI; unverified"),
        ("Invalid {quoted}: maximum (input|context) length is {window} tokens", "platform.openai.com, embeddings"),
        (
            (
                "(Your|The) (input|prompt|request|message|conversation) exceeds the (model's |)(context "
                "window|context length|maximum context)"
            ),
            "OpenAI's Responses API; earendil-works/pi-mono",
        ),
        ("litellm.ContextWindowExceededError", "docs.litellm.ai/docs/exception_mapping"),
        ("ContextWindowExceededError", "docs.litellm.ai/docs/exception_mapping"),
    ),
    *sentences(
        PHYSICAL_BATCH,
        ("input ({n} tokens) is too large to process", "ggml-org/llama.cpp#12295"),
        ("input is too large to process. increase the physical batch size", "ggml-org/llama.cpp#11105"),
        ("input is too large to process, please increase the physical batch size", "gpustack/gpustack#472"),
        ("(embedding generation failed: |)do embedding request: Post {text}: EOF", "ollama/ollama#6094, PR #16687"),
    ),
    *sentences(
        NO_VECTOR,
        ("(failed to encode response: |)json: unsupported value: NaN", "ollama/ollama#9639, #15582"),
        ("Out of range float values are not JSON compliant", "servers on FastAPI; unverified"),
    ),
    *sentences(
        TOO_LARGE,
        ("Requested {n} tokens, max {n} tokens per request", "platform.openai.com, embeddings; unverified"),
        ("Invalid {quoted}: string too long", "platform.openai.com"),
        ("Request payload size exceeds the limit", "ai.google.dev/gemini-api/docs/troubleshooting"),
        ("batch size {n} > maximum allowed batch size {n}", "huggingface/text-embeddings-inference"),
    ),
    *sentences(
        TOO_LARGE_FOR_RATE,
        ("Request too large for {text} on tokens per (minute|min|day)", "openclaw/openclaw#147644 (Groq); OpenAI"),
    ),
)
