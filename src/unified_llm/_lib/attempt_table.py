"""HTML for notebooks: the attempts of a response, a stream or an error, with their outcomes and durations.

An attempt is a plain dict with the fields of ``unified_llm.Attempt``, and its sentence as ``sentence``. As with every
``repr`` of this package, the HTML never contains a key, a prompt or an answer. Everything is escaped: names and codes
may come from a server. Background and text use the page's own style, so that the table is readable in light and dark
themes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final, TypeAlias

Attempt: TypeAlias = Mapping[str, Any]

# Of medium lightness: readable on white and on black. An outcome that is not listed here is a failure.
_OUTCOME_STYLES: Final = {"ok": "#2da44e", "skipped": "#8c959f", "cancelled": "#8c959f"}
_FAILED: Final = "#e5534b"

_OUTER: Final = "font-size:0.92em;line-height:1.45"
_TABLE: Final = "border-collapse:collapse;margin:0.4em 0"
_CELL: Final = "padding:0.2em 0.9em 0.2em 0;border-bottom:1px solid rgba(128,128,128,0.3);white-space:nowrap"
_HEAD: Final = f"{_CELL};font-weight:600;opacity:0.7"


def render_response(
    served_by: str,
    attempts: Sequence[Attempt],
    *,
    used_fallback: bool,
    latency_ms: float,
    tokens: tuple[int, int] | None,
    finish_reason: str,
    tool_calls: int,
) -> str:
    """Render a response without its text; ``tokens`` are those of the prompt and of the completion."""
    primary = attempts[0]["target"] if attempts else "another target"
    facts = [
        f"<b>{escape(served_by)}</b>",
        f"in place of {escape(primary)}" if used_fallback else "",
        _duration(latency_ms / 1000),
        f"{tokens[0]} + {tokens[1]} tokens" if tokens else "",
        escape(finish_reason),
        _count(tool_calls, "tool call"),
    ]
    return _page(" · ".join(fact for fact in facts if fact), attempts)


def render_stream(class_name: str, chunks: int, attempts: Sequence[Attempt]) -> str:
    """Render a stream: the number of chunks read and the attempts that ended."""
    return _page(f"<b>{escape(class_name)}</b> · {_count(chunks, 'chunk') or 'nothing'} so far", attempts)


def render_error(class_name: str, message: str, attempts: Sequence[Attempt]) -> str:
    """Render an error: its class, its message and the attempts."""
    text = escape(message).replace("\n", "<br>")
    return _page(f'<b style="color:{_FAILED}">{escape(class_name)}</b> {text}', attempts)


def _page(headline: str, attempts: Sequence[Attempt]) -> str:
    return f'<div style="{_OUTER}"><div>{headline}</div>{_table(attempts) if attempts else ""}</div>'


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
    return f'<span style="color:{color}">●</span> {escape(attempt["sentence"])}'


def _note(attempt: Attempt) -> str:
    notes = [
        "" if attempt["outcome"] in {"skipped", "cancelled"} else escape(attempt["reason"] or ""),
        "retry" if attempt["retry"] else "",
        "may be billed" if attempt["maybe_billed"] else "",
    ]
    return ", ".join(note for note in notes if note)


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}" if number else ""


# Title, renderer of a cell, alignment. A column whose cells are all empty is omitted.
_Column: TypeAlias = tuple[str, Callable[[Attempt], str], str]
_COLUMNS: Final[tuple[_Column, ...]] = (
    ("target", lambda attempt: escape(attempt["target"]), "left"),
    ("outcome", _outcome, "left"),
    ("status", lambda attempt: "" if attempt["status"] is None else str(attempt["status"]), "right"),
    ("waited", lambda attempt: _duration(attempt["waited"]) if attempt["waited"] else "", "right"),
    ("took", lambda attempt: "" if attempt["outcome"] == "skipped" else _duration(attempt["seconds"]), "right"),
    ("first chunk", lambda attempt: "" if (at := attempt["first_token"]) is None else _duration(at), "right"),
    ("request", lambda attempt: escape(attempt["request_id"] or ""), "left"),
    ("note", _note, "left"),
)
