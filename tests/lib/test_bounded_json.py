from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.each import each
from unified_llm._lib import bounded_json
from unified_llm._lib.bounded_json import JSONError, OversizedJSONError, parse, parse_partial, size_of_value

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_reads_back_the_same(value: Any) -> None:
    text = bounded_json.dump(value)
    assert bounded_json.parse(text) == value
    assert bounded_json.parse(text.encode()) == value


def test_what_is_written_is_compact_and_keeps_its_letters() -> None:
    assert bounded_json.dump({"a": [1, "ü\u2028"], "b": None}) == '{"a":[1,"ü\u2028"],"b":null}'


@each("text", [b'\xef\xbb\xbf{"a": 1}', '{"a": 1}', b' {"a":1} ', '{"a": 0, "a": 1}'])
def test_an_object_is_parsed(text: str | bytes) -> None:
    assert bounded_json.parse_object(text) == {"a": 1}


# reliability.md, case 22
@each(
    "text",
    [
        "", " ", "CANARY", '"CANARY', '{"CANARY": ', "NaN", "Infinity", "-", "[" * 100_000, "9" * 5000,
        '"\\ud800"', "\ud800",
        b"\xff", b"", '{"a": 1} CANARY', "{'CANARY': 1}",
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused_without_being_repeated(text: str | bytes) -> None:
    with pytest.raises(JSONError) as refused:
        bounded_json.parse(text)
    assert "CANARY" not in str(refused.value)
    assert len(str(refused.value)) < 100


@each(("text", "kind"), [("[]", "list"), ("null", "NoneType"), ("1", "int"), ('"x"', "str")])
def test_an_object_is_distinguished_from_other_json(text: str, kind: str) -> None:
    with pytest.raises(JSONError, match=f"expected a JSON object, got {kind}"):
        bounded_json.parse_object(text)


@each(
    ("text", "value"),
    [
        ('{"city": "Par', {"city": "Par"}),
        ('{"city": "Paris", "n', {"city": "Paris"}),
        ('{"a": [1, 2', {"a": [1, 2]}),
        ("{", {}),
        ("", None),
        ("nonsense", None),
        ("[" * 100_000, None),
        ("\ud800", None),
        ('{"a": NaN', None),
    ],
)
def test_the_beginning_of_json_is_read_as_far_as_it_goes(text: str, value: Any) -> None:
    assert bounded_json.parse_partial(text) == value


class Frozen(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        return {"a": MappingProxyType({"b": 1})}[key]

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


def test_mappings_of_any_kind_are_objects() -> None:
    assert bounded_json.dump(Frozen()) == '{"a":{"b":1}}'


CYCLE: dict[str, Any] = {}
CYCLE["self"] = CYCLE
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]


# reliability.md, case 63
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param({"CANARY"}, "TypeError", id="set"),
        pytest.param(b"CANARY", "TypeError", id="bytes"),
        pytest.param(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "TypeError", id="datetime"),
        pytest.param({("CANARY",): 1}, "TypeError", id="tuple as key"),
        pytest.param([float("nan")], "ValueError", id="NaN"),
        pytest.param([float("-inf")], "ValueError", id="infinity"),
        pytest.param(CYCLE, "ValueError", id="cycle"),
        pytest.param(DEEP, "RecursionError", id="depth"),
        pytest.param(10**5000, "ValueError", id="5000 digits"),
        pytest.param("CANARY\ud800", "lone surrogate", id="surrogate"),
        pytest.param({"CANARY\ud800": 1}, "lone surrogate", id="surrogate in a key"),
    ],
)
def test_what_has_no_json_form_is_refused_without_being_repeated(value: Any, reason: str) -> None:
    with pytest.raises(JSONError, match=reason) as refused:
        bounded_json.dump(value)
    assert "CANARY" not in str(refused.value)


@each(
    ("value", "number"),
    [(1, 1.0), (1.5, 1.5), (0, 0.0), (True, None), ("1", None), (None, None), (float("nan"), None), (10**400, None)],
)
def test_only_a_finite_number_is_one(value: Any, number: float | None) -> None:
    assert bounded_json.finite(value) == number


def test_a_number_too_large_for_a_float_is_parsed_as_infinite_and_not_finite() -> None:
    assert bounded_json.finite(bounded_json.parse("1e999")) is None


@each("convert", [str, str.encode, lambda text: bytearray(text.encode())])
def test_structure_is_counted_before_parsing(convert: Any) -> None:
    assert parse(convert("[{},{},0]"), max_structure=5) == [{}, {}, 0]
    for text in ("[{},{},0]", "[[[[[1]]]]]", "[0,0,0,0,0]"):
        with pytest.raises(OversizedJSONError):
            parse(convert(text), max_structure=4)


def test_names_may_be_bounded_apart_from_numbers() -> None:
    assert parse("[[1,2,3,4,5]]", max_names=2) == [[1, 2, 3, 4, 5]]
    for text in ('{"a":1}', '["a"]', "[[[1]]]"):
        with pytest.raises(OversizedJSONError):
            parse(text, max_names=2)


def test_a_partial_value_with_too_much_structure_is_not_parsed() -> None:
    assert parse_partial("[" + "1," * 1_000_001) is None


def test_a_parsed_value_is_larger_than_its_text() -> None:
    assert size_of_value("abc") == 67
    assert size_of_value(1.5) == 64
    assert size_of_value([1, [2]]) == 256
    assert size_of_value({"a": {}}) == 3 * 64 + 65 + 192


@each(
    ("text", "value"),
    [
        ('"\\ud83d"', "\ufffd"),  # wire F9
        ('{"\\udc00": ["a\\ud83d\\ude00b"]}', {"\ufffd": ["a😀b"]}),
        ('{"x": "a\nb\t"}', {"x": "a\nb\t"}),  # wire F13
        (b'\xef\xbb\xbf["\\ud83d"]', ["\ufffd"]),
        ('"\ud83d\ude00"', "😀"),
        ("[" * 20 + "]" * 20 + " ", parse("[" * 20 + "]" * 20)),
    ],
)
def test_json_of_servers_is_read_as_strict_parsers_do_not(text: str | bytes, value: Any) -> None:
    assert bounded_json.parse_lenient(text) == value


def test_halves_of_characters_are_kept_where_the_rest_may_follow() -> None:
    assert bounded_json.parse_lenient('["\\ud83d"]', keep_halves=True) == ["\ud83d"]
    assert bounded_json.scrub({"a": ["\ud83d\ude00", "b\udc00"]}) == {"a": ["😀", "b\ufffd"]}


@each(
    "text", ["", "CANARY", '{"CANARY": ', "NaN", '["\\ud800", NaN]', "[" * 100_000, '["\\ud800",' + "[" * 100_000,
             '["\\ud800",' + "9" * 5000 + "]", '{"a": "\\ud800"} CANARY', b"\xff", "{'CANARY': 1}",
             '{"a": "CANARY\x00"}', b'{"a": "CANARY\x1b"}', b'{"a": "CANARY\xff"}', '["\\ud800", "\x00"]'],
)  # fmt: skip
def test_what_is_no_json_at_all_is_refused_leniently_too(text: str | bytes) -> None:
    with pytest.raises(JSONError) as refused:
        bounded_json.parse_lenient(text)
    assert "CANARY" not in str(refused.value)
    with pytest.raises(OversizedJSONError):
        bounded_json.parse_lenient('["\\ud800",' + "0," * 50 + "0]", max_structure=5)


def test_nan_is_read_where_it_is_allowed_and_replaced_where_it_is_written() -> None:
    value = bounded_json.parse_lenient('{"a": [NaN, -Infinity, 1.5], "b": "\\ud800"}', allow_nan=True)
    assert bounded_json.without_nan(value) == {"a": [None, None, 1.5], "b": "\ufffd"}
    assert bounded_json.without_nan(CYCLE)["self"]
