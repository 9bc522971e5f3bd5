"""What a notebook shows of an answer, a stream or an error: who was asked, what became of it, and how long it took.

Like every ``repr`` of this package, never a key, a prompt or an answer. Everything is escaped: names and codes may come
from a server. Colours are those of the page around, so that the table can be read on light and on dark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Final

from unified_llm.types.records import Attempt, Usage
from unified_llm.types.responses import LLMResponse

# Of medium lightness: they stand out on white and on black. An outcome that is not named here is a failure.
_COLOURS: Final = {"ok": "#2da44e", "skipped": "#8c959f", "cancelled": "#8c959f"}
_FAILED: Final = "#e5534b"

_OUTER: Final = "font-size:0.92em;line-height:1.45"
_TABLE: Final = "border-collapse:collapse;margin:0.4em 0"
_CELL: Final = "padding:0.2em 0.9em 0.2em 0;border-bottom:1px solid rgba(128,128,128,0.3);white-space:nowrap"
_HEAD: Final = f"{_CELL};font-weight:600;opacity:0.7"


def response(answer: LLMResponse) -> str:
    """An answer without what it says."""
    asked = answer.attempts[0].target if answer.attempts else "another target"
    facts = [
        f"<b>{escape(f'{answer.provider}/{answer.model}')}</b>",
        f"in place of {escape(asked)}" if answer.used_fallback else "",
        _seconds(answer.latency_ms / 1000),
        _tokens(answer.usage),
        escape(answer.finish_reason),
        _count(len(answer.tool_calls), "tool call"),
    ]
    return _page(" · ".join(fact for fact in facts if fact), answer.attempts)


def stream(kind: str, chunks: int, attempts: Sequence[Attempt]) -> str:
    """A stream, as far as it has come."""
    return _page(f"<b>{escape(kind)}</b> · {_count(chunks, 'chunk') or 'nothing'} so far", attempts)


def error(kind: str, message: str, attempts: Sequence[Attempt]) -> str:
    """An error: its class, its message, and what was tried."""
    words = escape(message).replace("\n", "<br>")
    return _page(f'<b style="color:{_FAILED}">{escape(kind)}</b> {words}', attempts)


def _page(headline: str, attempts: Sequence[Attempt]) -> str:
    return f'<div style="{_OUTER}"><div>{headline}</div>{_table(attempts) if attempts else ""}</div>'


def _table(attempts: Sequence[Attempt]) -> str:
    columns = [(title, [show(each) for each in attempts], side) for title, show, side in _COLUMNS]
    columns = [column for column in columns if any(column[1])]
    head = _row("th", ((title, side) for title, _, side in columns), _HEAD)
    rows = (_row("td", ((cells[number], side) for _, cells, side in columns), _CELL) for number in range(len(attempts)))
    return f'<table style="{_TABLE}"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'


def _row(tag: str, cells: Iterable[tuple[str, str]], style: str) -> str:
    inner = "".join(f'<{tag} style="{style};text-align:{side}">{text}</{tag}>' for text, side in cells)
    return f'<tr style="background:none">{inner}</tr>'


def _outcome(outcome: str) -> str:
    return f'<span style="color:{_COLOURS.get(outcome, _FAILED)}">●</span> {escape(outcome)}'


def _note(attempt: Attempt) -> str:
    notes = [
        escape(attempt.reason or ""),
        "asked again" if attempt.retry else "",
        "may be billed" if attempt.maybe_billed else "",
    ]
    return ", ".join(note for note in notes if note)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _tokens(usage: Usage | None) -> str:
    return f"{usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}" if number else ""


# Title, what stands below it, and which side it is on. A column in which nothing stands is left out.
_Column = tuple[str, Callable[[Attempt], str], str]
_COLUMNS: Final[tuple[_Column, ...]] = (
    ("target", lambda each: escape(each.target), "left"),
    ("outcome", lambda each: _outcome(each.outcome), "left"),
    ("status", lambda each: "" if each.status is None else str(each.status), "right"),
    ("waited", lambda each: _seconds(each.waited) if each.waited else "", "right"),
    ("took", lambda each: "" if each.outcome == "skipped" else _seconds(each.seconds), "right"),
    ("first chunk", lambda each: "" if each.first_token is None else _seconds(each.first_token), "right"),
    ("request", lambda each: escape(each.request_id or ""), "left"),
    ("note", _note, "left"),
)
