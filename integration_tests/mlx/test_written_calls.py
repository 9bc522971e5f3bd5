"""Calls of tools as the models of each family write them, read in chunks, among text, malformed and cut off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import pytest

from tests.support.each import each
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.tool_formats import FORMATS, ToolFormat
from unified_llm._backends.mlx.tool_formats.reading import CallReader
from unified_llm.types.messages import Message, Tool
from unified_llm.types.requests import LLMRequest

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

CITY = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
TOOLS = (Tool("weather", "Tell the weather.", CITY), Tool("now", "Tell the time.", {}))
REQUEST = LLMRequest((Message.user("What is the weather in Oslo?"),), tools=TOOLS)
ROME = {"city": "Rome", "days": 2}
BY_NAME = {one.name: one for one in FORMATS}


def read(
    text: str, tool_format: ToolFormat, *, step: int = 0, is_cut: bool = False, request: LLMRequest = REQUEST
) -> tuple[str, list[tuple[str, Any]]]:
    """Read a text in pieces of ``step`` characters, or as a whole."""
    reader = CallReader(TOOLS, tool_format, request, from_start=False)
    pieces = [text[at : at + step] for at in range(0, len(text), step)] if step else [text]
    shown = "".join(map(reader.feed, pieces))
    held, calls = reader.finish(is_cut=is_cut)
    assert len({call.id for call in calls}) == len(calls)
    return shown + held, [(call.name, call.arguments) for call in calls]


class Written(NamedTuple):
    """A call of ``weather`` and one of ``now``, as a family documents them in its chat template or its model card.

    ``now`` is empty where a response has one call.
    """

    before: str
    weather: str
    now: str
    after: str


_CALLS: Final[Mapping[str, Written]] = {
    "json_tools": Written(
        "",
        '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome", "days": 2}}\n</tool_call>',
        '\n<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>',
        "",
    ),
    "qwen3_coder": Written(
        "",
        "<tool_call>\n<function=weather>\n<parameter=city>\nRome\n</parameter>\n<parameter=days>\n2\n</parameter>\n"
        "</function>\n</tool_call>",
        "\n<tool_call>\n<function=now>\n</function>\n</tool_call>",
        "",
    ),
    "glm47": Written(
        "",
        "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>\n<arg_key>days</arg_key>\n"
        "<arg_value>2</arg_value>\n</tool_call>",
        "\n<tool_call>now\n</tool_call>",
        "",
    ),
    "minimax_m2": Written(
        "<minimax:tool_call>\n",
        '<invoke name="weather">\n<parameter name="city">Rome</parameter>\n<parameter name="days">2</parameter>\n'
        "</invoke>\n",
        '<invoke name="now">\n</invoke>\n',
        "</minimax:tool_call>",
    ),
    "kimi_k2": Written(
        "<|tool_calls_section_begin|>",
        "<|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>"
        '{"city": "Rome", "days": 2}<|tool_call_end|>',
        "<|tool_call_begin|>functions.now:1<|tool_call_argument_begin|>{}<|tool_call_end|>",
        "<|tool_calls_section_end|>",
    ),
    "mistral": Written("", '[TOOL_CALLS]weather[ARGS]{"city": "Rome", "days": 2}', "[TOOL_CALLS]now[ARGS]{}", ""),
    "mistral, a list": Written(
        "[TOOL_CALLS][", '{"name": "weather", "arguments": {"city": "Rome", "days": 2}}',
        ', {"name": "now", "arguments": {}}', "]",
    ),
    "llama3": Written(
        "<|python_tag|>", '{"name": "weather", "parameters": {"city": "Rome", "days": 2}}',
        '; {"name": "now", "parameters": {}}', "",
    ),
    "gemma4": Written(
        "", '<|tool_call>call:weather{city:<|"|>Rome<|"|>,days:2}<tool_call|>', "<|tool_call>call:now{}<tool_call|>", ""
    ),
    "function_gemma": Written(
        "",
        "<start_function_call>call:weather{city:<escape>Rome<escape>,days:2}<end_function_call>",
        "<start_function_call>call:now{}<end_function_call>",
        "",
    ),
    "longcat": Written(
        "",
        "<longcat_tool_call>weather\n<longcat_arg_key>city</longcat_arg_key>\n<longcat_arg_value>Rome"
        "</longcat_arg_value>\n<longcat_arg_key>days</longcat_arg_key>\n<longcat_arg_value>2</longcat_arg_value>\n"
        "</longcat_tool_call>",
        "\n<longcat_tool_call>now\n</longcat_tool_call>",
        "",
    ),
    "pythonic": Written("<|tool_call_start|>[", 'weather(city="Rome", days=2)', ", now()", "]<|tool_call_end|>"),
    "minicpm5": Written(
        "",
        '<function name="weather"><param name="city">Rome</param><param name="days">2</param></function>',
        '<function name="now"></function>',
        "",
    ),
    "muse_spark": Written(
        "<atem:function_calls>\n",
        '<atem:invoke name="weather">\n<atem:parameter name="city">Rome</atem:parameter>\n'
        '<atem:parameter name="days">2</atem:parameter>\n</atem:invoke>\n',
        '<atem:invoke name="now">\n</atem:invoke>\n',
        "</atem:function_calls>",
    ),
    "deepseek_v3": Written(
        "<\uff5ctool▁calls▁begin\uff5c>",
        "<\uff5ctool▁call▁begin\uff5c>function<\uff5ctool▁sep\uff5c>weather\n```json\n"
        '{"city": "Rome", "days": 2}\n```<\uff5ctool▁call▁end\uff5c>',
        "\n<\uff5ctool▁call▁begin\uff5c>function<\uff5ctool▁sep\uff5c>now\n```json\n{}\n```<\uff5ctool▁call▁end\uff5c>",
        "<\uff5ctool▁calls▁end\uff5c>",
    ),
    "deepseek_v31": Written(
        "<\uff5ctool▁calls▁begin\uff5c>",
        '<\uff5ctool▁call▁begin\uff5c>weather<\uff5ctool▁sep\uff5c>'
        '{"city": "Rome", "days": 2}<\uff5ctool▁call▁end\uff5c>',
        "<\uff5ctool▁call▁begin\uff5c>now<\uff5ctool▁sep\uff5c>{}<\uff5ctool▁call▁end\uff5c>",
        "<\uff5ctool▁calls▁end\uff5c>",
    ),
    "harmony": Written(
        "",
        '<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Rome", "days": 2}',
        "",  # a call ends the turn
        "",
    ),
    "kimi_k3": Written(
        "<|open|>tools<|sep|>",
        '<|open|>call tool="weather" index="1"<|sep|><|open|>argument key="city" type="string"<|sep|>Rome'
        '<|close|>argument<|sep|><|open|>argument key="days" type="number"<|sep|>2<|close|>argument<|sep|>'
        "<|close|>call<|sep|>",
        '<|open|>call tool="now" index="2"<|sep|><|close|>call<|sep|>',
        "<|close|>tools<|sep|>",
    ),
}  # fmt: skip
_WEATHER: Final = ("weather", ROME)
_NOW: Final[tuple[str, Any]] = ("now", {})


def _format_of(name: str) -> ToolFormat:
    return BY_NAME[name.partition(",")[0]]


def test_every_format_has_its_calls_here() -> None:
    assert {_format_of(name).name for name in _CALLS} == set(BY_NAME)


@each("name", _CALLS)
def test_calls_in_the_format_of_a_family_are_read_whole_and_at_every_cut(name: str) -> None:
    tool_format, (before, weather, now, after) = _format_of(name), _CALLS[name]
    written, both = before + weather + now + after, [_WEATHER, _NOW] if now else [_WEATHER]
    assert read(before + weather + after, tool_format) == ("", [_WEATHER])
    assert read(written, tool_format) == ("", both)
    written = f"Let me see.\n{written}"
    for cut in range(1, len(written)):
        reader = CallReader(TOOLS, tool_format, REQUEST, from_start=False)
        shown = reader.feed(written[:cut]) + reader.feed(written[cut:])
        rest, calls = reader.finish(is_cut=False)
        assert (shown + rest, [(call.name, call.arguments) for call in calls]) == ("Let me see.", both), cut
    assert read(written, tool_format, step=1) == ("Let me see.", both)


@each("name", _CALLS)
def test_malformed_calls_of_a_family_are_text(name: str) -> None:
    tool_format, (before, weather, _, after) = _format_of(name), _CALLS[name]
    whole = before + weather + after
    for text in (
        whole.replace("weather", "wether"),  # no tool of that name
        whole.replace("city", "place"),  # without the argument that is required
        whole.replace("2", "many"),  # of another type
        before + after,
        tool_format.start,
    ):
        for step in (0, 1, 7):
            assert read(text, tool_format, step=step) == (text, []), text


@each("name", _CALLS)
def test_a_call_that_was_cut_off_is_text_and_the_ones_before_it_are_calls(name: str) -> None:
    tool_format, (before, weather, now, after) = _format_of(name), _CALLS[name]
    written = before + weather + now + after
    for length in range(len(written)):
        text, calls = read(written[:length], tool_format, is_cut=True)
        assert calls in ([], [_WEATHER], [_WEATHER, _NOW]), length
        assert calls or text == written[:length]
        assert text in written


@each("name", _CALLS)
def test_text_around_calls_is_kept(name: str) -> None:
    tool_format, (before, weather, _, after) = _format_of(name), _CALLS[name]
    one = before + weather + after
    broken = one.replace("weather", "wether")
    for step in (0, 1, 7):
        text, calls = read(f"{one}\nThat is all.", tool_format, step=step)
        assert (text.strip(), calls) == ("That is all.", [_WEATHER])
        text, calls = read(f"So: {one} And: {one}", tool_format, step=step)
        assert (text.split(), calls) == (["So:", "And:"], [_WEATHER, _WEATHER])
        assert read(one + broken, tool_format, step=step) == (broken, [_WEATHER])


@each("name", _CALLS)
def test_a_call_that_the_request_quotes_is_text(name: str) -> None:
    tool_format, (before, weather, _, after) = _format_of(name), _CALLS[name]
    one = before + weather + after
    asked = LLMRequest((Message.user(f"What does {one} mean?"),), tools=TOOLS)
    assert read(one, tool_format, request=asked) == (one, [])
