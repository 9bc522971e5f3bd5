"""Signatures at run time: each keyword by its name, type and default, made when they are first looked at."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from typing import TypedDict, Unpack, assert_type

from unified_llm._lib.list_of import ListOf
from unified_llm._lib.signatures import NOT_GIVEN, Keywords, LazySignature, field_defaults, show_keywords


class Options(TypedDict, total=False):
    timeout: float | None
    name: str
    size: int


READS: list[str] = []


def load() -> Keywords:
    READS.append("read")
    return Options, {"name": "x"}


class Caller:
    @show_keywords(load)
    def call(self, prompt: str, *, count: int = 3, **options: Unpack[Options]) -> str:
        """Return the prompt."""
        return f"{prompt} {count} {sorted(options)}"


def test_a_signature_lists_the_keys_and_is_made_once() -> None:
    READS.clear()
    assert Caller().call("a", timeout=1) == "a 3 ['timeout']"
    assert isinstance(vars(Caller.call)["__signature__"], LazySignature)
    assert READS == []
    signature = inspect.signature(Caller.call)
    assert str(signature) == (
        "(self, prompt: 'str', *, count: 'int' = 3, name: str = 'x', timeout: float | None = ..., size: int = ...)"
        " -> 'str'"
    )
    assert inspect.signature(Caller().call) == signature.replace(parameters=[*signature.parameters.values()][1:])
    assert inspect.signature(Caller.call).return_annotation == "str"
    assert READS == ["read"]


def test_a_signature_binds_copies_and_pickles_as_any_other() -> None:
    signature = inspect.signature(Caller.call)
    assert signature.bind(None, "a", timeout=5).arguments == {"self": None, "prompt": "a", "timeout": 5}
    assert type(signature.replace()) is Signature
    assert type(copy.copy(signature)) is Signature
    assert copy.copy(signature) == copy.deepcopy(signature) == signature
    plain = LazySignature(lambda: Signature([Parameter("a", Parameter.KEYWORD_ONLY, default=1)]))
    assert pickle.loads(pickle.dumps(plain)) == plain  # noqa: S301 - our own


def test_the_default_of_a_keyword_that_has_none_of_its_own_is_shown_as_dots() -> None:
    assert repr(NOT_GIVEN) == "..."


def test_the_defaults_of_a_dataclass_are_its_values() -> None:
    @dataclass
    class Row:
        name: str
        size: int = 5
        tags: dict[str, str] = field(default_factory=dict)

    assert field_defaults(Row) == {"size": 5, "tags": {}}


def test_lists_and_tuples_are_lists_of_items_for_type_checkers_and_strings_are_not() -> None:
    items: ListOf[str] = ["a"]
    assert_type(items[0], str)
    items = ("a", "b")
    several: Sequence[str] = items
    items = several
    items = "a"  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]
    assert items
