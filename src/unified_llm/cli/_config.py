"""``config``: the settings that hold, where they come from, and whether a file is right."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from unified_llm.cli._terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unified_llm._config.settings_report import FilePlace, Setting


def show(
    *,
    every: Annotated[
        bool, typer.Option("--all", "-a", help="Show what nothing sets as well, with its default.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    terminal: Terminal,
) -> None:
    """Show every setting that holds, and where it comes from. Keys are not shown."""
    from unified_llm._config.settings_report import merged_settings
    from unified_llm.cli._responses import as_json_line

    merged = merged_settings(with_defaults=every)
    if as_json:
        terminal.write(as_json_line(asdict(merged)))
        return
    terminal.show_table(
        (), [("Configuration file", merged.config_file or "none"), (".env file", merged.env_file or "none")]
    )
    settings = [*merged.settings, *merged.providers, *merged.profiles]
    if settings:
        terminal.write("\n")
        terminal.show_table(("SETTING", "VALUE", "SOURCE"), _rows(settings))
    for warning in merged.warnings:
        terminal.note(f"warning: {warning}")


def path(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
    terminal: Terminal,
) -> None:
    """Show where a configuration file is looked for.

    The state of each place says which file is read.
    """
    from unified_llm._config.settings_report import file_places
    from unified_llm.cli._option_names import name_options
    from unified_llm.cli._responses import as_json_line

    places = file_places()
    if as_json:
        terminal.write(as_json_line([asdict(place) for place in places]))
        return
    if not places:
        terminal.note("there is no home directory: name a file with --config or UNIFIED_LLM_CONFIG")
        return
    rows = [(place.path, _state(place), name_options(place.named_by)) for place in places]
    terminal.show_table(("PATH", "STATE", "SOURCE"), rows)


def check(
    file: Annotated[str | None, typer.Argument(metavar="FILE", hidden=True)] = None,
    *,
    terminal: Terminal,
) -> int:
    """Check a configuration file.

    Without FILE, the one that is read. The exit code is 2 where something in it is wrong.
    """
    from unified_llm._config.settings_report import check_file

    checked = check_file(file)
    if checked is None:
        terminal.note("there is no configuration file; unified-llm config path shows where one is looked for")
    else:
        terminal.write(f"{checked} is right.\n")
    return 0


def _rows(settings: Iterable[Setting]) -> list[tuple[str, str, str]]:
    return [(setting.name, setting.value, setting.source) for setting in settings]


def _state(place: FilePlace) -> str:
    if place.is_read:
        return "read" if place.exists else "missing"
    return "not read" if place.exists else "not there"
