"""What is checked of certificates and proxies when a client is made: files, and packages that they need."""

from __future__ import annotations

from importlib.util import find_spec
from ssl import SSLContext
from typing import TYPE_CHECKING, Literal

from unified_llm._config.network_fields import SYSTEM
from unified_llm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from unified_llm._config.llm_config import LLMConfig
    from unified_llm._core.proxy import Proxy


def check_certificates(config: LLMConfig, lacks: list[str]) -> None:
    """Check the files of a client certificate, and the package for ``verify_ssl="system"``.

    Args:
        config: The configuration.
        lacks: Where to note that the package is missing.

    Raises:
        ConfigurationError: The client certificate cannot be used.
    """
    if config.verify_ssl == SYSTEM and find_spec("truststore") is None:
        lacks.append("verify_ssl=\"system\" needs an extra: pip install 'unified-llm[system-certs]'")
    if config.client_cert is None:
        return
    if isinstance(config.verify_ssl, SSLContext):
        raise ConfigurationError(
            "client_cert= and an SSLContext as verify_ssl= cannot both be given: load the certificate into the context "
            "with its load_cert_chain(), and leave client_cert= out."
        )
    from unified_llm._backends.http.client_certificates import find_problem

    if problem := find_problem(config.client_cert):
        raise ConfigurationError(f"client_cert= cannot be used: {problem}.")


def check_socks(proxy: Proxy | Literal[False] | None, lacks: list[str]) -> None:
    """Check for the package that a SOCKS proxy needs; note it in ``lacks`` where it is missing."""
    if proxy and proxy.scheme == "socks5" and find_spec("socksio") is None:
        lacks.append("a SOCKS proxy needs a package: pip install 'httpx[socks]'")
