"""Tool calls that models write as text (field report local 9)."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.formats.test_linear_decoding import texts_in
from tests.support.any_model import SERVERS, Answer, decode, make_decoder, stream, text_event
from tests.support.codec_checks import target
from tests.support.counted_work import lines_of
from tests.support.thorough import some
from unified_llm._core.outcome import Done
from unified_llm._formats.call_scanner import MAX_TEXT, CallScanner
from unified_llm._formats.codecs import codec_for
from unified_llm.types import LLMChunk, LLMRequest, Message, ResponseFormat, Tool

NUMBERS = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}
NOTE = {"type": "object", "properties": {"text": {"type": "string"}, "tags": {"type": "array"}}}
ADD, NOTE_TOOL, NOW = Tool("add", "Adds.", NUMBERS), Tool("note", "", NOTE), Tool("now")
REQUEST = LLMRequest((Message.user("What is 2 + 3?"),), tools=(ADD, NOTE_TOOL, NOW))
CALL = '{"name": "add", "arguments": {"a": 2, "b": 3}}'
NOW_CALL = '{"name": "now", "arguments": {}}'
FIVE: tuple[str, Any] = ("add", {"a": 2, "b": 3})
NOW_NOW: tuple[str, Any] = ("now", {})
BAR, SPACE = "\uff5c", "\u2581"
DEEPSEEK = (
    (
        f"<{BAR}tool calls begin{BAR}><{BAR}tool call begin{BAR}>function<{BAR}tool sep{BAR}>add\n"
        f'```json\n{{"a": 2, "b": 3}}\n```<{BAR}tool call end{BAR}><{BAR}tool calls end{BAR}>'
    )
    .replace("tool calls ", f"tool{SPACE}calls{SPACE}")
    .replace("tool ", f"tool{SPACE}")
)
DEEPSEEK = DEEPSEEK.replace("call begin", f"call{SPACE}begin").replace("call end", f"call{SPACE}end")

# Texts of models, and the calls that they are.
WRITTEN: dict[str, tuple[Any, ...]] = {
    CALL: (FIVE,),
    f"\n {CALL}\n": (FIVE,),
    '{"name": "add", "parameters": {"a": 2, "b": 3}}': (FIVE,),
    '{"arguments": {"a": 2, "b": 3}, "name": "add"}': (FIVE,),
    '{"name": "add", "arguments": "{\\"a\\": 2, \\"b\\": 3}"}': (FIVE,),
    '{"type": "function", "name": "add", "parameters": {"a": 2, "b": 3}}': (FIVE,),
    '{"id": "x", "type": "function", "function": {"name": "add", "arguments": {"a": 2, "b": 3}}}': (FIVE,),
    '{"tool_name": "add", "parameters": {"a": 2, "b": 3}}': (FIVE,),
    '{"tool": "add", "args": {"a": 2, "b": 3}}': (FIVE,),
    f'{{"tool_calls": [{CALL}, {NOW_CALL}]}}': (FIVE, NOW_NOW),
    '{"name": "now", "arguments": null}': (NOW_NOW,),
    f"[{CALL}]": (FIVE,),
    f"[\n  {CALL},\n  {NOW_CALL}\n]": (FIVE, NOW_NOW),
    f"{CALL}\n{NOW_CALL}": (FIVE, NOW_NOW),
    f"{CALL}; {CALL}": (FIVE, FIVE),
    f"```json\n{CALL}\n```": (FIVE,),
    f"```\n[{CALL}]\n```": (FIVE,),
    f"```json\n{CALL}\n```\n```json\n{NOW_CALL}\n```": (FIVE, NOW_NOW),
    f"```tool_call\n{CALL}\n```": (FIVE,),
    f"<tool_call>\n{CALL}\n</tool_call>": (FIVE,),
    f"<tool_call>{CALL}</tool_call>\n<tool_call>{NOW_CALL}</tool_call>": (FIVE, NOW_NOW),
    f"<tool_call>\n{CALL}": (FIVE,),
    f"<tool_call>[{CALL}]": (FIVE,),
    f"<tools>\n{CALL}\n</tools>": (FIVE,),
    f"<|tool_call|>[{CALL}]<|/tool_call|>": (FIVE,),
    f"<|python_tag|>{CALL}": (FIVE,),
    f"[TOOL_CALLS][{CALL}]": (FIVE,),
    f"[TOOL_CALLS] [{CALL}, {NOW_CALL}]": (FIVE, NOW_NOW),
    '[TOOL_CALLS]add{"a": 2, "b": 3}': (FIVE,),
    '[TOOL_CALLS]add[ARGS]{"a": 2, "b": 3}[TOOL_CALLS]now[ARGS]{}': (FIVE, NOW_NOW),
    '<function=add>{"a": 2, "b": 3}</function>': (FIVE,),
    '<function=add>{"a": 2, "b": 3}</function><function=now>{}</function>': (FIVE, NOW_NOW),
    "<tool_call>\n<function=add>\n<parameter=a>\n2\n</parameter>\n<parameter=b>\n3\n</parameter>\n</function>\n"
    "</tool_call>": (FIVE,),
    "<function=now>\n</function>": (NOW_NOW,),
    '<minimax:tool_call>\n<invoke name="add">\n<parameter name="a">2</parameter>\n<parameter name="b">3</parameter>\n'
    "</invoke>\n</minimax:tool_call>": (FIVE,),
    '<function=note><parameter=text>\n2 < 3 and {"x"}\n</parameter><parameter=tags>["t"]</parameter></function>': (
        ("note", {"text": '2 < 3 and {"x"}', "tags": ["t"]}),
    ),
    "<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>2</arg_value>\n<arg_key>b</arg_key>\n<arg_value>3</arg_value>\n"
    "</tool_call>": (FIVE,),
    '<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>{"a": 2, "b": 3}'
    "<|tool_call_end|><|tool_calls_section_end|>": (FIVE,),
    DEEPSEEK: (FIVE,),
    f"<function>\n{CALL}\n</function>": (FIVE,),
    f"<tools> {CALL} </tool": (FIVE,),
    f"<function-call> {CALL}": (FIVE,),
    "[add(a=2, b=3)]": (FIVE,),
    "[add(a=2, b=3), now()]": (FIVE, NOW_NOW),
    "<|python_tag|>add(a=2, b=3)": (FIVE,),
    "```tool_code\nadd(a=2, b=3)\n```": (FIVE,),
    '[note(text="it\'s )", tags=["a", -1, True, null, {"b": 1.5}])]': (
        ("note", {"text": "it's )", "tags": ["a", -1, True, None, {"b": 1.5}]}),
    ),
    '<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 2, "b": 3}<|call|>': (FIVE,),
    "<|channel|>analysis<|message|>I should add.<|end|><|start|>assistant<|channel|>commentary to=functions.now "
    "<|constrain|>json<|message|>{}": (NOW_NOW,),
    CALL.replace("add", "functions.add"): (FIVE,),
    CALL.replace("add", "tools.add"): (FIVE,),
    CALL.replace("add", "add<|channel|>commentary"): (FIVE,),
    CALL.replace("add", "functions.add:0"): (FIVE,),
    f"<think>I should add.</think>\n\n{CALL}": (FIVE,),
    # Ways of other models, and tokens that a server leaves in the text.
    f"<{BAR}tool{SPACE}calls{SPACE}begin{BAR}><{BAR}tool{SPACE}call{SPACE}begin{BAR}>add<{BAR}tool{SPACE}sep{BAR}>"
    f'{{"a": 2, "b": 3}}<{BAR}tool{SPACE}call{SPACE}end{BAR}><{BAR}tool{SPACE}calls{SPACE}end{BAR}>': (FIVE,),
    f'<{BAR}DSML{BAR}function_calls>\n<{BAR}DSML{BAR}invoke name="add">\n<{BAR}DSML{BAR}parameter name="a" '
    f'string="false">2</{BAR}DSML{BAR}parameter>\n<{BAR}DSML{BAR}parameter name="b" string="false">3'
    f"</{BAR}DSML{BAR}parameter>\n</{BAR}DSML{BAR}invoke>\n</{BAR}DSML{BAR}function_calls>": (FIVE,),
    '<function_calls>\n<invoke name="add">\n<parameter name="a">2</parameter>\n<parameter name="b">3</parameter>\n'
    "</invoke>\n</function_calls>": (FIVE,),
    "<seed:tool_call>\n<function=add>\n<parameter=a>2</parameter>\n<parameter=b>3</parameter>\n</function>\n"
    "</seed:tool_call>": (FIVE,),
    '[TOOL_CALLS]add[CALL_ID]abc123456[ARGS]{"a": 2, "b": 3}': (FIVE,),
    "<|tool_call_start|>[add(a=2, b=3), now()]<|tool_call_end|>": (FIVE, NOW_NOW),
    f"<TOOLCALL>[{CALL}]</TOOLCALL>": (FIVE,),
    f"<toolcall>{CALL}</toolcall>": (FIVE,),
    f"functools[{CALL}]": (FIVE,),
    f"<|action_start|><|plugin|>\n{CALL}<|action_end|>": (FIVE,),
    '<|start|>assistant to=functions.add<|channel|>commentary<|message|>{"a": 2, "b": 3}<|call|>': (FIVE,),
    "<|channel|>commentary to=functions.add<|channel|>commentary <|constrain|>json<|message|>"
    '{"a": 2, "b": 3}': (FIVE,),
    f"{CALL}<|im_end|>": (FIVE,),
    f"<tool_call>\n{CALL}\n</tool_call><|eot_id|>": (FIVE,),
    f'{{"function_call": {CALL}}}': (FIVE,),
    f'{{"tool_call": {CALL}}}': (FIVE,),
    '{"type": "tool_use", "id": "x", "name": "add", "input": {"a": 2, "b": 3}}': (FIVE,),
    '{"recipient_name": "functions.add", "parameters": {"a": 2, "b": 3}}': (FIVE,),
    '{"name": "note", "arguments": {"text": "one\ntwo\t3"}}': (("note", {"text": "one\ntwo\t3"}),),
    '{"name": "note", "arguments": {"text": "}\\" {[ <tool_call> ```"}}': (
        ("note", {"text": '}" {[ <tool_call> ```'}),
    ),
}  # fmt: skip

# Texts that are none.
TEXTS = (
    "It is 5.",
    "{}", "[]", "[1]", "{", "[", "<", "<tool_call>", "```", "```json\n```", "<tool_call></tool_call>",
    '{"city": "Paris"}', '{"name": "Paris", "country": "France"}', '{"name": "add"}', '"add"',
    f"{CALL} is the call.", f"I call it: {CALL}", f"{CALL}\nDone.", f"```json\n{CALL}\n```\nDone.", f"{CALL}{{}}",
    CALL.replace("add", "sub"), CALL.replace("add", "my.add"), CALL.replace("add", ""), f"[{CALL}, {{}}]",
    CALL.replace("2", '"two"'), CALL.replace('"a": 2, ', ""), CALL[:-1], CALL.replace("}}", '}, "note": "x"}'),
    f"[{CALL}, {CALL.replace('add', 'sub')}]",
    CALL.replace('{"a": 2, "b": 3}', "[2, 3]"), CALL.replace('{"a": 2, "b": 3}', '"2, 3"'),
    f"```python\n{CALL}\n```", "```python\nadd(2, 3)\n```", "<function=add>2, 3</function>",
    "<function=sub>{}</function>",
    "[add]", "[add(2, 3)]", "[add(a=2, b=x)]", "[add(a=2, b=3).run()]", "[add(a=2, **b)]", "[add(a=1+1, b=3)]",
    "add(a=2, b=3)",
    "[add(a=2, b=3), sub()]", "[add(a=2, b=3) is the call]", "[Note] that", f"[add(a={'-' * 3000}2, b=3)]",
    "<b>bold</b>", "[TOOL_CALLS] are written by Mistral.", "<tool_call>\nI call add.", "<tool_call>add",
    json.dumps({"type": "function", "function": {"name": "note", "parameters": NOTE}}),
    "{'name': 'add', 'arguments': {'a': 2, 'b': 3}}",
    f"<think>{CALL}</think>It is 5.",
    "functools.partial(add, 2)", "to=you", "[CALL_ID]abc", "</s>", "<|im_end|>", f'{{"function_call": {CALL}, "a": 1}}',
)  # fmt: skip


@pytest.mark.parametrize("provider", SERVERS)
def test_local_9_a_text_of_calls_of_offered_tools_is_these_calls(provider: str) -> None:
    for text, calls in WRITTEN.items():
        reasoning = "I should add." if "I should add." in text else None
        expected = Answer("", reasoning, "tool_calls", calls, from_text=True)
        assert decode(provider, text, request=REQUEST) == expected, text
        for size in some((7, 1, 1000), 3, SERVERS.index(provider)):
            assert stream(provider, text, request=REQUEST, size=size) == expected, (text, size)


@pytest.mark.parametrize("provider", SERVERS)
def test_local_9_any_other_text_stays_text(provider: str) -> None:
    for text in TEXTS:
        before, _, after = text.removeprefix("<think>").partition("</think>")
        reasoning, content = (before, after) if text.startswith("<think>") else (None, text)
        assert decode(provider, text, request=REQUEST) == Answer(content, reasoning), text
        for size in some((7, 1, 1000), 3, SERVERS.index(provider)):
            assert stream(provider, text, request=REQUEST, size=size) == Answer(content, reasoning), (text, size)


def test_local_9_where_no_call_was_asked_for_the_text_stays() -> None:
    cases: tuple[tuple[LLMRequest, dict[str, Any]], ...] = (
        (replace(REQUEST, tools=()), {}),
        (replace(REQUEST, tool_choice="none"), {}),
        (replace(REQUEST, response_format=ResponseFormat()), {}),
        (replace(REQUEST, text_tool_calls=False), {}),
        (REQUEST, {"defaults": {"text_tool_calls": False}}),
        (replace(REQUEST, tools=(Tool("add", builtin={"type": "add"}),)), {}),
    )
    for request, fields in cases:
        assert decode("vllm", CALL, request=request, **fields) == Answer(CALL)
        assert stream("vllm", CALL, request=request, **fields) == Answer(CALL)
    assert decode("openai", CALL, request=REQUEST) == Answer(CALL)
    assert stream("openai", CALL, request=REQUEST) == Answer(CALL)
    request = replace(REQUEST, text_tool_calls=True)
    assert decode("vllm", CALL, request=request, defaults={"text_tool_calls": False}).calls == (FIVE,)


def test_local_9_an_answer_that_was_cut_off_is_text() -> None:
    for finish_reason in ("length", "content_filter"):
        end = {"finish_reason": finish_reason}
        assert decode("vllm", CALL, end, request=REQUEST) == Answer(CALL, None, finish_reason)
        assert stream("vllm", CALL, end, request=REQUEST) == Answer(CALL, None, finish_reason)


def test_local_9_what_stands_in_the_request_is_quoted_and_not_called() -> None:
    spaced = json.dumps(json.loads(CALL), indent=2)
    for message in (
        Message.user(f"Repeat this: {CALL}"),
        Message.user(f"Repeat this: {spaced}"),
        Message.system(f"To add, write {CALL}."),
        Message.tool(f"A page with {CALL} in it.", "c1"),
        Message.tool(json.dumps({"page": CALL}), "c1"),
        Message.assistant(CALL),
    ):
        request = replace(REQUEST, messages=(*REQUEST.messages, message))
        for text in (CALL, f"```json\n{CALL}\n```", f"<tool_call>{CALL}</tool_call>", f"[{NOW_CALL}, {CALL}]"):
            assert decode("vllm", text, request=request) == Answer(text), (message, text)
            assert stream("vllm", text, request=request) == Answer(text), (message, text)
        assert decode("vllm", CALL.replace("2", "4"), request=request).calls == (("add", {"a": 4, "b": 3}),)
    described = replace(REQUEST, tools=(replace(ADD, description=f"Adds: {CALL}"),))
    assert decode("vllm", CALL, request=described) == Answer(CALL)


def test_local_9_the_names_of_real_calls_are_those_that_were_offered() -> None:
    names = ("functions.add", "add<|channel|>commentary", "tool.add", "add", "other.add", "sub")
    for name in names:
        expected = name if name in {"other.add", "sub"} else "add"
        call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": '{"a": 2, "b": 3}'}}
        message = {"role": "assistant", "content": "Let me add.", "tool_calls": [call]}
        body = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
        where = target("vllm")
        done = codec_for(where.format).decode(REQUEST, where, body)
        assert isinstance(done, Done)
        assert not done.text_tool_calls
        assert [(call.name, call.from_text) for call in done.value.tool_calls] == [(expected, False)]
        assert done.value.content == "Let me add."
        decoder = make_decoder("vllm", REQUEST)
        delta = {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, **call}]}, "finish_reason": None}]}
        decoder.feed(text_event("Let me add."))
        (chunk,) = decoder.feed(replace(text_event(""), data=json.dumps(delta)))
        assert isinstance(chunk, LLMChunk)
        assert [call.name for call in chunk.tool_calls] == [expected]


def test_local_9_a_model_writes_the_names_that_it_was_sent_and_the_caller_gets_those_that_were_offered() -> None:
    tool = replace(ADD, name="math.add now")
    request = replace(REQUEST, tools=(tool,))
    text = CALL.replace("add", "math_add_now")
    expected = Answer("", None, "tool_calls", (("math.add now", {"a": 2, "b": 3}),), from_text=True)
    assert decode("vllm", text, request=request) == expected
    assert stream("vllm", text, request=request) == expected
    decoder = make_decoder("vllm", request)
    decoder.feed(text_event(text))
    end = decoder.feed(text_event("", "stop")) or [decoder.finish()]
    assert isinstance(end[-1], Done)
    assert [call.name for call in end[-1].value.tool_calls] == ["math.add now"]


def test_a_text_beside_real_calls_is_none() -> None:
    decoder = make_decoder("vllm", REQUEST)
    assert list(decoder.feed(text_event(CALL))) == []
    fragment = {"index": 0, "id": "c1", "function": {"name": "now", "arguments": "{}"}}
    delta = {"choices": [{"index": 0, "delta": {"tool_calls": [fragment]}, "finish_reason": None}]}
    (chunk,) = decoder.feed(replace(text_event(""), data=json.dumps(delta)))
    assert isinstance(chunk, LLMChunk)
    assert (chunk.content, [call.name for call in chunk.tool_calls]) == (CALL, ["now"])


def test_reasoning_before_real_calls_is_whole() -> None:
    decoder = make_decoder("vllm", REQUEST)
    out = list(decoder.feed(text_event("<think>a </thi")))
    fragment = {"index": 0, "id": "c1", "function": {"name": "now", "arguments": "{}"}}
    delta = {"choices": [{"index": 0, "delta": {"tool_calls": [fragment]}, "finish_reason": None}]}
    out += decoder.feed(replace(text_event(""), data=json.dumps(delta)))
    chunks = [chunk for chunk in out if isinstance(chunk, LLMChunk)]
    assert "".join(chunk.reasoning for chunk in chunks) == "a </thi"
    assert [call.name for chunk in chunks for call in chunk.tool_calls] == ["now"]


def test_a_stream_is_held_back_only_while_it_may_be_calls() -> None:
    for text, held in {
        "It is 5.": 0,
        '{"city": "Paris"': len('{"'),
        "[1] says": len("["),
        "[note] that": len("[note"),
        "<b>bold": len("<"),
        "```python\nx": len("```"),
        f"{CALL} is the call": len(CALL) + 1,
        "<tool_calling": len("<tool_call"),
    }.items():
        decoder = make_decoder("vllm", REQUEST)
        came = [bool(decoder.feed(text_event(letter))) for letter in text]
        assert came == [False] * held + [True] * (len(text) - held), text
    scanner = CallScanner()
    assert scanner.feed('{"name": "note", "arguments": {"text": "')
    assert scanner.feed("x" * (MAX_TEXT - 100))
    assert not scanner.feed("x" * 100)


def test_scanning_takes_time_in_proportion_to_the_text() -> None:
    for opening in ('{"name": "note", "arguments": {"text": "', "<function=note><parameter=text>", "[note(text='"):
        short, long = CallScanner(), CallScanner()
        assert short.feed(opening)
        assert long.feed(opening)
        assert lines_of(partial(feed_letters, long, 2000)) < 2.2 * lines_of(partial(feed_letters, short, 1000))
        assert sum(map(len, texts_in(long))) < 256  # text that is not kept is not copied either


def feed_letters(scanner: CallScanner, length: int) -> None:
    for _ in range(length):
        assert scanner.feed("x")


def test_a_stream_that_is_held_back_shows_that_it_goes_on() -> None:
    decoder = make_decoder("vllm", REQUEST)
    begun = list(decoder.feed(text_event('{"name": "note", "arguments": {"text": "')))
    chunks = [chunk for _ in range(40) for chunk in decoder.feed(text_event("x" * 32))]
    assert begun == []
    assert len(chunks) == 5
    assert all(chunk == LLMChunk() for chunk in chunks)
    assert decoder.kept >= 40 * 32
