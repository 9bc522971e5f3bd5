"""The fields that say how a target is reached: ``verify_ssl=``, ``proxy=`` and ``client_cert=``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from ssl import SSLContext
from typing import Annotated, Any, Final, Literal, TypeAlias, cast

from pydantic import BeforeValidator, PlainSerializer

from unified_llm._config.field_types import LEFT_OUT, text_of_url
from unified_llm._core.api_key import OmittedKey
from unified_llm._core.client_certificate import ClientCertificate
from unified_llm._core.hidden import Hidden
from unified_llm._core.proxy import Proxy, ProxyURLError, parse_proxy
from unified_llm._core.redaction import begins_like_a_key
from unified_llm._lib.local_files import expand_home
from unified_llm.exceptions import ConfigurationError

SYSTEM: Final = "system"
"""The value of ``verify_ssl=`` for the certificates that the operating system trusts."""

_FILE_NAMED_SYSTEM: Final = "./system"  # of which pathlib makes "system"
_PROXY: Final = 'proxy= must be a URL, such as "http://user:password@proxy.example:3128", or False for none'
_CERTIFICATE: Final = (
    "client_cert= must be the path of a PEM file with a certificate and its key, (certificate, key) or "
    "(certificate, key, password)"
)


def read_verify(value: object) -> object:
    """Read how certificates are checked; None is the default.

    Raises:
        ConfigurationError: It is nothing that says so.
    """
    match value:
        case None:
            return True
        case bool() | SSLContext():
            return value
        case PurePath():
            return _FILE_NAMED_SYSTEM if str(value) == SYSTEM else _expand(value)
        case str() if not value.isprintable():
            raise ConfigurationError("verify_ssl= takes the path of a file of certificates, not its contents.")
        case str() if value.strip():
            return value if value == SYSTEM else _expand(value)
        case str():
            raise ConfigurationError("verify_ssl= is empty: leave it out, or write the path of a file of certificates.")
        case _:
            raise ConfigurationError(
                'verify_ssl must be True, False, the path of a file of certificates, "system" or an SSLContext, not '
                f"{type(value).__name__}."
            )


def read_proxy(value: object) -> object:
    """Read a proxy: a URL as text or as an object, an ``httpx.Proxy``, or False; an empty text is False too.

    Raises:
        ConfigurationError: It is none. The message does not repeat it.
    """
    if value is None or isinstance(value, Proxy):
        return value
    if value is False or value == "":
        return False
    if isinstance(value, Mapping):
        raise ConfigurationError("proxy= is one URL for this target, not one for each scheme.")
    if hasattr(value, "get_secret_value"):
        value = cast("Any", value).get_secret_value()
    headers: tuple[tuple[str, str], ...] = ()
    if type(value).__name__ == "Proxy" and hasattr(value, "raw_auth"):
        value, headers = _of_httpx(value)
    text = text_of_url(value)
    if not isinstance(text, str):
        raise ConfigurationError(f"{_PROXY}, not {type(value).__name__}.")
    problem = None
    try:
        return parse_proxy(text, headers)
    except ProxyURLError as wrong:
        problem = str(wrong)
    raise ConfigurationError(f"The URL from proxy= {problem}.")


def _of_httpx(proxy: Any) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the URL of an ``httpx.Proxy``, with user and password, and its headers."""
    if getattr(proxy, "ssl_context", None) is not None:
        raise ConfigurationError("An httpx.Proxy with an ssl_context cannot be used: pass the context as verify_ssl=.")
    url = proxy.url
    if proxy.raw_auth is not None:
        user, password = (part.decode() for part in proxy.raw_auth)
        url = url.copy_with(username=user, password=password)
    return str(url), tuple(proxy.headers.items())


def read_certificate(value: object) -> object:
    """Read a client certificate: a path, or (certificate, key), or (certificate, key, password).

    Raises:
        ConfigurationError: It is none. The message does not repeat it.
    """
    match value:
        case None | ClientCertificate():
            return value
        case str() | PurePath():
            return ClientCertificate(_path(value))
        case (certificate, key):
            return ClientCertificate(_path(certificate), None if key is None else _path(key))
        case (certificate, key, password):
            return ClientCertificate(_path(certificate), None if key is None else _path(key), _password(password))
        case _:
            raise ConfigurationError(f"{_CERTIFICATE}.")


def _path(value: object) -> str:
    text = str(value) if isinstance(value, (str, PurePath)) else ""
    if text.lstrip().startswith("-----BEGIN") or begins_like_a_key(text):
        raise ConfigurationError("client_cert= takes paths of files, not their contents.")
    if not text.strip() or not text.isprintable():
        raise ConfigurationError(f"{_CERTIFICATE}.")
    return _expand(text)


def _expand(path: str | PurePath) -> str:
    """Return a path with the home directory in place of ``~``, otherwise as it was written."""
    text = str(path)
    return str(expand_home(text)) if text.startswith("~") else text


def _password(value: object) -> Hidden[str] | OmittedKey | None:
    if hasattr(value, "get_secret_value"):
        value = cast("Any", value).get_secret_value()
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if value is None or isinstance(value, OmittedKey):
        return value
    if value == LEFT_OUT:
        return OmittedKey.KEY
    if not isinstance(value, str):
        raise ConfigurationError(f"The password of client_cert= must be a string, not {type(value).__name__}.")
    return Hidden(value)


def dump_certificate(certificate: ClientCertificate | None) -> str | Sequence[str | None] | None:
    """Return what a client certificate is in JSON: paths, and no password."""
    if certificate is None:
        return None
    if certificate.password is not None:
        return [certificate.certificate, certificate.key, LEFT_OUT]
    return certificate.certificate if certificate.key is None else [certificate.certificate, certificate.key]


def dump_proxy(proxy: object) -> str | bool | None:
    """Return what a proxy is in JSON: its URL without user and password."""
    return str(proxy) if isinstance(proxy, Proxy) else cast("bool | None", proxy)


def dump_verify(verify: bool | str | SSLContext) -> bool | str:  # noqa: FBT001 - Pydantic calls it
    """Return what the check of certificates is in JSON, which can hold no context."""
    return True if isinstance(verify, SSLContext) else verify


VerifySSL: TypeAlias = Annotated[
    bool | str | SSLContext, BeforeValidator(read_verify), PlainSerializer(dump_verify, when_used="json")
]
ProxySetting: TypeAlias = Annotated[
    Proxy | Literal[False] | None, BeforeValidator(read_proxy), PlainSerializer(dump_proxy, when_used="json")
]
ClientCertSetting: TypeAlias = Annotated[
    ClientCertificate | None,
    BeforeValidator(read_certificate),
    PlainSerializer(dump_certificate, when_used="json"),
]
