"""Remaining limits of a server, in requests."""

from __future__ import annotations

from tests.support.each import each
from unified_llm._core.seconds import FOREVER
from unified_llm._policy.remaining_limits import RemainingLimits
from unified_llm.types import Usage

USAGE = Usage(prompt_tokens=900, completion_tokens=100, total_tokens=1000, cached_tokens=400)


def limits_after(counts: str, left: str, reset: str, usage: Usage | None = USAGE) -> RemainingLimits:
    limits = RemainingLimits()
    limits.note({f"x-ratelimit-remaining-{counts}": left, f"x-ratelimit-reset-{counts}": reset}, usage, 1000.0)
    return limits


@each(
    "counts, left, requests",
    [("requests", "20", 20), ("tokens", "20000", 20), ("input-tokens", "20000", 40), ("output-tokens", "2000", 20)],
)
def test_tokens_that_are_left_are_so_many_requests_as_those_of_late(counts: str, left: str, requests: int) -> None:
    limits = limits_after(counts, left, "30s")
    assert (limits.requests(1001.0), limits.pace(1001.0)) == (requests, 30 / requests)
    assert (limits.requests(1031.0), limits.pace(1031.0)) == (FOREVER, 0.0)


def test_tokens_say_nothing_where_no_response_told_its_own() -> None:
    for usage in (None, Usage()):
        assert limits_after("tokens", "20000", "30s", usage).requests(1001.0) == FOREVER


def test_of_several_limits_the_one_with_the_least_room_and_the_slowest_count() -> None:
    names = {"requests": ("5000", "3600s"), "tokens": ("100000", "60s")}
    headers = {f"x-ratelimit-remaining-{name}": left for name, (left, _) in names.items()}
    headers |= {f"x-ratelimit-reset-{name}": reset for name, (_, reset) in names.items()}
    limits = RemainingLimits()
    limits.note(headers, USAGE, 1000.0)
    assert (limits.requests(1001.0), limits.pace(1001.0)) == (100, 0.72)


def test_what_is_left_of_a_day_is_not_spread_over_it() -> None:
    limits = limits_after("requests", "5000", "12h")
    assert (limits.requests(1001.0), limits.pace(1001.0)) == (5000, 0.0)
    assert limits_after("requests", "5", "50m").pace(1001.0) == 60.0


def test_a_limit_that_is_used_up_closes_the_server_until_it_is_back() -> None:
    assert 1020 < limits_after("tokens", "900", "20s").closed_until < 1021
    assert limits_after("tokens", "900", "10m").closed_until < 1000
    assert limits_after("tokens", "1000", "20s").closed_until < 1000
