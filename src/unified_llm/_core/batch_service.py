"""Requests to the batch services of providers, and what comes back: for ``unified-llm batch --service batch``.

A batch is a list of requests that a provider answers within a day, at a lower price. It is uploaded (where the provider
takes a file), created, asked for until it has ended, and its results are fetched. All of it happens in one account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from unified_llm.types.requests import FurtherRequest

BatchState = Literal["running", "cancelling", "ended", "failed"]
"""``ended``: its results can be fetched, also those of a batch that expired or was cancelled; ``failed``: no request of
it was answered, since the batch as a whole was refused."""


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """One request of a batch.

    Attributes:
        id: Names the request in its results: at most 64 letters, digits, ``_`` and ``-``, as Anthropic wants it.
        body: The JSON body, in the format of the target.
    """

    id: str
    body: bytes = field(repr=False)


class ServiceRequest(FurtherRequest):
    """Base of the requests to a batch service."""

    __slots__ = ()

    one_account: ClassVar[bool] = True
    sent_once: ClassVar[bool] = False
    """Whether it is never sent again by itself: two of it would begin two batches."""

    @property
    def runs_model(self) -> bool:
        """Whether a model answers it: no time to load one is expected."""
        return False

    @property
    def has_any_content(self) -> bool:
        """Whether a response in bytes may be of any type: results are lines of JSON, or one line."""
        return True

    @property
    def shows_health(self) -> bool:
        """Whether what becomes of it shows if its target can answer prompts."""
        return False


@dataclass(frozen=True, slots=True)
class BatchUploadRequest(ServiceRequest):
    """A request to store the entries of a batch in a file; its response is the identifier of the file, as a text.

    Attributes:
        name: The name of the file, without a suffix.
        endpoint: The path below the host that the entries are for: ``/v1/chat/completions``.
        entries: The entries.
        model: Replaces the primary for this call.
    """

    name: str
    endpoint: str
    entries: Sequence[BatchEntry] = field(repr=False)
    model: str | None = None


@dataclass(frozen=True, slots=True)
class BatchCreateRequest(ServiceRequest):
    """A request to begin a batch; its response is a ``BatchJob``.

    Attributes:
        label: The name that the batch is found by, where the provider keeps one.
        endpoint: As for ``BatchUploadRequest``.
        entries: The entries, for providers that take no file.
        file: The identifier of the file, for those that take one.
        model: Replaces the primary for this call.
    """

    sent_once: ClassVar[bool] = True

    label: str
    endpoint: str
    entries: Sequence[BatchEntry] = field(default=(), repr=False)
    file: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class BatchLookRequest(ServiceRequest):
    """A request for the state of a batch; its response is a ``BatchJob``.

    Attributes:
        batch: The identifier of the batch.
        model: Replaces the primary for this call.
    """

    batch: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class BatchCancelRequest(ServiceRequest):
    """A request to cancel a batch, whose finished requests are kept; its response is None.

    Attributes:
        batch: The identifier of the batch.
        model: Replaces the primary for this call.
    """

    batch: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class BatchListRequest(ServiceRequest):
    """A request for the batches of the account, the newest first; its response is a ``BatchPage``.

    Attributes:
        cursor: The page, as the page before it named it; None for the first.
        model: Replaces the primary for this call.
    """

    cursor: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class BatchResultsRequest(ServiceRequest):
    """A request for results of a batch; its response is a tuple of ``BatchResult``.

    Attributes:
        source: One of ``BatchJob.sources``.
        model: Replaces the primary for this call.
    """

    source: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one entry.

    Attributes:
        id: The identifier of the entry.
        status: The HTTP status that the same request would have had; None where it was not answered.
        body: The parsed body of the response, or of the error.
        unanswered: Why it was not answered: ``expired``, ``cancelled``, or the provider's code.
        request_id: The provider's identifier of the request, for its support.
    """

    id: str
    status: int | None = None
    body: Any = field(default=None, repr=False)
    unanswered: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class BatchJob:
    """State of a batch.

    Attributes:
        id: Its identifier.
        state: Its state.
        label: The name that it was created with, where the provider keeps it.
        file: The file of its entries, where it has one.
        sources: Where its results are.
        results: Its results, where they come with the state.
        error: The provider's code, where it failed.
        detail: The provider's message, where it failed.
        created: Seconds since the epoch at which it was created; None where the provider does not say.
        total: The number of its entries; None where the provider does not say.
        done: The number of those that were answered or refused.
    """

    id: str
    state: BatchState
    label: str | None = None
    file: str | None = None
    sources: tuple[str, ...] = ()
    results: tuple[BatchResult, ...] | None = field(default=None, repr=False)
    error: str | None = None
    detail: str | None = field(default=None, repr=False)
    created: float | None = None
    total: int | None = None
    done: int = 0


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Batches of an account.

    Attributes:
        jobs: The batches.
        cursor: The next page; None where this is the last.
    """

    jobs: tuple[BatchJob, ...]
    cursor: str | None = None
