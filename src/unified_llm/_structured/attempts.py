"""Structured output of one call: how each target is asked next, by what came back from it so far.

    first method ──► JSON that passes ──► done
      │    │
      │    ├───────► mismatch ──────────► the same method once more, with what is wrong ──► mismatch ──┐
      │    └───────► method refused ──────────────────────────────────────────────────┐                │
      └──────────────────────────── next method (native, tool, prompt) ◄──────────────┴────────────────┘
                                    (none left: the policy goes on to the next target)

The state is changed by outcomes alone: an attempt that failed on its way is repeated as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from unified_llm._core.codec import AnyRequest
from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.target import Target
from unified_llm._structured.checks import make_check
from unified_llm._structured.methods import output_schema, rewrite_request, supported_methods
from unified_llm._structured.read_output import OutputReader
from unified_llm.types.messages import Message, OutputMethod, ResponseFormat
from unified_llm.types.requests import LLMRequest

# A target that refuses a request in one of these ways may accept it in another form.
_REFUSED: Final[frozenset[FailureKind]] = frozenset({"unsupported", "bad_request", "unsendable"})


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


class StructuredOutput:
    """State of one call with a response format.

    Args:
        request: The request.
        response_format: The request's.
    """

    def __init__(self, request: LLMRequest, response_format: ResponseFormat) -> None:
        self._request, self._format = request, response_format
        self._check = make_check(response_format)
        self._progress: dict[int, _Progress] = {}  # by the identity of the target

    def missing(self, target: Target) -> str | None:
        """Say why a target cannot be asked in any of the allowed ways; return None when it can."""
        if self._methods(target):
            return None
        return f"it cannot give JSON in the requested way ({', '.join(self._format.methods)})"

    def attempt(self, target: Target) -> StructuredAttempt:
        """Begin an attempt on a target."""
        progress = self._progress.get(id(target))
        if progress is None:
            progress = self._progress[id(target)] = _Progress(self._methods(target))
        method = progress.methods[progress.position]
        request = self._request
        if target.format != "wrapped":
            request = rewrite_request(request, self._format, target, method)
        if progress.correction:
            native = request.native.extended(progress.correction) if request.native else None
            request = replace(request, messages=(*request.messages, *progress.correction), native=native)
        reader = OutputReader(method, output_schema(self._format), self._check)
        return StructuredAttempt(request, method, progress, reader)

    def _methods(self, target: Target) -> tuple[OutputMethod, ...]:
        if target.format == "wrapped":
            return ("native",)  # its own integration chooses how to ask
        return supported_methods(self._request, self._format, target)


class StructuredAttempt:
    """One attempt: its request, and the reader of its events.

    Attributes:
        request: The request to send.
        method: How it asks for JSON.
    """

    def __init__(self, request: LLMRequest, method: OutputMethod, progress: _Progress, reader: OutputReader) -> None:
        self.request, self.method = request, method
        self._progress, self._reader = progress, reader

    def convert(self, event: Event) -> tuple[Event, ...]:
        """Return what is passed on for one event."""
        output = self.read(event)
        return () if output is None else (output,)

    def read(self, event: Event) -> Event | None:
        """Convert one event; None if nothing of it is passed on."""
        if isinstance(event, Failure):
            return self.on_failure(event)
        output = self._reader.read(event)
        if isinstance(output, Failure):
            return replace(output, try_again=self._progress.on_mismatch(self._reader.correction))
        return output

    def on_failure(self, failure: Failure) -> Failure:
        """Return a failure of the exchange; a refusal may be tried again by the next method."""
        if failure.kind in _REFUSED and self._progress.use_next_method():
            return replace(failure, try_again=True)
        return failure


def structured_output(request: AnyRequest) -> StructuredOutput | None:
    """Return the state for a request with a response format; None for any other."""
    if isinstance(request, LLMRequest) and request.response_format is not None:
        return StructuredOutput(request, request.response_format)
    return None
