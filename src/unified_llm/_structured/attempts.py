"""Emulation in one call: how each target is asked next, by what came back from it so far.

    first method ──► response that passes ──► done
      │    │
      │    ├───────► mismatch ──────────► the same method once more, with what is wrong ──► mismatch ──┐
      │    └───────► method refused ──────────────────────────────────────────────────┐                │
      └──────────────────────────── next method (native, tool, prompt) ◄──────────────┴────────────────┘
                                    (none left: the policy goes on to the next target)

The state is changed by outcomes alone: an attempt that failed on its way is repeated as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from unified_llm._core.chunks import as_chunks
from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.pairs import conflicts
from unified_llm._core.target import Target
from unified_llm.types.messages import Message, OutputMethod
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import LLMChunk, LLMResponse

# Kinds of failure by which a target may say that it does not take a method.
REFUSALS: Final = frozenset({"unsupported", "bad_request", "unsendable"})
# What a message is about that refuses the method, and not something else in the request that no method changes.
METHOD_WORDS: Final = re.compile(
    r"json|schema|format|grammar|tool|function|guided|constrain|structured|parser", re.IGNORECASE
)


class Reader(Protocol):
    """Converts the events of one attempt; used once.

    Attributes:
        correction: After a mismatch: the messages that ask the same model to correct its answer.
    """

    correction: tuple[Message, ...]

    def read(self, event: LLMChunk | Done) -> Event | None:
        """Convert one event; None if nothing of it is passed on."""
        ...


class Unchanged:
    """A reader that passes every event on."""

    correction: tuple[Message, ...] = ()

    def read(self, event: LLMChunk | Done) -> Event:
        """Return the event."""
        return event


@dataclass(slots=True)
class _Progress:
    """Methods and corrections with which one target has been asked so far.

    Attributes:
        methods: The ways in which it can be asked.
        position: The one to use now.
        correction: Messages to append, after a mismatch.
        was_corrected: The target has been asked to correct its answer, which is done once.
    """

    methods: tuple[OutputMethod, ...]
    position: int = 0
    correction: tuple[Message, ...] = ()
    was_corrected: bool = False

    def on_mismatch(self, correction: tuple[Message, ...]) -> bool:
        """Choose what to ask next after a mismatch; return whether there is anything left to ask."""
        if self.was_corrected:
            return self.use_next_method()
        self.was_corrected, self.correction = True, correction
        return True

    def use_next_method(self) -> bool:
        """Go on to the next method; return whether there is one."""
        self.correction = ()
        if self.position + 1 == len(self.methods):
            return False
        self.position += 1
        return True


class Emulation:
    """State of one call that targets may have to be asked for in other forms than it was made in.

    Args:
        request: The request.
    """

    def __init__(self, request: LLMRequest) -> None:
        self.request = request
        self._progress: dict[int, _Progress] = {}  # by the identity of the target

    def methods(self, target: Target) -> tuple[OutputMethod, ...]:
        """Return the ways in which a target can be asked, in the order in which they are tried."""
        del target
        return ("native",)

    def rewrite(self, target: Target, method: OutputMethod) -> LLMRequest:
        """Return the request that asks a target in one of its ways."""
        del target, method
        return self.request

    def reader(self, target: Target, method: OutputMethod) -> Reader:
        """Return the reader of the events of an attempt."""
        del target, method
        return Unchanged()

    def missing(self, target: Target) -> str | None:
        """Say why a target cannot be asked in any of the allowed ways; return None when it can."""
        del target
        return None

    def asks_natively(self, target: Target) -> bool:
        """Return whether a target is asked in its own way first, by the request as it is."""
        return self.missing(target) is None and self.methods(target)[:1] == ("native",)

    def refuses_method(self, failure: Failure) -> bool:
        """Return whether a target that refused a request may accept it in another form."""
        return failure.kind == "unsupported" and METHOD_WORDS.search(failure.detail or "json") is not None

    def attempt(self, target: Target) -> StructuredAttempt:
        """Begin an attempt on a target."""
        progress = self._progress.get(id(target))
        if progress is None:
            progress = self._progress[id(target)] = _Progress(self.methods(target))
        method = progress.methods[progress.position]
        request = self.rewrite(target, method)
        if "tools with streaming" in conflicts(request, target):
            request = replace(request, stream=False)
        if progress.correction:
            native = request.native
            if native and target.format == "wrapped":
                native = native.extended(progress.correction)
            request = replace(request, messages=(*request.messages, *progress.correction), native=native)
        return StructuredAttempt(
            request,
            method,
            progress,
            self.reader(target, method),
            refuses_method=self.refuses_method,
            streams=self.request.stream,
        )


class StructuredAttempt:
    """One attempt: its request, and the reader of its events.

    Attributes:
        request: The request to send.
        method: How it asks for the response.
    """

    def __init__(
        self,
        request: LLMRequest,
        method: OutputMethod,
        progress: _Progress,
        reader: Reader,
        *,
        refuses_method: Callable[[Failure], bool],
        streams: bool,
    ) -> None:
        self.request, self.method = request, method
        self._progress, self._reader, self._streams = progress, reader, streams
        self._refuses_method = refuses_method

    def convert(self, event: Event) -> tuple[Event, ...]:
        """Return what is passed on for one event: nothing, one event, or the two of a whole response as a stream."""
        if isinstance(event, Failure):
            return (self.on_failure(event),)
        output = self._reader.read(event)
        if isinstance(output, Failure):
            return (replace(output, try_again=self._progress.on_mismatch(self._reader.correction)),)
        if self._streams and isinstance(output, Done) and isinstance(output.value, LLMResponse):
            chunk, last = as_chunks(output.value)
            end = replace(output, value=last)
            return (end,) if chunk is None else (chunk, end)
        return () if output is None else (output,)

    def on_failure(self, failure: Failure) -> Failure:
        """Return a failure of the exchange; a refusal of the method may be tried again by the next one."""
        if self._refuses_method(failure) and self._progress.use_next_method():
            return replace(failure, try_again=True)
        return failure
