"""Calls of functions in Python's syntax, as text: where one ends, and its keyword arguments. Nothing is run."""

from __future__ import annotations

import ast
import re
from typing import Any, Final

_DELIMITERS: Final = re.compile(r"""["'\\()\[\]{}]""")
_MAX_DEPTH: Final = 64
# Names of JSON's constants, which models write as well.
_CONSTANTS: Final = {"true": True, "false": False, "null": None}


class ArgumentsEnd:
    """Finds the closing parenthesis of a call's arguments, in a text that begins with the opening one.

    Each chunk takes time in proportion to its length. Attribute ``found``: the arguments have ended.
    """

    __slots__ = ("_depth", "_escaped", "_quote", "found")

    def __init__(self) -> None:
        self._depth = 0
        self._quote = ""
        self._escaped = False
        self.found = False

    def feed(self, text: str) -> int:
        """Return the position in this chunk where the arguments end, or the length of the chunk."""
        position = 0
        if self._escaped and text:
            self._escaped, position = False, 1
        while match := _DELIMITERS.search(text, position):
            delimiter, position = match.group(), match.end()
            if self._quote:
                if delimiter == "\\":
                    position += 1
                    self._escaped = position > len(text)
                elif delimiter == self._quote:
                    self._quote = ""
            elif delimiter in "\"'":
                self._quote = delimiter
            elif delimiter in "([{":
                self._depth += 1
            elif delimiter in ")]}":
                self._depth -= 1
                if not self._depth:
                    self.found = True
                    return position
        return len(text)


def read_arguments(text: str) -> dict[str, Any] | None:
    """Return the keyword arguments of a call, which are constants, lists and dicts of these; else None.

    Args:
        text: The arguments with their parentheses: ``(a=2, b=[3])``.
    """
    try:
        call = ast.parse(f"f{text}", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or not isinstance(call.func, ast.Name):
            return None
        return {_name(keyword): _value(keyword.value, 0) for keyword in call.keywords}
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _name(keyword: ast.keyword) -> str:
    if keyword.arg is None:
        raise ValueError("arguments that are unpacked")
    return keyword.arg


def _value(node: ast.expr, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deep")
    match node:
        case ast.Constant(value=str() | int() | float() | None):
            return node.value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, depth + 1) for item in items]
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {_key(key): _value(value, depth + 1) for key, value in pairs}
        case _:
            raise ValueError("not a constant")


def _key(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise ValueError("not a string")
