"""Scans a text for tool calls that a model wrote as text, chunk by chunk, as long as it can be calls and nothing else.

The ways of writing them:

    {"name": "add", "arguments": {"a": 2}}, lists of these, in a code fence, between tags such as <tool_call>
    [TOOL_CALLS]add{"a": 2}                                     a tag, a name and the arguments
    <function=add>{"a": 2}</function>
    <function=add><parameter=a>2</parameter></function>         arguments one by one
    [add(a=2), now()]                                           Python

Brackets, commas, tags and fences between the calls are skipped, so that one that is missing does no harm.
``text_tool_calls`` makes calls of what was found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from unified_llm._lib.json_end import JSONEnd
from unified_llm._lib.python_call import ArgumentsEnd

MAX_TEXT: Final = 64 * 1024
"""Characters of a text that is read as calls; a stream is held back no longer than that."""

# Of DeepSeek's V3 chat template (unverified); the last stands between a call's type and its name, or, since V3.1,
# between its name and its arguments (docs.vllm.ai, deepseekv31_tool_parser).
_DEEPSEEK_TAGS: Final = tuple(
    f"<\uff5c{words}\uff5c>".replace(" ", "\u2581")
    for words in ("tool calls begin", "tool calls end", "tool call begin", "tool call end", "tool sep")
)
# What DeepSeek V3.2 puts before the names of its tags (docs.vllm.ai, deepseekv32_tool_parser).
_DSML: Final = "\uff5cDSML\uff5c"
# Tokens at the end of a turn, which servers leave in the text when they do not know them.
_END_TOKENS: Final = (
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|endoftext|>", "<|end|>", "<end_of_turn>", "</s>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
)  # fmt: skip
# Tags around calls, before a name or before the arguments. They are removed. "vLLM" stands for docs.vllm.ai, pages of
# vllm.tool_parsers.
_TAGS: Final = (
    "<tool_call>", "</tool_call>",  # Hermes, Qwen: vLLM, hermes_tool_parser
    "<|tool_call|>", "<|/tool_call|>",  # Granite 3.0: vLLM, granite_tool_parser; Phi-4 mini (the second: unverified)
    "<tools>", "</tools>",  # Qwen2.5-Coder: github.com/vllm-project/vllm/pull/32931
    "<function>", "<function-call>", "</function-call>",  # the same model: github.com/ardanlabs/kronk/issues/944
    "[TOOL_CALLS]", "[ARGS]",  # Mistral: vLLM, mistral_tool_parser
    "<|python_tag|>",  # Llama 3.1: vLLM, llama_tool_parser
    # Kimi K2: github.com/ggml-org/llama.cpp/pull/16932, as are MiniMax M2, GLM 4.5 and Qwen3-Coder below.
    "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>", "<|tool_call_end|>",
    "<|tool_call_argument_begin|>",
    "<minimax:tool_call>", "</minimax:tool_call>",
    "<|tool_call_start|>", "<|tool_call_end|>",  # LFM2: docs.liquid.ai, tool use
    "<|action_start|>", "<|plugin|>", "<|action_end|>",  # InternLM 2: vLLM, internlm2_tool_parser
    "functools[",  # Phi-4 mini: vLLM, phi4mini_tool_parser
    "<TOOLCALL>", "</TOOLCALL>",  # Nemotron: vLLM, nemotron tool parser plugin
    "<seed:tool_call>", "</seed:tool_call>",  # Seed-OSS: vLLM, seed_oss_tool_parser
    "<function_calls>", "</function_calls>",  # as Anthropic's models wrote them: vLLM, step3 and minimax parsers
    f"<{_DSML}function_calls>", f"</{_DSML}function_calls>", f"<{_DSML}tool_calls>", f"</{_DSML}tool_calls>",
    "<tool_calls>", "</tool_calls>", "<function_call>", "</function_call>", "<functioncall>", "</functioncall>",
    "<toolcall>", "</toolcall>", "<tool_code>", "</tool_code>",  # unverified
    "[/TOOL_CALLS]", "<|START_ACTION|>", "<|END_ACTION|>", "<|call|>",  # unverified
    *_DEEPSEEK_TAGS, *_END_TOKENS,
)  # fmt: skip
# Tags between a name and its arguments, which do not begin another call.
_BEFORE_ARGUMENTS: Final = frozenset({"[ARGS]", "<|tool_call_argument_begin|>"})
# Tags with a name in them, and the tags that end what they begin.
_NAMED: Final = re.compile(
    rf'<({_DSML})?(function|invoke|parameter)(?:=|\s+name=)"?([^<>"\s]{{1,128}})"?(?:\s+string="(?:true|false)")?\s*>'
)
# GPT-OSS, with the recipient before or after the channel: github.com/openai/harmony, docs/format.md
_CHANNEL: Final = re.compile(
    r"(?:<\|channel\|>\w+ )?to=([\w.-]{1,128})\s*(?:<\|channel\|>\w+)?\s*(?:<\|constrain\|>)?\s*(?:json|code)?\s*"
    r"<\|message\|>"
)
# The identifier between a name and its arguments: Mistral's tokenizer v11 (mistral-common).
_CALL_ID: Final = re.compile(r"\[CALL_ID\]\s*\w{1,64}(?=\W)")
_OPEN_STARTS: Final = ("<function", "<invoke", "<parameter", f"<{_DSML}", "<|channel|>", "to=", "[CALL_ID]")
_NAMED_STARTS: Final = (*_OPEN_STARTS, "<arg_key>", "<arg_value>")
_END_NAMES: Final = ("function>", "invoke>", "parameter>")
_ENDS: Final = tuple(f"</{prefix}{name}" for prefix in ("", _DSML) for name in _END_NAMES)
_KEY_AND_VALUE: Final = ("<arg_key>", "<arg_value>")
_FENCE: Final = re.compile(r"```([\w-]*)")
_FENCE_LANGUAGES: Final = frozenset({"", "json", "tool_call", "tool_calls", "tool_code", "function_call", "xml"})
_NAME: Final = re.compile(r"[A-Za-z_][\w./-]{0,127}(?::\d{0,4})?")
_SKIPPED: Final = re.compile(r"[\s,;]+|[\[\]]")
_LITERALS: Final = (*_TAGS, *_ENDS, *_NAMED_STARTS)
# Fields of a call as a JSON object.
NAME_FIELDS: Final = ("name", "tool_name", "tool", "function", "recipient_name")
ARGUMENT_FIELDS: Final = ("arguments", "parameters", "args", "input")
WRAPPER_FIELDS: Final = ("function_call", "tool_call")
_OTHER_FIELDS: Final = frozenset({"id", "tool_call_id", "type", "index"})
FIELDS: Final = frozenset({*NAME_FIELDS, *ARGUMENT_FIELDS, *WRAPPER_FIELDS, *_OTHER_FIELDS, "tool_calls"})
_FIRST_FIELD: Final = re.compile(r'\{\s*(?:"(\w{0,16})("?))?')
_MAX_UNDECIDED: Final = 256  # characters that may be the beginning of a tag, a name or an object
_MAX_CALLS: Final = 128


@dataclass(slots=True)
class FoundCall:
    """A part of a text that may be a call.

    Attributes:
        start: Its position in the text.
        name: The name, where it stands outside of the JSON.
        end: The position after it.
        json: The position of its JSON: the whole call, or its arguments where it has a name.
        python: The position of its arguments in parentheses.
        names: The positions of its arguments' names, from and to, where they come one by one.
        values: Those of their values.
    """

    start: int
    name: str | None = None
    end: int = 0
    json: int | None = None
    python: int | None = None
    names: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    values: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])


class CallScanner:
    """Scans a text that may consist of tool calls; each chunk takes time in proportion to its length.

    Attributes:
        possible: The text so far can be the beginning of a text of calls.
        found: The parts of the text that may be calls.
    """

    __slots__ = (
        "_after_tag", "_began", "_call", "_end", "_in_list", "_is_type", "_position", "_rest", "_until", "found",
        "possible",
    )  # fmt: skip

    def __init__(self) -> None:
        self.possible = True
        self.found: list[FoundCall] = []
        self._rest = ""  # what is not decided yet
        self._position = 0  # of the rest in the text
        self._call: FoundCall | None = None  # one whose name was read
        self._is_type = False  # the name that was read may be the type of the call, with its name behind it
        self._after_tag = False  # where a name may stand outside of JSON
        self._in_list = False  # where the name of a call in Python may stand
        self._end: JSONEnd | ArgumentsEnd | None = None  # of the JSON or the arguments that are being read
        self._until = ""  # the tag that ends the text that is being read
        self._began = 0  # the position of that text

    def feed(self, text: str) -> bool:
        """Scan the next chunk; return whether the text can still be one of calls."""
        rest, self._rest = self._rest + text, ""
        while rest and self.possible:
            length = self._scan(rest)
            if not length:  # undecided, or no call
                self.possible = self.possible and (bool(self._until) or len(rest) <= _MAX_UNDECIDED)
                self._rest = rest
                break
            self._position += length
            rest = rest[length:]
        self.possible = self.possible and self._position + len(self._rest) <= MAX_TEXT and len(self.found) <= _MAX_CALLS
        return self.possible

    def finish(self) -> Sequence[FoundCall]:
        """Return the parts that may be calls; none if the text ends within one."""
        if self._rest.startswith("</") and any(tag.startswith(self._rest.rstrip()) for tag in _LITERALS):
            self._rest = ""  # a closing tag that was cut off
        if self.possible and self._rest:
            self.feed(" ")  # a name or a fence ends at the end of the text
        is_open = self._end is not None or self._call is not None or bool(self._until)
        return () if is_open or not self.possible or self._rest.strip() else self.found

    def _scan(self, rest: str) -> int:
        """Return the length of the next part; 0 if it is not complete yet, or if the text is no text of calls."""
        if self._end is not None:
            return self._scan_to_end(rest, self._end)
        if self._until:
            return self._scan_value(rest)
        length = self._scan_markup(rest)
        if length is not None:
            return length
        if skipped := _SKIPPED.match(rest):
            self._in_list = self._in_list or rest[0] == "["
            return skipped.end()
        match rest[0]:
            case "`":
                return self._scan_fence(rest)
            case "{":
                return self._begin_json(rest)
            case "(" if self._call is not None and self._call.name is not None:
                self._call.python, self._end = self._position, ArgumentsEnd()
                return self._scan_to_end(rest, self._end)
            case _:
                return self._scan_name(rest)

    def _scan_markup(self, rest: str) -> int | None:
        """Return the length of the tag with which the rest begins, 0 if it may be the beginning of one, else None."""
        if tag := next((tag for tag in _TAGS if rest.startswith(tag)), None):
            return self._read_tag(tag)
        if end := next((end for end in _ENDS if rest.startswith(end)), None):
            self._end_named()
            return len(end)
        if named := _NAMED.match(rest) or _CHANNEL.match(rest):
            return self._read_named(named)
        if rest.startswith(_KEY_AND_VALUE) and self._call is not None:
            length = rest.index(">") + 1
            self._until, self._began = f"</{rest[1:length]}", self._position + length
            return length
        if identifier := _CALL_ID.match(rest):
            return identifier.end()
        is_beginning = any(literal.startswith(rest) for literal in _LITERALS) or rest.startswith(_OPEN_STARTS)
        return 0 if is_beginning else None

    def _scan_fence(self, rest: str) -> int:
        fence = _FENCE.match(rest)
        if fence is None:
            self.possible = "```".startswith(rest)
            return 0
        if fence.end() == len(rest):
            self.possible = any(known.startswith(fence[1]) for known in _FENCE_LANGUAGES)
            return 0
        self.possible = fence[1] in _FENCE_LANGUAGES
        self._in_list = self._in_list or fence[1] == "tool_code"  # Gemma: ai.google.dev/gemma/docs (unverified)
        return fence.end()

    def _scan_name(self, rest: str) -> int:
        """Read a name that stands after a tag, or before arguments in parentheses."""
        may_begin = self._call is None or self._is_type
        name = _NAME.match(rest) if may_begin and (self._after_tag or self._in_list) else None
        if name is not None and name.end() == len(rest):
            return 0
        if name is None or not (self._after_tag or rest[name.end()] == "("):
            self.possible = False
            return 0
        self._call, self._is_type = FoundCall(self._position, name[0]), False
        return name.end()

    def _read_tag(self, tag: str) -> int:
        if tag == _DEEPSEEK_TAGS[-1]:
            self._is_type = self._call is not None
        elif tag not in _BEFORE_ARGUMENTS:
            self._end_named()
        self._after_tag = True
        return len(tag)

    def _read_named(self, named: re.Match[str]) -> int:
        last = named.re.groups
        if named.re is _CHANNEL or named[2] != "parameter":
            self._end_named()
            self._call = FoundCall(self._position, named[last])
        elif self._call is None:
            self.possible = False
        else:
            self._call.names.append((self._position + named.start(last), self._position + named.end(last)))
            self._until, self._began = f"</{named[1] or ''}parameter>", self._position + named.end()
        return named.end()

    def _end_named(self) -> None:
        """Take the call whose arguments came one by one, or which has none."""
        if self._call is not None:
            self._call.end = self._position
            self.found.append(self._call)
            self._call, self._is_type = None, False

    def _scan_value(self, rest: str) -> int:
        """Read the text up to the tag that ends it: the value of an argument, or its name."""
        end = rest.find(self._until)
        if end < 0:
            # Searched again with the next chunk, except for what cannot be part of the tag.
            return max(len(rest) - len(self._until), 0)
        if self._call is not None:
            spans = self._call.names if self._until == "</arg_key>" else self._call.values
            spans.append((self._began, self._position + end))
        length = end + len(self._until)
        self._until = ""
        return length

    def _begin_json(self, rest: str) -> int:
        first = _FIRST_FIELD.match(rest)
        if self._call is None and first is not None:
            name, closed = first[1] or "", first[2]
            if first.end() == len(rest) and not closed:
                self.possible = not name or any(known.startswith(name) for known in FIELDS)
                return 0
            if name not in FIELDS or not closed:
                self.possible = False
                return 0
        self._call, self._is_type = self._call or FoundCall(self._position), False
        self._call.json, self._end = self._position, JSONEnd()
        return self._scan_to_end(rest, self._end)

    def _scan_to_end(self, rest: str, end: JSONEnd | ArgumentsEnd) -> int:
        length = end.feed(rest)
        if end.found and self._call is not None:
            self._call.end = self._position + length
            self.found.append(self._call)
            self._call = self._end = None
            self._after_tag = False
        return length
