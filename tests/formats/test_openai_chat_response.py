"""Whole responses that differ from OpenAI's format, and bodies that are not responses."""

from __future__ import annotations

import base64
import logging
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.codec_checks import calm, fixture, plain_target, target
from tests.support.each import each
from unified_llm._core.codec import AnyRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.openai_chat import CODEC
from unified_llm.types import EmbeddingRequest, LLMRequest, LLMResponse, ModelRequest, ModelsRequest, Usage

ASK = LLMRequest(())
TWO = EmbeddingRequest(("a", "b"))


def decode(body: Any, where: Target | None = None, request: AnyRequest = ASK) -> Any:
    return CODEC.decode(request, where or plain_target(), body)


def answered(message: Any, finish: Any = "stop", **more: Any) -> LLMResponse:
    outcome = decode({"choices": [{"message": message, "finish_reason": finish}], **more})
    assert isinstance(outcome, Done)
    assert isinstance(outcome.value, LLMResponse)
    return outcome.value


def usage_of(usage: Any, **quirks: Any) -> Any:
    body = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}
    return decode(body, plain_target(**quirks)).value.usage


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = [
    "choices",
    "message",
    "content",
    "tool_calls",
    "function",
    "arguments",
    "name",
    "id",
    "finish_reason",
    "usage",
    "error",
    "data",
    "embedding",
    "index",
    "model",
    "prompt_tokens",
    "prompt_tokens_details",
    "reasoning",
    "type",
    "text",
    "thinking",
    "delta",
    "x_groq",
    "code",
    "status",
    "details",
    "detail",
    "metadata",
    "refusal",
    "models",
    "has_more",
    "last_id",
    "object",
]
ALMOST = st.recursive(
    JUNK | st.sampled_from(["stop", "error", "text", "thinking", "Zm9v"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)


@calm
@given(ALMOST)
def test_whatever_a_provider_sends_comes_to_an_outcome(body: Any) -> None:
    for request in (ASK, TWO, ModelsRequest()):
        assert isinstance(decode(body, request=request), Done | Failure)


@each("body", [None, 3, "text", [], [1], [{}, {}], True])
def test_what_is_no_object_is_malformed(body: Any) -> None:
    assert decode(body) == Failure("malformed")


@each(
    "body",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": {}},
        {"choices": [None]},
        {"choices": [{}]},
        {"choices": [{"message": None, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": None}, "finish_reason": None}]},
        {"choices": [{"message": {"content": [], "tool_calls": []}, "finish_reason": "tool_calls"}]},
    ],
)
def test_an_answer_that_says_nothing_is_empty(body: Any) -> None:
    assert decode(body) == Failure("empty")


def test_what_is_left_of_several_answers_counts() -> None:
    complete = {"message": {"content": "Hi"}, "finish_reason": "stop"}
    broken = {"message": {"content": "H"}, "finish_reason": "error"}
    for choices in ([complete, broken], [broken, complete], [{}, "junk", complete]):
        answer = decode({"choices": choices, "usage": {"prompt_tokens": 1}}).value
        assert (answer.content, answer.alternatives, answer.usage.prompt_tokens) == ("Hi", (), 1)
    assert decode({"choices": [broken, {}]}).kind == "server"
    assert decode({"choices": [complete, complete]}).value.alternatives[0].usage is None


def test_nothing_after_the_limit_is_an_answer() -> None:
    answer = answered({"content": ""}, "length")
    assert (answer.content, answer.finish_reason) == ("", "length")


@each(
    ("body", "kind", "code"),
    [
        ({"error": {"message": "no", "code": "rate_limit_exceeded"}}, "rate_limit", "rate_limit_exceeded"),
        ({"error": {"message": "no", "code": 429}}, "rate_limit", "429"),
        ({"error": {"message": "no", "code": "503"}}, "server", "503"),
        ({"error": {"message": "no", "code": 402}}, "quota", "402"),
        ({"error": {"message": "no", "type": "insufficient_quota"}}, "quota", "insufficient_quota"),
        ({"error": {"message": "no", "type": "invalid_request_error"}}, "bad_request", "invalid_request_error"),
        ({"error": {"message": "no", "type": "overloaded_error"}}, "server", "overloaded_error"),
        ({"error": "something broke"}, "server", None),
        (
            {"object": "error", "message": "no", "type": "BadRequestError", "code": 400},
            "bad_request",
            "BadRequestError",
        ),
        ([{"error": {"code": 503, "status": "UNAVAILABLE"}}], "server", "UNAVAILABLE"),
        ({"choices": [{"message": None, "error": {"code": 502, "message": "x"}}]}, "server", "502"),
        ({"choices": [{"message": {"content": "half"}, "finish_reason": "error"}]}, "server", "error"),
        (
            {"choices": [{"message": {"content": "half"}, "finish_reason": "insufficient_system_resource"}]},
            "server",
            "insufficient_system_resource",
        ),
    ],
)
def test_an_error_at_status_200_is_a_failure_by_its_code(body: Any, kind: str, code: Any) -> None:
    for request in (ASK, TWO, ModelsRequest()) if not isinstance(body, dict) or "choices" not in body else (ASK,):
        outcome = decode(body, request=request)
        assert isinstance(outcome, Failure)
        assert (outcome.kind, outcome.code, outcome.status) == (kind, code, None)


@each(
    ("reason", "meant"),
    [
        ("stop", "stop"), ("eos", "stop"), ("end_turn", "stop"), ("length", "length"), ("model_length", "length"),
        ("max_tokens", "length"), ("content_filter", "content_filter"), ("tool_calls", "stop"), (None, "stop"),
        (7, "stop"), (["stop"], "stop"),
    ],
)  # fmt: skip
def test_every_reason_to_finish_is_one_of_four(reason: Any, meant: Any) -> None:
    assert answered({"content": "x"}, reason).finish_reason == meant


def test_f14_an_unknown_reason_to_finish_is_a_cut_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "unified_llm"):
        for _ in range(2):
            assert answered({"content": "x"}, "weary of f14").finish_reason == "length"
    assert caplog.text.count("finish reason that is not known") == 1
    assert "weary" not in caplog.text
    assert decode({"choices": [{"message": {"content": ""}, "finish_reason": "weary"}]}) == Failure("empty")


def test_the_target_s_model_stands_in_where_the_provider_names_none() -> None:
    answer = answered({"content": "x"})
    assert (answer.model, answer.provider, answer.response_id, answer.usage) == ("some-model", "somewhere", None, None)


def test_arguments_that_are_no_json_are_the_model_s_mistake_and_not_a_failure() -> None:
    answer = answered({"tool_calls": [{"id": "1", "function": {"name": "t", "arguments": '{"a": '}}]})
    assert answer.tool_calls[0].error
    assert answer.tool_calls[0].raw_arguments == '{"a": '


def test_arguments_that_cannot_even_be_written_again_are_reported_like_that() -> None:
    answer = answered({"tool_calls": [{"id": "1", "function": {"name": "t", "arguments": {"n": 10**5000}}}]})
    assert answer.tool_calls[0].error


def test_calls_of_no_known_form_are_passed_over() -> None:
    answer = answered({"content": "x", "tool_calls": ["text", {}, {"function": "text"}]})
    assert answer.tool_calls == ()


@each(("thinking", "expected"), [("as one text", "as one text"), (None, None), ([{"type": "x"}], None)])
def test_thinking_may_be_a_text_or_nothing(thinking: Any, expected: str | None) -> None:
    content = [{"type": "thinking", "thinking": thinking}, {"type": "text", "text": "x"}]
    assert answered({"content": content}).reasoning == expected


class TestUsage:
    def test_what_deepseek_and_moonshot_call_cached(self) -> None:
        assert usage_of(fixture("chat_deepseek_reasoning")["body"]["usage"]) == Usage(
            prompt_tokens=20, completion_tokens=30, total_tokens=50, cached_tokens=16, reasoning_tokens=25
        )
        assert usage_of({"prompt_tokens": 9, "cached_tokens": 8}).cached_tokens == 8

    def test_reasoning_that_a_provider_counts_apart_is_added(self) -> None:
        usage: dict[str, Any] = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45}
        usage["completion_tokens_details"] = {"reasoning_tokens": 30}
        assert usage_of(usage, reasoning_apart=True).completion_tokens == 35
        assert usage_of(usage).completion_tokens == 5

    def test_reasoning_is_not_added_twice_if_the_total_says_that_it_is_in_there(self) -> None:
        usage = {"prompt_tokens": 10, "completion_tokens": 35, "total_tokens": 45, "reasoning_tokens": 30}
        assert usage_of(usage, reasoning_apart=True).completion_tokens == 35

    def test_without_a_total_it_is_computed(self) -> None:
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "reasoning_tokens": 3}
        assert usage_of(usage, reasoning_apart=True).total_tokens == 18

    def test_tokens_written_to_the_cache(self) -> None:
        usage = {"prompt_tokens": 10, "prompt_tokens_details": {"cache_write_tokens": 7}}
        assert usage_of(usage).cache_write_tokens == 7

    @each("absurd", [-1, None, "12", True, 1e300, 10**400, [3], 0.4])
    def test_what_cannot_be_a_count_is_zero(self, absurd: Any) -> None:
        assert usage_of({"prompt_tokens": absurd, "completion_tokens": 2.0}) == Usage(0, 2, 2)

    @each("nothing", [None, {}, [], "many", 5])
    def test_no_usage_is_none(self, nothing: Any) -> None:
        assert usage_of(nothing) is None


class TestEmbeddings:
    @each(
        "data",
        [
            None,
            {},
            [],
            [{"embedding": [1.0]}],
            [{"embedding": [1.0]}, {"embedding": [1.0]}, {"embedding": [1.0]}],
            [{"embedding": [1.0]}, {"embedding": [1.0, 2.0]}],
            [{"embedding": [1.0], "index": 0}, {"embedding": [1.0], "index": 0}],
            [{"embedding": [1.0], "index": 0}, {"embedding": [1.0], "index": 2}],
            [{"embedding": [1.0], "index": "0"}, {"embedding": [1.0], "index": 1}],
            [{"embedding": [1.0]}, {"embedding": []}],
            [{"embedding": [1.0]}, {"embedding": ["1.0"]}],
            [{"embedding": [1.0]}, {"embedding": [None]}],
            [{"embedding": [1.0]}, {"embedding": [float("nan")]}],
            [{"embedding": [1.0]}, {"embedding": [float("inf")]}],
            [{"embedding": [1.0]}, {"embedding": [10**400]}],
            [{"embedding": [1.0]}, {"embedding": "not base64!"}],
            [{"embedding": [1.0]}, {"embedding": "ä"}],
            [{"embedding": [1.0]}, {"embedding": ""}],
            [{"embedding": [1.0]}, {"embedding": base64.b64encode(b"123").decode()}],
            [{"embedding": [1.0]}, {"embedding": base64.b64encode(struct.pack("<f", float("nan"))).decode()}],
            [{"embedding": [1.0]}, "row"],
        ],
    )
    def test_vectors_that_are_not_one_for_each_text_are_malformed(self, data: Any) -> None:
        assert decode({"data": data}, request=TWO) == Failure("malformed")

    @calm
    @given(
        st.lists(
            st.floats(width=32, allow_nan=False, allow_infinity=False, max_value=2.0**99, min_value=-(2.0**99)),
            min_size=1,
        )
    )
    def test_base64_says_the_same_as_numbers(self, vector: list[float]) -> None:
        packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        one = EmbeddingRequest(("a",))
        outcome = decode({"data": [{"embedding": packed}]}, request=one)
        assert outcome.value.vectors == [vector] == decode({"data": [{"embedding": vector}]}, request=one).value.vectors


class TestModels:
    @each("body", [{}, {"data": None}, {"data": {}}, {"data": ["x"]}, [3], {"models": 3}])
    def test_what_is_no_list_of_models_is_malformed(self, body: Any) -> None:
        assert decode(body, request=ModelsRequest()) == Failure("malformed")

    @pytest.mark.parametrize("body", [[], {"data": []}])
    def test_no_models_are_a_list_too(self, body: Any) -> None:
        assert decode(body, request=ModelsRequest()).value == ((), None)

    @each(
        ("provider", "body", "kind"),
        [
            ("vllm", {"data": [{"id": "other"}]}, "model_not_found"),
            ("vllm", {"data": 3}, "malformed"),
            ("openai", {}, "malformed"),
            ("openai", {"error": {"message": "x", "code": "model_not_found"}}, "model_not_found"),
        ],
    )
    def test_a_model_that_is_not_described_is_a_failure(self, provider: str, body: Any, kind: str) -> None:
        assert decode(body, target(provider), ModelRequest()).kind == kind

    def test_a_description_may_be_wrapped(self) -> None:
        described = decode({"data": {"id": "a", "max_context_length": 8}}, target("openai"), ModelRequest()).value
        assert (described.id, described.context_window) == ("a", 8)

    def test_one_model_in_a_bare_list_is_no_error(self) -> None:
        models, _ = decode([{"id": "only"}], request=ModelsRequest()).value
        assert [model.id for model in models] == ["only"]

    def test_ten_thousand_models_are_read(self) -> None:
        models, _ = decode({"data": [{"id": f"m{i}"} for i in range(10_000)]}, target("vllm"), ModelsRequest()).value
        assert len(models) == 10_000


def test_answers_keep_their_content_out_of_their_repr() -> None:
    assert "secret words" not in repr(answered({"content": "secret words"}))
    assert isinstance(answered({"content": "x"}), LLMResponse)
