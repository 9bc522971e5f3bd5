"""Grammars of responses that have to be calls of tools, in the dialect of Lark that llguidance reads.

    required:  start: blanks? call                                        a call of any offered tool
    named:     start: blanks? call                                        a call of this tool
    JSON:      start: blanks? (call | answer)                             calls of tools, or the JSON that was asked for

With parallel calls, ``call`` may be repeated. Arguments are JSON of the tool's schema without blanks of a free length,
since a model might write those until its last token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from unified_llm._backends.mlx.closed_schemas import close_objects
from unified_llm._backends.mlx.engine_types import Constraint
from unified_llm._backends.mlx.tool_formats import ToolFormat
from unified_llm._lib.bounded_json import dump
from unified_llm.types.messages import Tool

_MAX_CALLS: Final = 16  # of one response
_COMPACT: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def constrain_calls(
    tools: Sequence[Tool],
    tool_format: ToolFormat,
    *,
    is_parallel: bool = False,
    answer: Mapping[str, Any] | None = None,
    after: str | None = None,
) -> Constraint:
    """Return the constraint of a response that consists of calls.

    Args:
        tools: The tools that may be called, at least one.
        tool_format: How a call is written.
        is_parallel: Whether there may be several calls.
        answer: The JSON schema of an answer that the response may be instead.
        after: The text after which the constraint begins, as in ``Constraint``.
    """
    calls = [f"call_{number}" for number in range(len(tools))]
    count = f"{{1,{_MAX_CALLS}}}" if is_parallel else ""
    lines = [
        f"start: calls{' | answer' if answer is not None else ''}",
        f"calls: call{count}",
        f"call: {' | '.join(calls)}",
        *(f"{rule}: {_call(tool, tool_format)}" for rule, tool in zip(calls, tools, strict=True)),
    ]
    if is_parallel:
        lines[1] = f'calls: call ("\\n" call){{0,{_MAX_CALLS - 1}}}'
    if answer is not None:
        lines.append(f"answer: {_json(close_objects(answer))}")
    return Constraint("lark", "\n".join(lines), after, tool_format.wrapping.tags)


def _call(tool: Tool, tool_format: ToolFormat) -> str:
    wrapping = tool_format.wrapping
    before, after = wrapping.before + tool.name + wrapping.between, wrapping.after
    return " ".join(
        [*_literals(before, wrapping.tags), _json(close_objects(parameters_of(tool))), *_literals(after, wrapping.tags)]
    )


def _literals(text: str, tags: Sequence[str]) -> list[str]:
    """Return the literals of a text, each of its tags as one of its own."""
    parts = re.split(f"({'|'.join(map(re.escape, tags))})", text) if tags else [text]
    return [json.dumps(part) for part in parts if part]


def _json(schema: Mapping[str, Any]) -> str:
    return f"%json {dump({**schema, 'x-guidance': _COMPACT})}"


def parameters_of(tool: Tool) -> dict[str, Any]:
    """Return the schema of a tool's arguments, which are an object in any case."""
    return {"type": "object", **({} if tool.parameters else {"properties": {}}), **tool.parameters}
