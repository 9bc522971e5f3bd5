"""SSL contexts, made once and again when their files change, and the proxies that the environment configures."""

from __future__ import annotations

import os
import ssl
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias
from urllib.request import getproxies, proxy_bypass

import httpx

from unified_llm._core.base_url import is_private
from unified_llm._core.client_certificate import ClientCertificate
from unified_llm._core.hidden import Hidden
from unified_llm._core.proxy import Proxy
from unified_llm._lib.local_files import check_file

if TYPE_CHECKING:
    from unified_llm._backends.http.request import Endpoint

Verify: TypeAlias = bool | str | ssl.SSLContext
"""Certificates to trust: the usual authorities (True), any (False), a bundle (file or folder), those of the operating
system (``"system"``), a user's context."""

SYSTEM: Final = "system"

_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_CERTIFICATES_OF_OTHERS: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXY_VARIABLES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")
_MAX_CONTEXTS: Final = 64


class _Trust(NamedTuple):
    """What an SSL context is made of; the variables of the environment are a part of it."""

    verify: bool | str
    certificate: ClientCertificate | None
    cert_file: str | None
    cert_folder: str | None

    def files(self) -> tuple[object, ...]:
        """Return what tells a version of its files from another: a program that renews certificates replaces them."""
        match self.verify:
            case True:
                bundle = self.cert_file
            case "system":
                bundle = _system_file()
            case other:
                bundle = other or None
        paths = (() if bundle is None else (bundle,)) + (self.certificate.paths if self.certificate else ())
        return tuple(map(_version_of, paths))


class _Made(NamedTuple):
    files: tuple[object, ...]
    context: ssl.SSLContext


_contexts: dict[_Trust, _Made] = {}


def load_ssl_context(verify: Verify, certificate: ClientCertificate | None = None) -> ssl.SSLContext:
    """Return the SSL context for ``verify`` and a client certificate.

    It is created once per process, since it reads some 150 certificates, and again where a file of the user's has
    changed. While the new files do not fit together (one is replaced before the other), the old ones hold.

    Raises:
        OSError: A bundle, or the client certificate, cannot be read.
        ssl.SSLError: A bundle contains no certificates.
        ImportError: The package for the certificates of the operating system is missing.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    trust = _Trust(verify, certificate, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    files, made = trust.files(), _contexts.get(trust)
    if made is not None and made.files == files:
        return made.context
    try:
        context = _make_ssl_context(trust)
    except OSError:
        if made is None:
            raise
        return made.context
    if len(_contexts) >= _MAX_CONTEXTS:
        _contexts.clear()
    _contexts[trust] = _Made(files, context)
    return context


def _version_of(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - the ssl module takes strings
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _make_ssl_context(trust: _Trust) -> ssl.SSLContext:
    context = _trusting(trust)
    if trust.certificate is not None:
        from unified_llm._backends.http import client_certificates

        client_certificates.load(context, trust.certificate)
    return context


def _trusting(trust: _Trust) -> ssl.SSLContext:
    """Create an SSL context. The variables are read here: httpx before 0.28 ignores a file that is not there."""
    match trust.verify:
        case "system":
            return _trusting_the_system()
        case str(bundle) if os.path.isdir(bundle):  # noqa: PTH112 - ssl takes a string
            return ssl.create_default_context(capath=bundle)
        case str(bundle):
            check_file(bundle)  # OpenSSL would read a device without end
            return ssl.create_default_context(cafile=bundle)
        case True if trust.cert_file or trust.cert_folder:
            folder = None if trust.cert_file else trust.cert_folder
            if trust.cert_file:
                check_file(trust.cert_file)
            return ssl.create_default_context(cafile=trust.cert_file or None, capath=folder)
        case verify:
            return httpx.create_ssl_context(verify=verify)


def _trusting_the_system() -> ssl.SSLContext:
    """Create a context that trusts what the operating system does.

    On Linux that is one file, which truststore would read again for each connection: some 60 ms in an event loop.
    """
    import truststore

    if _system_file() is None:
        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    return context


def _system_file() -> str | None:
    """Return the file of the certificates that the operating system trusts, where it is one."""
    return ssl.get_default_verify_paths().cafile if sys.platform == "linux" else None


def certificates_setting() -> str | None:
    """Return the setting of the environment that names the certificates to trust, or None."""
    return next((f"{name}={value}" for name in _CERTIFICATES if (value := os.environ.get(name))), None)


def unread_variables() -> list[str]:
    """Return the variables by which other libraries name certificates, and which are set in place of ours."""
    return [] if certificates_setting() else [name for name in _CERTIFICATES_OF_OTHERS if os.environ.get(name)]


def find_proxy(endpoint: Endpoint) -> Proxy | None:
    """Return the proxy for an endpoint, from ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``.

    A proxy of the environment is used for https to public hosts only: it could read all of plain http, and cannot reach
    hosts of a private network.
    """
    if endpoint.origin[0] != "https":
        return None
    return _find_proxy(endpoint.origin, Hidden(tuple(map(os.environ.get, _PROXY_VARIABLES))))


@lru_cache(maxsize=512)
def _find_proxy(origin: tuple[str, str, int], _variables: Hidden[tuple[str | None, ...]]) -> Proxy | None:
    """Find the proxy of one host; cached, since reading the system's settings is the slowest part of preparation."""
    scheme, host, port = origin
    if is_private(f"{scheme}://[{host}]" if ":" in host else f"{scheme}://{host}"):
        return None
    proxies = getproxies()
    proxy = proxies.get("https") or proxies.get("all")
    if not proxy or proxy_bypass(f"{host}:{port}"):
        return None
    return Proxy(proxy if "://" in proxy else f"http://{proxy}", source="HTTPS_PROXY")
