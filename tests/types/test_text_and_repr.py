"""``str()`` of a response or a chunk is its text; a repr has no text, is short, and begins with what matters."""

from __future__ import annotations

import ast
import logging
from typing import Any

from tests.support.canary import DETECTOR, PACKAGE
from tests.support.each import each
from tests.test_style import trees
from unified_llm.types import (
    Attempt,
    AudioPart,
    EmbeddingResponse,
    FilePart,
    LLMChunk,
    LLMResponse,
    Message,
    RankedDocument,
    RerankResponse,
    TextPart,
    ToolCall,
    ToolCallChunk,
    Usage,
)

CALLS = (ToolCall("1", "find"), ToolCall("2", "look"))
USAGE = Usage(7, 3, 10)
OK = (Attempt("p/m", "ok"),)


@each(
    ("thing", "text"),
    [
        (LLMResponse("Hello."), "Hello."),
        (LLMResponse("Hello.", tool_calls=CALLS), "Hello."),
        (LLMResponse(tool_calls=CALLS), "find, look"),
        (LLMResponse(refusal="No."), "No."),
        (LLMResponse(reasoning="Hm."), ""),
        (LLMChunk("Hel"), "Hel"),
        (LLMChunk(reasoning="Hm."), ""),
        (LLMChunk(refusal="No."), "No."),
        (LLMChunk(tool_calls=(ToolCallChunk(0, "1", "find", "{"),)), "find"),
        (LLMChunk(tool_calls=(ToolCallChunk(0, arguments='"x"}'),)), ""),
        (LLMChunk(finish_reason="stop", usage=USAGE), ""),
    ],
)
def test_str_is_the_text_or_the_tools_called(thing: Any, text: str) -> None:
    assert str(thing) == f"{thing}" == f"{thing:}" == "%s" % thing == text  # noqa: UP031 - one of the ways to format


@each(
    ("thing", "expected"),
    [
        (LLMResponse("Hi", "m-2024", "p", usage=USAGE), "LLMResponse(p/m-2024, stop, 7 + 3 tokens)"),
        (
            LLMResponse("", "m", "p", "tool_calls", tool_calls=CALLS, used_fallback=True, attempts=OK * 3),
            "LLMResponse(p/m, tool_calls, 2 tool calls, used a fallback, 3 attempts)",
        ),
        (LLMResponse("Hi"), "LLMResponse(stop)"),
        (LLMResponse("Hi", "m\n\u202e", "p"), "LLMResponse(p/m\ufffd\ufffd, stop)"),
        (LLMResponse("Hi", "m" * 500, "p"), f"LLMResponse(p/{'m' * 98}..., stop)"),
        (LLMChunk("Hi"), "LLMChunk(2 characters)"),
        (LLMChunk(reasoning="Hm."), "LLMChunk(3 characters of reasoning)"),
        (LLMChunk(tool_calls=(ToolCallChunk(0),)), "LLMChunk(1 fragment of tool calls)"),
        (
            LLMChunk(finish_reason="stop", usage=USAGE, model="m", provider="p", attempts=OK),
            "LLMChunk(p/m, stop, 7 + 3 tokens, 1 attempt)",
        ),
        (LLMChunk(), "LLMChunk()"),
        (Message.user("Hello"), "Message(user, 5 characters)"),
        (Message.assistant(tool_calls=CALLS), "Message(assistant, 2 tool calls)"),
        (Message.tool("x", "c1", is_error=True), "Message(tool, 1 character, tool_call_id='c1', is_error=True)"),
        (
            Message("user", (TextPart("ab"), AudioPart(b""), FilePart(b""), FilePart(b"")), name="Ann"),
            "Message(user, name='Ann', 2 characters, 1 recording, 2 files)",
        ),
        (EmbeddingResponse([[0.5, 1.5]], "m", "p", Usage(4)), "EmbeddingResponse(p/m, 1 vector of 2, 4 tokens)"),
        (EmbeddingResponse([]), "EmbeddingResponse(no vectors)"),
        (
            RerankResponse((RankedDocument(2, 0.9), RankedDocument(0, 0.1)), "m", "p"),
            "RerankResponse(p/m, 2 documents, best 2)",
        ),
    ],
)
def test_a_repr_has_no_text_and_begins_with_what_matters(thing: Any, expected: str) -> None:
    assert repr(thing) == f"{thing!r}" == expected


def test_a_repr_never_raises() -> None:
    wrong: Any = {"a": 1}
    assert repr(LLMResponse(wrong, wrong, wrong, wrong, usage=wrong)) == "LLMResponse(...)"
    assert repr(LLMResponse("x", "m", "p", usage=wrong)) == "LLMResponse(p/m, stop, ...)"
    assert repr(LLMChunk(wrong, tool_calls=wrong, usage=wrong)).startswith("LLMChunk(")
    assert repr(EmbeddingResponse(wrong)) == "EmbeddingResponse(...)"
    assert repr(Message("user", 5 if wrong else "")) == "Message(user, ...)"  # type: ignore[arg-type]


def test_a_message_shows_no_text_in_its_str_either() -> None:
    assert str(Message.user("Hello")) == "Message(user, 5 characters)"


# No code of the package formats a response or a chunk. The detector of ``tests/support/canary.py`` sees each time that
# it happens in a test; this reads the sources for what no test does.

KINDS = {"LLMResponse", "LLMChunk"}
USUAL_NAMES = {"chunk", "response"}
FORMATTING = {"str", "format", "print"}
LOGGING = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def names_of_responses(function: ast.AST) -> set[str]:
    """Return the variables that hold a response or a chunk, by their annotations, their makers and usual names."""
    names = set(USUAL_NAMES)
    for node in ast.walk(function):
        match node:
            case (
                ast.arg(arg=name, annotation=ast.expr() as annotation)
                | ast.AnnAssign(target=ast.Name(id=name), annotation=annotation)
            ):
                if {inner.id for inner in ast.walk(annotation) if isinstance(inner, ast.Name)} & KINDS:
                    names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id=kind))) if kind in KINDS:
                names.add(name)
            case _:
                pass
    return names


def formatted(node: ast.AST) -> list[ast.expr]:
    """Return what this node turns into text by ``str()``."""
    match node:
        case ast.FormattedValue(value=value, conversion=conversion) if conversion != ord("r"):
            return [value]
        case ast.BinOp(left=ast.Constant(value=str()), op=ast.Mod(), right=right):
            return right.elts if isinstance(right, ast.Tuple) else [right]
        case ast.Call(func=ast.Name(id=name), args=values) if name in FORMATTING:
            return values
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str()), attr="format"), args=values):
            return values
        case ast.Call(func=ast.Attribute(attr=method), args=[_, *values]) if method in LOGGING:
            return values
        case _:
            return []


def formatted_variables(function: ast.AST) -> list[ast.Name]:
    return [value for node in ast.walk(function) for value in formatted(node) if isinstance(value, ast.Name)]


def formatted_responses(tree: ast.AST) -> list[str]:
    if not formatted_variables(tree):
        return []
    return [
        f"{value.lineno}: {ast.unparse(value)}"
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for variables in [formatted_variables(function)]
        if variables
        for names in [names_of_responses(function)]
        for value in variables
        if value.id in names
    ]


def test_no_code_of_the_package_formats_a_response() -> None:
    assert {name: lines for name, tree in trees().items() if (lines := formatted_responses(tree))} == {}


@each("line", ['f"{r}"', "str(r)", '"%s" % r', '"%s, %s" % (1, r)', '"{}".format(r)', 'log.info("%s", r)', "print(r)"])
def test_the_reading_of_the_sources_sees_each_way_to_format(line: str) -> None:
    assert formatted_responses(ast.parse(f"def f(r: LLMResponse | None): return {line}"))
    assert formatted_responses(ast.parse(f"def f():\n    r = LLMChunk()\n    return {line}"))
    assert not formatted_responses(ast.parse(f"def f(r: Attempt): return {line}"))
    assert not formatted_responses(ast.parse('def f(r: LLMResponse): return f"{r!r}{r.model}"'))


@each("line", ['f"{r}"', "str(r)", '"%s" % r', '"{}".format(r)', 'log.warning("%s", r)'])
def test_the_detector_sees_the_package_format_a_response(line: str) -> None:
    code = compile(f"def write(r, log):\n    return {line}", f"{PACKAGE}/module.py", "exec")
    scope: dict[str, Any] = {}
    exec(code, scope)  # noqa: S102 - as a module of the package would
    for thing in (LLMResponse("text"), LLMChunk("text")):
        scope["write"](thing, logging.getLogger("unified_llm.test"))
        leaks, DETECTOR.leaks = DETECTOR.leaks, []
        assert leaks
        assert set(leaks) == {f"{PACKAGE}/module.py:2, which formats a response"}


def test_a_user_may_format_a_response() -> None:
    assert f"{LLMResponse('text')} {LLMChunk('more')}" == "text more"
    assert not DETECTOR.leaks
