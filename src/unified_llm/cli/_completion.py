"""Completion of arguments in the shell: providers and models, from the tables of the package, without a request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import typer  # noqa: TC002 - Typer reads the annotation


def complete_provider(incomplete: str) -> list[tuple[str, str]]:
    """Return the providers that begin with what is typed, each with its title."""
    from unified_llm._providers.registry import ROWS

    return [(spec.name, spec.title) for spec in ROWS if spec.name.startswith(incomplete)]


def complete_model(context: typer.Context, incomplete: str) -> list[str]:
    """Return the known models that begin with what is typed: those of ``--provider`` by their own names."""
    provider = context.params.get("provider")
    return [model for model in known_models(provider) if model.startswith(incomplete)]


def complete_endpoint(incomplete: str) -> list[str]:
    """Return the endpoints of a batch that begin with what is typed."""
    from unified_llm.batch._lines import ENDPOINTS

    return [endpoint for endpoint in ENDPOINTS if endpoint.startswith(incomplete)]


def known_models(provider: str | None = None) -> Iterator[str]:
    """Yield the known model strings; with a provider, its models, as it names them."""
    from unified_llm._providers.known_models import KnownModelName

    for name in get_args(KnownModelName):
        owner, _, model = name.partition("/")
        if provider is None:
            yield name
        elif owner == provider:
            yield model
