"""``doctor``: what is configured, what responds, what is missing, and what to do."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from unified_llm.cli._options import TargetOptions
from unified_llm.cli._terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from unified_llm._config.settings_report import MergedSettings
    from unified_llm.cli._providers import UsableProvider

    _Checks: TypeAlias = Sequence[tuple[UsableProvider, dict[str, Any]]]

# Variables of the network that change where requests go and what is trusted.
_NETWORK: Final = (
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
# Servers that answer with the models of their list alone.
_LIST_ALL: Final = frozenset({"ollama", "lmstudio"})
_NOTHING: Final = (
    "no model can be used: start a local server such as Ollama (ollama.com), or set the API key of a provider such as "
    "OPENAI_API_KEY; unified-llm generate --model mlx/demo tries the program without either"
)


@dataclass(frozen=True)
class Report:
    """What was found.

    Attributes:
        versions: Those of the program, of Python and of the packages that it works with; None where one is missing.
        settings: Where settings come from, by name.
        providers: A row for each provider that was asked, as ``LLMClient.check_providers`` has them.
        default_model: What a command without ``--model`` uses, or None.
        advice: What to do, most important first.
    """

    versions: dict[str, str | None]
    settings: dict[str, str]
    providers: list[dict[str, Any]]
    default_model: str | None = None
    advice: list[str] = field(default_factory=list[str])


def doctor(
    *,
    targets: TargetOptions,
    local: Annotated[bool, typer.Option("--local", help="Send nothing to another machine.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
    terminal: Terminal,
) -> int:
    """Find out why a model cannot be used.

    Shows what is configured, which providers respond, what is missing and what to do. The exit code is 1 where no
    provider responds.
    """
    from unified_llm.cli._responses import as_json_line

    report = _examine(targets, local=local)
    if as_json:
        terminal.write(as_json_line(asdict(report)))
    else:
        _print(report, terminal)
    return 0 if any(row["ok"] for row in report.providers) else 1


def _examine(targets: TargetOptions, *, local: bool) -> Report:
    import asyncio

    from unified_llm._config.settings_report import merged_settings
    from unified_llm.cli._providers import check_all, chosen_providers
    from unified_llm.cli._version import versions

    merged = merged_settings(with_defaults=False)
    checks = asyncio.run(check_all(chosen_providers(targets, local=local)))
    model = _default_model(checks)
    advice = [*merged.warnings, *_advice(checks, model)]
    return Report(versions(), dict(_settings(merged)), [row for _, row in checks], model, advice)


def _settings(merged: MergedSettings) -> Iterator[tuple[str, str]]:
    from unified_llm._core.environment import variable

    yield "Configuration file", merged.config_file or "none"
    if merged.env_file:
        yield ".env file", merged.env_file
    for setting in (*merged.settings, *merged.providers, *merged.profiles):
        origin = "" if setting.source in setting.value else f" ({setting.source})"
        yield setting.name, f"{setting.value}{origin}"
    for name in _NETWORK:
        if variable(name):
            yield name, "set"  # a proxy's address may hold a password


def _default_model(checks: _Checks) -> str | None:
    """Return what a command without ``--model`` uses, or None."""
    from unified_llm.cli._targets import configured_target

    if named := configured_target():
        return named
    return next(
        (
            f"the first model of {provider.name} at {row['base_url'] or 'this machine'}"
            for provider, row in checks
            if provider.local and provider.certain and row["models"]
        ),
        None,
    )


def _advice(checks: _Checks, default_model: str | None) -> Iterator[str]:
    from unified_llm.cli._option_names import name_options
    from unified_llm.cli._targets import MODEL_VARIABLE

    if not checks:
        yield _NOTHING
    for provider, row in checks:
        if row["error"]:
            yield name_options(row["error"])
        elif row["models"] == 0:
            yield f"{row['provider']} responds but has no model: load or pull one"
        yield from _unlisted(provider, row)
        if not provider.certain:
            yield f"something at {row['base_url']} has a model list: --provider {provider.name} uses it"
    if default_model is None and any(row["ok"] for _, row in checks):
        yield f"set {MODEL_VARIABLE} to use a model without naming it with --model in each command"


def _unlisted(provider: UsableProvider, row: dict[str, Any]) -> Iterator[str]:
    """Say which models that are configured for a server are not on it."""
    if provider.client is None or not row["models"] or row["provider"] not in _LIST_ALL:
        return
    for target in provider.client.targets:
        if target.model and target.provider == row["provider"]:
            listed = {model.id for model in provider.client.list_models(provider=target.provider)}  # as just received
            if not listed & {target.model, f"{target.model}:latest"}:
                yield f"{target.provider} has no model {target.model}: pull it, or choose one of unified-llm models"


def _print(report: Report, terminal: Terminal) -> None:
    from unified_llm.cli._health import print_checks

    installed = [f"{name} {version}" for name, version in report.versions.items() if version]
    missing = [name for name, version in report.versions.items() if not version]
    facts = {
        "Program": f"{', '.join(installed[:2])} on {platform.system()} {platform.machine()}",
        "Packages": ", ".join(installed[2:]),
        "Not installed": f"{', '.join(missing)} (unified-llm version says how)" if missing else "",
        **report.settings,
        "Without --model": report.default_model or "none: a command must name its model",
    }
    terminal.show_table((), [(name, text) for name, text in facts.items() if text])
    terminal.write("\n")
    if report.providers:
        print_checks([{**row, "error": None} for row in report.providers], terminal, as_json=False)
        terminal.write("\n")
    if report.advice:
        terminal.write("What to do:\n")
        terminal.show_table((), [(f"{number}.", text) for number, text in enumerate(report.advice, 1)])
    else:
        terminal.write("Nothing is wrong.\n")
