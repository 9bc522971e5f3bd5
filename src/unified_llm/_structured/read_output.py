"""Reads the response of one attempt as JSON text, whichever way the target was asked, and checks it.

Whole responses lose the text and the code fence around the JSON. Streams are passed on chunk by chunk: what a target
sends natively as it comes, what comes by a tool or a prompt as the text of the JSON; the check comes at the end. What
was cut off, refused, or is a call of the user's tools is passed on without a check.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Done, Failure
from unified_llm._lib.bounded_json import strict_arguments
from unified_llm._structured.extract_json import Check, JSONExtractor, find_json
from unified_llm.types.messages import Message, OutputMethod
from unified_llm.types.responses import LLMChunk, LLMResponse

CUT_OFF: Final = ("length", "content_filter")


class OutputReader:
    """Converts the events of one attempt to those of a response in JSON. Used once.

    Attributes:
        correction: After a mismatch: the messages that ask the same model to correct its answer.

    Args:
        method: How the target was asked.
        schema: The schema of the output.
        check: Decides whether a JSON text is accepted.
    """

    def __init__(self, method: OutputMethod, schema: Mapping[str, Any], check: Check) -> None:
        self._method, self._schema, self._check = method, schema, check
        self._extractor = JSONExtractor(schema)
        self._received: list[str] = []  # text of the model
        self._arguments: list[str] = []  # of the forced tool
        self._emitted: list[str] = []  # text of the JSON, which is what is passed on unless the method is native
        self._has_calls = self._has_refusal = False
        self.correction: tuple[Message, ...] = ()

    def read(self, event: LLMChunk | Done) -> Event | None:
        """Convert one event; None if nothing of it is passed on."""
        if isinstance(event, Done):
            return self._read_response(event) if isinstance(event.value, LLMResponse) else self._read_end(event)
        chunk = self._read_chunk(event)
        if self._method == "native":
            return chunk
        has_content = chunk.content or chunk.reasoning or chunk.refusal or chunk.tool_calls or chunk.citations
        return chunk if has_content else None

    # Streams

    def _read_chunk(self, chunk: LLMChunk) -> LLMChunk:
        self._has_calls = self._has_calls or bool(chunk.tool_calls)
        self._has_refusal = self._has_refusal or bool(chunk.refusal)
        self._received.append(chunk.content)
        text = chunk.content
        if self._method == "tool":  # of several calls, which the request does not allow for, the first counts
            text = "".join(fragment.arguments for fragment in chunk.tool_calls if fragment.index == 0)
            self._arguments.append(text)
            chunk = replace(chunk, tool_calls=())
        text = self._extractor.feed(text) if text else ""
        self._emitted.append(text)
        if self._method == "native":  # passed on as it comes, but for line feeds inside strings
            if not self._extractor.has_escaped:
                return chunk
            text = chunk.content.replace(self._extractor.fed, text, 1)
        return replace(chunk, content=text)

    def _read_end(self, done: Done) -> Done | Failure:
        """Convert the end of a stream, adding text not emitted yet: beside tool calls, or JSON found only now."""
        last = self._read_chunk(done.value)
        by_tool, received = self._method == "tool", "".join(self._received)
        if self._method != "native" and not any(self._emitted):
            last = replace(last, content=self._find_rest(received))
            self._emitted.append(last.content)
        if by_tool:
            last = replace(last, finish_reason=_finish_reason(last))
        done = replace(done, value=last)
        if self._has_refusal or last.finish_reason in CUT_OFF or (self._has_calls and not by_tool):
            return done
        output = "".join(self._emitted) or self._find_json(received)
        problem = self._check(output)
        return self._reject(problem, LLMResponse(received), output, done) if problem else done

    def _find_rest(self, received: str) -> str:
        """Return what to emit at the end of a stream of which nothing looked like JSON so far."""
        if not self._has_calls:
            return self._find_json(received)
        return strict_arguments("".join(self._arguments)) if self._method == "tool" else received

    # Whole responses

    def _read_response(self, done: Done) -> Done | Failure:
        answers: list[LLMResponse] = []
        for answer in (done.value, *done.value.alternatives):
            converted = self._convert(answer)
            if _is_output(converted) and (problem := self._check(converted.content)):
                return self._reject(problem, answer, converted.content, done)
            answers.append(converted)
        return replace(done, value=replace(answers[0], alternatives=tuple(answers[1:])))

    def _convert(self, answer: LLMResponse) -> LLMResponse:
        calls = answer.tool_calls
        if self._method == "tool":
            texts = [self._find_json(strict_arguments(call.raw_arguments)) for call in calls]
            text = self._first_accepted(texts) if texts else self._find_json(answer.content)
            return replace(answer, content=text, tool_calls=(), finish_reason=_finish_reason(answer))
        if calls or (self._method == "native" and not _is_output(answer)):
            return answer
        return replace(answer, content=self._find_json(answer.content))

    def _find_json(self, text: str) -> str:
        return find_json(text, self._schema, self._check)

    def _first_accepted(self, texts: Sequence[str]) -> str:
        """Return the first text that passes; models call a tool more than once although they must not."""
        if len(texts) == 1:
            return texts[0]
        return next((text for text in texts if self._check(text) is None), texts[0])

    def _reject(self, problem: str, answer: LLMResponse, output: str, done: Done) -> Failure:
        self.correction = ask_again(answer, problem.rstrip(". "))
        return Failure("invalid", detail=problem, request_id=done.request_id, answer=answer.content or output)


def _is_output(answer: LLMResponse) -> bool:
    return not (answer.tool_calls or answer.refusal or answer.finish_reason in CUT_OFF)


def _finish_reason(answer: LLMResponse | LLMChunk) -> Any:
    return "stop" if answer.finish_reason == "tool_calls" else answer.finish_reason


def ask_again(
    answer: LLMResponse, problem: str, request: str = "Give the whole answer again, as corrected JSON and nothing else."
) -> tuple[Message, ...]:
    """Return the wrong answer and what is wrong with it, as turns of the conversation that any provider accepts."""
    turn = Message(
        "assistant",
        answer.content,
        tool_calls=answer.tool_calls,
        reasoning=answer.reasoning,
        provider_state=answer.provider_state,
    )
    wrong = f"This answer is not accepted: {problem}."
    if answer.tool_calls:
        text = f"{wrong} Call the tool again, once, with corrected arguments."
        return (turn, *(Message.tool(text, call.id, is_error=True) for call in answer.tool_calls))
    again = Message.user(f"{wrong} {request}")
    return (turn, again) if answer.content else (again,)
