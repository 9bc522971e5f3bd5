"""Sentences about what a server or a model cannot do: tools, images, JSON schemas, chat templates, parameters."""

from __future__ import annotations

from typing import Final

from unified_llm._formats.error_wording.sentence import (
    JINJA,
    NO_CHAT,
    NO_IMAGES,
    NO_SCHEMA,
    NO_TOOLS,
    TEMPLATE,
    UNSUPPORTED,
    VLLM_TOOLS,
    sentences,
)

# The server or the model cannot do what the request needs.
FEATURE_SENTENCES: Final = (
    *sentences(
        VLLM_TOOLS,
        ('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser', "vllm-project/vllm#9986"),
        ("tool_choice {text}requires --(enable-auto-tool-choice|tool-call-parser)", "vllm-project/vllm; unverified"),
        ('tool_choice = "required" is not supported', "vllm-project/vllm; unverified"),
    ),
    *sentences(
        JINJA,
        ("(tools|tool_choice) param requires --jinja flag", "ggml-org/llama.cpp#10920"),
    ),
    *sentences(
        NO_TOOLS,
        (
            "{name} does not support (tools|tool use|function calling|tool calling|functions)",
            "ollama/ollama server/routes.go",
        ),
        (
            (
                "(This model|The model|Model|The requested model) (does not|doesn't) support (tools|tool "
                "use|tool choice|function calling|tool calling|functions)"
            ),
            "github.com, several",
        ),
        ("No endpoints found that support tool use", "openrouter.ai"),
        ("(Function calling|Tool use|Tools) (is|are) not enabled for", "Gemini (Gemma), SiliconFlow"),
        ("(`tool calling`|tool calling) is not supported with this model", "Groq; unverified"),
        ("(Function call|Tool call|Function calling|Tools) is not supported for this model", "SiliconFlow"),
        ("Cannot use custom grammar constraints with tools", "ggml-org/llama.cpp; unverified"),
    ),
    *sentences(
        NO_IMAGES,
        ("(image|audio|video|file) input is not supported", "ggml-org/llama.cpp#13566"),
        ("(Image|Audio|Video|File) inputs are not supported", "docs.x.ai; unverified"),
        ("{name} is not a multimodal model", "vllm-project/vllm; unverified"),
        ("The model is not a VLM", "SiliconFlow"),
        ("At most {n} (image|audio|video)(s|) may be provided in one (request|prompt)", "vllm-project/vllm"),
        ("At most {n} (image|audio|video)(s) may be provided in one (request|prompt)", "vllm-project/vllm"),
        ("this model is missing data required for image input", "ollama/ollama"),
        (
            (
                "(This model|The model|Model|{name}) (does not|doesn't) support "
                "(image|images|vision|audio|video|multimodal|file|pdf)"
            ),
            "ollama/ollama#17301; lmstudio-ai/lmstudio-bug-tracker#473",
        ),
        ("No endpoints found that support (image|audio|file|video) input", "github/app#2163 (OpenRouter)"),
        ("Invalid content type. image_url is only supported by certain models", "platform.openai.com"),
        ("messages[{n}].content must be a string", "Groq; unverified"),
        (
            (
                "Failed to deserialize the JSON body into the target type: messages[{n}]: unknown variant "
                "`image_url`, expected `text`"
            ),
            "DeepSeek",
        ),
    ),
    *sentences(
        NO_SCHEMA,
        ("The provided JSON schema contains features not supported by xgrammar", "vllm-project/vllm#26421"),
        ("JSON schema conversion failed", "ggml-org/llama.cpp"),
        ("failed to load model vocabulary required for format", "TurixAI/TuriX-CUA#26 (Ollama)"),
        (
            "Failed to (compile|parse|convert|initialize) (the |json |JSON |)(grammar|schema)",
            "ggml-org/llama.cpp; SGLang",
        ),
        ("Failed to initialize samplers", "ggml-org/llama.cpp"),
        ("Grammar (error|compilation failed)", "huggingface/text-generation-inference; unverified"),
        ("Invalid schema for (response_format|function|tool)", "platform.openai.com"),
        ('invalid format: {text}; expected "json"', "ollama/ollama; unverified"),
        ("invalid JSON schema in format", "ollama/ollama; unverified"),
        ("'response_format.type' must be", "lmstudio-ai/lmstudio-bug-tracker#189"),
        ("This response_format type is unavailable now", "DeepSeek; unverified"),
        (
            "(Invalid parameter: |)'response_format' of type {name} is not supported with this model",
            "platform.openai.com",
        ),
        ("This model does not support response format", "Groq"),
        (
            "The specified schema produces a constraint that has too many states for serving",
            "ai.google.dev; unverified",
        ),
        ("(The compiled grammar|Schema) is too (large|complex)", "platform.claude.com; unverified"),
    ),
    *sentences(
        TEMPLATE,
        ("(After the optional system message, |)conversation roles must alternate", "run-llama/llama_index#11731"),
        ("System role (is |)not supported", "microsoft/autogen#3597"),
        ("System message must be at the beginning", "can1357/oh-my-pi#958 (Qwen)"),
        ("Only user, assistant{text}roles are supported", "Llama and Mistral templates"),
        ("Only user and assistant roles are supported", "Llama and Mistral templates"),
        ("No user query found in messages", "Qwen 3's template"),
        ("As of transformers v4.44, default chat template is no longer allowed", "vllm-project/vllm#39279"),
        ("default chat template is no longer allowed", "vllm-project/vllm#39279"),
        ("Cannot use chat template functions because tokenizer.chat_template is not set", "huggingface/transformers"),
        ("Error rendering prompt with jinja template", "lmstudio-ai/lmstudio-bug-tracker#2012"),
        ("(Unable|Failed) to generate parser for this template", "llama.cpp, recorded"),
        ("Failed to apply (the |)(chat |prompt |)template", "ggml-org/llama.cpp; unverified"),
        ("(Jinja Exception|While executing {words} at line {n})", "anomalyco/opencode#5034 (llama.cpp)"),
        ("Tool call IDs should be alphanumeric strings with length 9", "Mistral's templates"),
        ("This model only supports single tool-calls at once", "Llama 3.1's template"),
        ("Cannot put tools in the first user message", "Llama 3.1's template"),
        ("Unexpected (message role|item type in content)", "Qwen 3's template"),
        ("Expected last role User or Tool", "mistralai/mistral-common; docs.mistral.ai"),
        ("Cannot (set `add_generation_prompt` to True|have 2 or more assistant messages)", "vLLM; llama.cpp"),
        ("Assistant response prefill is incompatible with enable_thinking", "ggml-org/llama.cpp"),
        ("The model does not have a chat template", "SGLang; unverified"),
        ("Template error", "huggingface/text-generation-inference"),
    ),
    *sentences(
        NO_CHAT,
        (
            (
                "The model does not support (Chat "
                "Completions|Completions|Embeddings|Responses|Score|Rerank|Transcriptions) API"
            ),
            "vllm-project/vllm; unverified",
        ),
        (
            "This server does not support (embeddings|completions|chat|reranking|infill)",
            "ggml-org/llama.cpp tools/server",
        ),
        ("{name} does not support (chat|generate|embeddings|completion)", "ollama/ollama server/routes.go"),
        ("Model is not embedding", "LM Studio"),
        ("model {name} is not accessible via the {name} endpoint", "GitHub Copilot; unverified"),
        ("Pooling type {quoted} is not OAI compatible", "ggml-org/llama.cpp tools/server"),
    ),
    *sentences(
        UNSUPPORTED,
        ("Unsupported (parameter|value)", "platform.openai.com"),
        ("(Unknown parameter|Unrecognized request argument)", "platform.openai.com"),
        ("property {name} is unsupported", "console.groq.com"),
        ("{path}: property {name} is unsupported", "inference-docs.cerebras.ai"),
        ("Extra inputs are not permitted", "docs.mistral.ai (422)"),
        ("{path}: Extra inputs are not permitted", "platform.claude.com"),
        ("unknown field: parameter {name} is not a valid field", "OpenRouterTeam/openrouter-examples#71 (Cohere)"),
        ("too many tokens: max tokens must be less than or equal to {n}", "docs.cohere.com"),
        ("(invalid request: |)only one of {name} and {name} can be specified", "docs.cohere.com"),
        ("(invalid request: |)(response_format|tools|documents|logprobs|seed) is not supported", "docs.cohere.com"),
        ("{name} (and {name} |)cannot both be specified for this model", "platform.claude.com"),
        (
            (
                "{name} (is|are) (deprecated|not supported|unsupported) (for|by|with|on|in) (this|the) "
                "(model|endpoint|API)"
            ),
            "platform.claude.com",
        ),
        (
            "(This|The) model does not support (assistant message prefill|the effort parameter|{words})",
            "platform.claude.com",
        ),
        ("(This|The|Model|Your) model {name} (does not|doesn't) support", "docs.x.ai"),
        ("Model {name} (does not|doesn't) support", "docs.x.ai"),
        ("Argument not supported on this model", "docs.x.ai"),
        ("Budget {n} is invalid. This model only works in thinking mode", "ai.google.dev"),
        (
            (
                "(Input validation error: |){feature} (is|are) not (supported|available|enabled) (for|by|with|on|in) "
                "(this|the) (model|endpoint|API|deployment|provider)"
            ),
            "Gemini, Groq, SiliconFlow, Together and others",
        ),
        (
            (
                "{quoted} (is|are) not (supported|available|enabled) (for|by|with|on|in) (this|the) "
                "(model|endpoint|API|deployment|provider)"
            ),
            "Groq and others",
        ),
        (
            "{feature} cannot be (combined|used together|used) with {feature}",
            "Groq (JSON mode and tools)",
        ),
        ("Thinking (may not|cannot) be enabled when tool_choice forces tool use", "platform.claude.com"),
        ("tool_choice {name} is incompatible with thinking enabled", "Moonshot; unverified"),
        ("The tool_choice parameter does not support being set to", "help.aliyun.com/en/model-studio/error-code"),
        (
            "parameter.enable_thinking (must be set to false|only support)",
            "help.aliyun.com/en/model-studio/error-code",
        ),
        ("This model only support", "help.aliyun.com/en/model-studio/error-code"),
        ("Function calling with a response mime type: {name} is unsupported", "ai.google.dev"),
        ("{feature} is not enabled for (models/|this model)", "ai.google.dev"),
        ("Invalid JSON payload received. Unknown name", "ai.google.dev"),
        ("No endpoints found that can handle the requested parameters", "openrouter.ai"),
        ("{name} does not support (thinking|this|the|parameters|insert|{name} with)", "ollama/ollama; DeepSeek"),
        ("max_tokens: {n} > {n}, which is the maximum allowed number of output tokens", "platform.claude.com"),
        ("temperature: range: {n}..{n}", "platform.claude.com"),
        ("max_tokens is too large: {n}. This model supports at most {n} completion tokens", "platform.openai.com"),
        ("Invalid max_tokens value, the valid range of max_tokens is", "DeepSeek; unverified"),
        ("`max_tokens` must be less than or equal to", "Groq; unverified"),
        ("Range of max_tokens should be", "help.aliyun.com/en/model-studio/error-code"),
        ("Unable to submit request because it has a {name} value of {n}", "Vertex AI; unverified"),
        ("Invalid tool_choice type: {quoted}", "antropia-studio/linguito#21 (LM Studio)"),
        ("invalid think value", "ollama/ollama server/routes.go"),
        ("litellm.UnsupportedParamsError", "docs.litellm.ai/docs/exception_mapping"),
    ),
)
