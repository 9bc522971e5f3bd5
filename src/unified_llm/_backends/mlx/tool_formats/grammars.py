"""Grammars of calls of tools, in the dialect of Lark that llguidance reads.

    required:  start: calls                                        of any offered tool, from the first token on
    named:     start: calls                                        of this tool
    JSON:      start: calls | answer                               calls of tools, or the JSON that was asked for
    auto:      start: calls                                        from the text on with which the model begins them

``calls`` is one call, or with parallel calls several. Arguments are JSON of the tool's schema without blanks of a free
length, since a model might write those until its last token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from unified_llm._backends.mlx.closed_schemas import close_objects
from unified_llm._backends.mlx.engine_types import Constraint
from unified_llm._backends.mlx.tool_formats import HERMES, ToolFormat, Wrapping
from unified_llm._backends.mlx.tool_formats.argument_grammars import write_arguments
from unified_llm._backends.mlx.tool_formats.expressions import json_of, literals
from unified_llm.types.messages import Tool

_MAX_CALLS: Final = 16  # of one response, or of one list of calls


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
    schemas = _schemas(tools)
    if any(write_arguments("call", schema, wrapping) is None for schema in schemas.values()):
        wrapping = HERMES
    grammar = _calls(schemas, wrapping, is_parallel=is_parallel)
    if answer is not None:
        grammar = ["start: calls | answer", *grammar[1:], f"answer: {json_of(close_objects(answer))}"]
    return Constraint("lark", "\n".join(grammar), after, wrapping.tags)


def constrain_begun_calls(tools: Sequence[Tool], tool_format: ToolFormat, *, is_parallel: bool) -> Constraint | None:
    """Return the constraint of calls that the model may begin; None for a format whose calls are not constrained.

    A tool whose schema cannot be expressed does no harm: its arguments are then any JSON object, or any texts.

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
        for arguments in (schemas, dict.fromkeys(schemas))
    )
    return Constraint("lark", exact, tags=wrapping.tags, opening=opening, may_repeat=is_parallel, simpler=simpler)


def _schemas(tools: Sequence[Tool]) -> dict[str, Mapping[str, Any]]:
    """Return the schemas of the tools' arguments by the tools' names."""
    return {tool.name: close_objects(parameters_of(tool)) for tool in tools}


def _calls(
    schemas: Mapping[str, Mapping[str, Any] | None], wrapping: Wrapping, *, is_parallel: bool, lead: str = ""
) -> list[str]:
    """Return the lines of a grammar of calls.

    Args:
        schemas: The schemas of the arguments of each tool; None for any arguments.
        wrapping: How a call is written.
        is_parallel: Whether there may be several calls.
        lead: What stands before the first.
    """
    rules = {f"call_{number}": name for number, name in enumerate(schemas)}
    separator = " ".join([*literals(wrapping.separator, wrapping.tags), "call"])
    more = [f"({separator}){{0,{_MAX_CALLS - 1}}}"] if is_parallel else []
    first, last = literals(lead + wrapping.first, wrapping.tags), literals(wrapping.last, wrapping.tags)
    return [
        "start: calls",
        f"calls: {' '.join([*first, 'call', *more, *last])}",
        f"call: {' | '.join(rules)}",
        *(line for rule, name in rules.items() for line in _call(rule, name, schemas[name], wrapping)),
    ]


def _call(rule: str, name: str, schema: Mapping[str, Any] | None, wrapping: Wrapping) -> list[str]:
    inner = f"{rule}_arguments"
    arguments = write_arguments(inner, schema, wrapping) or write_arguments(inner, None, wrapping)
    before = literals(wrapping.before + name + wrapping.between, wrapping.tags)
    return [
        f"{rule}: {' '.join([*before, inner, *literals(wrapping.after, wrapping.tags)])}",
        *(arguments or ()),
    ]


def parameters_of(tool: Tool) -> dict[str, Any]:
    """Return the schema of a tool's arguments, which are an object in any case."""
    return {"type": "object", **({} if tool.parameters else {"properties": {}}), **tool.parameters}
