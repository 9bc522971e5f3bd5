"""The commands, and what runs one: its exceptions become one line on standard error and an exit code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Final, cast

import typer

from unified_llm._lib.close_names import closest
from unified_llm._version import __version__
from unified_llm.cli import _mlx as _models_of_mlx
from unified_llm.cli._batch import batch
from unified_llm.cli._chat import chat
from unified_llm.cli._config import check, path, show
from unified_llm.cli._doctor import doctor
from unified_llm.cli._embed import embed
from unified_llm.cli._generate import generate
from unified_llm.cli._health import health
from unified_llm.cli._models import models
from unified_llm.cli._options import command
from unified_llm.cli._outcome import INTERRUPTED, run_guarded
from unified_llm.cli._terminal import Terminal
from unified_llm.cli._version import version
from unified_llm.exceptions import ValidationError

_UNKNOWN: Final = re.compile(r"No such command '(.*)'")
# Click's own error for wrong arguments. Some versions of Typer import Click, others contain it.
_UsageError: Final[type[Exception]] = cast("Any", typer.BadParameter.__bases__[0])


def _show_version(asked: bool) -> None:  # noqa: FBT001 - Typer passes it so
    if asked:
        Terminal().write(f"unified-llm {__version__}\n")
        raise typer.Exit


app = typer.Typer(
    name="unified-llm",
    help="Send prompts to language models, hosted or local, with retries and failover.",
    epilog="Documentation of a command: unified-llm COMMAND --help",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    *,
    version_alone: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    del version_alone  # its callback has done it


for _function in (generate, chat, embed, batch, models, health, doctor, version):
    app.command()(command(_function))
_settings = typer.Typer(help="Show or check the configuration.", rich_markup_mode=None)
for _part in (show, path, check):
    _settings.command()(command(_part))
app.add_typer(_settings, name="config")
_mlx = typer.Typer(help="Models that run in this process through MLX.", rich_markup_mode=None)
_mlx.command("pull")(command(_models_of_mlx.pull))
_mlx.command("list")(command(_models_of_mlx.list_models))
_mlx.command("ps")(command(_models_of_mlx.ps))
app.add_typer(_mlx, name="mlx")


def run(arguments: Sequence[str]) -> int:
    """Run a command.

    Args:
        arguments: Those after the program's name.
    """
    return run_guarded(lambda: _invoke(arguments), Terminal())


@cache
def _click_command() -> Any:
    return typer.main.get_command(app)


def _invoke(arguments: Sequence[str]) -> int:
    try:
        code: object = _click_command().main(
            args=list(arguments or ["--help"]), prog_name="unified-llm", standalone_mode=False
        )
    except typer.Abort:  # what older versions of Typer make of Ctrl-C
        return INTERRUPTED
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # what Click makes of a reader that is gone
            raise ended.__context__ from None
        raise
    except _UsageError as wrong:
        from unified_llm._core.redaction import MASK, looks_like_a_key

        message = _describe(wrong)
        for argument in filter(looks_like_a_key, arguments):  # in the wrong place
            message = message.replace(argument, MASK)
        raise ValidationError(message) from None
    return code if isinstance(code, int) else 0


def _describe(wrong: Any) -> str:
    """Return Click's message; where a command is missing or unknown, with what to do."""
    message: str = wrong.format_message().replace(" (env var: 'None')", "")  # as some versions of Typer add
    if message.startswith("Missing command"):
        return f"A command is missing: {wrong.ctx.command_path} --help lists them."
    if (unknown := _UNKNOWN.match(message)) and "?" not in message:
        near = closest(unknown[1], wrong.ctx.command.commands)
        advice = f"Did you mean {near!r}?" if near else f"{wrong.ctx.command_path} --help lists them."
        return f"{message} {advice}"
    if message.startswith("No such option") and "Possible" not in message and hasattr(wrong.ctx.command, "commands"):
        return f"{message.rstrip('.')}. Options follow the command: unified-llm generate --model MODEL"
    return message
