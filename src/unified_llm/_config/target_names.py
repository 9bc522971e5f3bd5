"""Names of targets: what tells those of one name in a chain apart, in logs, attempts, health, metadata and errors.

differ in                        names
the host, or its port            openai/gpt-4o@api.openai.com     openai/gpt-4o@eu.example
the path alone                   openai/gpt-4o@gw.example/team-a  openai/gpt-4o@gw.example/team-b
the API key or the object alone  openai/gpt-4o                    openai/gpt-4o#2
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from urllib.parse import urlsplit

from unified_llm._core.base_url import netloc_of
from unified_llm._core.target import Target


def suffixes(targets: Sequence[Target]) -> list[str]:
    """Return what follows the name of each target of a chain; targets at the same place with the same key share it."""
    groups: dict[str, list[Target]] = {}
    for target in targets:
        groups.setdefault(target.own_name, []).append(target)
    numbers: dict[tuple[str, str], dict[Hashable, int]] = {}
    return [_suffix(target, groups[target.own_name], numbers) for target in targets]


def _suffix(target: Target, group: Sequence[Target], numbers: dict[tuple[str, str], dict[Hashable, int]]) -> str:
    address = _address(target, group)
    same_address = numbers.setdefault((target.own_name, address), {})
    number = same_address.setdefault((target.health_key, target.account), len(same_address) + 1)
    return address if number == 1 else f"{address}#{number}"


def _address(target: Target, group: Sequence[Target]) -> str:
    """Return as much of the address as tells the target from the others of its name; nothing if they share it."""
    host, path = _host_and_path(target)
    others = [_host_and_path(other) for other in group]
    if any(other_host == host and other_path != path for other_host, other_path in others):
        return f"@{host}{path}"
    differs = any(other_host != host for other_host, _ in others)
    return f"@{host}" if host and differs else ""


def _host_and_path(target: Target) -> tuple[str, str]:
    url = target.base_url
    return netloc_of(url), urlsplit(url).path  # with the port: servers of one machine differ in it alone
