"""Reads the response of one attempt as a call of a tool that has to be made, and checks it.

Text is held back until a call begins, since it may be the call: where no other call came, arguments in it become the
call at the end. Reasoning, and in a stream the fragments of an allowed call, are passed on as they come. What was cut
off or refused is passed on without a check.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from unified_llm._core.chunks import JoinedChunks
from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Done, Failure
from unified_llm._lib.bounded_json import JSONError, dump, parse_object
from unified_llm._lib.json_schema import find_mismatch
from unified_llm._structured.extract_json import find_json
from unified_llm._structured.read_output import CUT_OFF, ask_again
from unified_llm.types.messages import Message, OutputMethod, Tool, ToolCall, ToolCallChunk
from unified_llm.types.responses import LLMChunk, LLMResponse


class CallReader:
    """Converts the events of one attempt to those of a response that calls a tool. Used once.

    Attributes:
        correction: After a mismatch: the messages that ask the same model to correct its answer.

    Args:
        method: How the target was asked.
        tools: The tools of which one has to be called.
        reads_text: Whether arguments that the model wrote as text become the call.
    """

    def __init__(self, method: OutputMethod, tools: tuple[Tool, ...], *, reads_text: bool = True) -> None:
        self._method, self._reads_text = method, reads_text
        self._tools = {tool.name: tool for tool in tools}
        self._joined = JoinedChunks()
        self._held: list[str] = []
        self._is_other = self._emitted = False  # a call of another tool has begun; a call was passed on
        self.correction: tuple[Message, ...] = ()

    def read(self, event: LLMChunk | Done) -> Event | None:
        """Convert one event; None if nothing of it is passed on."""
        if isinstance(event, Done):
            return self._read_response(event) if isinstance(event.value, LLMResponse) else self._read_end(event)
        self._joined.add(event)
        chunk = self._hold_text(event)
        return chunk if chunk.content or chunk.tool_calls or chunk.reasoning or chunk.refusal else None

    def _hold_text(self, chunk: LLMChunk) -> LLMChunk:
        """Return a chunk without its text, or from the first fragment of a call on, with all text until then."""
        names = {fragment.name for fragment in chunk.tool_calls if fragment.name}
        self._is_other = self._is_other or not names <= self._tools.keys()
        calls = () if self._is_other else chunk.tool_calls
        self._emitted = self._emitted or bool(calls)
        self._held.append(chunk.content)
        text = ""
        if self._emitted:
            text = "".join(self._held)
            self._held.clear()
        return replace(chunk, content=text, tool_calls=calls, logprobs=(), citations=())

    def _read_end(self, done: Done) -> Done | Failure:
        answer = self._joined.as_response(done.value)
        last = self._hold_text(done.value)
        converted = self._convert(answer, done)
        if isinstance(converted, Failure):
            return converted
        if not converted.tool_calls:  # cut off or refused
            return replace(done, value=last if self._emitted else replace(last, content=answer.content))
        if not self._emitted:
            calls = [
                ToolCallChunk(index, call.id, call.name, call.raw_arguments, call.from_text)
                for index, call in enumerate(converted.tool_calls)
            ]
            last = replace(last, tool_calls=tuple(calls))
        value = replace(last, finish_reason=converted.finish_reason)
        return replace(done, value=value, text_tool_calls=done.text_tool_calls or _from_text(converted))

    def _read_response(self, done: Done) -> Done | Failure:
        answers: list[LLMResponse] = []
        for answer in (done.value, *done.value.alternatives):
            converted = self._convert(answer, done)
            if isinstance(converted, Failure):
                return converted
            answers.append(converted)
        value = replace(answers[0], alternatives=tuple(answers[1:]))
        return replace(done, value=value, text_tool_calls=done.text_tool_calls or any(map(_from_text, answers)))

    def _convert(self, answer: LLMResponse, done: Done) -> LLMResponse | Failure:
        """Return the response with its call, or the failure of one without; what was cut off is returned as it is."""
        if answer.refusal or answer.finish_reason in CUT_OFF:
            return answer
        calls = answer.tool_calls or self._calls_in_text(answer.content)
        if problem := self._find_problem(calls):
            wanted = "Call the function instead of answering." if self._method != "prompt" else "Give it as JSON only."
            self.correction = ask_again(answer, problem, wanted)
            text = answer.content or "".join(call.raw_arguments for call in calls)
            return Failure(
                "invalid",
                reason="the answer is not the tool call that was asked for",
                detail=problem,
                request_id=done.request_id,
                answer=text,
            )
        text = answer.content if answer.tool_calls else ""
        return replace(answer, content=text, tool_calls=calls, finish_reason="tool_calls")

    def _calls_in_text(self, text: str) -> tuple[ToolCall, ...]:
        """Return the call whose arguments a model wrote as text: those of the only tool, or with the tool's name."""
        if not self._reads_text:
            return ()
        schema: dict[str, Any] = {"type": "object", "required": ["name", "arguments"]}
        if len(self._tools) == 1:
            schema = {"type": "object", **next(iter(self._tools.values())).parameters}
        try:
            written = parse_object(find_json(text, schema))
        except JSONError:
            return ()
        name, arguments = next(iter(self._tools)), cast("Any", written)
        if len(self._tools) > 1:
            name, arguments = str(written.get("name")), written.get("arguments")
        if not isinstance(arguments, dict):
            return ()
        # Where text was asked for, a call as text is what was asked for.
        return (ToolCall("call_0", name, arguments, dump(arguments), from_text=self._method == "native"),)

    def _find_problem(self, calls: tuple[ToolCall, ...]) -> str | None:
        """Return what is wrong with the calls; what a model wrote is not quoted."""
        names = ", ".join(self._tools)
        if not calls:
            return f"it is no call of {names}"
        for call in calls:
            if (tool := self._tools.get(call.name)) is None:
                return f"it calls another function than {names}"
            if call.error:
                return f"the arguments of {call.name} are no JSON object"
            if problem := find_mismatch(call.arguments, tool.parameters):
                return f"the arguments of {call.name}: {problem}"
        return None


def _from_text(answer: LLMResponse) -> bool:
    return any(call.from_text for call in answer.tool_calls)
