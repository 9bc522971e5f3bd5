"""Grammars of one model: JSON schemas, regular expressions and grammars, compiled by llguidance.

Only the engine thread may use this module. llguidance limits the work of a grammar by itself, with one exception: it
follows references without a limit, and a chain of some thousand ends the process with a stack overflow. So the texts
are bounded here before they are compiled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from unified_llm._backends.mlx.engine_types import Constraint, EngineError
from unified_llm._lib.bounded_dict import BoundedDict

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

_KEPT: Final = 64  # compiled grammars of a model
# The longest texts, in characters: each is compiled within a second.
_LONGEST: Final[Mapping[str, int]] = {"json_schema": 262_144, "regex": 8_192, "lark": 65_536}
# The most levels of references and brackets together. The stack of a thread (8 MB) has room for more than 1,000.
_DEEPEST: Final = 800
_RULE: Final = re.compile(r"^\s*[?!]?[\w.-]+[^\n]*?:", re.MULTILINE)
_QUOTED: Final = re.compile(r'"(?:\\.|[^"\\\n])*"')
# At most a new line and an indentation between two tokens of JSON: a model might write blanks until its last token.
_JSON_BLANKS: Final = r"\n?[ ]{0,16}"
_NAMES: Final[Mapping[str, str]] = {
    "json_schema": "JSON schema", "regex": "regular expression", "lark": "grammar",
}  # fmt: skip


class Grammars:
    """The grammars that were compiled for one model, and its tokenizer as llguidance has it.

    Args:
        tokenizer: That of mlx-lm, which has the attributes of transformers' tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._guide: LLTokenizer | None = None
        self._compiled: BoundedDict[tuple[str, str], LLMatcher] = BoundedDict(_KEPT)

    def guide(self) -> LLTokenizer:
        """Return the model's tokenizer as llguidance has it, made at the first call.

        Raises:
            EngineError: llguidance is not installed, or does not know this kind of tokenizer.
        """
        if self._guide is None:
            try:
                from llguidance import LLTokenizer
            except ImportError:
                message = "JSON schemas and grammars need llguidance: run pip install 'unified-llm[mlx]'."
                raise EngineError("unsupported", message) from None
            try:
                backend = copy(self._tokenizer.backend_tokenizer)  # of the tokenizers package, which is changed below
                backend.no_padding()
                backend.no_truncation()
                known = backend.get_vocab_size()
                ends = sorted(token for token in self._tokenizer.eos_token_ids if token < known)
                self._guide = LLTokenizer(backend.to_str(), eos_token=ends)
            except Exception as error:
                message = f"The model's tokenizer allows no JSON schemas and grammars ({type(error).__name__})."
                raise EngineError("unsupported", f"{message[:-1]}: use another model.") from error
        return self._guide

    def compile(self, constraint: Constraint) -> LLMatcher:
        """Return a matcher at the beginning of a grammar; the same text is compiled once.

        Raises:
            EngineError: The grammar is wrong, or llguidance cannot express it.
        """
        key = constraint.kind, constraint.text
        matcher = self._compiled.get(key)
        if matcher is None:
            matcher = self._compile(constraint)
        self._compiled.put(key, matcher)
        return matcher.deep_copy()

    def _compile(self, constraint: Constraint) -> LLMatcher:
        try:
            return _compile(constraint, self.guide())
        except EngineError:
            if constraint.simpler is None:
                raise
            return _compile(replace(constraint, text=constraint.simpler), self.guide())


def _compile(constraint: Constraint, guide: LLTokenizer) -> LLMatcher:
    from llguidance import LLMatcher, grammar_from

    name, text = _NAMES[constraint.kind], constraint.text
    if len(text) > _LONGEST[constraint.kind]:
        message = f"The {name} has {len(text)} characters, and {_LONGEST[constraint.kind]} at most are compiled."
        raise EngineError("unsupported", message)
    try:
        if constraint.kind == "json_schema":
            _check_depth(_schema_depth(text), name)
            options: Any = {"whitespace_pattern": _JSON_BLANKS}
            grammar = LLMatcher.grammar_from_json_schema(text, overrides=options)
        elif constraint.kind == "lark":
            _check_depth(_grammar_depth(text), name)
            text = _with_tokens(text, constraint.tags, guide)
            grammar = grammar_from("grammar", text)  # converts GBNF
        else:
            grammar = LLMatcher.grammar_from_regex(text)
    except ValueError as error:
        raise _refusal(constraint, str(error)) from None
    matcher = LLMatcher(guide, grammar, log_level=0)
    if matcher.is_error():
        raise _refusal(constraint, matcher.get_error())
    return matcher


def _with_tokens(text: str, tags: Sequence[str], guide: LLTokenizer) -> str:
    """Return a grammar with the tokens of tags in place of their texts, which llguidance takes for other tokens."""
    for tag in tags:
        tokens = guide.tokenize_str(tag, parse_special=True)
        if len(tokens) == 1 and guide.is_special_token(tokens[0]):
            literal = json.dumps(tag, ensure_ascii=False)
            # A text that such a token ends is any text, since no text contains the token.
            suffix = re.compile(rf"^(\w+)\[suffix={re.escape(literal)}\]: (.*)$", re.MULTILINE)
            text = suffix.sub(rf"\1: \1_part <[{tokens[0]}]>\n\1_part: \2", text)
            text = text.replace(literal, f"<[{tokens[0]}]>")
    return text


def _refusal(constraint: Constraint, message: str) -> EngineError:
    """Return the error for a grammar that is not compiled.

    Of llguidance's message only the reason is shown: the rest quotes the grammar, or the state of the parser.
    """
    lines = message.splitlines()
    reason = next((line for line in lines if line.startswith("error: ")), lines[0] if lines else "it is wrong")
    name, reason = _NAMES[constraint.kind], reason.removeprefix("error: ")[:200]
    # Another target may know what llguidance does not, and JSON can be asked for by prompt.
    is_mistake = constraint.kind != "json_schema" and "support" not in reason
    return EngineError("bad_request" if is_mistake else "unsupported", f"The {name} cannot be used: {reason}")


def _check_depth(depth: int, name: str) -> None:
    if depth > _DEEPEST:
        message = f"The {name} has {depth} levels of references, and {_DEEPEST} at most are followed: simplify it."
        raise EngineError("unsupported", message)


def _grammar_depth(text: str) -> int:
    """Return a bound of the levels of a grammar: its rules and its brackets, those in quoted texts left out."""
    bare = _QUOTED.sub('""', text)
    return len(_RULE.findall(bare)) + sum(map(bare.count, "({"))


def _schema_depth(text: str) -> int:
    """Return a bound of the levels of a schema: its own, and those of each value that a reference leads to."""
    root: Any = json.loads(text)
    references = set(_references(root))
    return _levels(root) + sum(_levels(_target(root, reference)) for reference in references)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in cast("dict[str, Any]", value).items():
            if name in {"$ref", "$dynamicRef", "$recursiveRef"} and isinstance(inner, str):
                yield inner
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _levels(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_levels, cast("dict[str, Any]", value).values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_levels, value), default=0)
    return 0


def _target(root: Any, reference: str) -> Any:
    """Return the value that a local reference leads to; the whole schema where that is not clear."""
    target = root
    for escaped in reference.removeprefix("#").split("/")[1:]:
        name = escaped.replace("~1", "/").replace("~0", "~")
        if isinstance(target, list) and name.isdigit() and int(name) < len(target):
            target = target[int(name)]
        elif isinstance(target, dict) and name in target:
            target = cast("dict[str, Any]", target)[name]
        else:
            return root
    return cast("Any", target)
