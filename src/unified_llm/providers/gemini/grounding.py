"""What an answer rests on: Gemini's grounding (search, maps, files) and its quotations, as citations.

Gemini counts bytes of UTF-8, we count characters; and it counts within one part, while here the parts are one text. So
a place is taken over only if the text there is the one that Gemini says, and looked for otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from unified_llm.providers.numbers import count
from unified_llm.providers.shapes import is_list, is_object, object_or_empty, text_or_none
from unified_llm.types import Citation

_SOURCES: Final = ("web", "retrievedContext", "maps", "image")


def read_citations(candidate: Mapping[str, Any], content: str) -> tuple[Citation, ...]:
    """What a candidate says of its sources, each once; ``content`` is its text up to here."""
    return tuple(dict.fromkeys([*_grounded(candidate, content), *_quoted(candidate, content)]))


def _grounded(candidate: Mapping[str, Any], content: str) -> Iterator[Citation]:
    """A citation for each sentence and source, then the sources that no sentence names."""
    grounding = object_or_empty(candidate.get("groundingMetadata"))
    chunks, supports = grounding.get("groundingChunks"), grounding.get("groundingSupports")
    sources = [_source(each) for each in (chunks if is_list(chunks) else ())]
    named: set[int] = set()
    for each in supports if is_list(supports) else ():
        support = object_or_empty(each)
        start, end = _place(object_or_empty(support.get("segment")), content)
        indices = support.get("groundingChunkIndices")
        for index in indices if is_list(indices) else ():
            if type(index) is int and 0 <= index < len(sources):
                named.add(index)
                url, title, text = sources[index]
                yield Citation(url, title, text, start, end)
    yield from (Citation(*source) for index, source in enumerate(sources) if index not in named and any(source))


def _source(chunk: object) -> tuple[str | None, str | None, str | None]:
    known = object_or_empty(chunk)
    source: dict[str, Any] = next((known[name] for name in _SOURCES if is_object(known.get(name))), {})
    url = text_or_none(source.get("uri")) or text_or_none(source.get("sourceUri"))
    return url, text_or_none(source.get("title")), text_or_none(source.get("text"))


def _quoted(candidate: Mapping[str, Any], content: str) -> Iterator[Citation]:
    """Passages that the model took word for word. The list has had two names."""
    metadata = object_or_empty(candidate.get("citationMetadata"))
    quoted = metadata.get("citationSources") or metadata.get("citations")
    for each in quoted if is_list(quoted) else ():
        if is_object(each):
            start, end = _place(each, content)
            yield Citation(text_or_none(each.get("uri")), text_or_none(each.get("title")), None, start, end)


def _place(segment: Mapping[str, Any], content: str) -> tuple[int, int] | tuple[None, None]:
    """Where a segment begins and ends, in characters."""
    text = text_or_none(segment.get("text"))
    start, end = count(segment.get("startIndex")), count(segment.get("endIndex"))
    whole = content.encode(errors="replace")
    if start < end <= len(whole) and (text is not None or not segment.get("partIndex")):
        before, here = (piece.decode(errors="replace") for piece in (whole[:start], whole[start:end]))
        if text is None or here == text:
            return len(before), len(before) + len(here)
    found = content.find(text) if text else -1
    return (found, found + len(text)) if text and found >= 0 else (None, None)
