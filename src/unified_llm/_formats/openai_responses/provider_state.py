"""Encrypted reasoning: taken out of an answer, and put back where it still fits.

A reasoning item without the call or the text that it led to is refused, and so is one that another model wrote. People
edit histories, so an item is kept together with what followed it, and left out when that is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from unified_llm._core.target import Target
from unified_llm._formats import response_fields
from unified_llm._formats.json_values import is_list, is_object, text_or_none
from unified_llm.types.messages import ProviderState

# The fields of a reasoning item that are input again; ``status`` is not.
_FIELDS: Final = ("type", "id", "summary", "content", "encrypted_content")
_TEXT: Final = ""  # stands where the identifier of a call would: it led to text


@dataclass(frozen=True, slots=True)
class Kept:
    """What goes back into the history with one answer.

    Attributes:
        before_text: Reasoning items that led to its text.
        before_call: Reasoning items that led to a call, by the call's identifier.
        phase: ``commentary`` or ``final_answer``, where the model told them apart.
    """

    before_text: tuple[Mapping[str, Any], ...] = ()
    before_call: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict[str, Any])
    phase: str | None = None


def keep_state(output: Iterable[object], target: Target) -> ProviderState | None:
    """What has to be kept of the items of an answer; None if there is nothing."""
    waiting: list[dict[str, Any]] = []
    reasoning: list[dict[str, Any]] = []
    phases: set[str | None] = set()
    for item in output:
        if not is_object(item):
            continue
        match item.get("type"):
            case "reasoning" if text_or_none(item.get("encrypted_content")):
                waiting.append({name: item[name] for name in _FIELDS if item.get(name) is not None})
                continue
            case "function_call":
                before = text_or_none(item.get("call_id")) or text_or_none(item.get("id"))
            case "message":
                before = _TEXT
                phases.add(text_or_none(item.get("phase")))
            case _:
                continue
        if waiting and before is not None:
            reasoning.append({"before": before, "items": waiting})
        waiting = []
    phase = next(iter(phases)) if len(phases) == 1 else None
    if not reasoning and phase is None:
        return None
    data: dict[str, Any] = {"model": target.model, "reasoning": reasoning}
    if phase:
        data["phase"] = phase
    return response_fields.keep_state(data, target)


def restore_state(provider_state: ProviderState, target: Target) -> Kept:
    """What was kept, for its own author; nothing for anybody else, and nothing that is not as it was written here."""
    data = provider_state.restore(target.provider, target.format)
    if not is_object(data) or data.get("model") != target.model:
        return Kept()
    before_text: list[dict[str, Any]] = []
    before_call: dict[str, list[dict[str, Any]]] = {}
    groups = data.get("reasoning")
    for group in groups if is_list(groups) else ():
        if not is_object(group) or not is_list(group.get("items")):
            continue
        items = [item for item in group["items"] if is_object(item) and item.get("type") == "reasoning"]
        match group.get("before"):
            case str(before) if before != _TEXT:
                before_call.setdefault(before, []).extend(items)
            case str():
                before_text.extend(items)
            case _:
                pass
    return Kept(tuple(before_text), before_call, text_or_none(data.get("phase")))
