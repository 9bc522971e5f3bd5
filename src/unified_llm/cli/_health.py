"""``health``: which providers respond."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from unified_llm.cli._options import TargetOptions
from unified_llm.cli._terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMNS: Final = ("PROVIDER", "STATUS", "MODELS", "TIME", "ADDRESS")


def health(
    *,
    targets: TargetOptions,
    local: Annotated[bool, typer.Option("--local", help="Check this machine alone.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Check again and again, until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.1, help="Seconds between two checks.")
    ] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array, a line for each check.")] = False,
    terminal: Terminal,
) -> int:
    """Check which providers respond.

    Each is asked for its model list, which costs nothing. Without a provider: the servers that run on this machine, and
    every provider whose API key is set. The exit code is 1 where none responds.
    """
    import asyncio

    from unified_llm.cli._providers import check_all, chosen_providers, note_uncertain

    while True:
        providers = chosen_providers(targets, local=local)
        rows = [row for _, row in asyncio.run(check_all(providers))]
        print_checks(rows, terminal, as_json=as_json, clear=watch)
        if not as_json:
            note_uncertain(providers, terminal)
        if not watch:
            return 0 if any(row["ok"] for row in rows) else 1
        _wait(interval)


def print_checks(rows: Sequence[dict[str, Any]], terminal: Terminal, *, as_json: bool, clear: bool = False) -> None:
    """Print the outcome of a check as a table, or as a line of JSON.

    Args:
        rows: A row for each provider.
        terminal: Where to print.
        as_json: Print JSON.
        clear: Print it in place of what a terminal shows.
    """
    from unified_llm.cli._option_names import name_options
    from unified_llm.cli._responses import as_json_line

    if as_json:
        terminal.write(as_json_line(list(rows)))
        return
    if clear:
        terminal.clear()
    if rows:
        terminal.show_table(_COLUMNS, [_row(row) for row in rows])
    else:
        terminal.note("no model server runs on this machine, and no API key is set")
    for row in rows:
        if row["error"]:
            terminal.note(name_options(row["error"]))


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    from unified_llm._lib.show_seconds import show_milliseconds

    models = "-" if row["models"] is None else str(row["models"])
    seconds = "-" if row["seconds"] is None else show_milliseconds(row["seconds"])
    address = row["base_url"] or ("this process" if row["ok"] else "")
    return row["provider"], "up" if row["ok"] else "down", models, seconds, address


def _wait(seconds: float) -> None:
    from unified_llm._core import runtime

    now = runtime.current()
    now.sleep(now.now() + seconds)
