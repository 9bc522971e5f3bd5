"""Log probabilities, citations, and reasoning that is sent back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.codec_checks import calm, plain_target, read_events, target
from tests.support.each import each
from unified_llm._core.outcome import Done
from unified_llm._formats.openai_chat import CODEC
from unified_llm._formats.openai_chat.messages import write_messages
from unified_llm._formats.openai_chat.response import ReasoningDetails, read_citations, read_logprobs, read_sources
from unified_llm.types import Citation, LLMRequest, Message, ProviderState, TokenLogprob

ASK = LLMRequest((), logprobs=True, stream=True)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["content", "tokens", "token_logprobs", "top_logprobs", "token", "logprob", "url", "type"]),
        inner, max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip


class TestLogprobs:
    @each(
        ("choice", "read"),
        [
            ({"logprobs": -0.5, "delta": {"content": "Hi"}, "top_logprobs": {"Hi": -0.5}}, [("Hi", (("Hi", -0.5),))]),
            ({"logprobs": -0.5, "text": "Hi"}, [("Hi", ())]),
            ({"logprobs": -0.5, "delta": {}}, []),
            ({"logprobs": {"tokens": ["a", "Hi"], "token_logprobs": [None, -0.5], "top_logprobs": None}}, [("Hi", ())]),
            ({"logprobs": {"tokens": ["Hi", "b"], "token_logprobs": [-0.5]}}, [("Hi", ())]),
            ({"logprobs": {"content": [{"token": "Hi", "logprob": -0.5}, {"token": 5, "logprob": 1}]}}, [("Hi", ())]),
            ({"logprobs": {"content": None}}, []),
            ({}, []),
        ],
    )
    def test_every_shape_is_read(self, choice: Any, read: Any) -> None:
        assert read_logprobs(choice) == tuple(TokenLogprob(token, -0.5, top) for token, top in read)

    def test_a_stream_hands_them_on_as_they_come_even_without_text(self) -> None:
        def piece(content: str, token: str) -> dict[str, Any]:
            return {
                "choices": [{"delta": {"content": content}, "logprobs": {"content": [{"token": token, "logprob": -1}]}}]
            }

        first, second, *_ = read_events([piece("", "\ufffd"), piece("é", "\ufffd")], request=ASK)
        assert (first.content, first.logprobs) == ("", (TokenLogprob("\ufffd", -1.0),))
        assert (second.content, second.logprobs) == ("é", (TokenLogprob("\ufffd", -1.0),))

    def test_log_probabilities_alone_are_no_answer(self) -> None:
        events = [
            {"choices": [{"delta": {}, "logprobs": {"content": [{"token": "x", "logprob": -1}]}}]},
            {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        ]
        assert read_events(events, request=ASK)[-1].kind == "empty"


class TestCitations:
    def test_documents_are_cited_by_their_name(self) -> None:
        message = {
            "annotations": [{"type": "document_citation", "document_citation": {"document_id": "a", "end_index": 5}}]
        }
        assert read_citations(message) == (Citation(title="a", end=5),)

    def test_a_stream_hands_on_each_annotation_once(self) -> None:
        note = {"type": "url_citation", "url_citation": {"url": "https://a.test", "title": "A"}}
        chunk, _ = read_events([{"choices": [{"delta": {"annotations": [note]}, "finish_reason": "length"}]}])
        assert chunk.citations == (Citation("https://a.test", "A"),)

    def test_results_stand_in_where_no_page_is_numbered(self) -> None:
        assert read_sources({"search_results": [{"url": "https://a.test", "title": "A"}, {"title": "no address"}]}) == (
            Citation("https://a.test", "A"),
        )


class TestReasoningThatGoesBack:
    details = ({"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "index": 0},)

    def provider_state(self, provider: str) -> ProviderState:
        return ProviderState(provider, "openai_chat", {"reasoning_details": [dict(detail) for detail in self.details]})

    def test_it_goes_back_to_its_author_alone_with_or_without_calls(self) -> None:
        message = Message("assistant", "Four.", provider_state=self.provider_state("openrouter"))
        assert write_messages([message], target("openrouter"))[0]["reasoning_details"] == list(self.details)
        for other in ("minimax", "openai", "openai-compatible"):
            assert "reasoning_details" not in write_messages([message], target(other))[0]
        assert (
            "reasoning_details" not in write_messages([replace(message, provider_state=None)], target("openrouter"))[0]
        )

    @each("data", [None, [], {"reasoning_details": "x"}, {"reasoning_details": [1]}])
    def test_what_hands_have_been_at_is_left_out(self, data: Any) -> None:
        message = Message("assistant", "Four.", provider_state=ProviderState("openrouter", "openai_chat", data))
        assert write_messages([message], target("openrouter")) == [{"role": "assistant", "content": "Four."}]

    @given(st.text(min_size=1), st.integers(1, 6))
    @calm
    def test_fragments_become_the_part_that_they_were_cut_from(self, text: str, pieces: int) -> None:
        size = -(-len(text) // pieces)
        cut = [text[i : i + size] for i in range(0, len(text), size)]
        details = ReasoningDetails()
        for fragment in cut:
            detail = {"type": "reasoning.text", "index": 0, "text": fragment, "format": None}
            details.add({"reasoning_details": [detail]})
        details.add({"reasoning_details": [{"type": "reasoning.text", "index": 0, "signature": "s", "text": None}]})
        details.add({"reasoning_details": [{"type": "reasoning.text", "index": 1, "text": "z"}, "junk"]})
        provider_state = details.provider_state(target("openrouter"))
        assert provider_state
        first, second = provider_state.data["reasoning_details"]
        assert (first["text"], first["signature"], second["text"]) == (text, "s", "z")

    def test_whole_parts_without_an_index_stay_apart(self) -> None:
        details = ReasoningDetails()
        details.add({"reasoning_details": [{"type": "reasoning.text", "text": "a"}, {"type": "reasoning.text"}]})
        provider_state = details.provider_state(target("minimax"))
        assert provider_state
        assert len(provider_state.data["reasoning_details"]) == 2
        assert details.provider_state(plain_target()) is None


@given(JUNK)
@calm
def test_whatever_stands_in_their_places_breaks_nothing(junk: Any) -> None:
    choice = {"logprobs": junk, "top_logprobs": junk, "message": {"content": "x", "annotations": junk}}
    choice["message"] |= {"reasoning_details": junk}
    body = {"choices": [choice], "citations": junk, "search_results": junk, "base_resp": {"status_code": 0}}
    assert isinstance(CODEC.decode(ASK, target("openrouter"), body), Done)
