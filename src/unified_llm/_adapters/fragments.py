"""Bounds on the work of frameworks that process the whole response again with every chunk.

Such work grows with the square of the response. Here it is done for fewer chunks the longer the response is: short
responses are not affected, and the work for long ones grows in proportion to their length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from unified_llm._lib.bounded_json import parse_partial
from unified_llm.exceptions import GenerationError
from unified_llm.types.messages import ToolCallChunk
from unified_llm.types.responses import Citation, LLMChunk

MAX_STREAMED_CALLS: Final = 1000
"""Most tool calls in one stream: the frameworks go through all of them again with every fragment of a call."""


def check_calls(chunk: LLMChunk) -> None:
    """Check the number of tool calls of a stream.

    Raises:
        GenerationError: There are more than the framework can take.
    """
    if chunk.tool_calls and chunk.tool_calls[-1].index >= MAX_STREAMED_CALLS:
        raise GenerationError(
            f"The stream has more than {MAX_STREAMED_CALLS} tool calls; send the request without streaming, or ask for "
            "fewer calls."
        )


class Growth:
    """Decides when a text has grown enough to be processed as a whole once more.

    Args:
        parts: It has when it is longer by this part of its length (64: by a 64th), so that the lengths of all texts
            that are processed add up to about ``parts`` times the last one.
        short: Up to this length it always has.
    """

    __slots__ = ("_parts", "_processed", "_short", "length")

    def __init__(self, parts: int, short: int = 0) -> None:
        self._parts, self._short = parts, short
        self._processed = 0
        self.length = 0

    def add(self, length: int) -> bool:
        """Add what has come; return whether to process the text now."""
        self.length += length
        if self.length > self._short and (self.length - self._processed) * self._parts < self.length:
            return False
        self._processed = self.length
        return True


_CITATION_LENGTH: Final = 256  # for which a source counts
_MAX_INVALID: Final = 8 * 1024
_SPACES: Final = str.maketrans(dict.fromkeys(map(chr, range(32)), " "))  # many models write line feeds into strings


class _Arguments:
    """The arguments of one call so far, which LangChain parses.

    If they are not JSON, it tries to parse each beginning of them, which takes minutes for arguments of 100 KB.
    """

    def __init__(self) -> None:
        self._fragments: list[str] = []
        self._growth = Growth(parts=64)

    def add(self, fragment: str) -> None:
        """Add a fragment.

        Raises:
            GenerationError: The arguments are long and not JSON.
        """
        self._fragments.append(fragment)
        if self._growth.add(len(fragment)) and self._growth.length > _MAX_INVALID:
            self._fragments = ["".join(self._fragments)]
            if parse_partial(self._fragments[0].translate(_SPACES)) is None:
                raise GenerationError(
                    f"The model has written more than {_MAX_INVALID} characters of arguments that are not JSON; try "
                    "again, or ask another model."
                )


class FragmentMerger:
    """Merges fragments of reasoning, of arguments and of citations of one stream, the more the longer it is.

    LangChain copies what it has of these for each further fragment. Text is passed on as it comes.
    """

    def __init__(self) -> None:
        self._growth = Growth(parts=64, short=64 * 1024)
        self._calls: dict[int, _Arguments] = {}
        self._reasoning: list[str] = []
        self._arguments: dict[int, list[str]] = {}
        self._citations: list[Citation] = []

    def feed(self, chunk: LLMChunk) -> Iterator[LLMChunk]:
        """Yield the chunks to pass on in place of this one.

        Raises:
            GenerationError: The stream has too many tool calls, or long arguments that are not JSON.
        """
        check_calls(chunk)
        for call in chunk.tool_calls:
            self._calls.setdefault(call.index, _Arguments()).add(call.arguments)
        length = len(chunk.reasoning) + _CITATION_LENGTH * len(chunk.citations)
        length += sum(len(call.arguments) for call in chunk.tool_calls)
        is_native = chunk.raw is not None and not isinstance(chunk.raw, Mapping)  # of a wrapped model, taken as it is
        if is_native or chunk.finish_reason is not None or (length and self._growth.add(length)):
            yield from self._flush()
            yield chunk
        elif not length:
            yield chunk
        else:
            yield from self._hold(chunk)

    def _hold(self, chunk: LLMChunk) -> Iterator[LLMChunk]:
        begun = tuple(replace(call, arguments="") for call in chunk.tool_calls if call.id or call.name)
        rest = replace(chunk, reasoning="", citations=(), tool_calls=begun)
        if rest.content or rest.tool_calls or rest.refusal or rest.logprobs:
            yield rest
        self._reasoning.append(chunk.reasoning)
        self._citations += chunk.citations
        for call in chunk.tool_calls:
            self._arguments.setdefault(call.index, []).append(call.arguments)

    def _flush(self) -> Iterator[LLMChunk]:
        if self._reasoning:
            calls = tuple(
                ToolCallChunk(index, arguments="".join(fragments)) for index, fragments in self._arguments.items()
            )
            yield LLMChunk(reasoning="".join(self._reasoning), tool_calls=calls, citations=tuple(self._citations))
            self._reasoning, self._arguments, self._citations = [], {}, []
