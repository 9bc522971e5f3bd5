"""JSON output in one call: each target is asked natively, by a forced tool or by prompt, and its answer is checked."""

from __future__ import annotations

from dataclasses import replace

from unified_llm._core.outcome import Failure
from unified_llm._core.target import Target
from unified_llm._structured.attempts import METHOD_WORDS, REFUSALS, Emulation
from unified_llm._structured.checks import make_check
from unified_llm._structured.methods import (
    has_json_output,
    output_schema,
    rewrite_request,
    supported_methods,
    write_instruction,
)
from unified_llm._structured.read_output import OutputReader
from unified_llm.types.messages import Message, OutputMethod, ResponseFormat
from unified_llm.types.requests import LLMRequest


class StructuredOutput(Emulation):
    """State of one call with a response format.

    Args:
        request: The request.
        response_format: The request's.
    """

    def __init__(self, request: LLMRequest, response_format: ResponseFormat) -> None:
        super().__init__(request)
        self._format, self._check = response_format, make_check(response_format)

    def missing(self, target: Target) -> str | None:
        """Say why a target cannot be asked in any of the allowed ways; return None when it can."""
        if self.methods(target):
            return None
        return f"it cannot give JSON in the requested way ({', '.join(self._format.methods)})"

    def refuses_method(self, failure: Failure) -> bool:
        """Return whether a target that refused a request may accept it in another form."""
        return failure.kind in REFUSALS and METHOD_WORDS.search(failure.detail or "json") is not None

    def methods(self, target: Target) -> tuple[OutputMethod, ...]:
        """Return the ways in which a target can be asked, in the order in which they are tried."""
        if target.format == "wrapped" and has_json_output(target):
            return ("native",)  # its own integration chooses how to ask
        if target.format == "wrapped":
            return ("prompt",) if "prompt" in self._format.methods else ()
        return supported_methods(self.request, self._format, target)

    def rewrite(self, target: Target, method: OutputMethod) -> LLMRequest:
        """Return the request that asks a target in one of its ways."""
        if target.format == "wrapped":
            return self._rewrite_wrapped(method)
        return rewrite_request(self.request, self._format, target, method)

    def _rewrite_wrapped(self, method: OutputMethod) -> LLMRequest:
        """Return the request for a framework's own model; the conversation in its own form can only be extended."""
        if method == "native" or not self.request.native:
            return self.request
        added = (Message.user(write_instruction(output_schema(self._format))),)
        return replace(
            self.request,
            response_format=None,
            messages=(*self.request.messages, *added),
            native=self.request.native.extended(added),
        )

    def reader(self, target: Target, method: OutputMethod) -> OutputReader:
        """Return the reader of the events of an attempt."""
        del target
        return OutputReader(method, output_schema(self._format), self._check)
