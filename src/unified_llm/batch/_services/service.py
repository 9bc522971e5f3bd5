"""Requests in batches of a provider: begin them, wait for their end, collect what they bring.

    requests ──> parts ──> begin ──> look ... look ──> collect ──> stored, or an error
                             │          │
                             │          └─ deadline ──> cancel ──> look ... (10 minutes at most) ──> collect
                             └─ refused for now: again later                       │
                                                    not ended: left, what it brings later is a duplicate

``BatchService.steps`` decides; ``run`` sends the requests and makes the pauses that it yields. Every request is a call
to the target of its batch, with the retries of any call.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from unified_llm._core import runtime
from unified_llm._core.batch_service import (
    BatchCancelRequest,
    BatchJob,
    BatchLookRequest,
    BatchResult,
    BatchResultsRequest,
)
from unified_llm._lib.short_repr import count
from unified_llm.batch._services.access import Ask, Clients, Step, Steps, target_of
from unified_llm.batch._services.begin import Begin
from unified_llm.batch._services.errors import is_gone, is_refusal
from unified_llm.batch._services.journal import Journal, Part
from unified_llm.batch._services.outcomes import Outcomes, merge_results
from unified_llm.batch._services.parts import Planner, check_service, locate
from unified_llm.batch._services.work import Work
from unified_llm.exceptions import ConfigurationError, LLMError

FIRST_PAUSE: Final = 5.0
"""Seconds between the first two looks at the batches; later ones are half as long again, up to ``LONGEST_PAUSE``."""
LONGEST_PAUSE: Final = 60.0
CANCEL_WAIT: Final = 600.0
"""Seconds for which a batch that was cancelled is waited for."""
MISSING: Final = 120.0
"""Seconds for which a provider may say that it has no such batch, or has some of its results alone: what is new may not
be everywhere yet."""
MOST_SILENCE: Final = 3600.0
"""Seconds for which a provider may answer no look at all."""
_NOT_RESUMED: Final = "the batches go on there: run the same command again to collect them"


@dataclass(frozen=True, slots=True)
class ServiceOutcome:
    """What became of a run.

    Attributes:
        errors: Why requests were not answered, by their keys. A request that is neither here nor stored was left to
            calls: the deadline passed.
        left: The batches that had not ended.
    """

    errors: dict[str, LLMError] = field(default_factory=dict[str, LLMError])
    left: tuple[Part, ...] = ()


class BatchService:
    """A run of requests in batches.

    Args:
        work: The requests, and places for their responses.
        journal: The batches of this run and of earlier ones; it is open.
        deadline: Seconds after the beginning of a batch at which it is cancelled; None: it is waited for.
        note: Called with a line about what happens.
    """

    def __init__(
        self,
        work: Work,
        journal: Journal,
        *,
        deadline: float | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._work, self._journal = work, journal
        self._deadline, self._note = deadline, note
        self._clients = Clients()
        self._begin = Begin(self._clients, journal, note)
        self._outcomes = Outcomes(work, journal)
        self._done: dict[int, int] = {}  # requests, by the number of their batch
        self._shown = ""
        self._silent_since: float | None = None
        self._missing_since: dict[int, float] = {}
        self._incomplete_since: dict[int, float] = {}

    # Callers

    def run(self) -> ServiceOutcome:
        """Wait for all batches, and store what they bring.

        Raises:
            ConfigurationError: The target has no batch service, or batches of an earlier run belong to another one.
            LLMError: The provider refuses to begin or to show batches. What was begun goes on there.
        """
        outcome: ServiceOutcome = self._drive(self.steps())
        return outcome

    def collect_late(self) -> None:
        """Look once more at the batches that were left, after the calls for what they did not answer."""
        self._drive(self._late_steps())

    def _drive(self, steps: Steps) -> Any:
        sleep = runtime.current().sleep
        result: Any
        try:
            step = next(steps)
            while True:
                result = None
                try:
                    if isinstance(step, Ask):
                        result = step.client.run_request(step.request, step.client.options)
                    else:
                        sleep(step)
                except LLMError as error:
                    result = error
                step = steps.send(result)
        except StopIteration as end:
            return end.value

    # Decisions

    def steps(self) -> Steps:
        """Yield requests and pauses, and return the outcome."""
        self._find_clients()
        yield from self._late_steps()
        planner = self._planner()
        for part, entries in planner.new_parts(leaves_released=self._deadline is not None):
            if self._begin.is_due(part):
                yield from self._begin.begin(part, entries)
        self._close_refused()
        pause = FIRST_PAUSE
        while parts := [part for part in self._journal.parts if part.is_open]:
            if (yield from self._look_at(parts)):
                pause = FIRST_PAUSE
            if parts := [part for part in parts if part.is_open]:
                yield self._next_look(parts, pause)
                pause = min(pause * 1.5, LONGEST_PAUSE)
        left = tuple(part for part in self._journal.parts if part.state == "left")
        return ServiceOutcome(self._outcomes.errors, left)

    def _find_clients(self) -> None:
        """Find the clients of the batches of earlier runs, by the requests of these.

        Raises:
            ConfigurationError: The first request has no batch service; or a batch has none of the requests of this run.
        """
        first = next(iter(self._work.lines()), None)
        if first is not None:
            check_service(target_of(first.client, first.request.model))
        parts = [part for part in self._journal.parts if part.state != "closed"]
        located = locate(parts, self._work, self._clients)
        for part in parts:
            missing = part.count - located[part.number]
            if part.is_open and missing == part.count:
                raise ConfigurationError(
                    f"{self._journal.path} has a batch of {part.target} with none of the requests of this run: give "
                    "the same command as before, with the same input and model, or write to another output."
                )
            if part.is_open and missing:
                self._note(
                    f"{count(missing, 'request')} of a batch at {part.target} are not in this input: their responses "
                    "are not kept"
                )

    def _late_steps(self) -> Steps:
        """Look once at each batch that was left, and collect it if it has ended."""
        for part in self._journal.parts:
            if part.state != "left" or not self._clients.has(part):
                continue
            if part.batch is None:
                has_begun = yield from self._begin.find(part)
                if has_begun is False:
                    self._close(part)  # it was never begun
                if not has_begun:
                    continue
            job = yield self._clients.ask(part, BatchLookRequest(part.batch or "", part.model))
            if isinstance(job, BatchJob) and job.state in {"ended", "failed"}:
                yield from self._collect(part, job)
            elif isinstance(job, LLMError) and is_gone(job):
                self._close(part)

    def _look_at(self, parts: Sequence[Part]) -> Generator[Step, Any, bool]:
        """Look at each open batch; return whether one of them has ended."""
        any_ended = False
        for part in parts:
            if part.state != "created":
                any_ended |= yield from self._begin_again(part)
                continue
            job = yield self._clients.ask(part, BatchLookRequest(part.batch or "", part.model))
            if isinstance(job, LLMError):
                any_ended |= self._on_failed_look(part, job)
                continue
            self._done[part.number] = job.done
            if job.state in {"ended", "failed"}:
                any_ended |= yield from self._collect(part, job)
                continue
            self._note_answer(part)
            if self._is_over(part):
                yield from self._cancel(part)
        self._show_progress()
        return any_ended

    def _begin_again(self, part: Part) -> Generator[Step, Any, bool]:
        """Begin a batch that was not begun so far; return whether it is closed, since the deadline has passed."""
        if self._is_over(part):
            part.released = True
            if part.state == "creating":
                self._leave(part)
            else:
                self._close(part)
            return True
        if self._begin.is_due(part):
            yield from self._begin.begin(part, self._planner().entries_of(part))
        return self._close_refused()

    def _planner(self) -> Planner:
        return Planner(self._clients, self._work, self._journal, self._outcomes.errors)

    def _close_refused(self) -> bool:
        """Close the batches that were refused: their requests have that error; return whether there was one."""
        refused = self._begin.refused[:]
        self._begin.refused.clear()
        for part, error in refused:
            self._note(f"{part.target} refused a batch of {count(part.count, 'request')}: these count as failed")
            self._outcomes.fail(part, error)
            self._close(part)
        return bool(refused)

    def _on_failed_look(self, part: Part, error: LLMError) -> bool:
        """Decide what a failed look means; return whether the batch is closed.

        Raises:
            LLMError: The provider refuses to show the batch, or answers nothing for too long.
        """
        now = runtime.current().now()
        if is_gone(error) and now - self._missing_since.setdefault(part.number, now) >= MISSING:
            self._note(f"{part.target} has no batch {part.batch} any more: its requests count as failed")
            part.released = self._is_over(part)
            self._outcomes.fail(part, "gone")
            self._close(part)
            return True
        self._silent_since = now if self._silent_since is None else self._silent_since
        if self._is_over(part) and now - self._silent_since >= CANCEL_WAIT:
            self._leave(part)
            return True
        if (is_refusal(error) and not is_gone(error)) or now - self._silent_since >= MOST_SILENCE:
            self._note(f"{part.target} does not show its batches; {_NOT_RESUMED}")
            raise error
        return False

    def _note_answer(self, part: Part) -> None:
        self._silent_since = None
        self._missing_since.pop(part.number, None)

    def _is_over(self, part: Part) -> bool:
        return self._deadline is not None and runtime.current().wall() >= part.planned + self._deadline

    def _cancel(self, part: Part) -> Steps:
        """Ask for the end of a batch whose deadline has passed; after a while it is left as it is."""
        now = runtime.current().wall()
        if not part.certain or (part.cancelling is not None and now >= part.cancelling + CANCEL_WAIT):
            self._leave(part)
        elif not part.cancelled:
            if part.cancelling is None:
                self._note(f"the deadline has passed: cancelling the batch {part.batch} at {part.target}")
                part.cancelling = now
            refused = yield self._clients.ask(part, BatchCancelRequest(part.batch or "", part.model))
            part.cancelled = not isinstance(refused, LLMError)
            self._journal.save(part)

    def _next_look(self, parts: Sequence[Part], pause: float) -> float:
        """Return the instant of the next look: after a pause, or when a deadline passes."""
        clock = runtime.current()
        seconds = pause
        if self._deadline is not None:
            until = (part.planned + self._deadline - clock.wall() for part in parts)
            seconds = min([pause, *(left for left in until if left > 0)])
        return clock.now() + seconds

    # The end of a batch

    def _collect(self, part: Part, job: BatchJob) -> Generator[Step, Any, bool]:
        """Store what a batch brings; return whether it is closed, or will be begun again."""
        if job.state == "failed":
            return self._on_failed_batch(part, job)
        results = merge_results({}, job.results or ())
        for source in job.sources:
            fetched = yield self._clients.ask(part, BatchResultsRequest(source, part.model))
            if isinstance(fetched, LLMError):
                return self._on_failed_look(part, fetched)
            merge_results(results, fetched)
        self._note_answer(part)
        if part.state != "left" and self._waits_for_rest(part, job, results):
            return False
        if not part.certain and not self._outcomes.count_of(part, results):
            self._begin.on_other_batch(part)
            return True
        part.released = part.released or self._is_over(part)
        self._outcomes.store(part, results)
        self._close(part)
        return True

    def _waits_for_rest(self, part: Part, job: BatchJob, results: Mapping[str, BatchResult]) -> bool:
        """Return whether results are fetched again: fewer came than there are, or those of a proxy that is down."""
        brought = self._outcomes.count_of(part, results) if part.certain else len(results)
        if brought >= min(job.done, part.count):
            return False
        now = runtime.current().now()
        longest = MISSING if brought or self._is_over(part) else MOST_SILENCE
        return now - self._incomplete_since.setdefault(part.number, now) < longest

    def _on_failed_batch(self, part: Part, job: BatchJob) -> bool:
        if part.state == "created" and not self._is_over(part) and self._begin.may_begin_again(part, job):
            return False
        self._note(f"{part.target} refused the batch {job.id} ({job.error}): its requests count as failed")
        self._outcomes.fail(part, job.error or "")
        self._close(part)
        return True

    def _close(self, part: Part) -> None:
        part.state = "closed"
        self._journal.save(part)

    def _leave(self, part: Part) -> None:
        self._note(f"the batch {part.batch} at {part.target} has not ended: what it brings later is kept apart")
        part.state, part.released = "left", True
        self._journal.save(part)

    def _show_progress(self) -> None:
        """Note how far the batches of this run are, where that has changed."""
        parts = [part for part in self._journal.parts if part.number in self._done]
        ended = sum(not part.is_open for part in parts)
        done, total = sum(self._done.values()), sum(part.count for part in parts)
        line = f"batches ended: {ended} of {len(parts)}; requests done: {done:,} of {total:,}"
        if parts and line != self._shown:
            self._shown = line
            self._note(line)
