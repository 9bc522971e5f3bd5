"""The HTML for notebooks: the text of a response above a table of attempts, everything escaped."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import AllTargetsFailedError, LLMError, RateLimitError
from unified_llm.types import Attempt, LLMResponse, ToolCall, Usage

GPT, HAIKU = "openai/gpt-4o", "anthropic/claude-haiku-4-5"
SECRET = "CANARY of an answer"


class Page(HTMLParser):
    """Text by cell, and whether every tag is closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag != "br":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-CANARY-1")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-CANARY-2")


def shown(thing: LLMResponse | LLMError) -> Page:
    return Page(thing._repr_html_())


def test_a_response_shows_its_text_above_its_attempts() -> None:
    dead = Failure("server", 503, "overloaded", SECRET, request_id="req-7")
    with ScriptedTargets({GPT: [dead], HAIKU: [say("Hello.\nBye.", reasoning=SECRET)]}).running():
        page = shown(LLMClient(GPT, fallbacks=[HAIKU]).generate(SECRET))
    assert page.rows == [
        ["target", "outcome", "status", "waited", "took", "request", "note"],
        [GPT, "● HTTP 503", "503", "", "10 ms", "req-7", "overloaded"],
        [GPT, "● HTTP 503", "503", "125 ms", "10 ms", "req-7", "overloaded, retry"],
        [HAIKU, "● answered", "", "", "10 ms", "req-1", ""],
    ]
    assert page.text.startswith(f"Hello.\nBye.{HAIKU} · in place of {GPT} · 155 ms · 7 + 3 tokens · stop")
    assert "CANARY" not in page.text


def test_a_plain_answer_shows_only_the_columns_that_say_something() -> None:
    attempt = Attempt("a/b", "ok", seconds=1.5)
    calls = (ToolCall("1", "look", {}, "{}"),) * 2
    page = shown(LLMResponse("Look it up.", "b-2024", "a", "tool_calls", tool_calls=calls, attempts=(attempt,)))
    assert page.rows == [["target", "outcome", "took"], ["a/b", "● answered", "1.50 s"]]
    assert page.text.startswith("Look it up.a/b-2024 · 0 ms · tool_calls · 2 tool calls")


def test_an_answer_without_attempts_shows_no_table() -> None:
    page = shown(LLMResponse("", "b", "a", usage=Usage(1, 2, 3), used_fallback=True))
    assert page.text == "a/b · in place of another target · 0 ms · 1 + 2 tokens · stop"
    assert "table" not in page.tags


def test_an_error_shows_its_class_its_message_and_the_attempts() -> None:
    limited = Failure("rate_limit", 429, detail=SECRET, headers={"retry-after": "900"})
    with (
        ScriptedTargets({GPT: [limited], HAIKU: [[Failure("timeout")]]}).running(),
        pytest.raises(AllTargetsFailedError) as caught,
    ):
        LLMClient(GPT, fallbacks=[HAIKU], max_retries=0, deadline=30).generate(SECRET)
    page = shown(caught.value)
    assert page.text.startswith("AllTargetsFailedError None of 2 targets answered")
    assert [row[0] for row in page.rows] == ["target", GPT, HAIKU]
    assert page.rows[2][-1] == "may be billed"
    assert "CANARY" not in page.text


def test_a_stream_shows_how_far_it_has_come() -> None:
    with ScriptedTargets({GPT: [Failure("connect"), say("Hello there, you!")]}).running():
        stream = LLMClient(GPT).stream(SECRET)
        assert Page(stream._repr_html_()).text == "Stream · nothing so far"
        next(stream)
        assert Page(stream._repr_html_()).text.startswith(f"{stream.partial}Stream · 1 chunk so far")
        list(stream)
    page = Page(stream._repr_html_())
    assert page.text.startswith("Hello there, you!Stream · 3 chunks so far")
    assert page.rows[2] == [GPT, "● answered", "125 ms", "10 ms", "10 ms", "req-1", "retry"]
    assert "CANARY" not in page.text


def test_nothing_that_a_server_says_becomes_markup() -> None:
    evil = '<script>alert("x")</script>&amp;'
    attempt = Attempt(evil, evil, None, 0.5, request_id=evil, reason=evil)
    page = shown(LLMResponse(evil, model=evil, provider=evil, finish_reason=evil, attempts=(attempt,)))  # type: ignore[arg-type]
    assert page.text.startswith(f"{evil}{evil}/{evil}")
    assert page.tags == {"div", "b", "table", "thead", "tbody", "tr", "th", "td", "span"}
    assert page.rows[1] == [evil, f"● {evil}", "500 ms", evil, evil]
    assert f"RateLimitError {evil}" in shown(RateLimitError(evil)).text


def test_the_table_takes_its_style_from_the_page() -> None:
    source = LLMResponse(
        attempts=(Attempt("a/b", "ok"), Attempt("a/b", "skipped"), Attempt("a/b", "auth"))
    )._repr_html_()
    assert source.count("background:none") == 4
    assert "<style" not in source
    assert [source.count(mode) for mode in ("#2da44e", "#8c959f", "#e5534b")] == [1, 1, 1]


@each(
    ("text", "visible"),
    [
        ("</div></div><img src=x onerror=alert(1)>", "</div></div><img src=x onerror=alert(1)>"),
        ("' onload='x", "' onload='x"),
        ("a\0b\x1b[31m\x07\x85", "a\ufffdb\ufffd[31m\ufffd\ufffd"),
        ("half \ud83d of an emoji, and \ufffe", "half \ufffd of an emoji, and \ufffd"),
        ("tab\tline\n\U0001f600 \u05e9\u05dc\u05d5\u05dd", "tab\tline\n\U0001f600 \u05e9\u05dc\u05d5\u05dd"),
        ("\u202eabc", "\u202eabc"),  # the block has a direction of its own, which ends with it
        ("$$\\href{javascript:alert(1)}{x}$$", "$$\\href{javascript:alert(1)}{x}$$"),
    ],
)
def test_the_text_of_a_model_is_shown_and_stays_in_its_block(text: str, visible: str) -> None:
    source = LLMResponse(text, "m", "p")._repr_html_()
    page = Page(source)
    assert page.text == f"{visible}p/m · 0 ms · stop"
    assert page.tags == {"div", "b"}
    assert '<div dir="auto"' in source
    assert "mathjax_ignore" in source
    source.encode()


def test_a_name_cannot_turn_the_direction_of_a_line() -> None:
    attempt = Attempt("p/m", "auth", request_id="req\u202e1", reason="a\u2066b")
    page = shown(LLMResponse(model="m\u202egnp", provider="p", attempts=(attempt,)))
    assert "\u202e" not in page.text
    assert "\u2066" not in page.text


def test_a_long_text_is_cut() -> None:
    assert "... 1 more character" in shown(LLMResponse("x" * 50_001)).text
    assert "more character" not in shown(LLMResponse("x" * 50_000)).text


def test_without_text_the_tools_called_are_shown() -> None:
    calls = (ToolCall("1", "look"), ToolCall("2", "<b>find"))
    assert shown(LLMResponse("", "m", "p", "tool_calls", tool_calls=calls)).text.startswith("look, <b>findp/m")
