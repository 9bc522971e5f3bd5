"""The check of a JSON text: by the schema, by a function of the caller, or none.

What is wrong is described by places and rules, never by the values that a model wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from unified_llm._lib.bounded_json import JSONError, parse
from unified_llm._structured.extract_json import Check, check_json
from unified_llm._structured.methods import output_schema
from unified_llm.types.messages import ResponseFormat


def make_check(response_format: ResponseFormat) -> Check:
    """Return the check that a response format asks for; without a schema, any JSON value passes."""
    validate = response_format.validate
    if validate is True and response_format.schema is None:
        return check_parses
    if validate is True:
        return partial(check_json, schema=output_schema(response_format))
    return _accept if validate is False else partial(_ask_caller, validate)


def _accept(_: str) -> None:
    return None


def check_parses(text: str) -> str | None:
    """Check that a text is JSON; return the problem, or None if there is none."""
    try:
        parse(text)
    except JSONError:
        return "it is not JSON"
    return None


def _ask_caller(validate: Check, text: str) -> str | None:
    """Return the verdict of the caller's function; what it raises, other than a ``ValueError``, is a bug of theirs."""
    if problem := check_parses(text):
        return problem
    try:
        return validate(text) or None
    except ValueError as error:
        return describe_error(error)


def describe_error(error: ValueError) -> str:
    """Describe an error; of Pydantic's, only the fields and the rules, since its own text quotes the values."""
    list_errors: Any = getattr(error, "errors", None)
    if not callable(list_errors):
        return str(error) or "it is not valid"
    mistakes: Any = list_errors()
    return "; ".join(f"{_path(mistake)}: {_rule(mistake)}" for mistake in mistakes)


def _path(mistake: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in mistake.get("loc", ())) or "the answer"


def _rule(mistake: Mapping[str, Any]) -> str:
    context = mistake.get("ctx") or {}
    if "tag" in context:  # the message of a wrong tag quotes it
        return f"{context.get('discriminator')} must be one of {context.get('expected_tags')}"
    return str(mistake.get("msg"))
