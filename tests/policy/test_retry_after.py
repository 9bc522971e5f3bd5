"""What response headers ask for."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.each import each
from unified_llm._core.outcome import Failure
from unified_llm._policy import retry_after

NOW = "Fri, 20 Nov 2026 10:00:00 GMT"
IN_FIVE = "2026-11-20T10:00:05Z"
EPOCH = 1795168800  # the same instant


def wait(**headers: str) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return retry_after.read(Failure("rate_limit", 429, headers=named)).retry_after


@each(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("1.5", 1.5),
        (" 7 ", 7.0),
        ("86400", 86400.0),
        ("-1", None),
        ("1e309", None),
        ("nan", None),
        ("inf", None),
        ("86401", None),
        ("9999999", None),
        ("soon", None),
        ("", None),
        ("1, 2", None),
        ("Fri, 20 Nov 2026 10:00:30 GMT", 30.0),
        ("Friday, 20-Nov-26 10:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 09:59:00 GMT", None),
        ("Sun, 22 Nov 2026 10:00:00 GMT", None),
        ("Fri, 32 Nov 2026 10:00:30 GMT", None),
        ("Fri, 20 Nov 2026 10:00:30", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Fri, 31 Dec 1999 23:59:59 +999999999999999999", None),
    ],
)
@pytest.mark.case(16)
def test_retry_after_is_seconds_or_a_date_and_nonsense_is_no_hint(value: str, seconds: float | None) -> None:
    assert wait(date=NOW, retry_after=value) == seconds


@each("date", [None, "", "today", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"])
def test_a_date_says_nothing_without_the_servers_own_date(date: str | None) -> None:
    headers = {"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT"} | ({} if date is None else {"date": date})
    assert retry_after.read(Failure("server", 503, headers=headers)).retry_after is None


def test_milliseconds_come_before_seconds() -> None:
    assert wait(retry_after="9", x_ms_retry_after_ms="800") == 0.8
    assert wait(retry_after="9", x_ms_retry_after_ms="800", retry_after_ms="70") == 0.07


def test_nonsense_in_milliseconds_leaves_the_word_to_the_seconds() -> None:
    assert wait(retry_after="9", x_ms_retry_after_ms="-4", retry_after_ms="nan") == 9.0


@each(
    ("value", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("120ms", 0.12),
        ("1h2m3.5s", 3723.5),
        ("1d", 86400.0),
        ("2d", None),
        ("17", 17.0),
        ("86400", 86400.0),
        ("-3", None),
        (str(EPOCH + 40), 40.0),
        (str(EPOCH - 40), None),
        (str(EPOCH * 1000 + 2500), 2.5),
        (str(EPOCH * 1000 - 2500), None),
        ("2m59.56s", 179.56),
        ("7.66s", 7.66),
        ("2026-11-20T10:00:20Z", 20.0),
        ("2026-11-20T10:00:20", None),
        ("1s500ms", None),
        ("ms", None),
        ("", None),
        ("never", None),
    ],
)
@pytest.mark.case(18)
def test_the_reset_of_an_exhausted_limit_is_read_in_every_notation(value: str, seconds: float | None) -> None:
    headers = {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": value}
    assert wait(date=NOW, **headers) == seconds


def test_an_epoch_says_nothing_without_the_servers_date() -> None:
    assert wait(x_ratelimit_remaining="0", x_ratelimit_reset=str(EPOCH + 40)) is None


def test_of_several_exhausted_limits_the_last_to_recover_counts() -> None:
    headers = {
        "x_ratelimit_remaining_requests": "0",
        "x_ratelimit_reset_requests": "2s",
        "anthropic_ratelimit_tokens_remaining": "0",
        "anthropic_ratelimit_tokens_reset": "2026-11-20T10:00:05Z",
    }
    assert wait(date=NOW, **headers) == 5.0


@each(
    ("left", "until"),
    [
        ("x-ratelimit-remaining", "x-ratelimit-reset"),
        ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
        ("x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute"),
        ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
        ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
        ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
        ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
    ],
)
def test_every_providers_names_of_limits_are_known(left: str, until: str) -> None:
    assert retry_after.read_reset({left: "0", until: "3s"}) == 3.0
    assert retry_after.read_reset({left: "1", until: "3s"}) is None
    assert retry_after.read_reset({left: "none", until: "3s"}) is None
    assert retry_after.read_reset({left: "0"}) is None


@each(
    ("headers", "limits"),
    [
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "3"}, [("requests", 7, 3)]),
        ({"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "6m0s"}, [("requests", 7, 360)]),
        ({"x-ratelimit-remaining-tokens": "149984", "x-ratelimit-reset-tokens": "6ms"}, [("tokens", 149984, 0.006)]),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6ms"}, [("tokens", 0, 0.006)]),
        (
            {f"anthropic-ratelimit-{name}-remaining": "70" for name in ("requests", "tokens", "input-tokens")}
            | {f"anthropic-ratelimit-{name}-reset": IN_FIVE for name in ("requests", "tokens", "input-tokens")},
            [("requests", 70, 5), ("input", 70, 5)],
        ),
        (
            {"anthropic-ratelimit-output-tokens-remaining": "70", "anthropic-ratelimit-output-tokens-reset": IN_FIVE},
            [("output", 70, 5)],
        ),
        ({"x-ratelimit-remaining-tokens": "7"}, []),
        ({"x-ratelimit-remaining-tokens": "7", "x-ratelimit-reset-tokens": "0s"}, []),
        ({"x-ratelimit-remaining-tokens": "-7", "x-ratelimit-reset-tokens": "1s"}, []),
        ({"x-ratelimit-remaining-tokens": "nan", "x-ratelimit-reset-tokens": "1s"}, []),
        ({"x-ratelimit-remaining-tokens": "inf", "x-ratelimit-reset-tokens": "1s"}, []),
        ({"x-ratelimit-remaining-tokens": "7", "x-ratelimit-reset-tokens": "soon"}, []),
    ],
)
def test_what_is_left_of_a_limit_is_read_with_what_it_counts(
    headers: dict[str, str], limits: list[tuple[str, float, float]]
) -> None:
    read = retry_after.read_remaining({"date": NOW, **headers})
    assert [(limit.counted, limit.left, limit.seconds) for limit in read] == limits


def test_a_limit_that_is_not_exhausted_or_has_no_reset_says_nothing() -> None:
    assert wait(x_ratelimit_remaining_requests="3", x_ratelimit_reset_requests="2s") is None
    assert wait(x_ratelimit_remaining_requests="0") is None


def test_the_explicit_word_comes_before_the_resets_even_if_it_is_zero() -> None:
    resets = {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "6m0s"}
    assert wait(retry_after="3", **resets) == 3.0
    assert wait(retry_after="0", **resets) == 0.0
    assert wait(retry_after="soon", **resets) == 360.0


def test_a_hint_in_the_body_stands_in_for_a_missing_header() -> None:
    assert retry_after.read(Failure("rate_limit", retry_after=4.0)).retry_after == 4.0
    assert retry_after.read(Failure("rate_limit", retry_after=4.0, headers={"retry-after": "2"})).retry_after == 2.0
    assert retry_after.read(Failure("rate_limit", retry_after=4.0, headers={"date": NOW})).retry_after == 4.0
    assert retry_after.read(Failure("rate_limit", retry_after=float("nan"))).retry_after is None


@each(("value", "expected"), [("true", True), ("false", False), (" FALSE ", False), ("maybe", None), ("", None)])
@pytest.mark.case(19)
def test_whether_to_retry_is_read_as_a_word(value: str, *, expected: bool | None) -> None:
    assert retry_after.read(Failure("server", 500, headers={"x-should-retry": value})).should_retry is expected


NAMES = st.sampled_from(
    ["date", "retry-after", "retry-after-ms", "x-ms-retry-after-ms", "x-ratelimit-remaining", "x-ratelimit-reset"]
)
VALUES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["0", NOW, str(EPOCH), "6m0s", "-1", "1e400"]),
    st.builds("{}, {} {} {} {}:{}:{} {}".format, *[st.one_of(st.integers(), st.text(max_size=4))] * 8),
    st.from_regex(r"\A[A-Z][a-z]{2}, \d{1,2} (Jan|Nov) -?\d{1,30} \d\d:\d\d:\d\d [+-]\d{1,30}\Z"),
)


@given(st.dictionaries(NAMES, VALUES))
@example({"date": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "retry-after": NOW})
def test_no_headers_whatever_raise_or_ask_for_an_absurd_wait(headers: dict[str, str]) -> None:
    wait = retry_after.read(Failure("server", 500, headers=headers)).retry_after
    assert wait is None or 0 <= wait <= 86_400
