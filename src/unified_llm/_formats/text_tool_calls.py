"""Tool calls that a model writes as text, where the server's parser does not know the model's way of writing them.

``CallScanner`` reads a text chunk by chunk as long as it can be one or more calls and nothing else; ``read_calls``
makes calls of offered tools from what it found. The ways of writing them:

    {"name": "add", "arguments": {"a": 2}}, lists of these, in a code fence, between tags such as <tool_call>
    [TOOL_CALLS]add{"a": 2}                                     a tag, a name and the arguments
    <function=add>{"a": 2}</function>
    <function=add><parameter=a>2</parameter></function>         arguments one by one

Brackets, commas, tags and fences between the calls are skipped, so that one that is missing does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import is_list, is_object, json_text, text_or_none
from unified_llm._lib.bounded_json import JSONError, dump, parse
from unified_llm._lib.json_end import JSONEnd
from unified_llm._lib.json_schema import find_mismatch, json_types
from unified_llm.types.messages import Tool, ToolCall
from unified_llm.types.requests import LLMRequest

MAX_TEXT: Final = 64 * 1024
"""Characters of a text that is read as calls; a stream is held back no longer than that."""

# huggingface.co/deepseek-ai/DeepSeek-V3 (chat template); the last stands between a call's type and its name.
_DEEPSEEK_TAGS: Final = tuple(
    f"<\uff5c{words}\uff5c>".replace(" ", "\u2581")
    for words in ("tool calls begin", "tool calls end", "tool call begin", "tool call end", "tool sep")
)
# Tags around calls, before a name or before the arguments. They are removed.
_TAGS: Final = (
    "<tool_call>", "</tool_call>",  # Hermes, Qwen: docs.vllm.ai/en/latest/features/tool_calling.html
    "<tool_calls>", "</tool_calls>",  # the same page (Granite, Jamba)
    "<tools>", "</tools>",  # Qwen2.5-Coder: github.com/ollama/ollama/issues/8588
    "<function_call>", "</function_call>", "<functioncall>", "</functioncall>",  # docs.sglang.ai (function calling)
    "<|tool_call|>", "<|/tool_call|>",  # Granite 3, Phi-4: huggingface.co/microsoft/Phi-4-mini-instruct
    "<|python_tag|>", "<|eom_id|>",  # Llama 3.1: llama.com/docs/model-cards-and-prompt-formats/llama3_1
    "[TOOL_CALLS]", "[/TOOL_CALLS]", "[ARGS]",  # Mistral: docs.mistral.ai (tokenization, tool calls)
    "<|START_ACTION|>", "<|END_ACTION|>",  # Command R7B: docs.cohere.com
    "<minimax:tool_call>", "</minimax:tool_call>",  # huggingface.co/MiniMaxAI/MiniMax-M2 (tool calling guide)
    "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>", "<|tool_call_end|>",
    "<|tool_call_argument_begin|>",  # huggingface.co/moonshotai/Kimi-K2-Instruct (tool call guidance)
    *_DEEPSEEK_TAGS,
)  # fmt: skip
# Tags between a name and its arguments, which do not begin another call.
_BEFORE_ARGUMENTS: Final = frozenset({"[ARGS]", "<|tool_call_argument_begin|>"})
# Tags with a name in them, and the tags that end what they begin.
_NAMED: Final = re.compile(r'<(function|invoke|parameter)(?:=|\s+name=)"?([^<>"\s]{1,128})"?\s*>')
_NAMED_STARTS: Final = ("<function", "<invoke", "<parameter", "<arg_key>", "<arg_value>")
_ENDS: Final = ("</function>", "</invoke>", "</parameter>")
_KEY_AND_VALUE: Final = ("<arg_key>", "<arg_value>")  # GLM-4.5: huggingface.co/zai-org/GLM-4.5 (chat template)
_FENCE: Final = re.compile(r"```([\w-]*)")
_FENCE_LANGUAGES: Final = frozenset({"", "json", "tool_call", "tool_calls", "function_call", "xml"})
_NAME: Final = re.compile(r"[A-Za-z_][\w./-]{0,127}(?::\d{0,4})?")
_SKIPPED: Final = re.compile(r"[\s,;]+|[\[\]]")
_LITERALS: Final = (*_TAGS, *_ENDS, *_NAMED_STARTS)
# Fields of a call as a JSON object.
_NAME_FIELDS: Final = ("name", "tool_name", "tool", "function")
_ARGUMENT_FIELDS: Final = ("arguments", "parameters", "args")
_OTHER_FIELDS: Final = frozenset({"id", "tool_call_id", "type", "index"})
_FIELDS: Final = frozenset({*_NAME_FIELDS, *_ARGUMENT_FIELDS, *_OTHER_FIELDS, "tool_calls"})
_FIRST_FIELD: Final = re.compile(r'\{\s*(?:"(\w{0,16})("?))?')
_MAX_UNDECIDED: Final = 256  # characters that may be the beginning of a tag, a name or an object
_MAX_CALLS: Final = 128
_STRING: Final[frozenset[str]] = frozenset({"string"})
# Parts that models put around the name of a tool: functions.add, add:0, add<|channel|>commentary.
_NAME_PREFIX: Final = re.compile(r"(?:functions?|tools?|default_api)[.:/]")
_NAME_SUFFIX: Final = re.compile(r"(?:<\|.*|:\d{0,4})\Z", re.DOTALL)


@dataclass(slots=True)
class FoundCall:
    """A part of a text that may be a call.

    Attributes:
        start: Its position in the text.
        name: The name, where it stands outside of the JSON.
        end: The position after it.
        json: The position of its JSON: the whole call, or its arguments where it has a name.
        fields: Its arguments as texts, where they come one by one.
    """

    start: int
    name: str | None = None
    end: int = 0
    json: int | None = None
    fields: dict[str, str] = field(default_factory=dict[str, str])


class CallScanner:
    """Scans a text that may consist of tool calls; each chunk takes time in proportion to its length.

    Attributes:
        possible: The text so far can be the beginning of a text of calls.
        found: The parts of the text that may be calls.
    """

    __slots__ = ("_after_tag", "_call", "_json", "_key", "_position", "_rest", "_until", "found", "possible")

    def __init__(self) -> None:
        self.possible = True
        self.found: list[FoundCall] = []
        self._rest = ""  # what is not decided yet
        self._position = 0  # of the rest in the text
        self._call: FoundCall | None = None  # one whose name was read
        self._after_tag = False  # where a name may stand outside of JSON
        self._json: JSONEnd | None = None  # of the JSON that is being read
        self._until = ""  # the tag that ends the text that is being read
        self._key = ""

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
        if self.possible and self._rest:
            self.feed(" ")  # a name or a fence ends at the end of the text
        is_whole = self.possible and not self._rest.strip() and self._json is None and self._call is None
        return self.found if is_whole and not self._until else ()

    def _scan(self, rest: str) -> int:
        """Return the length of the next part; 0 if it is not complete yet, or if the text is no text of calls."""
        if self._json is not None:
            return self._scan_json(rest, self._json)
        if self._until:
            return self._scan_value(rest)
        if tag := next((tag for tag in _TAGS if rest.startswith(tag)), None):
            return self._read_tag(tag)
        if end := next((end for end in _ENDS if rest.startswith(end)), None):
            self._end_named()
            return len(end)
        if named := _NAMED.match(rest):
            return self._read_named(named)
        if rest.startswith(_KEY_AND_VALUE) and self._call is not None:
            self._until = f"</{rest[1 : rest.index('>')]}>"
            return rest.index(">") + 1
        if any(literal.startswith(rest) for literal in _LITERALS) or rest.startswith(_NAMED_STARTS[:3]):
            return 0
        if skipped := _SKIPPED.match(rest):
            return skipped.end()
        if rest[0] == "`":
            return self._scan_fence(rest)
        return self._begin_json(rest) if rest[0] == "{" else self._scan_name(rest)

    def _scan_fence(self, rest: str) -> int:
        fence = _FENCE.match(rest)
        if fence is None:
            self.possible = "```".startswith(rest)
            return 0
        if fence.end() == len(rest):
            self.possible = any(known.startswith(fence[1]) for known in _FENCE_LANGUAGES)
            return 0
        self.possible = fence[1] in _FENCE_LANGUAGES
        return fence.end()

    def _scan_name(self, rest: str) -> int:
        """Read a name that stands after a tag, without quotes."""
        name = _NAME.match(rest) if self._after_tag and self._call is None else None
        if name is None:
            self.possible = False
            return 0
        if name.end() == len(rest):
            return 0
        self._call = FoundCall(self._position, name[0])
        return name.end()

    def _read_tag(self, tag: str) -> int:
        if tag not in _BEFORE_ARGUMENTS:
            if self._call is not None and tag == _DEEPSEEK_TAGS[-1]:
                self._call = None  # what stands before it is the type of the call
            self._end_named()
        self._after_tag = True
        return len(tag)

    def _read_named(self, named: re.Match[str]) -> int:
        if named[1] != "parameter":
            self._end_named()
            self._call = FoundCall(self._position, named[2])
        elif self._call is None:
            self.possible = False
        else:
            self._key, self._until = named[2], "</parameter>"
        return named.end()

    def _end_named(self) -> None:
        """Take the call whose arguments came one by one, or which has none."""
        if self._call is not None:
            self._call.end = self._position
            self.found.append(self._call)
            self._call = None

    def _scan_value(self, rest: str) -> int:
        """Read the text up to the tag that ends it: an argument, or a key of one."""
        end = rest.find(self._until)
        if end < 0:
            # Searched again with the next chunk, so what cannot be part of the tag is taken first.
            self._append(rest[: max(len(rest) - len(self._until), 0)])
            return max(len(rest) - len(self._until), 0)
        self._append(rest[:end])
        length = end + len(self._until)
        if self._until == "</arg_key>":
            self._key = self._key.strip()
        elif self._until == "</arg_value>":
            self._key = ""
        self._until = ""
        return length

    def _append(self, text: str) -> None:
        if self._call is None:
            return
        if self._until == "</arg_key>":
            self._key += text
        else:
            self._call.fields[self._key] = self._call.fields.get(self._key, "") + text

    def _begin_json(self, rest: str) -> int:
        first = _FIRST_FIELD.match(rest)
        if self._call is None and first is not None:
            name, closed = first[1] or "", first[2]
            if first.end() == len(rest) and not closed:
                self.possible = not name or any(known.startswith(name) for known in _FIELDS)
                return 0
            if name not in _FIELDS or not closed:
                self.possible = False
                return 0
        call = self._call or FoundCall(self._position)
        call.json, self._json = self._position, JSONEnd()
        self._call = call
        return self._scan_json(rest, self._json)

    def _scan_json(self, rest: str, end: JSONEnd) -> int:
        length = end.feed(rest)
        if end.found and self._call is not None:
            self._call.end = self._position + length
            self.found.append(self._call)
            self._call = self._json = None
            self._after_tag = False
        return length


def read_calls(text: str, found: Sequence[FoundCall], tools: Sequence[Tool], request: LLMRequest) -> list[ToolCall]:
    """Return the calls of a text; none unless every part is a call of an offered tool with fitting arguments.

    A call that stands word for word in the request, white space aside, is quoted and not made.

    Args:
        text: The whole text.
        found: The parts of it that may be calls.
        tools: The offered tools.
        request: The request.
    """
    by_name = {tool.name: tool for tool in tools}
    calls: list[ToolCall] = []
    identifiers = Identifiers()
    for part in found:
        read = _read_part(text, part, by_name)
        if not read:
            return []
        for identifier, name, arguments in read:
            tool = by_name.get(offered_name(name, by_name))
            if tool is None or not _fits(arguments, tool):
                return []
            call = ToolCall(identifiers.take(identifier), tool.name, arguments, json_text(arguments), from_text=True)
            calls.append(call)
    return [] if calls and _is_quoted([text, *(text[part.start : part.end] for part in found)], request) else calls


def offered_name(name: str, offered: Container[str]) -> str:
    """Return the offered tool's name that a model meant, without what it put around it; else the name as it is."""
    if name in offered:
        return name
    bare = _NAME_SUFFIX.sub("", name.strip())
    while bare not in offered and (prefix := _NAME_PREFIX.match(bare)):
        bare = bare[prefix.end() :]
    return bare if bare in offered else name


_Read = list[tuple[object, str, dict[str, Any]]]


def _read_part(text: str, part: FoundCall, tools: Mapping[str, Tool]) -> _Read:
    """Return identifier, name and arguments of each call in a part; none if it is no call."""
    value: object = None
    if part.json is not None:
        try:
            value = parse(text[part.json : part.end])
        except JSONError:
            return []
    if part.name is None:
        return _read_objects(value)
    if part.json is not None:
        return [(None, part.name, value)] if is_object(value) else []
    tool = tools.get(offered_name(part.name, tools))
    return [(None, part.name, _read_fields(part.fields, tool))] if tool else []


def _read_objects(value: object) -> _Read:
    """Read a call as an object, or the list of them in ``tool_calls``."""
    if not is_object(value) or not _FIELDS.issuperset(value):
        return []
    if "tool_calls" in value:
        calls = value["tool_calls"] if is_list(value["tool_calls"]) and len(value) == 1 else []
        read = [_read_objects(call) if "tool_calls" not in call else [] for call in calls if is_object(call)]
        return [call for one in read for call in one] if all(read) and len(read) == len(calls) else []
    inner = value.get("function")
    fields = {**value, **inner} if is_object(inner) else value
    if not _FIELDS.issuperset(fields):
        return []
    names = [name for known in _NAME_FIELDS if (name := text_or_none(fields.get(known))) is not None]
    arguments = [fields[known] for known in _ARGUMENT_FIELDS if known in fields]
    if len(names) != 1 or len(arguments) != 1:
        return []
    read_arguments = _as_object(arguments[0])
    identifier = text_or_none(value.get("id")) or text_or_none(value.get("tool_call_id"))
    return [] if read_arguments is None else [(identifier, names[0], read_arguments)]


def _as_object(arguments: object) -> dict[str, Any] | None:
    """Return arguments, which some models write as JSON in a JSON string; None for anything but an object."""
    if arguments is None:
        return {}
    if isinstance(arguments, str):
        try:
            arguments = parse(arguments)
        except JSONError:
            return None
    return arguments if is_object(arguments) else None


def _read_fields(fields: Mapping[str, str], tool: Tool) -> dict[str, Any]:
    """Read arguments that came as texts: as strings where the schema has strings, else as JSON."""
    properties = tool.parameters.get("properties")
    schemas: Mapping[str, Any] = properties if isinstance(properties, Mapping) else {}
    arguments: dict[str, Any] = {}
    for name, written in fields.items():
        text = written.removeprefix("\n").removesuffix("\n")
        schema = schemas.get(name)
        arguments[name] = text
        if isinstance(schema, Mapping) and json_types(schema, tool.parameters) != _STRING:
            try:
                arguments[name] = parse(text)
            except JSONError:
                continue
    return arguments


def _fits(arguments: Mapping[str, Any], tool: Tool) -> bool:
    is_description = bool(arguments) and arguments == tool.parameters  # the tool's schema in the place of arguments
    return not is_description and find_mismatch(arguments, tool.parameters) is None


def _is_quoted(parts: Sequence[str], request: LLMRequest) -> bool:
    """Return whether one of these texts stands in the request, white space and escapes aside."""
    texts = [message.text for message in request.messages]
    texts += [f"{tool.description} {_dumped(tool.parameters)}" for tool in request.tools]
    sent = _without_space("\n".join(texts))
    return any(_without_space(part) in sent for part in parts)


def _dumped(schema: Mapping[str, Any]) -> str:
    try:
        return dump(schema)
    except JSONError:
        return ""


def _without_space(text: str) -> str:
    return re.sub(r"[\s\\]+", "", text)
