"""Splits requests into batches: of one target and one endpoint each, within the limits of its provider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from unified_llm._client.client import LLMClient
from unified_llm._core.batch_service import BatchEntry
from unified_llm._formats.batch_limits import batch_limits
from unified_llm.batch._services.journal import Journal, Part, digest_of
from unified_llm.batch._services.work import ServiceLine, Work
from unified_llm.exceptions import LLMError, UnsupportedOperationError
from unified_llm.types.requests import EmbeddingRequest


@dataclass(slots=True)
class _Group:
    """Requests that will be one batch."""

    target: str
    model: str | None
    endpoint: str
    positions: list[int] = field(default_factory=list[int])
    digests: list[str] = field(default_factory=list[str])
    entries: list[BatchEntry] = field(default_factory=list[BatchEntry])
    size: int = 0
    texts: int = 0


class Planner:
    """Plans the batches of a run.

    Args:
        client: Writes the entries.
        work: The requests.
        journal: Where the batches are written down.
        errors: Gets the errors of requests that no batch can have, by their keys.
    """

    def __init__(self, client: LLMClient, work: Work, journal: Journal, errors: dict[str, LLMError]) -> None:
        self._client, self._work, self._journal, self._errors = client, work, journal, errors

    def new_parts(self) -> Iterator[tuple[Part, list[BatchEntry]]]:
        """Yield a batch as soon as it is full, and the rest at the end. Memory holds what is not full."""
        taken = {digest for part in self._journal.parts if part.is_open or part.released for digest in part.digests}
        groups: dict[tuple[str, str | None, str], _Group] = {}
        for line in self._work.lines():
            digest = digest_of(line.key, line.fingerprint)
            if digest in taken or self._work.is_finished(line):
                continue
            try:
                key, body = self._write(line)
            except LLMError as error:
                self._errors[line.key] = error
                continue
            group = groups.get(key)
            texts = len(line.request.texts) if isinstance(line.request, EmbeddingRequest) else 0
            if group is not None and self._is_full(group, line, len(body), texts):
                yield self._finish(groups.pop(key))
                group = None
            if group is None:
                group = groups[key] = _Group(*key)
            group.positions.append(line.position)
            group.digests.append(digest)
            group.entries.append(BatchEntry(self._journal.entry_id(digest), body))
            group.size += len(body)
            group.texts += texts
        for group in groups.values():
            yield self._finish(group)

    def entries_of(self, part: Part) -> list[BatchEntry]:
        """Return the entries of a batch of an earlier run."""
        entries: list[BatchEntry] = []
        for line in lines_of(part, self._work):
            _, body = self._write(line)
            entries.append(BatchEntry(self._journal.entry_id(digest_of(line.key, line.fingerprint)), body))
        return entries

    def _write(self, line: ServiceLine) -> tuple[tuple[str, str | None, str], bytes]:
        written = self._client.write_entry(line.request)
        if "batch_service" not in written.target.features:
            raise UnsupportedOperationError(
                f"{written.target.name} has no batch service that is used here.", provider=written.target.provider
            )
        return (written.target.name, line.request.model, written.endpoint), written.body

    def _is_full(self, group: _Group, line: ServiceLine, size: int, texts: int) -> bool:
        target = self._client.targets_of_call(line.request.model, self._client.options)[0]
        limits = batch_limits(target)
        return (
            len(group.entries) >= limits.entries
            or group.size + size > limits.size
            or (texts > 0 and group.texts + texts > limits.texts)
        )

    def _finish(self, group: _Group) -> tuple[Part, list[BatchEntry]]:
        part = self._journal.add(
            target=group.target,
            model=group.model,
            endpoint=group.endpoint,
            positions=group.positions,
            digests=group.digests,
        )
        return part, group.entries


def lines_of(part: Part, work: Work) -> Iterator[ServiceLine]:
    """Return the requests of a batch, in the order of the input."""
    for line in work.lines(part.first):
        if line.position > part.last:
            return
        if digest_of(line.key, line.fingerprint) in part.digests:
            yield line
