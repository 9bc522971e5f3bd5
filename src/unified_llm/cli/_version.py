"""``version``: the versions of the package, of Python and of the packages that it works with."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import Annotated, Final

import typer

from unified_llm._version import __version__
from unified_llm.cli._terminal import Terminal

# Distribution, and the extra that brings it.
PACKAGES: Final = {
    "httpx": "", "pydantic": "", "typer": "cli", "rich": "cli", "pyyaml": "yaml", "pydantic-settings": "yaml",
    "langchain-core": "langchain", "langchain": "agents", "llama-index-core": "llama-index", "mlx-lm": "mlx",
    "mlx-vlm": "vision", "redis": "redis", "opentelemetry-api": "otel", "truststore": "system-certs",
}  # fmt: skip


def version(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    terminal: Terminal,
) -> None:
    """Show the versions of this package and of those it works with."""
    versions = {"unified-llm": __version__, "Python": platform.python_version()}
    extras = {name: installed_version(name) for name in PACKAGES}
    if as_json:
        terminal.write(json.dumps({**versions, **extras}) + "\n")
        return
    width = max(map(len, extras))
    for name, number in {**versions, **extras}.items():
        missing = f'not installed: pip install "unified-llm[{PACKAGES.get(name)}]"'
        terminal.write(f"{name:{width}}  {number or missing}\n")


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return version_of(distribution)
    except PackageNotFoundError:
        return None
