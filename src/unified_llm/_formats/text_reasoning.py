"""Reasoning that a model writes into its text, between tags at the beginning, where the server does not split it off.

    START ──── an opening tag ───> REASONING ──── its closing tag ───> START (white space after a block is dropped)
      │
      └─────── anything else ────> TEXT, to the end: tags in the middle of a text are part of it

An opening tag may be broken over chunks, so START keeps white space and the beginning of a tag for the next chunk;
REASONING keeps the beginning of a closing tag, and white space that may be its last. At the end of the stream a block
that is still open is all reasoning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

# Opening tag: closing tag.
TAGS: Final[Mapping[str, str]] = {
    "<think>": "</think>",  # DeepSeek R1, Qwen3, GLM: docs.vllm.ai/en/latest/features/reasoning_outputs.html
    # github.com/open-webui/open-webui, backend/open_webui/utils/middleware.py
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<Thought>": "</Thought>",
    "<reasoning>": "</reasoning>",
    "<reason>": "</reason>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<Think>": "</Think>",  # unverified
    "<THINK>": "</THINK>",  # unverified
    "◁think▷": "◁/think▷",
    "<|START_THINKING|>": "<|END_THINKING|>",  # Command R7B, Command A Reasoning: llama.cpp, common/chat.cpp
    "<|channel>thought": "<channel|>",  # Gemma 4: huggingface/transformers, tests of its chat template
    "<longcat_think>": "</longcat_think>",  # LongCat Flash: vLLM's and SGLang's reasoning parsers (unverified)
    "[THINK]": "[/THINK]",  # Magistral (unverified)
    "<seed:think>": "</seed:think>",  # Seed-OSS: vLLM's and Aphrodite's seedoss_reasoning_parser.py
    "<|channel|>analysis<|message|>": "<|end|>",  # GPT-OSS: docs.sglang.ai, separate_reasoning
}
# What GPT-OSS writes before its answer: it is removed.
_LEAD_INS: Final = ("<|start|>assistant", "<|channel|>final<|message|>")
DEFAULT_TAG: Final = "<think>"
# A closing tag without an opening one. One in quotes is mentioned, not used.
_CLOSING_ALONE: Final = re.compile(r"(?<![`\"'])</think>|</think>(?![`\"'])")
_BETWEEN_BLOCKS: Final = "\n\n"
_MAX_SPACE: Final = 256  # characters of white space that are held back; more of it is passed on


def _is_not_mentioned(_: str) -> bool:
    return False


def split_reasoning(
    text: str, *, is_mentioned: Callable[[str], bool] = _is_not_mentioned, closing_alone: bool = True
) -> tuple[str, str]:
    """Split a whole text into reasoning and text.

    Args:
        text: The text.
        is_mentioned: As for ``ReasoningSplitter``.
        closing_alone: The text before a ``</think>`` that no ``<think>`` precedes is reasoning: many chat templates
            end with the opening tag, which is then not part of the response.
    """
    splitter = ReasoningSplitter(is_mentioned=is_mentioned)
    begins_with_block = splitter.find_opening(text) is not None
    if closing_alone and not begins_with_block and (match := _CLOSING_ALONE.search(text)):
        before = text[: match.start()]
        if DEFAULT_TAG not in before:
            return before.strip(), text[match.end() :].lstrip()
    parts = (splitter.feed(text), splitter.finish())
    return "".join(part[0] for part in parts), "".join(part[1] for part in parts)


def opened_tag(prompt: str) -> str | None:
    """Return the opening tag with which a prompt ends, so that the response begins inside of the block; else None."""
    end = prompt.rstrip()
    return next((tag for tag in TAGS if end.endswith(tag)), None)


class ReasoningSplitter:
    """Splits the text of one stream into reasoning and text; each chunk takes time in proportion to its length.

    Attributes:
        decided: All that follows is text: it need not be fed any more.

    Args:
        opened: The opening tag that stands before the stream, if any.
        is_mentioned: Whether the request mentions a tag. It is text then, since the model was asked to write it; but
            ``<think>``, which some prompts ask for, is always a tag.
    """

    __slots__ = ("_closing", "_held", "_is_mentioned", "_started", "_was_block", "decided")

    def __init__(self, opened: str | None = None, *, is_mentioned: Callable[[str], bool] = _is_not_mentioned) -> None:
        self._is_mentioned = is_mentioned
        self._closing = TAGS[opened] if opened is not None else None  # of the block that is open
        self._was_block = False
        self._started = False  # some reasoning of this block was returned
        self._held = ""
        self.decided = False

    @property
    def is_open(self) -> bool:
        """Return whether a block is open."""
        return self._closing is not None

    def feed(self, text: str) -> tuple[str, str]:
        """Return the reasoning and the text of the next chunk, as far as they are certain."""
        reasoning: list[str] = []
        text, self._held = self._held + text, ""
        while not self.decided:
            if self._closing is not None:
                part, text = self._read_block(text, self._closing)
                reasoning.append(part)
            elif (opening := self.find_opening(text)) is not None:
                self._closing, self._started = TAGS[opening], False
                text = text.lstrip()[len(opening) :]
                if self._was_block:
                    reasoning.append(_BETWEEN_BLOCKS)
                continue
            elif (lead_in := _lead_in_of(text)) is not None:
                text = text.lstrip()[len(lead_in) :]
                continue
            else:
                text = self._read_start(text)
            if self._held or not text:
                return "".join(reasoning), ""
        return "".join(reasoning), text

    def finish(self) -> tuple[str, str]:
        """Return the reasoning and the text that were held back until the end."""
        held, self._held = self._held, ""
        if self._closing is not None:
            return held.rstrip(), ""
        return "", held

    def find_opening(self, text: str) -> str | None:
        """Return the opening tag with which a text begins; None if it begins with none."""
        text = text.lstrip()
        tag = next((tag for tag in TAGS if text.startswith(tag)), None)
        return None if tag is None or (tag != DEFAULT_TAG and self._is_mentioned(tag)) else tag

    def _read_start(self, text: str) -> str:
        """Decide that there is no block, or hold the text until that is certain; return the text to go on with."""
        start = text.lstrip()
        if self._was_block:
            text = start  # between a block and the text, white space means nothing
        is_beginning = any(tag.startswith(start) and tag != start for tag in (*TAGS, *_LEAD_INS))
        if is_beginning if start else len(text) < _MAX_SPACE:
            self._held = text
            return ""
        self.decided = True
        return text

    def _read_block(self, text: str, closing: str) -> tuple[str, str]:
        """Return the reasoning in an open block, and the text after it once its closing tag was found."""
        if not self._started:
            text = text.lstrip()
        before, tag, after = text.partition(closing)
        if tag:
            self._closing, self._was_block = None, True
            return before.rstrip(), after
        certain = len(text) - _beginning_at_end(text, closing)
        shown = len(text[:certain].rstrip())
        if certain - shown > _MAX_SPACE:
            shown = certain
        self._held = text[shown:]
        self._started = self._started or shown > 0
        return text[:shown], ""


def _lead_in_of(text: str) -> str | None:
    text = text.lstrip()
    return next((lead_in for lead_in in _LEAD_INS if text.startswith(lead_in)), None)


def _beginning_at_end(text: str, closing: str) -> int:
    """Return how many characters at the end of the text may be the beginning of the closing tag."""
    for count in range(min(len(closing) - 1, len(text)), 0, -1):
        if closing.startswith(text[-count:]):
            return count
    return 0
