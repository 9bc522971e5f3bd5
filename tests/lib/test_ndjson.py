"""Splitting bytes into lines of JSON, in any chunking."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from unified_llm._lib.ndjson import LineSplitter


def lines(pieces: list[bytes], limit: int = 1024) -> list[str]:
    splitter = LineSplitter(limit)
    return [event.data for piece in pieces for event in splitter.feed(piece)] + [
        event.data for event in splitter.close()
    ]


def test_every_line_comes_out_once_it_has_ended() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b'{"a":') == []
    assert [event.data for event in splitter.feed(b' 1}\n{"b": 2}\r\n{"c"')] == ['{"a": 1}', '{"b": 2}']
    assert [event.data for event in splitter.feed(b": 3}\n")] == ['{"c": 3}']
    assert splitter.close() == []


def test_blank_lines_say_nothing() -> None:
    assert lines([b"\n \r\n", b'\n{"a":1}\n', b"\t\n"]) == ['{"a":1}']


def test_the_last_line_needs_no_end_but_must_be_whole() -> None:
    assert lines([b'{"a":1}\n{"b":', b"2}"]) == ['{"a":1}', '{"b":2}']
    assert lines([b'{"a":1}\n{"b":']) == ['{"a":1}']


def test_what_looks_like_the_end_of_a_line_elsewhere_is_none() -> None:
    text = json.dumps({"a": "one\u2028two\x85three"}, ensure_ascii=False)
    assert lines([text.encode() + b"\n"]) == [text]


def test_bytes_that_are_no_text_do_not_break_it() -> None:
    assert lines([b"\xff\xfe\n"]) == ["\ufffd\ufffd"]


def test_a_line_beyond_the_bound_ends_it() -> None:
    for pieces in ([b'{"a":1}\n' + b"x" * 11 + b"\n" + b"{}\n"], [b'{"a":1}\n', b"x" * 6, b"x" * 6, b"\n{}\n"]):
        splitter = LineSplitter(10)
        assert [event.data for piece in pieces for event in splitter.feed(piece)] == ['{"a":1}']
        assert splitter.oversized
        assert splitter.feed(b"{}\n") == []
        assert splitter.close() == []


def test_a_line_of_just_the_bound_is_taken() -> None:
    assert lines([b"1234567890\n", b"123\n"], limit=10) == ["1234567890", "123"]


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=5), max_size=2), max_size=4), st.data())
def test_the_cuts_of_the_network_change_nothing(values: list[dict[str, str]], data: st.DataObject) -> None:
    stream = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    pieces = [stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])]
    assert [json.loads(line) for line in lines(pieces)] == values
