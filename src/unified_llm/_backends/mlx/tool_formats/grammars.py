"""Grammars of calls of tools, in the dialect of Lark that llguidance reads.

    required:  start: calls                                        of any offered tool, from the first token on
    named:     start: calls                                        of this tool
    JSON:      start: calls | answer                               calls of tools, or the JSON that was asked for
    auto:      start: calls                                        from the text on with which the model begins them

``calls`` is one call, or with parallel calls several. Arguments are JSON of the tool's schema without blanks of a free
length, since a model might write those until its last token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from unified_llm._backends.mlx.closed_schemas import close_objects
from unified_llm._backends.mlx.engine_types import Constraint
from unified_llm._backends.mlx.tool_formats import HERMES, ToolFormat, Wrapping
from unified_llm._lib.bounded_json import dump
from unified_llm.types.messages import Tool

_MAX_CALLS: Final = 16  # of one response, or of one list of calls
_COMPACT: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_ANY_OBJECT: Final[Mapping[str, Any]] = {"type": "object"}


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
    wrapping = tool_format.wrapping or HERMES
    grammar = _calls(_schemas(tools), wrapping, is_parallel=is_parallel)
    if answer is not None:
        grammar = ["start: calls | answer", *grammar[1:], f"answer: {_json(close_objects(answer))}"]
    return Constraint("lark", "\n".join(grammar), after, wrapping.tags)


def constrain_begun_calls(tools: Sequence[Tool], tool_format: ToolFormat, *, is_parallel: bool) -> Constraint | None:
    """Return the constraint of calls that the model may begin; None for a format whose calls are not constrained.

    A tool whose schema llguidance cannot express does no harm: arguments are then any JSON object.

    Args:
        tools: The tools that may be called, at least one.
        tool_format: How a call is written.
        is_parallel: Whether there may be several calls. Those that stand one by one are constrained one by one.
    """
    wrapping, opening = tool_format.wrapping, tool_format.start
    if wrapping is None:
        return None
    is_list = is_parallel and bool(wrapping.last)
    lead = "" if (wrapping.first + wrapping.before).startswith(opening) else opening
    schemas = _schemas(tools)
    exact, simpler = (
        "\n".join(_calls(arguments, wrapping, is_parallel=is_list, lead=lead))
        for arguments in (schemas, dict.fromkeys(schemas, _ANY_OBJECT))
    )
    return Constraint("lark", exact, tags=wrapping.tags, opening=opening, may_repeat=is_parallel, simpler=simpler)


def _schemas(tools: Sequence[Tool]) -> dict[str, Mapping[str, Any]]:
    """Return the schemas of the tools' arguments by the tools' names."""
    return {tool.name: close_objects(parameters_of(tool)) for tool in tools}


def _calls(
    schemas: Mapping[str, Mapping[str, Any]], wrapping: Wrapping, *, is_parallel: bool, lead: str = ""
) -> list[str]:
    """Return the lines of a grammar of calls.

    Args:
        schemas: The schemas of the arguments of each tool.
        wrapping: How a call is written.
        is_parallel: Whether there may be several calls.
        lead: What stands before the first.
    """
    rules = {f"call_{number}": name for number, name in enumerate(schemas)}
    more = [f"({_joined(wrapping.separator, wrapping, 'call')}){{0,{_MAX_CALLS - 1}}}"] if is_parallel else []
    first, last = _literals(lead + wrapping.first, wrapping.tags), _literals(wrapping.last, wrapping.tags)
    return [
        "start: calls",
        f"calls: {' '.join([*first, 'call', *more, *last])}",
        f"call: {' | '.join(rules)}",
        *(f"{rule}: {_call(name, schemas[name], wrapping)}" for rule, name in rules.items()),
    ]


def _call(name: str, schema: Mapping[str, Any], wrapping: Wrapping) -> str:
    before = _joined(wrapping.before + name + wrapping.between, wrapping, _json(schema))
    return " ".join([before, *_literals(wrapping.after, wrapping.tags)])


def _joined(text: str, wrapping: Wrapping, rule: str) -> str:
    return " ".join([*_literals(text, wrapping.tags), rule])


def _literals(text: str, tags: Sequence[str]) -> list[str]:
    """Return the literals of a text, each of its tags as one of its own."""
    parts = re.split(f"({'|'.join(map(re.escape, tags))})", text) if tags else [text]
    return [json.dumps(part) for part in parts if part]


def _json(schema: Mapping[str, Any]) -> str:
    return f"%json {dump({**schema, 'x-guidance': _COMPACT})}"


def parameters_of(tool: Tool) -> dict[str, Any]:
    """Return the schema of a tool's arguments, which are an object in any case."""
    return {"type": "object", **({} if tool.parameters else {"properties": {}}), **tool.parameters}
