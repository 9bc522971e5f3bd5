"""The batches of a run, in a file beside its output, so that a later run goes on with them.

    planned ──> uploaded ──> creating ──> created ──────────────────> closed
                   │  ^          │           │  (ended, collected)      ^
                   │  └──────────┘           └──> left ─────────────────┘
                   │    refused for now           (the deadline passed; it had not ended)
                   └──> (providers that take no file: planned, creating)

Each state is written before the step that follows it. A process that ends in ``creating`` may have begun the batch or
not, so the next one looks for it at the provider before it begins another.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from unified_llm._core import runtime
from unified_llm._lib.checkpoint import Checkpoint, CheckpointError

State: TypeAlias = Literal["planned", "uploaded", "creating", "created", "left", "closed"]

_STATE: Final = "state"
_ENTRIES: Final = "entries"
_RUN: Final = "run"
_DIGEST_LENGTH: Final = 24  # hexadecimal digits of an entry's identifier, after the token of its run
_VERSION: Final = 1


@dataclass(slots=True)
class Part:
    """One batch of a run.

    Attributes:
        number: Its number in the run, from 0.
        label: The name that it has at the provider.
        target: The name of its target.
        model: The model that its requests name; None for the primary of the command.
        endpoint: The endpoint of its requests.
        first: The position of its first request in the input.
        last: The position of its last one.
        count: The number of its requests.
        planned: Seconds since the epoch at which it was planned; its deadline counts from then.
        state: How far it is.
        file: The provider's identifier of its file.
        batch: The provider's identifier of it.
        certain: It is known to be ours: it was named in the response to its creation, or has our name.
        others: Batches that were taken for it, and are others'.
        cancelling: Seconds since the epoch at which it was first asked to end.
        cancelled: The provider confirmed that.
        released: The deadline passed: what it did not answer is sent in calls.
        digests: The identifiers of its entries, without the token of the run. Kept in a record of their own.
    """

    number: int
    label: str
    target: str
    model: str | None
    endpoint: str
    first: int
    last: int
    count: int
    planned: float
    state: State = "planned"
    file: str | None = None
    batch: str | None = None
    certain: bool = True
    others: list[str] = field(default_factory=list[str])
    cancelling: float | None = None
    cancelled: bool = False
    released: bool = False
    digests: frozenset[str] = frozenset()

    @property
    def is_open(self) -> bool:
        """Whether it may still bring results that are waited for."""
        return self.state not in {"left", "closed"}


class Journal:
    """The batches of a run, as a checkpoint whose items are their states.

    Args:
        path: The file.
        fsync: Write each state through to the disk.
    """

    def __init__(self, path: str | Path, *, fsync: bool = True) -> None:
        self._file = Checkpoint(path, fsync=fsync, clock=lambda: runtime.current().now())
        self.path: Final = self._file.path
        self.parts: list[Part] = []
        self.token = ""

    def open(self) -> None:
        """Read the batches of earlier runs.

        Raises:
            CheckpointError: The file is no such file, or another process uses it.
            OSError: It cannot be read or written.
        """
        self._file.open()
        run = self._file.get(_RUN, _STATE)
        if run is None:
            run = {"token": secrets.token_hex(5), "version": _VERSION}
            self._file.put(_RUN, _STATE, run)
            self._file.flush()
        try:
            self.token = str(run["token"])
            self.parts = []
            while (part := self._read(len(self.parts))) is not None:
                self.parts.append(part)
        except (KeyError, TypeError):
            self.close()
            raise CheckpointError(
                f"{self.path} is damaged: write to another output, or remove it, with which its batches are forgotten."
            ) from None

    def _read(self, number: int) -> Part | None:
        state, entries = self._file.get(_key(number), _STATE), self._file.get(_key(number), _ENTRIES)
        if state is None or entries is None:
            return None
        known = {item.name for item in fields(Part)}
        kept: dict[str, Any] = {name: value for name, value in state.items() if name in known}
        return Part(**kept, digests=frozenset(entries["digests"]))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def add(
        self, *, target: str, model: str | None, endpoint: str, positions: Iterable[int], digests: Iterable[str]
    ) -> Part:
        """Write a new batch down, and return it."""
        places, number = list(positions), len(self.parts)
        part = Part(
            number,
            f"unified-llm-{self.token}-{number}",
            target,
            model,
            endpoint,
            first=places[0],
            last=places[-1],
            count=len(places),
            planned=runtime.current().wall(),
            digests=frozenset(digests),
        )
        self._file.put(_key(number), _ENTRIES, {"digests": sorted(part.digests)})
        self.parts.append(part)
        self.save(part)
        return part

    def save(self, part: Part) -> None:
        """Write the state of a batch down, through to the disk."""
        state = {item.name: getattr(part, item.name) for item in fields(Part) if item.name != "digests"}
        self._file.put(_key(part.number), _STATE, state)
        self._file.flush()

    def entry_id(self, digest: str) -> str:
        """Return the identifier of an entry: 35 letters, digits and hyphens, of this run alone."""
        return f"{self.token}-{digest}"


def digest_of(key: str, fingerprint: str) -> str:
    """Return what identifies an entry: another request, or another key, has another one."""
    return sha256(f"{key}\0{fingerprint}".encode(errors="replace")).hexdigest()[:_DIGEST_LENGTH]


def _key(number: int) -> str:
    return f"batch-{number}"
