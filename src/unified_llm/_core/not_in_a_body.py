"""Arguments that other clients have and that are no fields of a request's body, with what to use here instead.

Without this list an adapter would take one for a field that only some provider knows, and send it: a key, or the header
of a gateway, would be in the body of a request. The names are those of openai-python, ``ChatOpenAI``, LlamaIndex's
``OpenAI`` and LiteLLM.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from unified_llm.exceptions import LLMError

_HEADERS: Final = "headers of one call go into extra_headers={...}, those of all requests into default_headers={...}."
_KEY: Final = "the key belongs to the target: api_key= of the constructor, of a fallback or of a call."
# What to use instead: the names.
_BY_ADVICE: Final[Mapping[str, tuple[str, ...]]] = {
    _HEADERS: (
        "headers", "additional_headers", "custom_headers", "http_headers", "default_headers",
        "include_response_headers",
    ),
    "a query cannot be added to the URL: headers go into extra_headers={...}, Azure's version into api_version=.": (
        "extra_query", "default_query", "query_params",
    ),
    "the address belongs to the target: base_url= of the constructor, of a fallback or of a call.": (
        "base_url", "api_base", "azure_endpoint", "endpoint", "azure_deployment", "endpoint_url", "api_type",
        "openai_api_type", "data_residency",
    ),
    _KEY: (
        "api_key", "auth", "authorization", "auth_token", "bearer_token", "access_token", "token", "credentials",
        "password", "webhook_secret", "cookies", "workload_identity", "custom_llm_provider",
    ),
    "connections are this package's own: write proxy=, client_cert= or verify_ssl= of the constructor.": (
        "client", "async_client", "aclient", "root_client", "root_async_client", "async_http_client",
        "http_async_client", "http_options", "http_socket_options", "client_options", "proxy", "proxies",
        "openai_proxy", "transport", "verify", "ssl_verify", "verify_ssl", "client_cert", "cert", "allow_http",
        "reuse_client",
    ),
    'it is a header: default_headers={"OpenAI-Organization": ..., "OpenAI-Project": ...}.': (
        "organization", "openai_organization", "openai_org_id", "organization_id", "project", "openai_project",
    ),
    "retries belong to the target: max_retries= of the constructor, of a fallback or of a call.": (
        "max_retries", "num_retries", "retry_delay",
    ),
    "the version belongs to the target: api_version= of the constructor or of a fallback.": ("api_version",),
    'the format belongs to the target: api="responses" of the constructor or of a fallback.': (
        "use_responses_api", "output_version", "use_previous_response_id",
    ),
    "it has no counterpart here: leave it out.": (
        "disabled_params", "tiktoken_model_name", "custom_get_token_ids", "stream_chunk_timeout", "default_timeout",
    ),
    'it is a header: extra_headers={"Idempotency-Key": ...}.': ("idempotency_key",),
}  # fmt: skip
_ADVICE: Final = {name: advice for advice, names in _BY_ADVICE.items() for name in names}
# Endings of names that only some clients have (azure_ad_token_provider, anthropic_api_url), and a name of the table
# whose advice holds for them.
_LIKE: Final[Mapping[str, str]] = {
    "api_key": "api_key", "ad_token": "api_key", "token_provider": "api_key", "secret_key": "api_key",
    "access_key": "api_key", "access_key_id": "api_key", "session_token": "api_key", "_api_base": "base_url",
    "_api_url": "base_url", "_base_url": "base_url", "_headers": "headers", "http_client": "client",
}  # fmt: skip


def advice_on(name: str) -> str | None:
    """Say what to use in place of an argument that does not belong in a body; None for any other argument."""
    lowered = name.lower()
    known = next((name for ending, name in _LIKE.items() if lowered.endswith(ending)), lowered)
    return _ADVICE.get(lowered) or _ADVICE.get(known)


def check_body_fields(names: Iterable[str], error: type[LLMError]) -> None:
    """Refuse further fields of a body that belong to the client, or to its connection.

    Raises:
        LLMError: Of the class ``error``.
    """
    for name in names:
        if advice := advice_on(name):
            raise error(f"{name!r} is no field of a request: {advice}")


def may_hold_a_key(name: str) -> bool:
    """Return whether an argument of this name holds a key, or headers, which may be keys."""
    return name != "extra_headers" and advice_on(name) in {_KEY, _HEADERS}
