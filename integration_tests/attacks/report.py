"""The table of attacks: area, attack, figures, bounds, verdict."""

from __future__ import annotations

from typing import Final

from integration_tests.attacks.runner import Result

_WIDTHS: Final = (13, 58, 52, 42)
HEADER: Final = ("area", "attack", "figure", "bound", "verdict")


def cells(result: Result) -> tuple[str, ...]:
    """Return the cells of a line."""
    figures = ", ".join([*(figure.value_text for figure in result.figures), *filter(None, [result.problem])])
    bounds = ", ".join(figure.bound_text for figure in result.figures)
    return (result.attack.area, result.attack.title, figures, bounds, "ok" if result.ok else "RED")


def line(columns: tuple[str, ...], *, markdown: bool = False) -> str:
    """Return one line of the table."""
    if markdown:
        return f"| {' | '.join(columns)} |"
    padded = [text.ljust(width) for text, width in zip(columns, _WIDTHS, strict=False)]
    return "  ".join([*padded, columns[-1]])


def header(*, markdown: bool = False) -> str:
    """Return the first line or lines of the table."""
    rule = "|".join(["", *["---"] * len(HEADER), ""])
    return line(HEADER, markdown=markdown) + (f"\n{rule}" if markdown else "")


def summary(results: list[Result], seconds: float) -> str:
    """Return what follows the table: the output of red attacks, and the counts."""
    red = [result for result in results if not result.ok]
    parts = [
        f"--- {result.attack.area}: {result.attack.title}\n{result.output[-3000:]}" for result in red if result.output
    ]
    slowest = sorted(results, key=lambda result: -result.seconds)[:8]
    parts.append("slowest: " + ", ".join(f"{result.attack.title} {result.seconds:.0f} s" for result in slowest))
    parts.append(f"{len(results)} attacks: {len(results) - len(red)} ok, {len(red)} red, in {seconds:.0f} s")
    return "\n".join(parts)
