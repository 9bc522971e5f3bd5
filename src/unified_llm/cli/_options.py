"""The options that commands share, as dataclasses, and what makes a command of a function that takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter
from typing import Annotated, Any, get_type_hints

import typer

from unified_llm.cli._completion import complete_model, complete_provider
from unified_llm.cli._outcome import run_guarded
from unified_llm.cli._terminal import Terminal


@dataclass(frozen=True)
class GeneralOptions:
    """Options of every command."""

    config: Annotated[
        str | None,
        typer.Option("--config", metavar="FILE", help="Read the configuration from this YAML or JSON file."),
    ] = None
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose", "-v", count=True, show_default=False, help="Show the log of the call; -vv: all of it."
        ),
    ] = 0


@dataclass(frozen=True)
class TargetOptions:
    """Which targets serve the call, in which order."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="MODEL", autocompletion=complete_model,
            help="provider/model, such as openai/gpt-5-mini; with --provider, the provider's own name of the model.",
        ),
    ] = None  # fmt: skip
    provider: Annotated[
        str | None,
        typer.Option(
            "--provider", "-p", metavar="NAME", autocompletion=complete_provider,
            help="Provider, such as ollama, lmstudio or mlx. Without --model, a local server's own model is used.",
        ),
    ] = None  # fmt: skip
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", "-u", metavar="URL", help="Address of the server. [default: the provider's]"),
    ] = None
    fallback: Annotated[
        list[str] | None,
        typer.Option(
            "--fallback", metavar="MODEL", autocompletion=complete_model,
            help="provider/model that is used where those before it fail. Can be given several times.",
        ),
    ] = None  # fmt: skip
    skip_unconfigured: Annotated[
        bool, typer.Option("--skip-unconfigured", help="Leave out targets whose API key or package is missing.")
    ] = False
    api_key_env: Annotated[
        str | None,
        typer.Option(
            "--api-key-env",
            metavar="VARIABLE",
            help="Environment variable that holds the API key of the first target. [default: the provider's]",
        ),
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="SECONDS", help="Seconds to the whole response; of a stream, to its first token."
        ),
    ] = None
    rpm: Annotated[
        int | None, typer.Option("--rpm", metavar="N", help="The most requests that the first target gets in a minute.")
    ] = None
    tpm: Annotated[
        int | None, typer.Option("--tpm", metavar="N", help="The most tokens that the first target gets in a minute.")
    ] = None


@dataclass(frozen=True)
class SamplingOptions:
    """How a response is generated."""

    temperature: Annotated[
        float | None,
        typer.Option("--temperature", "-t", metavar="NUMBER", help="Sampling temperature. [default: the provider's]"),
    ] = None
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", metavar="N", help="The most tokens of a response.")
    ] = None
    system: Annotated[str | None, typer.Option("--system", "-s", metavar="TEXT", help="System prompt.")] = None


def command(function: Callable[..., int | None]) -> Callable[..., int]:
    """Return a command for Typer: the fields of each parameter that is a dataclass become options.

    The command has the general options as well. The function gets the terminal as ``terminal=``; what it returns or
    raises becomes the exit code.
    """
    hints = get_type_hints(function, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in groups:
            parameters += _options_of(groups[name])
        elif name != "terminal":
            parameters.append(parameter.replace(annotation=hints[name]))
    parameters += _options_of(GeneralOptions)

    @wraps(function)
    def run(**values: Any) -> int:
        def take(kind: Any) -> Any:
            return kind(**{field.name: values.pop(field.name) for field in fields(kind)})

        general: GeneralOptions = take(GeneralOptions)
        arguments = {name: take(kind) for name, kind in groups.items()}
        terminal = Terminal(general.verbose)
        with terminal.shows_log():
            return run_guarded(lambda: carry_out(general, terminal, arguments | values), terminal)

    def carry_out(general: GeneralOptions, terminal: Terminal, arguments: dict[str, Any]) -> int | None:
        if general.config is not None:
            from unified_llm._config.process_defaults import configure

            configure(config=general.config)
        return function(terminal=terminal, **arguments)

    shown: Any = run
    shown.__signature__ = inspect.Signature(parameters, return_annotation=int)
    shown.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del shown.__wrapped__  # whose signature would be shown
    return run


def _options_of(group: Any) -> Iterator[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        yield Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name])
