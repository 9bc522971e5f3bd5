"""Splits requests into batches: of one target and one endpoint each, within the limits of its provider."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from unified_llm._client.batch_entries import WrittenEntry
from unified_llm._client.client import LLMClient
from unified_llm._core.batch_service import BatchEntry
from unified_llm._core.target import Target
from unified_llm._formats.batch_limits import batch_limits
from unified_llm.batch._services.access import Clients, target_of
from unified_llm.batch._services.journal import Journal, Part, digest_of
from unified_llm.batch._services.work import ServiceLine, Work
from unified_llm.exceptions import ConfigurationError, LLMError
from unified_llm.types.requests import EmbeddingRequest


@dataclass(slots=True)
class _Group:
    """Requests that will be one batch."""

    target: Target
    model: str | None
    endpoint: str
    client: LLMClient
    positions: list[int] = field(default_factory=list[int])
    digests: list[str] = field(default_factory=list[str])
    entries: list[BatchEntry] = field(default_factory=list[BatchEntry])
    size: int = 0
    texts: int = 0

    def is_full(self, size: int, texts: int) -> bool:
        """Return whether an entry of so many bytes and texts has no place in it."""
        limits = batch_limits(self.target)
        return (
            len(self.entries) >= limits.entries
            or self.size + size > limits.size
            or (texts > 0 and self.texts + texts > limits.texts)
        )


class Planner:
    """Plans the batches of a run.

    Args:
        clients: Gets the clients of the batches.
        work: The requests.
        journal: Where the batches are written down.
        errors: Gets the errors of requests that no batch can have, by their keys.
    """

    def __init__(self, clients: Clients, work: Work, journal: Journal, errors: dict[str, LLMError]) -> None:
        self._clients, self._work, self._journal, self._errors = clients, work, journal, errors

    def new_parts(self, *, leaves_released: bool) -> Iterator[tuple[Part, list[BatchEntry]]]:
        """Yield a batch as soon as it is full, and the rest at the end. Memory holds what is not full.

        Args:
            leaves_released: What a batch had not answered at its deadline is left to calls.
        """
        taken = {
            digest
            for part in self._journal.parts
            if part.is_open or (part.released and leaves_released)
            for digest in part.digests
        }
        groups: dict[tuple[str, str | None, str], _Group] = {}
        for line in self._work.lines():
            digest = digest_of(line.key, line.fingerprint)
            if digest in taken or self._work.is_finished(line):
                continue
            try:
                written = self._write(line)
            except LLMError as error:
                self._errors[line.key] = error
                continue
            key = (written.target.name, line.request.model, written.endpoint)
            body, group = written.body, groups.get(key)
            texts = len(line.request.texts) if isinstance(line.request, EmbeddingRequest) else 0
            if group is not None and group.is_full(len(body), texts):
                yield self._finish(groups.pop(key))
                group = None
            if group is None:
                group = groups[key] = _Group(written.target, line.request.model, written.endpoint, line.client)
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
            body = self._write(line).body
            entries.append(BatchEntry(self._journal.entry_id(digest_of(line.key, line.fingerprint)), body))
        return entries

    def _write(self, line: ServiceLine) -> WrittenEntry:
        check_service(target_of(line.client, line.request.model))
        return line.client.write_entry(line.request)

    def _finish(self, group: _Group) -> tuple[Part, list[BatchEntry]]:
        part = self._journal.add(
            target=group.target.name,
            model=group.model,
            endpoint=group.endpoint,
            positions=group.positions,
            digests=group.digests,
        )
        self._clients.put(part, group.client)
        return part, group.entries


def locate(parts: Sequence[Part], work: Work, clients: Clients) -> Counter[int]:
    """Find the requests of batches of earlier runs in the input, which may have changed since they were planned.

    The positions of the batches become those of this input, and their clients are kept.

    Returns:
        The number of requests that were found, by the number of their batch.
    """
    located: Counter[int] = Counter()
    for line in work.lines() if parts else ():
        digest = digest_of(line.key, line.fingerprint)
        for part in parts:
            if digest in part.digests:
                if not located[part.number]:
                    part.first = line.position
                    clients.put(part, line.client)
                part.last = line.position
                located[part.number] += 1
    return located


def lines_of(part: Part, work: Work) -> Iterator[ServiceLine]:
    """Return the requests of a batch, in the order of the input."""
    for line in work.lines(part.first):
        if line.position > part.last:
            return
        if digest_of(line.key, line.fingerprint) in part.digests:
            yield line


def check_service(target: Target) -> None:
    """Refuse a target whose provider has no batch service that is used here.

    Raises:
        ConfigurationError: It has none.
    """
    if "batch_service" not in target.features:
        raise ConfigurationError(
            f"{target.name} has no batch service that is used here: leave out --service, or use a model of OpenAI, "
            "Anthropic, Gemini or Mistral.",
            provider=target.provider,
        )
