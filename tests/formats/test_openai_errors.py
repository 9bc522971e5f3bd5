"""Classification of errors, beyond the documented cases of the contract."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.formats.test_openai_chat_response import ALMOST
from tests.support.codec_checks import CANARY, calm, plain_target, target
from tests.support.each import each
from tests.support.thorough import some
from unified_llm._core.outcome import Failure
from unified_llm._core.target import Target
from unified_llm._formats.openai_chat import CODEC

HTML = b"<html><body><h1>404 Not Found</h1><p>no such model</p></body></html>"
BY_STATUS = {
    400: "bad_request", 401: "auth", 402: "quota", 403: "permission", 404: "not_found", 405: "not_found",
    408: "request_timeout", 409: "conflict", 413: "too_large", 415: "bad_request", 422: "bad_request", 425: "conflict",
    429: "rate_limit", 451: "permission", **dict.fromkeys((500, 502, 503, 504, *range(520, 527), 529), "server"),
    **dict.fromkeys((301, 302, 303, 307, 308), "redirect"),
}  # fmt: skip


def failure(status: int, body: Any, where: Target | None = None) -> Failure:
    return CODEC.failure(
        status, {}, body if isinstance(body, bytes) else json.dumps(body).encode(), where or plain_target()
    )


BODIES = (
    b"", HTML, b"{}", b"null", b"[]", b"\xff\xfe", b'{"error": null}', b'"boom"', b"3",
)  # fmt: skip
LONG_BODIES = (b"<" + b"x" * 10_000_000, b"[" * 100_000)


@each(("status", "kind"), BY_STATUS.items())
def test_a_status_alone_has_a_kind_whatever_the_body(status: int, kind: str) -> None:
    for body in BODIES:
        actual = failure(status, body)
        assert (actual.kind, actual.status) == (kind, status), body


@each(("status", "kind"), some(BY_STATUS.items(), 8))
def test_it_has_that_kind_however_long_the_body_is(status: int, kind: str) -> None:
    for body in LONG_BODIES:
        actual = failure(status, body)
        assert (actual.kind, actual.status) == (kind, status), body[:20]


@calm
@given(st.integers(300, 599), ALMOST)
def test_whatever_a_provider_refuses_with_comes_to_a_failure(status: int, body: Any) -> None:
    actual = failure(status, body)
    assert isinstance(actual, Failure)
    assert actual.code is None or len(actual.code) <= 80


class TestQuirks:
    def test_together_s_403_is_a_context_overflow(self) -> None:
        body = {"error": {"message": "Input token count + max_tokens must be less than the context length"}}
        assert failure(403, body, target("together")).kind == "context"
        assert failure(403, {"error": {"message": "too much"}}, target("together")).kind == "context"
        assert failure(403, {"error": {"message": "too much"}}, target("openai")).kind == "permission"

    def test_a_refused_key_is_still_one_at_that_status(self) -> None:
        body = {"error": {"message": "no", "code": "invalid_api_key"}}
        assert failure(403, body, target("together")).kind == "auth"

    def test_openrouter_s_403_is_moderation_if_it_says_so(self) -> None:
        where = target("openrouter")
        flagged = {
            "error": {"code": 403, "message": "x", "metadata": {"reasons": ["violence"], "flagged_input": "..."}}
        }
        assert failure(403, flagged, where).kind == "filter"
        assert failure(403, {"error": {"code": 403, "message": "Your input was flagged"}}, where).kind == "filter"
        assert failure(403, {"error": {"code": 403, "message": "Key limit exceeded"}}, where).kind == "permission"
        assert failure(403, flagged, target("openai")).kind == "filter"

    def test_a_provider_s_own_code_can_mean_an_empty_purse(self) -> None:
        body = {"error": {"message": "x", "code": "Empty"}}
        assert failure(400, body, plain_target(codes={"empty": "quota"})).kind == "quota"
        assert failure(400, body).kind == "bad_request"


class TestDetail:
    def test_the_provider_s_words_are_kept_but_bounded_and_out_of_the_repr(self) -> None:
        actual = failure(400, {"error": {"message": "Your prompt 'my secret' is bad. " + "x" * 5000}})
        assert actual.detail is not None
        assert actual.detail.startswith("Your prompt")
        assert len(actual.detail) == 2000
        assert "my secret" not in repr(actual)

    @each(
        ("body", "detail"),
        [
            ({"error": {"message": "a"}}, "a"),
            ({"error": "b"}, "b"),
            ({"message": "c"}, "c"),
            ({"detail": "d"}, "d"),
            ({"detail": [{"msg": "e"}]}, "e"),
            ([{"error": {"message": "f"}}], "f"),
            ({"object": "error", "message": "g"}, "g"),
            ({"detail": [{}]}, None),
            (b"plain words", "plain words"),
            (HTML, None),
            (b"  \n", None),
        ],
    )
    def test_it_is_found_wherever_it_stands(self, body: Any, detail: str | None) -> None:
        assert failure(500, body).detail == detail

    @each("code", [f"your key {CANARY} is\nbad", "x" * 81, "naïve", "a;b", ""])
    def test_what_does_not_look_like_a_code_is_none(self, code: Any) -> None:
        assert failure(400, {"error": {"message": "x", "code": code}}).code is None

    def test_a_type_stands_in_for_a_code(self) -> None:
        assert failure(400, {"error": {"type": "some_type", "code": None}}).code == "some_type"


class TestRetryAfter:
    @each(
        ("delay", "seconds"),
        [("17s", 17.0), ("0.5s", 0.5), ("17", None), ("-3s", None), ("9" * 9 + "s", None), (17, None)],
    )
    def test_google_says_it_in_the_body(self, delay: Any, seconds: Any) -> None:
        body = {"error": {"code": 429, "details": [{"reason": "X"}, {"retryDelay": delay}]}}
        assert failure(429, body).retry_after == seconds

    @each(("time", "seconds"), [(20, 20.0), (0, 0.0), (-1, None), ("20", None), (True, None), (1e12, None)])
    def test_hugging_face_says_how_long_a_model_takes_to_load(self, time: Any, seconds: Any) -> None:
        assert failure(503, {"error": "loading", "estimated_time": time}).retry_after == seconds


def test_a_page_about_models_does_not_mean_that_a_model_is_missing() -> None:
    assert failure(404, HTML).kind == "not_found"


def test_words_never_make_a_rate_limit_a_matter_of_money() -> None:
    body = {"error": {"message": "INSUFFICIENT QUOTA, check your plan and billing details", "code": "too_many"}}
    assert failure(429, body).kind == "rate_limit"


def test_a_parameter_called_model_means_that_the_model_is_missing() -> None:
    assert failure(404, {"error": {"message": "Not found", "param": "model"}}).kind == "model_not_found"
