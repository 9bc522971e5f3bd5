"""Every decoder of streams, given random events: recorded ones in any order, spoilt, foreign, huge; or any text.

What must hold: chunks, then one Done or Failure, and nothing raised. ``FUZZ_EXAMPLES`` sets how many
streams each test tries; the attacks of ``integration_tests`` run it with many more.
"""

from __future__ import annotations

import json
import os
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.any_format import play
from tests.support.codec_checks import calm
from tests.support.recordings import CORRUPT_VALUES, MISSING, Corrupted, as_event, positions, streams, targets_of
from tests.support.thorough import examples
from unified_llm._formats.codecs import FORMATS
from unified_llm._lib.sse import ServerSentEvent

pytestmark = pytest.mark.thorough

every_format = pytest.mark.parametrize("format_name", FORMATS)
few = settings(calm, max_examples=int(os.environ.get("FUZZ_EXAMPLES", examples(16))), database=None)

KEYS = st.sampled_from([
    "type", "index", "id", "delta", "content", "text", "choices", "finish_reason", "tool_calls", "function", "name",
    "arguments", "message", "usage", "candidates", "parts", "functionCall", "response", "item", "output_index", "error",
    "content_block", "thinking", "signature", "reasoning_content", "reasoning_details", "partial_json", "done",
    "annotations",
    "logprobs", "top_logprobs", "token", "logprob", "citations", "thoughtSignature", "groundingMetadata", "refusal",
    "code",
])  # fmt: skip
LEAVES: st.SearchStrategy[Any] = st.sampled_from([
    None, True, False, 0, 1, -1, 5, 10**18, -(10**18), 1.5, float("inf"), float("nan"), "", "x", "stop", "tool_calls",
    "\ud800",
    "\0", "[DONE]", "message_stop", "error", "text", "x" * 3000, "a", "same", 2**70, [], {}, "function", "{}", "[",
    '{"a": 1}',
])  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
)


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@st.composite
def spoilt_events(draw: st.DrawFn, format_name: str) -> list[ServerSentEvent]:
    """Recorded events of a format in any order, some of them with other values, and events of other formats."""
    own = [event for _, events in streams(format_name) for event in events]
    foreign = [event for name in FORMATS for _, events in streams(name)[:2] for event in events[:3]]
    chosen: list[ServerSentEvent] = []
    for _ in range(draw(st.integers(0, 14))):
        event = deepcopy(draw(st.sampled_from(own if draw(st.integers(0, 9)) else foreign)))
        for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 5]))):
            places = [place for place in positions(event) if place[0]]
            if places:
                holder, key = draw(st.sampled_from(places))
                change = draw(st.sampled_from([MISSING, *CORRUPT_VALUES]) | VALUES)
                Corrupted(holder, key, change if change is MISSING else deepcopy(change)).__enter__()
        chosen.append(as_event(event, text_of(event)))
    return chosen


@every_format
@few
@given(st.data())
def test_recorded_events_in_any_order_with_any_values_are_chunks_and_one_end(
    format_name: str, data: st.DataObject
) -> None:
    for source in targets_of(format_name)[:2]:
        play(source, data.draw(spoilt_events(format_name)))


@every_format
@few
@given(st.lists(VALUES, max_size=8))
def test_events_of_any_json_are_chunks_and_one_end(format_name: str, values: list[Any]) -> None:
    play(targets_of(format_name)[0], [as_event(value, text_of(value)) for value in values])


@every_format
@few
@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=12)), max_size=8))
def test_events_of_any_text_are_chunks_and_one_end(format_name: str, texts: list[tuple[str, str]]) -> None:
    play(targets_of(format_name)[0], [ServerSentEvent(text, name) for text, name in texts])


@every_format
@few
@given(st.data())
def test_many_tool_calls_with_few_identifiers_stay_apart(format_name: str, data: st.DataObject) -> None:
    """Fragments of calls in any order, with identifiers and indexes that clash."""
    calls = [
        event for _, events in streams(format_name) for event in events
        if any(mark in text_of(event) for mark in ("tool_call", "functionCall", "function_call", "tool_use",
        "input_json"))
    ]  # fmt: skip
    if not calls:
        return
    events = []
    for _ in range(data.draw(st.integers(1, 25))):
        event = deepcopy(data.draw(st.sampled_from(calls)))
        for holder, key in list(positions(event)):
            if key in {"id", "call_id", "item_id", "index", "output_index"} and data.draw(st.booleans()):
                holder[key] = data.draw(st.sampled_from(["same", "other", "", None, 0, 1, -1, 10**18, 1.5]))
        events.append(as_event(event, text_of(event)))
    play(targets_of(format_name)[0], events)
