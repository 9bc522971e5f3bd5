from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.counted_work import lines_of
from tests.support.each import each
from unified_llm._lib.sse import ServerSentEvent, SSESplitter


def split(*pieces: bytes, limit: int = 1024) -> list[ServerSentEvent]:
    splitter = SSESplitter(limit)
    events = [event for piece in pieces for event in splitter.feed(piece)]
    return events + splitter.close()


def data_of(*pieces: bytes) -> list[str]:
    return [event.data for event in split(*pieces)]


@each("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.case(37)
def test_every_line_end_of_the_specification_ends_a_line(end: bytes) -> None:
    raw = end.join([b"event: delta", b"data: one", b"data: two", b"", b"data: three", b"", b""])
    assert split(raw) == [ServerSentEvent("one\ntwo", event="delta"), ServerSentEvent("three")]


@pytest.mark.case(37)
def test_what_only_looks_like_a_line_end_stays_in_the_data() -> None:
    text = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg"
    assert data_of(b"data: " + text.encode() + b"\n\n") == [text]


def test_a_carriage_return_ends_an_event_without_waiting_for_what_follows() -> None:
    splitter = SSESplitter()
    assert splitter.feed(b"data: now\r\r") == [ServerSentEvent("now")]
    assert splitter.feed(b"\ndata: then\r\n") == []
    assert splitter.feed(b"\r\n") == [ServerSentEvent("then")]


def test_the_space_after_the_colon_is_optional_and_only_one_belongs_to_the_format() -> None:
    assert data_of(b"data:x\n\n", b"data:  y \n\n", b"data\n\n") == ["x", " y ", ""]


def test_comments_and_fields_without_data_are_no_events() -> None:
    assert split(b": ping\n\n", b"retry: 10\n\n", b"event: lonely\n\n", b"\n\n\n", b"data: x\n\n") == [
        ServerSentEvent("x")
    ]


def test_an_identifier_belongs_to_its_event_alone() -> None:
    assert split(b"id: 7\ndata: x\n\ndata: y\n\n") == [ServerSentEvent("x", id="7"), ServerSentEvent("y")]


def test_unknown_fields_are_passed_over() -> None:
    assert data_of(b"speed: fast\ndata: x\nnonsense\n\n") == ["x"]


def test_a_byte_order_mark_is_skipped_at_the_start_only() -> None:
    assert data_of(b"\xef", b"\xbb", b"\xbfdata: \xef\xbb\xbfx\n\n") == ["\ufeffx"]
    assert data_of(b"\xef\xbbdata: x\n\n") == []  # that was no mark, so the line's field is no field


def test_bytes_that_are_not_utf8_become_replacement_characters() -> None:
    assert data_of(b"data: \xff\n\n") == ["\ufffd"]


@each("last", [b'data: {"a": 1}', b'data: {"a": 1}\n', b"data: [DONE]", b"data:[DONE]\r"])
def test_a_last_event_that_is_whole_needs_no_blank_line(last: bytes) -> None:
    assert len(split(b"data: x\n\n", last)) == 2


@each("last", [b'data: {"a": ', b"data: hel", b"dat", b": ping", b"", b"\xef\xbb"])
def test_a_last_event_that_may_be_cut_is_dropped(last: bytes) -> None:
    assert data_of(b"data: x\n\n", last) == ["x"]


def test_an_event_beyond_the_bound_ends_the_stream_and_keeps_what_came_before() -> None:
    splitter = SSESplitter(limit=20)
    assert splitter.feed(b"data: x\n\ndata: " + b"y" * 20) == [ServerSentEvent("x")]
    assert splitter.oversized
    assert splitter.feed(b"\n\ndata: z\n\n") == []
    assert splitter.close() == []


def test_an_event_beyond_the_bound_that_comes_in_one_piece_is_refused_too() -> None:
    splitter = SSESplitter(limit=20)
    assert splitter.feed(b"data: x\n\ndata: " + b"y" * 20 + b"\n\ndata: z\n\n") == [ServerSentEvent("x")]
    assert splitter.oversized


@pytest.mark.case(38)
def test_many_small_events_leave_nothing_behind() -> None:
    splitter = SSESplitter(limit=20)
    for _ in range(1000):
        assert splitter.feed(b"data: x\n\n") == [ServerSentEvent("x")]
    assert not splitter.oversized
    assert splitter.close() == []


def test_an_event_that_comes_byte_by_byte_takes_time_in_proportion_to_its_length() -> None:
    splitter = SSESplitter()
    data = b"data: " + b"x" * 200_000 + b"\n\n"
    events = [event for index in range(len(data)) for event in splitter.feed(data[index : index + 1])]
    assert [len(event.data) for event in events] == [200_000]


TEXT = st.text(st.characters(exclude_characters="\r\n\ufeff", exclude_categories=["Cs"]), max_size=12)
EVENTS = st.lists(
    st.builds(
        ServerSentEvent,
        data=st.lists(TEXT, min_size=1, max_size=3).map("\n".join),
        event=st.one_of(st.just("message"), TEXT.filter(bool)),
        id=st.none() | TEXT,
    ),
    max_size=6,
)


@given(
    events=EVENTS,
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=1, max_size=4),
    mark=st.booleans(),
    comment=st.booleans(),
    data=st.data(),
)
@pytest.mark.case(36)
def test_however_a_stream_is_cut_it_holds_the_same_events(
    *, events: list[ServerSentEvent], ends: list[str], mark: bool, comment: bool, data: st.DataObject
) -> None:
    lines: list[str] = []
    for event in events:
        lines += [": ping"] if comment else []
        lines += [f"event: {event.event}"] if event.event != "message" else []
        lines += [f"id: {event.id}"] if event.id is not None else []
        lines += [f"data: {line}" for line in event.data.split("\n")] + [""]
    # A lone CR before an LF would be one line end, not two, so one stream has one kind of LF-free line end.
    kinds = [end for end in ends if end != "\r"] or ["\r"]
    raw = "".join(line + kinds[index % len(kinds)] for index, line in enumerate(lines)).encode()
    raw = b"\xef\xbb\xbf" * mark + raw
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=20)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert split(*pieces) == events
    assert split(*(raw[index : index + 1] for index in range(len(raw)))) == events


def test_bytes_that_come_one_by_one_are_split_in_linear_time() -> None:
    def split(count: int) -> None:
        splitter = SSESplitter()
        for byte in b"data: 1\r\ndata: 2\n\n: x\n" * count:
            splitter.feed(bytes([byte]))

    assert lines_of(partial(split, 40)) < 2.2 * lines_of(partial(split, 20))
