"""SSL contexts, and the proxies that the environment configures."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.request import getproxies, proxy_bypass

import httpx

from unified_llm._core.base_url import is_private
from unified_llm._core.hidden import Hidden

if TYPE_CHECKING:
    from unified_llm._backends.http.request import Endpoint

Verify: TypeAlias = bool | str | ssl.SSLContext
"""Certificates to trust: the usual authorities (True), any (False), a bundle (file or folder), a user's context."""


_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_CERTIFICATES_OF_OTHERS: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXY_VARIABLES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


def load_ssl_context(verify: Verify) -> ssl.SSLContext:
    """Return the SSL context for ``verify``, created once per process since it reads some 150 certificates.

    Raises:
        OSError: A bundle cannot be read.
        ssl.SSLError: A bundle contains no certificates.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    return _load_ssl_context(verify, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=32)
def _load_ssl_context(verify: bool | str, cert_file: str | None, cert_folder: str | None) -> ssl.SSLContext:  # noqa: FBT001 - a user's setting
    """Create an SSL context. The variables are read here: httpx before 0.28 ignores a file that is not there."""
    if isinstance(verify, str):
        if os.path.isdir(verify):  # noqa: PTH112 - ssl takes a string
            return ssl.create_default_context(capath=verify)
        return ssl.create_default_context(cafile=verify)
    if verify and (cert_file or cert_folder):
        return ssl.create_default_context(cafile=cert_file or None, capath=None if cert_file else cert_folder)
    return httpx.create_ssl_context(verify=verify)


def certificates_setting() -> str | None:
    """Return the setting of the environment that names the certificates to trust, or None."""
    return next((f"{name}={value}" for name in _CERTIFICATES if (value := os.environ.get(name))), None)


def unread_variables() -> list[str]:
    """Return the variables by which other libraries name certificates, and which are set in place of ours."""
    return [] if certificates_setting() else [name for name in _CERTIFICATES_OF_OTHERS if os.environ.get(name)]


def find_proxy(endpoint: Endpoint) -> Hidden[str] | None:
    """Return the URL of the proxy for an endpoint, from ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``.

    It is hidden because it may hold a password.

    A proxy is used for https to public hosts only: it could read all of plain http, and cannot reach hosts of a
    private network.
    """
    if endpoint.origin[0] != "https":
        return None
    return _find_proxy(endpoint.origin, Hidden(tuple(map(os.environ.get, _PROXY_VARIABLES))))


def is_encrypted(proxy: Hidden[str]) -> bool:
    """Return whether the connection to a proxy is encrypted itself."""
    return proxy.value.lower().startswith("https://")


@lru_cache(maxsize=512)
def _find_proxy(origin: tuple[str, str, int], _variables: Hidden[tuple[str | None, ...]]) -> Hidden[str] | None:
    """Find the proxy of one host; cached, since reading the system's settings is the slowest part of preparation."""
    scheme, host, port = origin
    if is_private(f"{scheme}://[{host}]" if ":" in host else f"{scheme}://{host}"):
        return None
    proxies = getproxies()
    proxy = proxies.get("https") or proxies.get("all")
    if not proxy or proxy_bypass(f"{host}:{port}"):
        return None
    return Hidden(proxy if "://" in proxy else f"http://{proxy}")
