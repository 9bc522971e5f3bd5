"""What becomes of the requests of a batch: their responses are stored, their errors kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from unified_llm._client.batch_entries import may_answer_later
from unified_llm._core.batch_service import BatchResult
from unified_llm.batch._services.journal import Journal, Part, digest_of
from unified_llm.batch._services.parts import lines_of
from unified_llm.batch._services.work import ServiceLine, Work
from unified_llm.exceptions import GenerationError, LLMError

_NO_RESPONSE: Final = "no_response"


def merge_results(results: dict[str, BatchResult], more: Iterable[BatchResult]) -> dict[str, BatchResult]:
    """Add results to others by their identifiers; of two of one request, the response counts, else the first."""
    for result in more:
        known = results.get(result.id)
        if known is None or _worth(result) > _worth(known):
            results[result.id] = result
    return results


def _worth(result: BatchResult) -> int:
    if result.status is None:
        return 0
    return 2 if 200 <= result.status < 300 else 1


class Outcomes:
    """Stores the results of batches.

    Attributes:
        errors: Why requests were not answered, by their keys.

    Args:
        work: The requests, and places for their responses.
        journal: Knows the identifiers of their entries.
    """

    def __init__(self, work: Work, journal: Journal) -> None:
        self._work, self._journal = work, journal
        self.errors: dict[str, LLMError] = {}

    def count_of(self, part: Part, results: Mapping[str, BatchResult]) -> int:
        """Return how many of the results are those of a batch."""
        return sum(self._journal.entry_id(digest) in results for digest in part.digests)

    def store(self, part: Part, results: Mapping[str, BatchResult]) -> None:
        """Store what a batch brings, in any order; a request without a result was not answered.

        Raises:
            ConfigurationError: Nothing can be written: the disk is full.
        """
        for line in lines_of(part, self._work):
            entry = self._journal.entry_id(digest_of(line.key, line.fingerprint))
            result = results.get(entry)
            if part.state != "left":
                self._store(part, line, result or BatchResult(entry, unanswered=_NO_RESPONSE))
            elif result is not None:
                self._store_late(line, result)
        self._work.flush()

    def fail(self, part: Part, why: LLMError | str) -> None:
        """Note that no request of a batch was answered.

        Args:
            part: The batch.
            why: The error of each; or the provider's code, or ``gone``.
        """
        for line in lines_of(part, self._work):
            if isinstance(why, LLMError):
                self._fail(part, line, why)
            else:
                self._store(part, line, BatchResult("", unanswered=why))

    def _store(self, part: Part, line: ServiceLine, result: BatchResult) -> None:
        if self._work.is_finished(line):
            return
        try:
            response = line.client.read_entry(line.request, result)
        except LLMError as error:
            self._fail(part, line, error)
            return
        try:
            self._work.store(line, response)
        except GenerationError as error:
            self._fail(part, line, error)
        else:
            self.errors.pop(line.key, None)

    def _store_late(self, line: ServiceLine, result: BatchResult) -> None:
        """Store a response that came after the deadline: apart, where a call has answered by then."""
        try:
            response = line.client.read_entry(line.request, result)
        except LLMError:
            return
        if self._work.is_finished(line):
            self._work.store_late(line, response)
        else:
            with suppress(GenerationError):
                self._work.store(line, response)

    def _fail(self, part: Part, line: ServiceLine, error: LLMError) -> None:
        """Note why a request was not answered, unless it is left to a call."""
        is_left_to_calls = part.released and may_answer_later(error)
        if not is_left_to_calls and not self._work.is_finished(line):
            self.errors[line.key] = error
