"""Validation against a JSON schema, and the messages about values that do not conform."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.each import each
from unified_llm._lib.json_schema import find_mismatch

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": ["integer", "null"], "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b", 1]}, "maxItems": 2},
        "friend": {"$ref": "#"},
        "home": {"anyOf": [{"$ref": "#/$defs/place"}, {"type": "null"}]},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"place": {"type": "object", "properties": {"city": {"const": "Rome"}}, "required": ["city"]}},
}

CONFORMING = [
    {"name": "Ann"},
    {"name": "Ann", "age": None},
    {"name": "Ann", "age": 30.0, "tags": ["a", 1]},
    {"name": "Ann", "friend": {"name": "Bob", "friend": {"name": "Cid"}}},
    {"name": "Ann", "home": {"city": "Rome", "street": 7}},
    {"name": "Ann", "home": None},
]
DEPARTING = {
    "$ is no object": [],
    "$.name is missing": {},
    "$.name is too small": {"name": ""},
    "$.name is no string": {"name": 7},
    "$.age is no integer or null": {"name": "Ann", "age": 1.5},
    "$.age is too large": {"name": "Ann", "age": 151},
    "$.age is too small": {"name": "Ann", "age": -1},
    "$.tags is too large": {"name": "Ann", "tags": ["a", "a", "a"]},
    "$.tags[1] is none of the values that it may be": {"name": "Ann", "tags": ["a", True]},
    "$.friend.friend.name is missing": {"name": "Ann", "friend": {"name": "Bob", "friend": {}}},
    "$.home fits none of its alternatives": {"name": "Ann", "home": {"city": "Oslo"}},
    "$.(a property that the schema does not name) is not allowed": {"name": "Ann", "sk-CANARY": 1},
}


@each("value", CONFORMING)
def test_what_conforms_has_no_mismatch(value: Any) -> None:
    assert find_mismatch(value, PERSON) is None


@each("mismatch", DEPARTING)
def test_the_first_mismatch_is_named_by_its_path(mismatch: str) -> None:
    assert find_mismatch(DEPARTING[mismatch], PERSON) == mismatch


def test_the_other_keywords() -> None:
    cases: tuple[tuple[dict[str, Any], Any, Any], ...] = (
        ({"type": "boolean"}, True, 1),
        ({"type": "number"}, 1, True),
        ({"type": "integer"}, 2.0, 2.5),
        ({"const": 1}, 1.0, True),
        ({"exclusiveMinimum": 0}, 0.1, 0),
        ({"exclusiveMaximum": 0}, -1, 0),
        ({"oneOf": [{"type": "integer"}, {"minimum": 5}]}, 3, 7),
        ({"allOf": [{"type": "integer"}, {"minimum": 5}]}, 7, 3),
        ({"not": {"type": "null"}}, 0, None),
        ({"prefixItems": [{"type": "string"}], "items": {"type": "null"}}, ["a", None], ["a", 1]),
        ({"type": "string", "nullable": True}, None, 1),
        ({"additionalProperties": {"type": "string"}}, {"a": "b"}, {"a": 1}),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}}, None, 1),
        ({"items": {"$ref": "#/prefixItems/0"}, "prefixItems": [{"type": "null"}]}, [None, None], [None, 1]),
        ({"$ref": "#/%24defs/a%20b", "$defs": {"a b": {"type": "null"}}}, None, 1),
        ({"type": "string", "nullable": True}, None, 1),
        ({"maxLength": 2}, "ab", "abc"),
        ({"minItems": 1}, [1], []),
    )
    for schema, fits, fails in cases:
        assert find_mismatch(fits, schema) is None, (schema, fits)
        assert find_mismatch(fails, schema) is not None, (schema, fails)


def test_a_schema_that_says_nothing_that_is_known_allows_anything() -> None:
    silent: tuple[dict[str, Any], ...] = (
        {"type": "thing"},
        {"minimum": "many"},
        {"items": 7},
        {"required": "a"},
        {"$ref": "https://example.com/other"},
        {"$ref": "#/nowhere/at/all"},
        {"type": ["object", "array", "string", "number", "null"], "anyOf": [{"$ref": "#name"}]},
        {"nullable": True},
        {"patternProperties": {"^x": {}}, "additionalProperties": False},
        {"properties": []},
    )
    for schema in silent:
        for value in (None, 1, "a", [1], {"a": 1}):
            assert find_mismatch(value, schema) is None, (schema, value)


def test_a_schema_that_leads_back_to_itself_comes_to_an_end() -> None:
    for circle in ({"$ref": "#"}, {"allOf": [{"$ref": "#"}] * 3}, {"oneOf": [{"$ref": "#"}, False]}):
        assert find_mismatch(1, circle) is None


def test_alternatives_within_alternatives_are_gone_through_once() -> None:
    kinds = [{"properties": {"child": {"$ref": "#"}, "kind": {"const": kind}}, "required": ["kind"]} for kind in "abc"]
    schema = {"oneOf": [{"type": "null"}, *({"type": "object", **kind} for kind in kinds)]}
    tree: Any = None
    for _ in range(20):  # 3 ** 20 ways
        tree = {"child": tree, "kind": "c"}
    assert find_mismatch(tree, schema) is None
    assert find_mismatch({"child": tree, "kind": "d"}, schema) is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(value=JSON, schema=st.dictionaries(st.sampled_from([*PERSON, "items", "enum", "not", "oneOf"]), JSON))
def test_no_schema_and_no_value_makes_it_raise(value: Any, schema: dict[str, Any]) -> None:
    mismatch = find_mismatch(value, schema)
    assert mismatch is None or mismatch.startswith("$")
