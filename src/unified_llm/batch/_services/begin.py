"""Begins a batch exactly once: its creation is written down first, and one that was not confirmed is looked for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Final

from unified_llm._core import runtime
from unified_llm._core.batch_service import (
    BatchCreateRequest,
    BatchEntry,
    BatchJob,
    BatchListRequest,
    BatchPage,
    BatchUploadRequest,
)
from unified_llm._formats.batch_limits import BatchLimits, batch_limits
from unified_llm._lib.short_repr import count
from unified_llm.batch._services.access import Clients, Step, Steps
from unified_llm.batch._services.errors import is_for_now, is_of_batch, is_refusal
from unified_llm.batch._services.journal import Journal, Part
from unified_llm.exceptions import LLMError

LATER: Final = 120.0
"""Seconds after which a batch that was refused for now is begun again."""
_BEFORE_SEARCH: Final = 10.0  # seconds until a batch that was begun is in the list of batches
_SKEW: Final = 300.0  # seconds by which the clocks of this machine and of the provider may differ
_MOST_PAGES: Final = 20
# Codes of a batch that failed since too much is waiting already (platform.openai.com/docs/guides/batch#rate-limits).
_TOO_MUCH: Final = frozenset({"token_limit_exceeded", "rate_limit_exceeded", "too_many_requests", "RESOURCE_EXHAUSTED"})
_MOST_TIMES_FAILED: Final = 30


class Begin:
    """Begins batches.

    Attributes:
        refused: Batches that were refused, and why.

    Args:
        clients: The clients of the batches.
        journal: Where they are written down.
        note: Called with a line about what happens.
    """

    def __init__(self, clients: Clients, journal: Journal, note: Callable[[str], None]) -> None:
        self._clients, self._journal, self._note = clients, journal, note
        self.refused: list[tuple[Part, LLMError]] = []
        self._not_before: dict[str, float] = {}
        self._failed: dict[int, int] = {}
        self._unlisted = LLMError("")

    def is_due(self, part: Part) -> bool:
        """Return whether batches may be begun at a target, where some were refused for now."""
        return runtime.current().now() >= self._not_before.get(part.target, 0.0)

    def begin(self, part: Part, entries: Sequence[BatchEntry]) -> Steps:
        """Begin a batch, or find it where it has begun; it stays as it is where that is not possible for now.

        One that is refused is in ``refused`` then.

        Raises:
            LLMError: The provider refuses any batch, or has not said for too long whether this one has begun.
        """
        limits = self._limits(part)
        if part.state == "creating":
            has_begun = yield from self.find(part)
            if has_begun is None:
                self._put_off(part, self._unlisted)
            if has_begun is not False:
                return
            self._step_back(part)
        if limits.takes_file and part.file is None:
            upload = BatchUploadRequest(part.label, part.endpoint, entries, model=part.model)
            uploaded = yield self._clients.ask(part, upload)
            if isinstance(uploaded, LLMError):
                self._put_off(part, uploaded)
                return
            part.file, part.state = uploaded, "uploaded"
            self._journal.save(part)
        part.state = "creating"
        self._journal.save(part)
        inline = () if limits.takes_file else entries
        creation = BatchCreateRequest(part.label, part.endpoint, inline, part.file, model=part.model)
        job = yield self._clients.ask(part, creation)
        if isinstance(job, BatchJob):
            self._created(part, job.id, certain=True)
            return
        if is_for_now(job) or is_refusal(job):  # it has certainly not begun
            self._step_back(part)
        self._put_off(part, job)

    def _step_back(self, part: Part) -> None:
        part.state = "uploaded" if part.file else "planned"
        self._journal.save(part)

    def _put_off(self, part: Part, error: LLMError) -> None:
        """Begin a batch later, where that was not possible for now, or note that it is refused.

        Raises:
            LLMError: Any batch would be refused, or that was tried too often.
        """
        if is_of_batch(error):
            self.refused.append((part, error))
            return
        times = self._failed[part.number] = self._failed.get(part.number, 0) + 1
        if is_refusal(error) or times > _MOST_TIMES_FAILED:
            raise error
        self._note(f"a batch at {part.target} was not begun; trying again in {LATER:g} seconds. {error}")
        self._not_before[part.target] = runtime.current().now() + LATER

    def may_begin_again(self, part: Part, job: BatchJob) -> bool:
        """Put a batch off that failed since too much is waiting at the provider; return False for any other."""
        times = self._failed[part.number] = self._failed.get(part.number, 0) + 1
        if job.error not in _TOO_MUCH or times > _MOST_TIMES_FAILED:
            return False
        part.others.append(job.id)
        part.batch = None
        self._step_back(part)
        self._note(f"{part.target} has too much waiting; trying again in {LATER:g} seconds")
        self._not_before[part.target] = runtime.current().now() + LATER
        return True

    def on_other_batch(self, part: Part) -> None:
        """Note that the batch that was found is another one, so that the search goes on."""
        part.others.append(part.batch or "")
        part.batch, part.certain = None, True
        part.state = "creating" if part.is_open else "left"
        self._journal.save(part)

    def find(self, part: Part) -> Generator[Step, Any, bool | None]:
        """Look for a batch that may have begun; return whether it was found, None where the list does not come."""
        since = runtime.current().wall() - part.planned
        if since < _BEFORE_SEARCH:
            yield runtime.current().now() + _BEFORE_SEARCH - since
        keeps_label, cursor = self._limits(part).keeps_label, None
        known = {other.batch for other in self._journal.parts if other is not part} | {*part.others}
        for _ in range(_MOST_PAGES):
            page = yield self._clients.ask(part, BatchListRequest(cursor, part.model))
            if not isinstance(page, BatchPage):
                self._unlisted = page
                return None
            for job in page.jobs:
                if job.id not in known and self._is_ours(part, job, keeps_label=keeps_label):
                    self._created(part, job.id, certain=keeps_label)
                    return True
            cursor = page.cursor
            times = [job.created for job in page.jobs if job.created is not None]
            if cursor is None or (times and min(times) < part.planned - _SKEW):
                return False
        return False

    def _is_ours(self, part: Part, job: BatchJob, *, keeps_label: bool) -> bool:
        if keeps_label:
            return job.label == part.label or (part.file is not None and job.file == part.file)
        return job.total == part.count and (job.created or 0.0) >= part.planned - _SKEW

    def _created(self, part: Part, batch: str, *, certain: bool) -> None:
        part.batch, part.certain = batch, certain
        if part.is_open:
            part.state = "created"
        self._journal.save(part)
        self._note(f"batch {batch} at {part.target}: {count(part.count, 'request')}")

    def _limits(self, part: Part) -> BatchLimits:
        return batch_limits(self._clients.target(part))
