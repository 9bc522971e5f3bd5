"""How hard to think, in the words of each generation of models.

Older models take a number of tokens, newer ones an effort, and each generation is told in another way not to think at
all (platform.claude.com/docs/en/build-with-claude/thinking). Which is which, the table of models says.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from unified_llm.target import Target

log = logging.getLogger("unified_llm")

_LEAST: Final = 1024  # tokens; the API refuses less
# Shares of the answer's tokens that go into thinking, where the model takes tokens.
_SHARES: Final[Mapping[str, float]] = {
    "minimal": 0.0,
    "low": 0.1,
    "medium": 0.3,
    "high": 0.6,
    "xhigh": 0.75,
    "max": 0.8,
}
_MOST: Final = 32_000  # tokens; beyond that the API advises to send batches
_ADAPTIVE: Final = {"type": "adaptive", "display": "summarized"}


def write_thinking(effort: str, most: int, target: Target, *, impossible: bool) -> dict[str, Any]:
    """The fields of a request that ask for thinking.

    Args:
        effort: What the user asked for.
        most: Tokens of the whole answer, thoughts included.
        target: Whose model it is.
        impossible: The turn goes on where thoughts are missing, or has to begin with the call of a tool.
    """
    kind = target.quirks.get("thinks")
    if effort == "none":
        return _without(kind)
    level = {"minimal": "low"}.get(effort, effort)
    if kind in {"asked", "disabled", "between_tools", "always"}:
        return {"thinking": dict(_ADAPTIVE), "output_config": {"effort": level}}
    fields: dict[str, Any] = {}
    if impossible or most <= _LEAST:
        log.debug("%s is not asked to think: the turn goes on without thoughts, or is too short", target.name)
    else:
        fields["thinking"] = {"type": "enabled", "budget_tokens": _budget(effort, most)}
    # A server with models of every kind reads one or the other.
    return fields if kind == "budget" else {**fields, "output_config": {"effort": level}}


def _budget(effort: str, most: int) -> int:
    share = int(min(most, _MOST / 0.8) * _SHARES.get(effort, _SHARES["medium"]))
    return min(max(_LEAST, share), most - 1)


def _without(kind: str | None) -> dict[str, Any]:
    match kind:
        case "asked" | "budget":
            return {}
        case "between_tools":
            return {"thinking": {"type": "between_tools"}}
        case "always":
            return {"output_config": {"effort": "low"}}
        case _:
            return {"thinking": {"type": "disabled"}}
