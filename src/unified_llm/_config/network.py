"""What is checked of certificates and proxies when a client is made: files, and packages that they need."""

from __future__ import annotations

from importlib.util import find_spec
from ssl import SSLContext
from typing import TYPE_CHECKING, Literal

from unified_llm._config.network_fields import SYSTEM
from unified_llm._core.base_url import is_private
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


def proxy_to(base_url: str, config: LLMConfig, lacks: list[str]) -> Proxy | Literal[False] | None:
    """Return the proxy by which a target is reached; None for that of the environment, False for none.

    One that is set for all targets of the process does not hold where the environment's would not either.

    Args:
        base_url: The address of the target.
        config: Its configuration.
        lacks: Where to note that the package for a SOCKS proxy is missing.
    """
    proxy = config.proxy
    if proxy and proxy.of_process and (not base_url.startswith("https://") or is_private(base_url)):
        return None
    if proxy and proxy.scheme == "socks5" and find_spec("socksio") is None:
        lacks.append("a SOCKS proxy needs a package: pip install 'httpx[socks]'")
    return proxy
