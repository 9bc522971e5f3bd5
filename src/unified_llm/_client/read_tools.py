"""Tools from what users pass: a ``Tool``, a dict in OpenAI's shape, a function, a Pydantic class."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from unified_llm._lib.close_names import closest
from unified_llm.exceptions import ValidationError
from unified_llm.types.messages import Tool

_CHOICES: Final = ("auto", "none", "required")
_KINDS: Final = (
    'A tool is a Tool, a dict {"type": "function", "function": {"name": ..., "parameters": {...}}}, a function with '
    "type hints and a docstring, or a Pydantic class"
)
_FRAMEWORKS: Final[Mapping[str, str]] = {
    "langchain": "a LangChain tool goes to ChatUnified(...).bind_tools([...])",
    "langchain_core": "a LangChain tool goes to ChatUnified(...).bind_tools([...])",
    "llama_index": "a LlamaIndex tool goes to UnifiedLLM(...).chat_with_tools([...])",
}
_SECTION: Final = re.compile(
    r"^\s*(Args|Arguments|Parameters|Returns?|Raises|Yields|Examples?|Notes?):\s*$", re.MULTILINE
)
_ARGUMENT: Final = re.compile(r"^(\s+)\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")


def read_tools(tools: Any) -> tuple[Tool, ...]:
    """Read the tools of a request.

    Raises:
        ValidationError: They are no list, or one of them is no tool.
    """
    return tuple(map(_read_tool, list_of_tools(tools)))


def list_of_tools(tools: Any) -> Sequence[Any]:
    """Check that tools are a list, or None for none.

    Raises:
        ValidationError: They are something else, also one tool alone.
    """
    if isinstance(tools, (str, bytes, Mapping, type)) or not isinstance(tools, (Sequence, type(None))):
        raise ValidationError("tools is a list: tools=[...], also for a single tool.")
    return tools or ()


def _read_tool(tool: Any) -> Tool:
    if isinstance(tool, Tool):
        return tool
    if isinstance(tool, Mapping):
        return Tool.from_dict(tool)
    framework = next((where for base in type(tool).__mro__ if (where := _FRAMEWORKS.get(_package(base)))), None)
    if framework:
        raise ValidationError(f"{_KINDS}; {framework}.")
    if isinstance(tool, type):
        return _tool_of_class(tool)
    if callable(tool):
        return _tool_of_function(tool)
    raise ValidationError(f"{_KINDS}; got {type(tool).__name__}.")


def _package(base: type) -> str:
    return base.__module__.partition(".")[0]


def _tool_of_class(schema: type) -> Tool:
    """Make a tool whose arguments are the fields of a class: a Pydantic model, a dataclass, a ``TypedDict``."""
    from unified_llm._config.python_schema import python_schema

    parameters = python_schema(schema)
    if parameters is None or parameters.get("type") != "object" or schema in (Tool, dict):
        raise ValidationError(f"{_KINDS}; the class {schema.__name__} has no fields.")
    description = str(parameters.pop("description", "")) or inspect.cleandoc(schema.__doc__ or "")
    if description.startswith(f"{schema.__name__}("):  # what Python writes for a dataclass without a docstring
        description = ""
    parameters.pop("title", None)
    return Tool(schema.__name__, description, parameters)


def _tool_of_function(function: Callable[..., Any]) -> Tool:
    """Make a tool of a function: its name, the first part of its docstring, and a schema of its arguments."""
    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise ValidationError(f"{_KINDS}; this one has no name to call it by: write it with `def`.")
    from unified_llm._config.python_schema import python_schema

    parameters = python_schema(function)
    if parameters is None or parameters.get("type") != "object" or "$ref" in parameters:
        raise ValidationError(
            f"{_KINDS}; the arguments of {name}() cannot be described: each needs a name and a type that JSON has."
        )
    summary, texts = _read_docstring(inspect.getdoc(function) or "")
    for argument, text in texts.items():
        described = parameters.get("properties", {}).get(argument)
        if isinstance(described, dict):
            described.setdefault("description", text)
    return Tool(name, summary, parameters)


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """Return what comes before the first section, and the descriptions of the arguments in Google's style."""
    sections = [*_SECTION.finditer(text)]
    summary = text[: sections[0].start()] if sections else text
    described: dict[str, str] = {}
    for number, section in enumerate(sections):
        if section[1] in {"Args", "Arguments", "Parameters"}:
            end = sections[number + 1].start() if number + 1 < len(sections) else len(text)
            described |= _read_arguments(text[section.end() : end])
    return summary.strip(), described


def _read_arguments(text: str) -> dict[str, str]:
    described: dict[str, str] = {}
    depth = name = None
    for line in filter(str.strip, text.splitlines()):
        match = _ARGUMENT.match(line)
        if match and (depth is None or len(match[1]) <= depth):
            depth, name = len(match[1]), match[2]
            described[name] = match[3].strip()
        elif name is not None:
            described[name] = f"{described[name]} {line.strip()}".strip()
    return described


def read_tool_choice(choice: Any) -> str | None:
    """Read a choice: ``auto``, ``none``, ``required``, or the name of a tool, also in OpenAI's shape.

    Raises:
        ValidationError: It is something else.
    """
    match choice:
        case None | str():
            return "required" if choice == "any" else choice
        case {"function": {"name": str(name)}} | {"name": str(name)}:
            return name
        case _:
            raise ValidationError('tool_choice is "auto", "none", "required" or the name of a tool.')


def word_of_choice(choice: Any) -> str | bool | None:
    """Return a choice of an adapter's call without a provider's shape around it.

    Raises:
        ValidationError: It is neither a word nor a name.
    """
    if isinstance(choice, Mapping):
        function = choice.get("function")
        choice = (function.get("name") if isinstance(function, Mapping) else choice.get("name")) or choice.get("type")
    if choice is None or isinstance(choice, (str, bool)):
        return choice
    raise ValidationError(f"tool_choice is a word or the name of a tool, not {type(choice).__name__}.")


def check_tool_choice(choice: str | None, tools: Sequence[Tool]) -> None:
    """Refuse the name of a tool that is not among the tools.

    Raises:
        ValidationError: With the nearest name.
    """
    if choice is None or choice in _CHOICES or not tools:
        return
    names = [tool.name for tool in tools]
    if choice not in names:
        raise unknown_choice(choice, _CHOICES, names)


def unknown_choice(choice: object, words: Sequence[str], names: Sequence[str]) -> ValidationError:
    """Return the error for a ``tool_choice`` that is none of the words and names no tool."""
    near = closest(str(choice), [*words, *names])
    hint = f" Did you mean {near!r}?" if near else ""
    return ValidationError(
        f"tool_choice must be one of {', '.join(map(repr, words))}, or the name of a tool: "
        f"{', '.join(map(repr, names))}.{hint}"
    )
