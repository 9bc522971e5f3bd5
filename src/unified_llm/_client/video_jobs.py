"""Videos, made in jobs: create one, look at it until it is done, fetch its video; all under one deadline.

    create ──> at the first target that takes it ──> pause ──> look ──> ... ──> fetch
       ^                                                         |                |
       └────────── the next target, while one is left <── failed ┴────────────────┘

Each request is a call of its own over the policy, with its retries. Looks and the fetch go to the target that took the
job. ``VideoJobs.steps`` decides; ``run`` and ``arun`` make the calls and the pauses that it yields.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import replace
from typing import Any, Final, Protocol, TypeAlias

from unified_llm._client.call import PreparedCall
from unified_llm._client.call_options import CallOptions
from unified_llm._client.errors import FailedCall, from_call_failed
from unified_llm._config.call_targets import CallChain
from unified_llm._core import runtime
from unified_llm._core.codec import AnyRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.provider_words import read_name
from unified_llm._core.seconds import FOREVER
from unified_llm._core.target import Target
from unified_llm._lib.show_seconds import show_seconds
from unified_llm._policy import retry_after
from unified_llm._policy.call_state import CallFailed
from unified_llm._policy.failure_rules import FAILURE_RULES
from unified_llm.exceptions import LLMError
from unified_llm.types.media import VideoJob, VideoResponse
from unified_llm.types.media_requests import VideoContentRequest, VideoJobRequest, VideoRequest
from unified_llm.types.records import Attempt

POLL_INTERVAL: Final = 5.0
"""Seconds between two looks at a video's job, where neither the caller nor the target says how many."""
_NOT_FOUND: Final = 404
_AGAIN: Final = "try again, or add a fallback"
# So many looks in a row may fail, each after its own retries.
_MOST_FAILED_LOOKS: Final = 5

_Step: TypeAlias = PreparedCall | float
"""A call to make, or an instant until which to sleep."""
_Steps: TypeAlias = Generator[_Step, Any, VideoResponse]


class _Prepare(Protocol):
    def __call__(
        self, request: AnyRequest, chain: CallChain, options: CallOptions, until: float | None = None
    ) -> PreparedCall: ...


class VideoJobs:
    """The jobs of one video.

    Args:
        request: The request.
        chain: The targets of the call.
        options: The options of the call.
        prepare: Prepares a call under the deadline of all.
        poll_interval: Seconds between two looks at a job; None: what the target asks for, else ``POLL_INTERVAL``.
    """

    def __init__(
        self,
        request: VideoRequest,
        chain: CallChain,
        options: CallOptions,
        prepare: _Prepare,
        *,
        poll_interval: float | None,
    ) -> None:
        self._request, self._chain, self._options = request, chain, options
        self._prepare, self._poll_interval = prepare, poll_interval
        self._later = options.without_target_changes()  # which the target of a job has already
        self._now = runtime.current().now
        self._until = FOREVER if options.deadline is None else self._now() + options.deadline
        self._attempts: list[Attempt] = []
        self._failures: list[tuple[Target, Failure]] = []
        self._primary: Target | None = None  # the target that the request was written for

    def run(self, make: Callable[[PreparedCall], Any]) -> VideoResponse:
        """Make the calls and the pauses, and return the video.

        Raises:
            LLMError: No target made it.
        """
        steps, sleep = self.steps(), runtime.current().sleep
        try:
            step = next(steps)
            while True:
                step = steps.send(make(step) if isinstance(step, PreparedCall) else sleep(step))
        except StopIteration as end:
            whole: VideoResponse = end.value
            return whole

    async def arun(self, make: Callable[[PreparedCall], Awaitable[Any]]) -> VideoResponse:
        """Do the same as ``run``, for async callers."""
        steps, sleep = self.steps(), runtime.current().asleep
        try:
            step = next(steps)
            while True:
                step = steps.send(await (make(step) if isinstance(step, PreparedCall) else sleep(step)))
        except StopIteration as end:
            whole: VideoResponse = end.value
            return whole

    def steps(self) -> _Steps:
        """Yield calls and pauses, and return the video.

        Raises:
            LLMError: No target made it.
        """
        chain, options = self._chain, self._options
        while True:
            call = self._create(chain, options)
            outcome = yield from self._make(call)
            target = call.state.trace.served
            if isinstance(outcome, CallFailed) or target is None:
                raise self._error(outcome)
            video = yield from self._finish(outcome, target)
            if isinstance(video, VideoResponse):
                used_fallback = bool(self._failures) or call.used_fallback
                return replace(
                    video,
                    provider=target.provider,
                    model=video.model or target.model,
                    request_id=self._attempts[-1].request_id,
                    used_fallback=used_fallback,
                    attempts=tuple(self._attempts),
                )
            self._failures.append((target, video))
            rest = _targets_after(call, target)
            if not rest or not call.state.fails_over(video.kind) or self._now() >= self._until:
                raise self._error(CallFailed(()))
            chain, options = CallChain(rest), self._later

    def _create(self, chain: CallChain, options: CallOptions) -> PreparedCall:
        """Return the call for a new job; the targets after one that failed get the request as fallbacks do."""
        call = self._prepare(self._request, chain, options, self._until)
        if self._failures:
            return replace(call, primary=self._primary)
        self._primary = call.primary
        return call

    def _make(self, call: PreparedCall) -> Generator[_Step, Any, Any]:
        outcome = yield call
        self._attempts += call.state.trace.attempts
        return outcome

    def _ask(self, request: AnyRequest, target: Target) -> Generator[_Step, Any, Done | Failure]:
        """Make a call to the target of the job; return its outcome."""
        call = self._prepare(request, CallChain((target,)), self._later, self._until)
        outcome = yield from self._make(call)
        if not isinstance(outcome, CallFailed):
            return outcome if isinstance(outcome, Done) else Done(outcome)
        failures = [outcome.final] if outcome.final else outcome.failures
        return failures[-1][1] if failures else Failure("timeout")

    def _finish(self, created: Done, target: Target) -> Generator[_Step, Any, VideoResponse | Failure]:
        """Look at a job until it is done, and fetch its video; return why it failed."""
        job: VideoJob = created.value
        state: Done | Failure = created
        failed = 0
        while job.status in {"queued", "in_progress"}:
            until = self._now() + self._pause_after(state)
            yield min(until, self._until)
            if until >= self._until:
                return self._too_late(job)
            state = yield from self._ask(VideoJobRequest(job.id), target)
            if isinstance(state, Done):
                job, failed = state.value, 0
                continue
            failed += 1
            rule = FAILURE_RULES[state.kind]
            if failed >= _MOST_FAILED_LOOKS or not (rule.retry or rule.polled):
                return self._too_late(job) if self._now() >= self._until else _explained(state, job)
        if job.status == "failed":
            failure = _job_failure(job)
            self._attempts.append(Attempt(target.name, failure.kind, reason=failure.code))
            return failure
        content = yield from self._ask(VideoContentRequest(job.id, url=job.url), target)
        if isinstance(content, Failure):
            return self._too_late(job) if self._now() >= self._until else _explained(content, job)
        video: VideoResponse = content.value
        return replace(video, job=job.id, model=job.model, seconds=job.seconds, size=job.size)

    def _pause_after(self, state: Done | Failure) -> float:
        """Return the seconds until the next look: as long as the caller, or else the target, asks for."""
        if isinstance(state, Failure):
            return max(self._poll_interval or POLL_INTERVAL, retry_after.read(state).retry_after or 0.0)
        return self._poll_interval or retry_after.read_poll_after(state.headers) or POLL_INTERVAL

    def _too_late(self, job: VideoJob) -> Failure:
        limit = show_seconds(self._options.deadline or 0.0)
        name, is_done = read_name(job.id), job.status == "completed"
        which = f"; the job {name} {'is done' if is_done else 'goes on'} there" if name else ""
        reason = f"the video was not {'fetched' if is_done else 'done'} within {limit}{which}"
        return Failure("timeout", reason=reason, advice="raise deadline=, or ask for less")

    def _error(self, failed: CallFailed) -> LLMError:
        call = FailedCall(
            self._attempts,
            self._chain.targets,
            deadline=self._options.deadline,
            unconfigured=self._chain.left_out,
        )
        return from_call_failed(replace(failed, failures=(*self._failures, *failed.failures)), call)


def _targets_after(call: PreparedCall, target: Target) -> tuple[Target, ...]:
    able = call.state.targets
    position = next(position for position, other in enumerate(able) if other is target)
    return tuple(able[position + 1 :])


def _explained(failure: Failure, job: VideoJob) -> Failure:
    """Return a failed look or fetch with words for what a 404 means there: no path and no model is wrong."""
    if failure.status != _NOT_FOUND:
        return failure
    name = read_name(job.id)
    reason = f"it has no video job {name} any more" if name else "it has no such video job any more"
    return replace(failure, kind="malformed", reason=reason, advice=_AGAIN)


def _job_failure(job: VideoJob) -> Failure:
    if job.blocked:
        return Failure("filter", code=job.error, detail=job.detail)
    return Failure("malformed", code=job.error, detail=job.detail, reason="its video job failed", advice=_AGAIN)
