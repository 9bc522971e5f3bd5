"""The proxy of a target: its address, and how to log in there, which nothing shows and no pickle has."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from unified_llm._core.base_url import is_host
from unified_llm._core.hidden import Hidden

DEFAULT_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080}
"""The ports of proxies whose URLs name none, by scheme."""

_LEFT_OUT: Final = "***"  # stands for a user and a password in a repr, a pickle and a dump
_EXAMPLE: Final = '"http://proxy.example:3128"'
_ENCODED: Final = "special characters of a password are percent-encoded (%23 for #)"


class ProxyURLError(ValueError):
    """A text is no URL of a proxy. The message says why, and does not repeat the text."""


class Proxy:
    """A proxy. Immutable.

    Args:
        url: ``scheme://[user:password@]host:port``.
        headers: Sent to the proxy, and never to the server.
        source: Where the user named it, for messages: ``proxy=``, or the name of an environment variable.
        of_process: It is that of all targets of the process, and so for https to public hosts alone: it could read all
            of plain http, and cannot reach this machine.

    Attributes:
        url: See above.
        headers: See above.
        source: See above.
        of_process: See above.
        left_out: Its user and password are in no pickle and no dump, and this one was made of such.
    """

    __slots__ = ("headers", "left_out", "of_process", "source", "url")

    def __init__(
        self,
        url: str,
        headers: tuple[tuple[str, str], ...] = (),
        source: str = "proxy=",
        *,
        of_process: bool = False,
    ) -> None:
        self.left_out = f"//{_LEFT_OUT}@" in url
        self.url = Hidden(url.replace(f"{_LEFT_OUT}@", "", 1) if self.left_out else url)
        self.headers = Hidden(headers)
        self.source = source
        self.of_process = of_process

    def for_process(self) -> Proxy:
        """Return the same proxy as that of all targets of the process."""
        return Proxy(self.url.value, self.headers.value, self.source, of_process=True)

    @property
    def scheme(self) -> str:
        """``http``, ``https`` or ``socks5``."""
        return self.url.value.partition(":")[0].lower()

    @property
    def has_credentials(self) -> bool:
        """Return whether its URL has a user and a password."""
        return "@" in self.url.value

    @property
    def address(self) -> str:
        """Its URL without user and password."""
        scheme, _, rest = self.url.value.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    def __str__(self) -> str:
        """Show the address, and whether there is more."""
        shown, hides = self.address, self.has_credentials or self.left_out or bool(self.headers.value)
        return shown.replace("://", f"://{_LEFT_OUT}@", 1) if hides else shown

    def __repr__(self) -> str:
        """Hide user, password and headers."""
        return f"Proxy({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        """Compare the URLs and headers."""
        return isinstance(other, Proxy) and (other.url, other.headers) == (self.url, self.headers)

    def __hash__(self) -> int:
        """Hash the URL."""
        return hash(self.url)

    def __copy__(self) -> Proxy:
        """Return itself."""
        return self

    def __deepcopy__(self, memo: object) -> Proxy:
        """Return itself."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without user, password and headers."""
        return Proxy, (str(self), (), self.source)


def parse_proxy(text: str, headers: tuple[tuple[str, str], ...] = ()) -> Proxy:
    """Read the URL of a proxy; without a scheme it is an HTTP proxy.

    Raises:
        ProxyURLError: It is none.
    """
    parts, port = _split(text if "://" in text else f"http://{text}")
    scheme = {"socks5h": "socks5"}.get(parts.scheme, parts.scheme)  # names are always looked up by the proxy
    host = parts.hostname or ""
    if scheme not in DEFAULT_PORTS:
        known = "http://, https:// or socks5://"
        raise ProxyURLError(f"must begin with {known}: write {_EXAMPLE}")
    if not is_host(host):
        raise ProxyURLError(f"has no valid host name: write {_EXAMPLE}; {_ENCODED}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ProxyURLError(f"has more than a host and a port: write {_EXAMPLE}; {_ENCODED}")
    login = ""
    if parts.username == _LEFT_OUT and parts.password is None:
        login = f"{_LEFT_OUT}@"
    elif parts.username is not None:
        user, password = (quote(unquote(part), safe="") for part in (parts.username, parts.password or ""))
        login = f"{user}:{password}@"
    shown = f"[{host}]" if ":" in host else host
    return Proxy(f"{scheme}://{login}{shown}:{port or DEFAULT_PORTS[scheme]}", headers)


def _split(url: str) -> tuple[SplitResult, int | None]:
    if not url.isprintable() or " " in url:
        raise ProxyURLError("has white space or a control character in it")
    with suppress(ValueError):  # whose message repeats what stands in the place of the port
        parts = urlsplit(url)
        if parts.port != 0:
            return parts, parts.port
    raise ProxyURLError(f"has no valid port: write {_EXAMPLE}; {_ENCODED}")
