"""Encrypted reasoning: collected from a response, and sent back where it still belongs.

The API rejects a reasoning item without the call or the text that followed it, and one that another model wrote. Users
edit histories, so an item is kept together with the item after it, and omitted when that was removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from unified_llm._core.target import Target
from unified_llm._formats import response_fields
from unified_llm._formats.json_values import is_list, is_object, text_or_none
from unified_llm.types.messages import ProviderState

# Calls of OpenAI's own tools that the caller runs (platform.openai.com/docs/api-reference/responses/object); those that
# OpenAI runs itself are other items.
OWN_TOOL_CALLS: Final = ("computer_call", "local_shell_call", "shell_call", "apply_patch_call")
CALLS: Final = ("function_call", "custom_tool_call", *OWN_TOOL_CALLS)
"""The types of items that are calls for the caller to run."""
# The fields of a reasoning item that are accepted as input; ``status`` is not.
_INPUT_FIELDS: Final = ("type", "id", "summary", "content", "encrypted_content")
_BEFORE_TEXT: Final = ""  # marker in place of a call's identifier: the reasoning preceded text


@dataclass(frozen=True, slots=True)
class ReasoningItems:
    """Provider state of one response.

    Attributes:
        before_text: Reasoning items that preceded the text.
        before_call: Reasoning items that preceded a call, by the call's identifier.
        phase: ``commentary`` or ``final_answer``, if the model distinguishes them.
    """

    before_text: tuple[Mapping[str, Any], ...] = ()
    before_call: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict[str, Any])
    phase: str | None = None


def keep_state(output: Iterable[object], target: Target) -> ProviderState | None:
    """Collect the provider state of the items of a response; None if there is none."""
    pending: list[dict[str, Any]] = []
    reasoning: list[dict[str, Any]] = []
    phases: set[str | None] = set()
    for item in output:
        if not is_object(item):
            continue
        match item.get("type"):
            case "reasoning" if text_or_none(item.get("encrypted_content")):
                pending.append({name: item[name] for name in _INPUT_FIELDS if item.get(name) is not None})
                continue
            case kind if kind in CALLS:
                before = text_or_none(item.get("call_id")) or text_or_none(item.get("id"))
            case "message":
                before = _BEFORE_TEXT
                phases.add(text_or_none(item.get("phase")))
            case _:
                continue
        if pending and before is not None:
            reasoning.append({"before": before, "items": pending})
        pending = []
    phase = next(iter(phases)) if len(phases) == 1 else None
    if not reasoning and phase is None:
        return None
    data: dict[str, Any] = {"model": target.model, "reasoning": reasoning}
    if phase:
        data["phase"] = phase
    return response_fields.keep_state(data, target)


def restore_state(provider_state: ProviderState, target: Target) -> ReasoningItems:
    """Return the state for the target and model that issued it; an empty one for any other, or if it was modified."""
    data = provider_state.restore(target.provider, target.format)
    if not is_object(data) or data.get("model") != target.model:
        return ReasoningItems()
    before_text: list[dict[str, Any]] = []
    before_call: dict[str, list[dict[str, Any]]] = {}
    groups = data.get("reasoning")
    for group in groups if is_list(groups) else ():
        if not is_object(group) or not is_list(group.get("items")):
            continue
        items = [item for item in group["items"] if is_object(item) and item.get("type") == "reasoning"]
        match group.get("before"):
            case str(before) if before != _BEFORE_TEXT:
                before_call.setdefault(before, []).extend(items)
            case str():
                before_text.extend(items)
            case _:
                pass
    return ReasoningItems(tuple(before_text), before_call, text_or_none(data.get("phase")))
