"""Sentences about a model that is gone, blocked, or not loaded."""

from __future__ import annotations

from typing import Final

from unified_llm._formats.error_wording.sentence import (
    CANNOT_LOAD,
    CRASHED,
    LOADING,
    NO_ACCESS,
    NO_SUCH_MODEL,
    NOT_LOADED,
    sentences,
)

# The model is gone, blocked, or not loaded.
MODEL_SENTENCES: Final = (
    *sentences(
        NO_SUCH_MODEL,
        ("The supported API model names are {text}, but you passed {name}", "raycast/extensions#29730 (DeepSeek)"),
        ("Model Not Exist", "BerriAI/litellm#9817 (DeepSeek)"),
        ("{name} is not a valid model( ID|)", "NousResearch/hermes-agent#40066 (OpenRouter)"),
        ("No (endpoints|allowed providers) (found for|are available for) {name}", "openrouter.ai/docs; unverified"),
        (
            "(Unknown|Invalid|Unsupported|Unrecognized) model: {name}",
            "truefoundry/models#919 (GitHub Models); docs.mistral.ai",
        ),
        ("(Unknown|Invalid|Unsupported|Unrecognized) model {quoted}", "docs.perplexity.ai"),
        ("(invalid params, |)unknown model", "MiniMax; unverified"),
        ("Unknown Model, please check the model code", "docs.z.ai/api-reference/api-code"),
        ("Invalid model name", "BerriAI/litellm, ollama/ollama server/routes.go"),
        (
            (
                "(The |The requested |Requested |)model {name} (does not exist|doesn't exist|was not "
                "found|not found|is not found|could not be found|is not available|is unavailable|was "
                "retired|is retired|is deprecated|is decommissioned|is not supported)"
            ),
            "platform.openai.com; vLLM; docs.x.ai; ollama/ollama",
        ),
        (
            (
                "(The |The requested |)model {name} has (been|reached) "
                "(decommissioned|deprecated|retired|removed|shut down|discontinued|its end of life|end of "
                "life)"
            ),
            "console.groq.com/docs/deprecations",
        ),
        (
            (
                "(The |This |)(model|requested model) (does not exist|doesn't exist|was not found|not found"
                "|is not supported|has been retired|has been deprecated|has been decommissioned)"
            ),
            "deepwn/addi#13; SiliconFlow",
        ),
        (
            (
                "(This|The) model (version |)has (been|reached) "
                "(decommissioned|deprecated|retired|removed|the end of its life|its end of life|end of life)"
            ),
            "Bedrock; unverified",
        ),
        ("This model is no longer (available|supported)", "unverified"),
        ("(This |The |)model is (not available|unavailable)", "openrouter.ai, DeepInfra; unverified"),
        ("Invalid model (ID|identifier)", "ModelScope; unverified"),
        ("could not find real modelID for {name}", "mostlygeek/llama-swap; unverified"),
        ("Model (does not exist|not found)", "docs.z.ai/api-reference/api-code; docs.fireworks.ai; SambaNova"),
        ("Not found the model {name}", "platform.kimi.ai/docs/api/errors"),
        ("models/{name} is not found for API version", "ai.google.dev"),
        ("Publisher Model {name} (was not found|not found)", "Vertex AI; unverified"),
        ("Unable to access (non-serverless |)model {name}", "docs.together.ai/docs/error-codes"),
        ("The provided model identifier is invalid", "Bedrock; unverified"),
        ("Invocation of model ID {name} with on-demand throughput isn't supported", "Bedrock; unverified"),
        ("LLM Provider NOT provided", "BerriAI/litellm, get_llm_provider_logic.py"),
        ("(* |)GenerateContentRequest.model: unexpected model name format", "ai.google.dev"),
        ("unknown provider for model {name}", "router-for-me/CLIProxyAPI; unverified"),
        ("The model or endpoint {name} does not exist", "Volcengine Ark; unverified"),
    ),
    *sentences(
        NO_ACCESS,
        ("The model {name} is blocked at the (organization|project) level", "router-for-me/CLIProxyAPI#3689 (Groq)"),
        ("Access to model {name} is restricted", "huggingface.co, gated models"),
        ("(Cannot access|You are trying to access a) gated repo", "huggingface.co, gated models"),
        ("Your request to access model {name} is awaiting a review", "huggingface.co, gated models"),
        ("Model {name} requires a Pro subscription", "huggingface.co; unverified"),
        ("(Model |)requires a Pro subscription", "huggingface.co; unverified"),
        ("The model {name} is too large to be loaded automatically", "huggingface.co; unverified"),
        ("this model requires a subscription", "Ollama cloud; unverified"),
        (
            (
                "(You |Your (account|organization|team|project|plan|subscription) )(don't|does not|doesn't|do "
                "not) have access to (the |this |)model"
            ),
            "Bedrock, OpenAI, Mistral",
        ),
        ("Project {name} does not have access to model {name}", "platform.openai.com"),
        ("Your organization must be verified to (use|stream)", "platform.openai.com"),
        ("You are not allowed to (sample from|use) this model", "platform.openai.com; unverified"),
        ("(The|This) model is not available in your (country|region)", "openrouter.ai; unverified"),
        ("Model access is denied", "Bedrock; unverified"),
        ("Model (is |)disabled", "SiliconFlow, code 30003"),
        ("No access to model", "GitHub Models; unverified"),
        ("(key|team|user|project|org|organization) not allowed to access model", "docs.litellm.ai/docs/proxy"),
        ("The model {name} requires terms acceptance", "console.groq.com; unverified"),
        ("Your account {name} has not activated the model", "Volcengine Ark; unverified"),
        ("No endpoints (found|available) matching your (guardrail restrictions and |)data policy", "openrouter.ai"),
        ("Access denied. This Model is marked by provider as Legacy", "Bedrock; unverified"),
    ),
    *sentences(
        NOT_LOADED,
        ("No models( are|) loaded", "tinyhumansai/openhuman#4181 (LM Studio)"),
        ("No model( is|) loaded", "continuedev/continue#10150; unverified"),
        ("Model is not loaded", "LM Studio; unverified"),
    ),
    *sentences(
        CANNOT_LOAD,
        ("Failed to load model {quoted}", "lmstudio-ai/lmstudio-bug-tracker#1170"),
        ("(unable to load|error loading|failed to load|could not load) (the |)model", "ollama/ollama; LocalAI"),
        ("Function id {quoted}: DEGRADED function cannot be invoked", "NVIDIA; unverified"),
        ("model requires more system memory", "ollama/ollama llm/llama_server.go"),
        ("The LoRA addon could not be loaded", "docs.fireworks.ai"),
    ),
    *sentences(
        LOADING,
        ("(The |)Model is (currently |still |)(being loaded|loading)", "huggingface.co; LocalAI"),
        ("Model {name} is (currently |still |)(being loaded|loading)", "huggingface.co"),
        ("Loading model", "ggml-org/llama.cpp tools/server"),
        ("(The |)model is not ready", "huggingface/text-embeddings-inference; unverified"),
        ("llm server loading model", "ollama/ollama llm/server.go; unverified"),
    ),
    *sentences(
        CRASHED,
        ("The model has crashed", "lmstudio-ai/lmstudio-bug-tracker#1347"),
        ("(The |)Model (was |has been |has |)unloaded", "lmstudio-ai/lmstudio-bug-tracker#1170"),
    ),
)
