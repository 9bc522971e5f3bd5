"""The account that a target's requests are charged to and limited by, as a digest.

An account is what the user names with ``account=``. Without that it is an API key, together with the headers and body
fields of the configuration that are keys themselves or say who pays: gateways read keys from headers of their own
(``X-Api-Key``, ``Ocp-Apim-Subscription-Key``, cookies), and quotas differ between the organizations, projects and
tenants of one key. Where a callable returns the keys, its name stands for them, since each of them expires. Headers of
a single request (trace contexts, idempotency keys) belong to no account.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from unified_llm._core.api_key import Secret
from unified_llm._core.client_certificate import ClientCertificate
from unified_llm._core.headers import is_per_request
from unified_llm._core.key_callable import KeyCallable
from unified_llm._core.redaction import may_be_a_key

ANONYMOUS: Final = "anonymous"
"""The account of a target without a key: whoever reaches the server."""

# Words in the name of a header or body field whose value is a key, or says who pays.
_WORDS: Final = frozenset({
    "account", "apikey", "auth", "authorization", "bearer", "cookie", "credential", "credentials", "customer",
    "identity", "jwt", "key", "login", "org", "organisation", "organization", "password", "principal", "project",
    "secret", "session", "signature", "sub", "subscription", "team", "tenant", "token", "user", "userid", "username",
    "workspace",
})  # fmt: skip
# Names with such a word that say nothing of the kind.
_OTHERS: Final = frozenset({"user-agent", "prompt-cache-key", "prompt-cache-id"})
_SEPARATORS: Final = re.compile(r"[-_.\s]+")
_MAX_DEPTH: Final = 8
_DIGITS: Final = 32


def identify(
    key: Secret | KeyCallable | None,
    headers: Mapping[str, str],
    extra_body: Mapping[str, Any],
    certificate: ClientCertificate | None = None,
    *,
    name: str | None = None,
) -> str:
    """Return a digest of the account, the same in every process; ``ANONYMOUS`` without anything that names one.

    Args:
        key: The key, or what returns it.
        headers: The headers of every request.
        extra_body: Fields of every body.
        certificate: The client certificate, which counts by the path of its file: what is in it is renewed.
        name: The user's own name for the account, in place of all that.
    """
    if name is not None:
        return _digest(f"account {name}")
    named = sorted((_normalise(name), value) for name, value in headers.items() if _header_names_account(name))
    fields = sorted(_identifying_fields(extra_body, 0)) if extra_body else []
    if certificate is not None:
        fields.append(("client certificate", certificate.certificate))
    if key is None and not named and not fields:
        return ANONYMOUS
    identifies = f"callable {key.account}" if isinstance(key, KeyCallable) else key.reveal() if key else ""
    return _digest(identifies, *(part for pair in (*named, *fields) for part in pair))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_DIGITS]


def _normalise(name: str) -> str:
    return _SEPARATORS.sub("-", name.strip().lower())


def _header_names_account(header: str) -> bool:
    return not is_per_request(header) and (_names_account(header) or may_be_a_key(header))


def _names_account(name: str) -> bool:
    name = _normalise(name)
    return name not in _OTHERS and not _WORDS.isdisjoint(name.split("-"))


def _identifying_fields(body: Mapping[str, Any], depth: int) -> Iterator[tuple[str, str]]:
    for name, value in body.items():
        if _names_account(str(name)):
            yield f"body {name}", repr(value)
        elif isinstance(value, Mapping) and depth < _MAX_DEPTH:
            yield from _identifying_fields(value, depth + 1)
