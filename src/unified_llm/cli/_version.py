"""``version``: the versions of the package, of Python and of the packages that it works with."""

from __future__ import annotations

import json
import platform
from typing import Annotated, Final

import typer

from unified_llm._version import __version__
from unified_llm.cli._terminal import Terminal

# Distribution, and the extra that brings it.
PACKAGES: Final = {
    "httpx": "", "pydantic": "", "typer": "cli", "rich": "cli", "pyyaml": "yaml", "python-dotenv": "yaml",
    "langchain-core": "langchain", "langchain": "agents", "llama-index-core": "llama-index", "mlx-lm": "mlx",
    "mlx-vlm": "vision", "redis": "redis", "opentelemetry-api": "otel", "truststore": "system-certs",
}  # fmt: skip


def version(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    terminal: Terminal,
) -> None:
    """Show the versions of this package and of those it works with."""
    if as_json:
        terminal.write(json.dumps(versions()) + "\n")
        return
    width = max(map(len, PACKAGES))
    for name, number in versions().items():
        missing = f'not installed: pip install "unified-llm[{PACKAGES.get(name)}]"'
        terminal.write(f"{name:{width}}  {number or missing}\n")


def versions() -> dict[str, str | None]:
    """Return the versions of this package, of Python and of the others; None where one is not installed."""
    others = {name: _installed_version(name) for name in PACKAGES}
    return {"unified-llm": __version__, "Python": platform.python_version(), **others}


def _installed_version(distribution: str) -> str | None:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    try:
        return version_of(distribution)
    except PackageNotFoundError:
        return None
