"""Pydantic's errors in the words of this package, without the values, which may be keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from unified_llm._core.seconds import SecondsError

if TYPE_CHECKING:
    import pydantic

_ADVICE: Final = {
    "missing": "is needed",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "string_type": "must be a string",
    "bool_parsing": "must be True or False",
    "bool_type": "must be True or False",
    "tuple_type": "must be a string, or a list of strings",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "string_unicode": "has characters that are no valid text",
    "int_parsing_size": "must be a whole number of at most 4300 digits",
    "unexpected_keyword_argument": "is no field",
    "extra_forbidden": "is no field, or is given by two names",
}


class WrongValueError(ValueError):
    """A value cannot be right; the text continues a sentence that names its field, and does not repeat the value."""


def describe(invalid: pydantic.ValidationError) -> str:
    """Name each field that is wrong, and say what it must be."""
    messages: dict[str, str] = {}
    for error in invalid.errors(include_url=False, include_context=True, include_input=False):
        field = ".".join(str(part) for part in error["loc"] if part != "tagged-union") or "the configuration"
        own = error.get("ctx", {}).get("error")
        explained = isinstance(own, (SecondsError, WrongValueError))
        problem = str(own) if explained else _ADVICE.get(error["type"]) or _bound(error)
        messages.setdefault(field, problem or "has a wrong value or type")
    return "; ".join(f"{field} {advice}" for field, advice in messages.items()) + "."


def _bound(error: Any) -> str | None:
    for name, words in (("gt", "greater than"), ("ge", "at least"), ("lt", "less than"), ("le", "at most")):
        if name in error.get("ctx", {}):
            return f"must be {words} {error['ctx'][name]}"
    if error["type"] == "dataclass_type":
        return f"must be a {error['ctx']['class_name']}(...), or a mapping of its fields"
    if error["type"] == "literal_error":
        return f"must be {error['ctx']['expected']}"
    return "must be a finite number" if error["type"] == "finite_number" else None
