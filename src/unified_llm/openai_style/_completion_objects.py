"""Text completions in OpenAI's shape: the provider's own where it has that shape, else made of our responses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from unified_llm._core import runtime
from unified_llm.openai_style._chat_objects import new_id, write_usage
from unified_llm.openai_style._records import with_record
from unified_llm.openai_style._streams import event_bodies
from unified_llm.openai_style.types.completion import Completion
from unified_llm.types.responses import LLMChunk, LLMResponse

_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def completion_of(responses: Sequence[LLMResponse]) -> Completion:
    """Return the responses to one or several prompts as one completion, with the choices in the order of the prompts.

    Args:
        responses: The response to each prompt, or one to all.
    """
    bodies = [_body_of(response) for response in responses]
    whole, attempts = bodies[0], responses[0].attempts
    if len(bodies) > 1:
        choices = [choice for body in bodies for choice in _in_order(body["choices"])]
        numbered = [{**choice, "index": index} for index, choice in enumerate(choices)]
        whole = {**whole, "choices": numbered, "usage": sum_usage([body.get("usage") for body in bodies])}
        attempts = tuple(attempt for response in responses for attempt in response.attempts)
    return with_record(Completion.from_json(whole), replace(responses[-1], attempts=attempts))


def _body_of(response: LLMResponse) -> Mapping[str, Any]:
    raw: Any = response.raw
    if isinstance(raw, Mapping) and isinstance(raw.get("choices"), list) and all(map(_has_text, raw["choices"])):
        return raw
    answers = (response, *response.alternatives)
    return {
        "id": response.response_id or new_id("cmpl"),
        "object": "text_completion",
        "created": int(runtime.current().wall()),
        "model": response.model,
        "choices": [_choice(answer.content, index, answer.finish_reason) for index, answer in enumerate(answers)],
        "usage": response.usage and write_usage(response.usage),
    }


def _has_text(choice: Any) -> bool:
    return isinstance(choice, Mapping) and isinstance(choice.get("text"), str)


def _choice(text: str, index: int, reason: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": reason}


def _in_order(choices: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return sorted(choices, key=lambda choice: choice.get("index") or 0)


def sum_usage(usages: Sequence[Any]) -> dict[str, Any] | None:
    """Return the tokens of several requests together; None where one of them did not report any."""
    if not all(isinstance(usage, Mapping) for usage in usages):
        return None
    return {name: sum(usage.get(name) or 0 for usage in usages) for name in _COUNTS}


class CompletionChunks:
    """Makes the chunks of a stream, as OpenAI sends them.

    The streams of several prompts come one after the other.

    Args:
        model: Returns the model that answers, which is known from the first chunk on.
        wants_usage: Whether the last chunk has the tokens used.
        prompts: How many streams there are.
        choices: How many texts each stream has.
    """

    def __init__(self, model: Callable[[], str | None], *, wants_usage: bool, prompts: int, choices: int) -> None:
        self._model, self._wants_usage, self._prompts, self._choices = model, wants_usage, prompts, choices
        self._ended = 0
        self._usages: list[Any] = []
        self._head: dict[str, Any] | None = None  # the fields that all chunks share

    def write(self, chunk: LLMChunk) -> Iterator[Completion]:
        """Return the chunks of the completion for one of ours."""
        bodies = event_bodies(chunk.raw) if isinstance(chunk.raw, tuple) else self._make(chunk)
        for body in bodies if self._prompts == 1 else self._numbered(bodies):
            yield Completion.from_json(body)
        if chunk.finish_reason is not None:
            self._ended += 1
            if self._prompts > 1 and self._ended == self._prompts and self._wants_usage:
                yield Completion.from_json({**(self._head or {}), "choices": [], "usage": sum_usage(self._usages)})

    def _numbered(self, bodies: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """Yield chunks with the indexes that choices have among those of all prompts; keep the usage for the end."""
        first = self._ended * self._choices
        for body in bodies:
            self._head = self._head or {name: value for name, value in body.items() if name not in {"choices", "usage"}}
            if choices := body.get("choices"):
                moved = [{**choice, "index": first + (choice.get("index") or 0)} for choice in choices]
                yield {**body, **self._head, "choices": moved}
            elif body.get("usage"):
                self._usages.append(body["usage"])

    def _make(self, chunk: LLMChunk) -> Iterator[Mapping[str, Any]]:
        if self._head is None:
            self._head = {
                "id": new_id("cmpl"), "object": "text_completion", "created": int(runtime.current().wall()),
                "model": self._model() or chunk.model or "",
            }  # fmt: skip
        usage = {"usage": None} if self._wants_usage else {}
        if chunk.content:
            yield {**self._head, "choices": [_choice(chunk.content, 0, None)], **usage}
        if chunk.finish_reason is not None:
            yield {**self._head, "choices": [_choice("", 0, chunk.finish_reason)], **usage}
            if self._wants_usage:
                yield {**self._head, "choices": [], "usage": chunk.usage and write_usage(chunk.usage)}
