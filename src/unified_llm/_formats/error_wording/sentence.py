"""A sentence of a provider's error messages, and the meanings that sentences and error codes have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from unified_llm._core.outcome import ErrorMeaning


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a provider, what it means, and where it was found."""

    template: str
    meaning: ErrorMeaning
    source: str


def sentences(meaning: ErrorMeaning, *lines: tuple[str, str]) -> tuple[Sentence, ...]:
    """Return the sentences of one meaning, from pairs of a template and its source."""
    return tuple(Sentence(template, meaning, source) for template, source in lines)


CONTEXT: Final = ErrorMeaning("context")
PHYSICAL_BATCH: Final = ErrorMeaning(
    "too_large",
    reason="an input is larger than the physical batch of the server",
    advice="start llama-server with a larger --ubatch-size, or send shorter texts",
)
NO_VECTOR: Final = ErrorMeaning(
    "bad_request",
    reason="the model computed no vector for a text",
    advice="change or leave out the text, or serve the model otherwise (Ollama: num_gpu=0)",
)
TOO_LARGE: Final = ErrorMeaning("too_large")
TOO_LARGE_FOR_RATE: Final = ErrorMeaning(
    "rate_limit",
    reason="the request is larger than the account's limit of tokens for a whole minute",
    advice="send less at once, raise the limit, or add a fallback at another provider",
    about_key=False,
    try_again=False,
)
BLOCKED_PATH: Final = ErrorMeaning(
    "permission",
    reason="a firewall or a network rule refused this machine",
    advice="check the network, the proxy and the access rules of the resource",
    about_key=False,
)
NO_SUCH_PATH: Final = ErrorMeaning("not_found")
NO_SUCH_MODEL: Final = ErrorMeaning("model_not_found")
NO_ACCESS: Final = ErrorMeaning(
    "model_not_found",
    reason="the account has no access to this model",
    advice="ask for access in the provider's console, or choose another model",
)
NOT_LOADED: Final = ErrorMeaning(
    "model_not_found",
    reason="no model is loaded",
    advice="load one on the server, or allow it to load models when they are needed",
)
CANNOT_LOAD: Final = ErrorMeaning(
    "model_not_found",
    reason="the server could not load the model",
    advice="see the server's log; it may need more memory, or a newer version for this model",
)
LOADING: Final = ErrorMeaning("loading")
CRASHED: Final = ErrorMeaning("server", reason="the model was unloaded or crashed", advice="see the server's log")
UNSUPPORTED: Final = ErrorMeaning("unsupported")
NO_TOOLS: Final = ErrorMeaning(
    "unsupported",
    reason="this model takes no tools here",
    advice="choose a model that does, or start the server with tool calling",
)
VLLM_TOOLS: Final = ErrorMeaning(
    "unsupported",
    reason="the server was started without tool calling",
    advice="start vLLM with --enable-auto-tool-choice and --tool-call-parser",
)
JINJA: Final = ErrorMeaning(
    "unsupported", reason="the server was started without tool calling", advice="start llama-server with --jinja"
)
NO_IMAGES: Final = ErrorMeaning(
    "unsupported",
    reason="this model takes no such images, sounds or files here",
    advice="choose a model that does; llama-server needs its projector (--mmproj)",
)
NO_SCHEMA: Final = ErrorMeaning(
    "unsupported",
    reason="the server cannot enforce this JSON schema or format",
    advice="simplify the schema, or use ResponseFormat(methods=('prompt',))",
)
TEMPLATE: Final = ErrorMeaning(
    "unsupported",
    reason="the model's chat template refuses these messages or cannot be used",
    advice="start the server with another template (vLLM: --chat-template, llama-server: --chat-template-file)",
)
NO_CHAT: Final = ErrorMeaning(
    "unsupported", reason="this model does not serve this kind of request", advice="choose another model"
)
FILTER: Final = ErrorMeaning("filter")
AUTH: Final = ErrorMeaning("auth")
DISABLED: Final = ErrorMeaning(
    "permission", reason="the account is disabled or restricted", advice="contact the provider's support"
)
REGION: Final = ErrorMeaning(
    "permission", reason="the provider does not serve this country or region", advice="add a fallback elsewhere"
)
QUOTA: Final = ErrorMeaning("quota")
MODEL_QUOTA: Final = ErrorMeaning(
    "quota",
    reason="the free tier of this model is used up",
    advice="enable paid use of the model, or choose another one",
    about_key=False,
)
TOO_DEAR: Final = ErrorMeaning(
    "quota",
    reason="the request may cost more than the credit that is left",
    advice="lower max_tokens=, choose a cheaper model, or add credit",
    about_key=False,
)
