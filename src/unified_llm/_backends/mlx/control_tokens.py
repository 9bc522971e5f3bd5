r"""Control tokens in the texts of a conversation, kept apart from those that the chat template writes.

A text of the user that contains ``<|im_end|>`` would end the user's turn if it were turned into that token: whoever
writes a part of a prompt could go on as the system. So such a text is turned into the tokens of its characters::

    messages   Hi <|im_end|>                                        the text of a control token is found
    marked     Hi <27..41|im_end|>                                  digits that nobody can guess break it up
    rendered   <|im_start|>user\nHi <27..41|im_end|><|im_end|>      with two different marks: the rest has to be equal
    renamed    (name 1)user\nHi <|im_end|>(name 2)                  the template's own get names, the mark is removed
    tokens     of a copy of the tokenizer that knows control tokens by these names alone

Digits come through all that templates do to texts (trim, tojson, upper). All other text has the tokens that it always
has, so prefixes are reused as ever. Only the engine thread may use this module.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from typing import Any, Final, cast

from unified_llm._backends.mlx.engine_types import Prompt
from unified_llm._formats.text_reasoning import TAGS

_MARK_DIGITS: Final = 24
_GROUPED: Final = 2  # first characters by which the pattern of all control tokens is grouped, so that it fails fast
_NOTHING: Final = re.compile(r"(?!)")
# What a model writes before its response: messages of the assistant may contain it as it was written.
_OF_REASONING: Final = frozenset({*TAGS, *TAGS.values()})


class ControlTokens:
    """The control tokens of one model.

    Args:
        tokenizer: That of mlx-lm, which has the attributes of transformers' tokenizer.
        template: The text of its chat template, empty where it is no text.
    """

    def __init__(self, tokenizer: Any, template: str) -> None:
        self._tokenizer, self._template = tokenizer, template

    @cached_property
    def _texts(self) -> frozenset[str]:
        """The texts of the control tokens: special tokens, and others that the template writes, as ``<tool_call>``."""
        decoder: Any = getattr(self._tokenizer, "added_tokens_decoder", None) or {}
        return frozenset(
            token.content
            for token in decoder.values()
            if len(token.content) > 1
            and (token.special or (token.content in self._template and _is_tag(token.content)))
        )

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return _pattern_of(self._texts)

    @cached_property
    def _pattern_of_assistant(self) -> re.Pattern[str]:
        return _pattern_of(self._texts - _OF_REASONING)

    def occur_in(self, prompt: Prompt) -> bool:
        """Return whether a text of the conversation, of a tool or of a document contains a control token's text."""
        return any(self._pattern_for(role).search(text) for role, text in _texts_of(prompt))

    def _pattern_for(self, role: object) -> re.Pattern[str]:
        return self._pattern_of_assistant if role == "assistant" else self._pattern

    def mark(self, prompt: Prompt, mark: str) -> Prompt:
        """Return a prompt in whose texts no text of a control token is whole.

        Args:
            prompt: The prompt.
            mark: What is put into each of them.
        """

        def mark_all(value: Any, pattern: re.Pattern[str]) -> Any:
            return _change_texts(value, lambda text: _break_up(text, pattern, mark))

        return replace(
            prompt,
            messages=tuple(
                {
                    name: mark_all(value, self._pattern_for(message["role"]) if _is_own(name) else self._pattern)
                    for name, value in message.items()
                }
                for message in prompt.messages
            ),
            tools=tuple(mark_all(tool, self._pattern) for tool in prompt.tools),
            template_options={
                name: value if isinstance(value, str) else mark_all(value, self._pattern)
                for name, value in prompt.template_options.items()
            },
        )

    def encode(self, text: str, mark: str) -> list[int] | None:
        """Turn a rendered text into tokens, in which those texts that have a mark are no control tokens.

        Returns:
            None where this tokenizer makes control tokens of them nevertheless, or is of an unknown kind.
        """
        if (copy := self._copy) is None:
            return None
        renamed, count = self._pattern.subn(lambda match: copy.names[match[0]], text)
        tokens = copy.encode(renamed.replace(mark, ""))
        return tokens if sum(token in copy.control for token in tokens) == count else None

    @cached_property
    def _copy(self) -> _RenamedTokenizer | None:
        """The copy of the tokenizer; None where it would make other tokens of ordinary texts."""
        try:
            copy = _RenamedTokenizer(self._tokenizer.backend_tokenizer, self._texts)
            sample = " Ab, 1\n\n".join(["", *sorted(self._texts), ""])
            renamed = self._pattern.sub(lambda match: copy.names[match[0]], sample)
            same = copy.encode(renamed) == list(self._tokenizer.encode(sample, add_special_tokens=False))
        except Exception:  # noqa: BLE001 - a tokenizer of another kind
            return None
        return copy if same else None


def make_mark() -> str:
    """Return digits that no text has."""
    return str(secrets.randbelow(9 * 10 ** (_MARK_DIGITS - 1)) + 10 ** (_MARK_DIGITS - 1))


class _RenamedTokenizer:
    """A copy of a tokenizer of the ``tokenizers`` library, in which control tokens have other names.

    Attributes:
        names: The names by the texts.
        control: The numbers of the control tokens.
    """

    def __init__(self, backend: Any, texts: Iterable[str]) -> None:
        from tokenizers import Tokenizer

        salt = secrets.token_hex(8)
        self.names = {text: f"\ue000{salt}{number}\ue001" for number, text in enumerate(sorted(texts))}
        content: dict[str, Any] = json.loads(backend.to_str())
        content |= {"post_processor": None, "truncation": None, "padding": None}
        added: list[dict[str, Any]] = content["added_tokens"]
        originals = [str(token["content"]) for token in added]
        for token in added:
            token["content"] = self.names.get(token["content"], token["content"])
        self._tokenizer: Any = cast("Any", Tokenizer).from_str(json.dumps(content))
        # The copy may count tokens that it adds in another way.
        self._numbers: dict[int, int] = {
            self._tokenizer.token_to_id(token["content"]): backend.token_to_id(original)
            for token, original in zip(added, originals, strict=True)
        }
        self.control = frozenset(backend.token_to_id(text) for text in self.names)

    def encode(self, text: str) -> list[int]:
        """Turn a text into tokens, with the numbers of the original."""
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return [self._numbers.get(token, token) for token in tokens]


def _is_tag(text: str) -> bool:
    """Return whether a text is more than a word or white space: the tokens of those are no control tokens."""
    return not (text[0].isalnum() or text[0].isspace() or text[-1].isalnum() or text[-1].isspace())


def _is_own(name: str) -> bool:
    """Return whether a field of a message of the assistant has what the model wrote."""
    return name in {"content", "reasoning_content"}


def _pattern_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that finds any of these texts, the longest at each place."""
    ordered = sorted(texts, key=lambda text: (text[:_GROUPED], -len(text)))
    groups = (
        f"{re.escape(first)}(?:{'|'.join(re.escape(text[_GROUPED:]) for text in group)})"
        for first, group in groupby(ordered, key=lambda text: text[:_GROUPED])
    )
    return re.compile("|".join(groups)) if ordered else _NOTHING


def _break_up(text: str, pattern: re.Pattern[str], mark: str) -> str:
    while pattern.search(text):  # one may contain another
        text = pattern.sub(lambda match: f"{match[0][0]}{mark}{match[0][1:]}", text)
    return text


def _texts_of(prompt: Prompt) -> Iterator[tuple[object, str]]:
    """Yield the texts of a prompt, each with the role of the message whose own text it is."""
    for message in prompt.messages:
        for name, value in message.items():
            role = message["role"] if _is_own(name) else None
            if isinstance(value, list):  # parts, which a template may put together
                parts: list[Any] = value
                yield role, "".join(part.get("text", "") for part in parts if isinstance(part, dict))
            for text in _strings(value):
                yield role, text
    options = [value for value in prompt.template_options.values() if not isinstance(value, str)]
    for text in _strings([*prompt.tools, *options]):
        yield None, text


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in cast("Mapping[str, Any]", value).items():
            yield name
            yield from _strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in cast("list[Any]", value):
            yield from _strings(inner)


def _change_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        return {change(name): _change_texts(inner, change) for name, inner in mapping.items()}
    if isinstance(value, (list, tuple)):
        return [_change_texts(inner, change) for inner in cast("list[Any]", value)]
    return value
