"""HTML for notebooks: the text of a response or a stream, and the attempts with their outcomes and durations.

An attempt is a plain dict with the fields of ``unified_llm.Attempt``, and its sentence as ``sentence``. The HTML never
contains a key or a prompt; an error shows no text of a response either. Everything is escaped: texts come from a model,
names and codes may come from a server. Background and text use the page's own style, so that the table is readable in
light and dark themes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final, TypeAlias

from unified_llm._lib.short_repr import count, printable, tokens
from unified_llm._lib.show_seconds import show_milliseconds

Attempt: TypeAlias = Mapping[str, Any]

# Of medium lightness: readable on white and on black. An outcome that is not listed here is a failure.
_OUTCOME_STYLES: Final = {"ok": "#2da44e", "skipped": "#8c959f", "cancelled": "#8c959f"}
_FAILED: Final = "#e5534b"

_LONGEST_TEXT: Final = 50_000  # characters: a notebook keeps its outputs in one file
# What HTML forbids, or what cannot be written as UTF-8: controls but tab and line feed, halves of surrogate pairs.
_NOT_IN_HTML: Final = re.compile("[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010fffd]")

# Notebooks typeset formulas in HTML, whose markup has links; these classes keep them out of what a model wrote.
_NO_FORMULAS: Final = "tex2jax_ignore mathjax_ignore"
_TEXT: Final = "white-space:pre-wrap;overflow-wrap:anywhere;max-height:30em;overflow:auto;margin:0 0 0.5em"
_OUTER: Final = "font-size:0.92em;line-height:1.45"
_TABLE: Final = "border-collapse:collapse;margin:0.4em 0"
_CELL: Final = "padding:0.2em 0.9em 0.2em 0;border-bottom:1px solid rgba(128,128,128,0.3);white-space:nowrap"
_HEAD: Final = f"{_CELL};font-weight:600;opacity:0.7"


def render_response(
    text: str,
    served_by: str,
    attempts: Sequence[Attempt],
    *,
    used_fallback: bool,
    latency_ms: float,
    usage: tuple[int, int] | None,
    finish_reason: str,
    tool_calls: int,
) -> str:
    """Render a response: its text, what served it, and the attempts; ``usage`` are tokens of prompt and completion."""
    primary = attempts[0]["target"] if attempts else "another target"
    facts = [
        f"<b>{_name(served_by)}</b>",
        f"in place of {_name(primary)}" if used_fallback else "",
        show_milliseconds(latency_ms / 1000),
        tokens(usage),
        _name(finish_reason),
        count(tool_calls, "tool call"),
    ]
    return _page(" · ".join(fact for fact in facts if fact), attempts, text)


def render_stream(text: str, class_name: str, chunks: int, attempts: Sequence[Attempt]) -> str:
    """Render a stream: the text so far, the number of chunks read, and the attempts that ended."""
    return _page(f"<b>{_name(class_name)}</b> · {count(chunks, 'chunk') or 'nothing'} so far", attempts, text)


def render_error(class_name: str, message: str, attempts: Sequence[Attempt]) -> str:
    """Render an error: its class, its message and the attempts."""
    lines = "<br>".join(map(_name, message.split("\n")))
    return _page(f'<b style="color:{_FAILED}">{_name(class_name)}</b> {lines}', attempts)


def _page(headline: str, attempts: Sequence[Attempt], text: str = "") -> str:
    table = _table(attempts) if attempts else ""
    block = _text(text) if text else ""
    return f'<div class="{_NO_FORMULAS}" style="{_OUTER}">{block}<div>{headline}</div>{table}</div>'


def _text(text: str) -> str:
    """Render a model's text. The block has its own writing direction, which ends with it."""
    cut = len(text) - _LONGEST_TEXT
    shown = escape(_NOT_IN_HTML.sub("\ufffd", text[:_LONGEST_TEXT]))
    more = f"<br><i>... {count(cut, 'more character')}</i>" if cut > 0 else ""
    return f'<div dir="auto" style="{_TEXT}">{shown}{more}</div>'


def _name(name: str) -> str:
    """Render a name or a short sentence, on one line."""
    return escape(printable(name))


def _table(attempts: Sequence[Attempt]) -> str:
    columns = [(title, [render(attempt) for attempt in attempts], align) for title, render, align in _COLUMNS]
    columns = [column for column in columns if any(column[1])]
    head = _row("th", ((title, align) for title, _, align in columns), _HEAD)
    rows = (
        _row("td", ((cells[number], align) for _, cells, align in columns), _CELL) for number in range(len(attempts))
    )
    return f'<table style="{_TABLE}"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'


def _row(tag: str, cells: Iterable[tuple[str, str]], style: str) -> str:
    inner = "".join(f'<{tag} style="{style};text-align:{align}">{text}</{tag}>' for text, align in cells)
    return f'<tr style="background:none">{inner}</tr>'


def _outcome(attempt: Attempt) -> str:
    color = _OUTCOME_STYLES.get(attempt["outcome"], _FAILED)
    return f'<span style="color:{color}">●</span> {_name(attempt["sentence"])}'


def _note(attempt: Attempt) -> str:
    notes = [
        "" if attempt["outcome"] in {"skipped", "cancelled"} else _name(attempt["reason"] or ""),
        "retry" if attempt["retry"] else "",
        "may be billed" if attempt["maybe_billed"] else "",
    ]
    return ", ".join(note for note in notes if note)


# Title, renderer of a cell, alignment. A column whose cells are all empty is omitted.
_Column: TypeAlias = tuple[str, Callable[[Attempt], str], str]
_COLUMNS: Final[tuple[_Column, ...]] = (
    ("target", lambda attempt: _name(attempt["target"]), "left"),
    ("outcome", _outcome, "left"),
    ("status", lambda attempt: "" if attempt["status"] is None else str(attempt["status"]), "right"),
    ("waited", lambda attempt: show_milliseconds(attempt["waited"]) if attempt["waited"] else "", "right"),
    ("took", lambda attempt: "" if attempt["outcome"] == "skipped" else show_milliseconds(attempt["seconds"]), "right"),
    ("first chunk", lambda attempt: "" if (at := attempt["first_token"]) is None else show_milliseconds(at), "right"),
    ("request", lambda attempt: _name(attempt["request_id"] or ""), "left"),
    ("note", _note, "left"),
)
