"""Base URLs: what is accepted, what counts as this machine or this network, and where a key may go.

Nothing is resolved: a name is judged as it is written, so that no look-up can change the answer between check and use.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

from unified_llm._core import paths
from unified_llm.exceptions import ConfigurationError

_VERSION: Final = re.compile(r"v\d+\w*")
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?")
_ENDPOINTS: Final = ("/chat/completions", "/completions", "/responses", "/embeddings", "/models", "/messages")
# Where clouds hand credentials to whoever asks, beside the link-local addresses: AWS and Google over IPv6, Alibaba,
# Oracle, Azure; and the names of such services.
_METADATA_ADDRESSES: Final = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"))
)
_METADATA_NAMES: Final = frozenset({"metadata.goog", "metadata.tencentyun.com", "metadata.platformequinix.com"})
_METADATA_LABELS: Final = frozenset({"metadata", "instance-data", "rancher-metadata"})  # on the network of one's own
# IPv6 networks whose addresses contain one of IPv4, and the bit at which that ends: IPv4-compatible ones, NAT64 (the
# well-known prefix and the local one), 6to4.
_IPV4_INSIDE: Final = (
    (ipaddress.IPv6Network("::/96"), 128),
    (ipaddress.IPv6Network("64:ff9b::/96"), 128),
    (ipaddress.IPv6Network("64:ff9b:1::/48"), 128),
    (ipaddress.IPv6Network("2002::/16"), 48),
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# Names that are only ever given to machines of one's own network (RFC 6762, RFC 8375, Kubernetes, cloud VPCs).
_PRIVATE_SUFFIXES: Final = (".local", ".internal", ".svc", ".lan", ".home.arpa", ".localdomain", ".cluster.local")


def normalise(text: str, *, source: str, version: str = "") -> str:
    """Normalise a base URL, so that a path can be appended.

    Args:
        text: What the user wrote.
        source: Where, for messages: ``base_url=`` or the name of an environment variable.
        version: The API's version path (``/v1``), appended where the URL has none of its own.

    Raises:
        ConfigurationError: It is no plain ``http(s)://host[:port][/path]``. The message does not repeat the URL, since
            it could hold a password.
    """
    parts = _split(text, source)
    path = parts.path.rstrip("/")
    for endpoint in _ENDPOINTS:
        if path.endswith(endpoint):
            raise ConfigurationError(f"The URL from {source} ends in {endpoint}: leave that off.")
    if not any(_VERSION.fullmatch(segment) for segment in path.split("/")):
        # ``/openai`` of ``/openai/v1`` may be there already.
        begun = next((start for start in _beginnings(version) if path.endswith(start)), "")
        path += version.removeprefix(begun)
    return f"{parts.scheme}://{_host_and_port(parts)}{path}"


def _beginnings(version: str) -> list[str]:
    """Return the proper prefixes of a path, in whole segments: of ``/a/b/c`` they are ``/a/b`` and ``/a``."""
    segments = version.split("/")
    return ["/".join(segments[:end]) for end in range(len(segments) - 1, 1, -1)]


def _host_and_port(parts: SplitResult) -> str:
    host = parts.hostname or ""
    address = _address(host)
    if address and address.is_unspecified:
        # What servers listen on (``OLLAMA_HOST=0.0.0.0``); to their clients it means this machine.
        host = "127.0.0.1" if address.version == 4 else "::1"
    host = f"[{host}]" if ":" in host else host
    return host if parts.port is None else f"{host}:{parts.port}"


def _split(text: str, source: str) -> SplitResult:
    parts, problem = _read(text)
    if parts is None or problem:
        raise ConfigurationError(f"The URL from {source} {problem}.")
    return parts


def _read(text: str) -> tuple[SplitResult | None, str | None]:
    """Return the parts of a URL, and what is wrong with it."""
    problem = None
    try:
        parts = urlsplit(text)
        port_is_fine = parts.port != 0
    except ValueError:  # its words repeat what stands in the place of the port
        return None, "is malformed: write https://host[:port][/path]"
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        problem = "has white space, a backslash or a character outside ASCII in it"
    elif parts.scheme not in {"http", "https"}:
        problem = "must begin with https:// (or http:// for this machine)"
    elif "@" in parts.netloc:
        problem = "holds a user name or password: pass the key as api_key="
    elif parts.query or parts.fragment or "?" in text or "#" in text:
        problem = "has a query or a fragment: leave it off, and pass such fields as extra_body= or default_headers="
    elif not port_is_fine or not is_host(parts.hostname or ""):
        problem = "has no valid host name or port"
    elif _serves_no_model(parts.hostname or ""):
        problem = "is an address where clouds serve credentials, or that many machines share: no model server is there"
    else:
        problem = paths.problem_with(parts.path)
    return parts, problem


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    # ``::ffff:169.254.169.254`` leads where ``169.254.169.254`` does.
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def is_host(host: str) -> bool:
    """Check whether a text can be the name or the address of a host."""
    if _address(host):
        return True
    # ``2130706433`` and ``0x7f.1`` are addresses to some resolvers: a name has a letter in its last label.
    labels = host.removesuffix(".").split(".")
    numeric = labels[-1].isdigit() or labels[-1].startswith("0x")
    return bool(_HOST.fullmatch(host)) and all(0 < len(label) < 64 for label in labels) and not numeric


def _serves_no_model(host: str) -> bool:
    address = _address(host.partition("%")[0])  # without the zone of IPv6
    if address:
        inside = _ipv4_inside(address)
        return _is_no_server(address) or (inside is not None and _is_no_server(inside))
    name = host.rstrip(".")
    is_own_network = "." not in name or name.endswith(_PRIVATE_SUFFIXES)
    return name in _METADATA_NAMES or (is_own_network and name.partition(".")[0] in _METADATA_LABELS)


def _is_no_server(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_link_local or address.is_multicast or address in _METADATA_ADDRESSES


def _ipv4_inside(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address to which a gateway translates one of IPv6, if there is one."""
    for network, end in _IPV4_INSIDE:
        if address in network:
            return ipaddress.IPv4Address(int(address) >> (128 - end) & 0xFFFF_FFFF)
    return None


def host_of(url: str) -> str:
    """Return the host, in lower case, without brackets or port."""
    return urlsplit(url).hostname or ""


def netloc_of(url: str) -> str:
    """Return the host and the port as they are written, in lower case; empty where there is no network."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


@lru_cache(maxsize=4096)
def split_origin(url: str) -> tuple[str, str]:
    """Return the origin of a URL and its path, each in the one form that all ways to write it share.

    The origin is ``scheme://host[:port]`` in lower case, without a default port and without the dot at the end of a
    host name; the path has no slash at the end. Both are empty where there is no network.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:  # malformed: such a URL is its own origin, and no request is sent to it
        return url, ""
    if not host:
        return url, ""
    address = _address(host)
    host = str(address) if address else host
    host = f"[{host}]" if ":" in host else host
    port_text = "" if port is None or port == _DEFAULT_PORTS.get(parts.scheme) else f":{port}"
    return f"{parts.scheme}://{host}{port_text}", parts.path.rstrip("/")


def is_loopback(url: str) -> bool:
    """Check whether the URL leads to this machine."""
    host = host_of(url)
    address = _address(host)
    return address.is_loopback if address else host == "localhost" or host.endswith(".localhost")


def is_private(url: str) -> bool:
    """Check whether the URL leads to this machine or this network: ``http://ollama:11434`` in a compose file does."""
    if is_loopback(url):
        return True
    host = host_of(url).rstrip(".")
    address = _address(host)
    return address.is_private if address else "." not in host or host.endswith(_PRIVATE_SUFFIXES)


def matches(url: str, patterns: Iterable[str]) -> bool:
    """Check whether the host is one of these: exact names, or ``*.example.com`` for all names below.

    Elsewhere ``*`` and ``[]`` stand for parts of one label, as in a shell pattern.
    """
    labels = host_of(url).rstrip(".").split(".")
    return any(_matches_labels(labels, pattern) for pattern in patterns)


def _matches_labels(labels: Sequence[str], pattern: str) -> bool:
    below = pattern.startswith("*.")
    wanted = pattern.removeprefix("*.").split(".")
    if len(labels) < len(wanted) + below or (not below and len(labels) > len(wanted)):
        return False
    return all(fnmatchcase(label, part) for label, part in zip(labels[-len(wanted) :], wanted, strict=True))


def check_plaintext(url: str, *, key_travels: bool, allow_http: bool, source: str, proxy: str = "") -> None:
    """Refuse plain HTTP where someone else could read along.

    Args:
        url: Where requests go.
        key_travels: They have an API key.
        allow_http: The user permits it.
        source: Where the user wrote the URL, for messages.
        proxy: The URL of the user's proxy. It reads plain HTTP, and connects to ``url`` from where it is.

    Raises:
        ConfigurationError: Plain HTTP to a public host, or to a private one with a key.
    """
    if not url.startswith("http://") or allow_http:
        return
    hops = [url] if not proxy else [proxy] if is_loopback(proxy) and is_loopback(url) else [url, proxy]
    if all(map(is_loopback, hops)) or (not key_travels and all(map(is_private, hops))):
        return
    what = "the key" if key_travels else "every prompt"
    by = ", and by the proxy" if proxy else ""
    raise ConfigurationError(
        f"The URL from {source} is plain http, so {what} could be read on the way{by}: use https, or say "
        "allow_http=True if you know the network."
    )
