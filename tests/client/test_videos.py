"""Videos, made in jobs: which target is asked what, pauses, deadlines, and jobs that fail, never end or get lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.each import each
from tests.support.scripted_targets import Pause, ScriptedTargets, say
from unified_llm import LLMClient, reset_health
from unified_llm._core.outcome import Done, Failure
from unified_llm.exceptions import (
    AllTargetsFailedError,
    ContentFilterError,
    GenerationError,
    LLMError,
    TimeoutError,
)
from unified_llm.types import VideoJob, VideoJobRequest, VideoRequest

KEY = "sk-CANARY-video"
SORA, PRO = "openai/sora-2", "openai/sora-2-pro"
DEAD, BUSY = Failure("server", 503), Failure("rate_limit", 429)
ANSWER = say("")  # which the scripted targets replace by made-up media
Call = Callable[[Any], Any]
VIDEO_CALLS: list[Call] = [
    lambda made: made.generate_video("A cat"),
    lambda made: asyncio.run(made.agenerate_video("A cat")),
]


def client(*models: str) -> LLMClient:
    return LLMClient(models[0], fallbacks=models[1:], api_key=KEY)


def job(status: Any = "queued", **fields: Any) -> Any:
    return [Done(VideoJob("video_1", status, **fields))]


def film(targets: ScriptedTargets, *models: str, call: Call | None = None, **keywords: Any) -> Any:
    with targets.running():
        made = client(*models)
        return made.generate_video("A cat", **keywords) if call is None else call(made)


def test_only_the_target_that_took_the_job_is_asked_about_it() -> None:
    targets = ScriptedTargets({SORA: [DEAD], PRO: [job(), job("in_progress"), BUSY, job("completed"), ANSWER]})
    video = film(targets, SORA, PRO, poll_interval=7)
    assert targets.names == [SORA, SORA, *[PRO] * 5]
    assert [type(request).__name__ for _, request in targets.asked[2:]] == [
        "VideoRequest", *["VideoJobRequest"] * 3, "VideoContentRequest",
    ]  # fmt: skip
    assert targets.slept.count(7.0) == 2
    assert (video.job, video.used_fallback, len(video.attempts)) == ("video_1", True, 7)


def test_a_video_has_what_its_job_says_of_it() -> None:
    done = Done(VideoJob("video_1", "completed", model="sora-2-2026", seconds=8, size="1x1", url="https://x/video"))
    looks: list[Any] = [[done], ANSWER]
    targets = ScriptedTargets({SORA: [job(), *looks]})
    video = film(targets, SORA)
    assert (video.job, video.model, video.seconds, video.size) == ("video_1", "sora-2-2026", 8, "1x1")
    assert video.request_id == video.attempts[-1].request_id
    assert not video.used_fallback
    fetch: Any = targets.asked[-1][1]
    assert (fetch.job, fetch.url) == ("video_1", "https://x/video")


def test_five_failed_looks_in_a_row_are_too_many_and_any_other_begins_again() -> None:
    looks: list[Any] = [*[BUSY] * 4, job("in_progress"), *[BUSY] * 4, job("completed"), ANSWER]
    assert film(ScriptedTargets({SORA: [job(), *looks]}), SORA, max_retries=0).job == "video_1"
    looks = [*[BUSY] * 5, job("completed"), ANSWER]
    targets = ScriptedTargets({SORA: [job(), *looks]})
    with pytest.raises(LLMError):
        film(targets, SORA, max_retries=0)
    assert len(targets.asked) == 6


@each("call", VIDEO_CALLS)
def test_a_job_that_fails_is_followed_by_one_at_the_next_target(call: Call) -> None:
    targets = ScriptedTargets({SORA: [job("failed", error="generation_failed")], PRO: [job("completed"), ANSWER]})
    video = film(targets, SORA, PRO, call=call)
    assert targets.names == [SORA, PRO, PRO]
    assert [(attempt.outcome, attempt.reason) for attempt in video.attempts][:2] == [
        ("ok", None), ("malformed", "generation_failed"),
    ]  # fmt: skip
    assert video.used_fallback


def test_a_job_that_fails_everywhere_is_an_error_that_says_so() -> None:
    failed = job("failed", error="generation_failed", detail="CANARY-DETAIL")
    with pytest.raises(GenerationError, match=r"its video job failed \(generation_failed\)") as alone:
        film(ScriptedTargets({SORA: [failed]}), SORA)
    assert alone.value.detail == "CANARY-DETAIL"
    with pytest.raises(AllTargetsFailedError) as both:
        film(ScriptedTargets({SORA: [failed], PRO: [failed]}), SORA, PRO)
    assert len(both.value.errors) == 2


def test_a_blocked_video_is_a_content_filters_doing() -> None:
    blocked = job("failed", error="moderation_blocked", blocked=True)
    targets = ScriptedTargets({SORA: [blocked], PRO: [job("completed"), ANSWER]})
    with pytest.raises(ContentFilterError, match="moderation_blocked"):
        film(targets, SORA, PRO)
    assert targets.names == [SORA]
    assert film(targets, SORA, PRO, failover_on={"filter": True}).model == "sora-2-pro"


def test_a_video_that_is_not_done_in_time_names_its_job() -> None:
    targets = ScriptedTargets({SORA: [job()], PRO: [ANSWER]})
    with pytest.raises(TimeoutError, match=r"not done within 60 s; the job video_1 goes on there.*raise deadline="):
        film(targets, SORA, PRO, deadline=60)
    assert PRO not in targets.names
    assert targets.clock == pytest.approx(1060.0, abs=0.1)


def test_looks_that_keep_failing_end_the_job() -> None:
    targets = ScriptedTargets({SORA: [job(), DEAD], PRO: [job("completed"), ANSWER]})
    assert film(targets, SORA, PRO).model == "sora-2-pro"
    refused = ScriptedTargets({SORA: [job(), Failure("bad_request", 400)]})
    with pytest.raises(LLMError, match="refused"):
        film(refused, SORA)
    assert len(refused.asked) == 2


@each("call", VIDEO_CALLS)
def test_looks_keep_the_pauses_that_the_target_asks_for(call: Call) -> None:
    limited = Failure("rate_limit", 429, headers={"retry-after": "60"})
    started = Done(VideoJob("video_1"), headers={"openai-poll-after-ms": "1500"})
    targets = ScriptedTargets({SORA: [[started], limited, job("in_progress"), job("completed"), ANSWER]})
    assert film(targets, SORA, PRO, call=call).job == "video_1"
    assert targets.slept == pytest.approx([1.5, 60.0, 5.0])
    for header, pause in (("0", 0.1), ("86400000", 5.0), ("70000", 60.0), ("soon", 5.0), ("-1", 5.0), ("nan", 5.0)):
        started = Done(VideoJob("video_1"), headers={"openai-poll-after-ms": header})
        targets = ScriptedTargets({SORA: [[started], job("completed"), ANSWER]})
        film(targets, SORA)
        assert targets.slept == pytest.approx([pause]), header
    film(targets := ScriptedTargets({SORA: [[started], job("completed"), ANSWER]}), SORA, poll_interval=7)
    assert targets.slept == pytest.approx([7.0])


def test_a_job_that_its_target_has_lost_is_neither_a_missing_model_nor_a_wrong_path() -> None:
    gone = Failure("model_not_found", 404, code="model_not_found")
    jobs: list[Any] = [[job(), gone], [job("completed"), Failure("not_found", 404)]]
    for steps in jobs:
        with pytest.raises(
            GenerationError, match=r"it has no video job video_1 any more.*; try again, or add a fallback"
        ):
            film(ScriptedTargets({SORA: steps}), SORA)
        assert film(ScriptedTargets({SORA: steps, PRO: [job("completed"), ANSWER]}), SORA, PRO).model == "sora-2-pro"


def test_the_next_job_is_fitted_to_its_target_as_any_fallback_is() -> None:
    other = "gemini/gemini-omni-1.1-flash"
    targets = ScriptedTargets({SORA: [job("failed")], PRO: [job("failed")], other: [job("completed"), ANSWER]})
    asked: dict[str, Any] = {"size": "landscape", "seconds": 8, "extra_body": {"style": "noir"}}
    with targets.running():
        video = client(SORA, PRO, other).generate_video("A cat", extra_headers={"x-trace": "7"}, **asked)
    made = [request for _, request in targets.asked if isinstance(request, VideoRequest)]
    assert [(request.size, dict(request.extra_body)) for request in made] == [
        ("landscape", {"style": "noir"}), ("landscape", {"style": "noir"}), (None, {}),
    ]  # fmt: skip
    assert {request.seconds for request in made} == {8}
    assert video.attempts[4].adjusted == {"size": ["...", None], "style": ["...", None]}
    assert ["x-trace" in target.headers for target in targets.targets[:3]] == [True, True, False]


def test_a_look_that_hangs_is_repeated_and_a_fetch_has_the_time_that_is_left() -> None:
    targets = ScriptedTargets({SORA: [job(), [Pause()], job("completed"), [Pause(400), *ANSWER]]})
    assert film(targets, SORA, deadline=500).model == "sora-2"
    assert targets.clock == pytest.approx(1435.0, abs=0.5), "5 s, a look of 30 s, and 400 s"
    with pytest.raises(TimeoutError, match=r"was not fetched within 60 s; the job video_1 is done there"):
        film(ScriptedTargets({SORA: [job("completed"), [Pause()]]}), SORA, deadline=60)


def test_looks_that_succeed_do_not_hide_that_new_jobs_fail() -> None:
    targets = ScriptedTargets({SORA: [job(), *[job("in_progress"), DEAD] * 6, job("completed"), ANSWER]})
    with targets.running():
        made = client(SORA, PRO)
        running = made.generate_video("A cat")
        assert [attempt.outcome for attempt in running.attempts].count("server") == 6
        assert [health["consecutive_failures"] for health in made.health()] == [0, 0]
    reset_health()
    # Of one job every look succeeds; beside it, each new job fails.
    targets = ScriptedTargets({SORA: [job("in_progress"), DEAD] * 9, PRO: [job("completed"), ANSWER]})
    with targets.running():
        made = client(SORA, PRO)
        look = VideoJobRequest("video_1")
        for _ in range(5):
            made.run_request(look, replace(made.options, retries={"limit": 0}))
            made.generate_video("A dog", max_retries=0)
        assert made.health()[0]["state"] == "open"
