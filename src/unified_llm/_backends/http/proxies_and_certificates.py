"""Whom to trust, and by which way to go: SSL contexts and the environment's proxies."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.request import getproxies, proxy_bypass

import httpx

from unified_llm._core.base_url import is_private

if TYPE_CHECKING:
    from unified_llm._backends.http.request import Endpoint

Verify: TypeAlias = bool | str | ssl.SSLContext
"""Certificates: the usual authorities, none, a bundle (file or folder), or a context of the user's own."""


_PROXY_VARIABLES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


def context(verify: Verify) -> ssl.SSLContext:
    """The context for this; making one reads some 150 certificates, so each is made once in a process.

    Raises:
        OSError: A bundle cannot be read.
        ssl.SSLError: It holds no certificates.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    return _context(verify, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=32)
def _context(verify: bool | str, _file: str | None, _folder: str | None) -> ssl.SSLContext:  # noqa: FBT001 - a user's setting
    """The variables are arguments so that a change of them makes a new context; httpx reads them itself."""
    if isinstance(verify, str):
        if os.path.isdir(verify):  # noqa: PTH112 - ssl takes a string
            return ssl.create_default_context(capath=verify)
        return ssl.create_default_context(cafile=verify)
    return httpx.create_ssl_context(verify=verify)


def proxy_for(place: Endpoint) -> str | None:
    """The URL of the proxy for this place, from ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``.

    Only for https to public hosts: a proxy could read all of plain http, and has no way to hosts of one's own network.
    """
    if place.origin[0] != "https":
        return None
    return _proxy(place.origin, tuple(map(os.environ.get, _PROXY_VARIABLES)))


@lru_cache(maxsize=512)
def _proxy(origin: tuple[str, str, int], _variables: tuple[str | None, ...]) -> str | None:
    """Reading the system's settings takes longer than all else before a request, so it is done once for each host."""
    scheme, host, port = origin
    if is_private(f"{scheme}://[{host}]" if ":" in host else f"{scheme}://{host}"):
        return None
    proxies = getproxies()
    proxy = proxies.get("https") or proxies.get("all")
    if not proxy or proxy_bypass(f"{host}:{port}"):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
