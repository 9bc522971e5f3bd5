"""Body fields beyond those of a request (``extra_body``, further keyword arguments), and the APIs that know them.

A field of a call goes to the targets of the API that the call was written for, which is that of its first target, and
to those of other APIs that document it with the same meaning. Any other target would refuse it, or take it for
something else: ``thinking``, ``metadata`` and ``service_tier`` are other things at Anthropic than elsewhere.

An API is a provider in its usual format, or ``provider:format`` in another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unified_llm._core.codec import AnyRequest
from unified_llm._core.target import Target
from unified_llm._providers.registry import api_of
from unified_llm.types.requests import CountRequest, LLMRequest


def _apis(*names: str) -> frozenset[str]:
    return frozenset(names)


# OpenAI's SDK, types/chat/completion_create_params.py and types/responses/response_create_params.py. Azure's v1 API
# follows it (learn.microsoft.com/azure/ai-foundry/openai/latest; not verified for each field, and an API version by
# date may know fewer).
_OPENAI_CHAT: Final = _apis("openai", "azure")
_OPENAI: Final = _OPENAI_CHAT | {"openai:openai_responses", "azure:azure_responses"}
# docs.vllm.ai/en/latest/serving/openai_compatible_server.html; llama.cpp's tools/server/README.md
_VLLM: Final = _apis("vllm")
_LLAMACPP: Final = _apis("llamacpp")

CHAT_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    # SDKs of Groq and Cerebras, completion_create_params.py; openrouter.ai/docs/api-reference/parameters;
    # docs.x.ai/docs/api-reference; docs.fireworks.ai/api-reference/post-chatcompletions
    "user": _OPENAI | _VLLM | {"groq", "cerebras", "openrouter", "xai", "fireworks"},
    "metadata": _OPENAI,
    "store": _OPENAI,
    "prompt_cache_key": _OPENAI,
    "safety_identifier": _OPENAI,
    "service_tier": _OPENAI,
    "verbosity": _OPENAI_CHAT | {"openrouter"},  # openrouter.ai/docs/api-reference/parameters
    "prediction": _OPENAI_CHAT,
    "modalities": _OPENAI_CHAT,
    "audio": _OPENAI_CHAT,
    # Deprecated at OpenAI in favour of tools.
    "functions": _OPENAI_CHAT,
    "function_call": _OPENAI_CHAT,
    "instructions": _apis("openai:openai_responses", "azure:azure_responses"),
    "truncation": _apis("openai:openai_responses", "azure:azure_responses"),
    # SDK of Together, completion_create_params.py; openrouter.ai/docs/api-reference/parameters;
    # docs.fireworks.ai/api-reference/post-chatcompletions; lmstudio.ai/docs/developer/openai-compat
    "logit_bias": _OPENAI_CHAT | _VLLM | _LLAMACPP | {"together", "openrouter", "fireworks", "lmstudio"},
    # Besides those: platform.claude.com/docs/en/api/messages (where the model takes it); docs.ollama.com/modelfile
    # (inside ``options``); SambaNova's SDK, completion_create_params.py;
    # deepinfra.com/docs/advanced/openai_api
    "top_k": _VLLM | _LLAMACPP | {
        "anthropic", "together", "openrouter", "fireworks", "lmstudio", "ollama", "sambanova", "deepinfra",
        "mlx",
    },
    "min_p": _VLLM | _LLAMACPP | {"together", "openrouter", "fireworks", "ollama", "deepinfra", "mlx"},
    "repetition_penalty": _VLLM | {"together", "openrouter", "fireworks", "deepinfra", "mlx"},
    "repeat_penalty": _LLAMACPP | {"ollama", "lmstudio"},
    "typical_p": _LLAMACPP | {"ollama", "fireworks"},
    "chat_template_kwargs": _VLLM | _LLAMACPP | {"sambanova", "mlx"},
    # logit_bias is left out of those of MLX: a fallback has another tokenizer, and thus other ids.
    **dict.fromkeys(
        ("structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar"), _VLLM | {"mlx"}
    ),
    # {"type": "enabled"} or {"type": "disabled"}: api-docs.deepseek.com/guides/thinking_mode,
    # docs.z.ai/api-reference/llm/chat-completion, platform.kimi.ai/docs/api/chat
    "thinking": _apis("deepseek", "zai", "moonshot"),
    # docs.perplexity.ai/api-reference/chat-completions-post has search_context_size and user_location as OpenAI has.
    "web_search_options": _OPENAI_CHAT | {"perplexity"},
}  # fmt: skip
# Fields of text completion in OpenAI's format, and the value of each that changes nothing.
TEXT_FIELDS: Final[Mapping[str, Any]] = {"suffix": "", "echo": False, "best_of": 1}
_TEXT_FORMATS: Final = frozenset({"openai_chat", "azure"})
# Of these, the ones that mean the same wherever there is such a field, also at servers of which nothing is known.
_ONE_MEANING: Final = frozenset({
    "user", "logit_bias", "top_k", "min_p", "repetition_penalty", "repeat_penalty", "typical_p", "chat_template_kwargs",
})  # fmt: skip


def fields_for(
    target: Target, primary: Target | None, request: AnyRequest, written_for: str | None = None
) -> Mapping[str, Any]:
    """Return the body fields of a call that a target gets: all of them, if it has the API that they were written for.

    Args:
        target: The target.
        primary: The target that the call was written for; None where the client has none of that provider.
        request: The request, which is not changed.
        written_for: The API of OpenAI that the call was written for, where the primary has another. Its own fields then
            go to targets that document them alone, and all others to the primary.
    """
    chat = request.chat if isinstance(request, CountRequest) else request
    given: Mapping[str, Any] = getattr(chat, "extra_body", {})
    if not given or (target is primary and written_for is None):
        return given
    refused = target.quirks.drop  # a model may refuse what its API knows: top_k where no sampling can be chosen
    api, own = api_of(target), written_for or (None if primary is None else api_of(primary))
    if api == own:
        return {name: value for name, value in given.items() if name not in refused}
    table = CHAT_FIELDS if isinstance(chat, LLMRequest) else {}
    known = {name for name in given.keys() & table.keys() if api in table[name] and name not in refused}
    known = {name for name in known if name in _ONE_MEANING or own in table[name]}
    if isinstance(chat, LLMRequest) and chat.as_text and target.format in _TEXT_FORMATS:
        known |= given.keys() & TEXT_FIELDS.keys()
    fitting = {name: given[name] for name in given if name in known}
    if target is not primary or written_for is None:
        return fitting
    from unified_llm._providers.api_fields import OPENAI_FIELDS, fields_of  # loaded for these calls alone

    unknown = OPENAI_FIELDS[written_for] | TEXT_FIELDS.keys()
    if target.format == "mlx":  # whose tokens logit_bias names, where it is the primary
        unknown -= fields_of(target)
    return {name: given[name] for name in given if name in fitting or name not in unknown}


def has_media_api_of(target: Target, primary: Target) -> bool:
    """Return whether a target has the primary's API for media: OpenAI's, and Azure's, have one."""
    api, own = api_of(target), api_of(primary)
    return api == own or {api, own} <= _OPENAI
