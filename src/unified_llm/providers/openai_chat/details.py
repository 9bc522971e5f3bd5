"""What comes with an answer besides its words: log probabilities, sources, and reasoning to be handed back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from unified_llm.jsonx import finite
from unified_llm.messages import Sealed
from unified_llm.providers import reading
from unified_llm.providers.numbers import place
from unified_llm.providers.shapes import is_list, is_object, object_or_empty, text_or_none
from unified_llm.target import Target
from unified_llm.types import Citation, TokenLogprob


def read_logprobs(choice: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    """Those of a choice or of its piece in a stream, in any of three shapes: chat, text completion, Together's."""
    said = choice.get("logprobs")
    if (number := finite(said)) is not None:  # Together streams the number alone, next to the token
        token = text_or_none(object_or_empty(choice.get("delta")).get("content")) or text_or_none(choice.get("text"))
        return () if token is None else (TokenLogprob(token, number, _pairs(choice.get("top_logprobs"))),)
    if not is_object(said):
        return ()
    return reading.read_logprobs(content) if is_list(content := said.get("content")) else tuple(_of_text(said))


def _of_text(said: Mapping[str, Any]) -> Iterator[TokenLogprob]:
    """Lists side by side; the first token of a prompt that is echoed has no number."""
    tokens, numbers, likeliest = (said.get(name) for name in ("tokens", "token_logprobs", "top_logprobs"))
    if not is_list(tokens) or not is_list(numbers):
        return
    for index, (token, number) in enumerate(zip(tokens, numbers, strict=False)):
        if isinstance(token, str) and (known := finite(number)) is not None:
            top = likeliest[index] if is_list(likeliest) and index < len(likeliest) else None
            yield TokenLogprob(token, known, _pairs(top))


def _pairs(top: object) -> tuple[tuple[str, float], ...]:
    pairs = ((token, finite(number)) for token, number in object_or_empty(top).items())
    return tuple((token, number) for token, number in pairs if number is not None)


def read_citations(message: Mapping[str, Any]) -> tuple[Citation, ...]:
    """The annotations of a message or a delta: of OpenAI's and OpenRouter's web searches, of Groq's documents."""
    annotations = message.get("annotations")
    return tuple(
        Citation(
            url=text_or_none(said.get("url")),
            title=text_or_none(said.get("title")) or text_or_none(said.get("document_id")),
            text=text_or_none(said.get("content")),
            start=place(said.get("start_index")),
            end=place(said.get("end_index")),
        )
        for each in (annotations if is_list(annotations) else ())
        if is_object(each) and is_object(said := each.get("url_citation") or each.get("document_citation"))
    )


def read_sources(answer: Mapping[str, Any]) -> tuple[Citation, ...]:
    """The pages that Perplexity names beside its answer, in the order of the numbers in its text."""
    urls, results = answer.get("citations"), answer.get("search_results")
    found = {
        result["url"]: Citation(result["url"], text_or_none(result.get("title")), text_or_none(result.get("snippet")))
        for result in (results if is_list(results) else ())
        if is_object(result) and text_or_none(result.get("url"))
    }
    numbered = [url for url in (urls if is_list(urls) else ()) if text_or_none(url)] or list(found)
    return tuple(found.get(url) or Citation(url) for url in numbered)


# What fragments of one part add to one another; of everything else, the last that says something holds.
_GROWING: Final = ("text", "summary")


class ReasoningDetails:
    """Gathers ``reasoning_details``: whole ones, or the fragments of a stream, which name their part by ``index``.

    They have to go back exactly as they were before they were cut, or signatures do not fit.
    """

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        """Nothing has come."""
        self._parts: list[dict[str, Any]] = []

    def add(self, message: Mapping[str, Any]) -> None:
        """Take in those of a message or a delta."""
        details = message.get("reasoning_details")
        for each in details if is_list(details) else ():
            if is_object(each):
                self._add(each)

    def _add(self, fragment: dict[str, Any]) -> None:
        last = self._parts[-1] if self._parts else {}
        same = all(last.get(name) == fragment.get(name) for name in ("type", "index"))
        if not last or not same or fragment.get("index") is None:
            self._parts.append(dict(fragment))
            return
        for name, value in fragment.items():
            if name in _GROWING and isinstance(value, str):
                last[name] = f"{last.get(name) or ''}{value}"
            elif value is not None:
                last[name] = value

    def sealed(self, target: Target) -> Sealed | None:
        """For the history, where the target wants them back."""
        if not self._parts or not target.quirks.get("reasoning_details"):
            return None
        # OpenAI, behind OpenRouter, looks for an identifier of its own in a store in which nothing was stored.
        parts = [
            {name: value for name, value in part.items() if name != "id" or not str(value).startswith("rs_")}
            for part in self._parts
        ]
        return reading.seal({"reasoning_details": parts}, target)


def details_text(message: Mapping[str, Any]) -> str:
    """The visible reasoning in ``reasoning_details``, for those who send no other (MiniMax)."""
    details = message.get("reasoning_details")
    parts = (each.get("text") for each in (details if is_list(details) else ()) if is_object(each))
    return "".join(part for part in parts if isinstance(part, str))
