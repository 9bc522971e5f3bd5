"""``models``: what providers offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from unified_llm.cli._options import TargetOptions
from unified_llm.cli._terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unified_llm.cli._providers import UsableProvider
    from unified_llm.types.responses import ModelInfo


def models(
    *,
    targets: TargetOptions,
    local: Annotated[bool, typer.Option("--local", help="List the models of this machine alone.")] = False,
    supports: Annotated[
        list[str] | None,
        typer.Option("--supports", metavar="FEATURE", help="List models with this feature: tools, images ..."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array with all that is known of each.")] = False,
    terminal: Terminal,
) -> int:
    """List models.

    Without a provider: those of the servers that run on this machine, and of every provider whose API key is set.
    """
    import asyncio

    from unified_llm.cli._providers import chosen_providers, note_uncertain
    from unified_llm.cli._responses import as_json_line, model_as_dict

    providers = chosen_providers(targets, local=local)
    listed, problems = asyncio.run(_list_all(providers, supports or ()))
    if as_json:
        terminal.write(as_json_line([model_as_dict(model) for model in listed]))
    elif listed:
        columns = ("MODEL", "SIZE", "QUANTIZATION", "CONTEXT", "OUTPUT", "FEATURES")
        terminal.show_table(columns, [_row(model) for model in listed])
        note_uncertain(providers, terminal)
    for problem in problems:
        terminal.note(problem)
    if not providers:
        where = "" if local else ", and no API key is set"
        terminal.note(f"no model server runs on this machine{where}; unified-llm doctor says what to do")
    elif not listed and not problems:
        names = ", ".join(dict.fromkeys(provider.name for provider in providers))
        terminal.note(f"{names}: no model supports that" if supports else f"{names}: no model yet; load or pull one")
    return 0 if listed or not problems else 1


async def _list_all(providers: Sequence[UsableProvider], supports: Sequence[str]) -> tuple[list[ModelInfo], list[str]]:
    """Return the models of all providers, in their order, and what is wrong with the others."""
    import asyncio

    from unified_llm._client.model_filters import read_features, supporting
    from unified_llm.cli._option_names import name_options
    from unified_llm.exceptions import LLMError, ValidationError

    async def list_models(provider: UsableProvider) -> list[ModelInfo] | str:
        if provider.problem is not None:
            return provider.problem
        if provider.client is None:
            return list(supporting(tuple(provider.models), read_features(supports or None)))
        try:
            async with provider.client as client:
                return await client.alist_models(supports=supports or None)
        except ValidationError:
            raise
        except LLMError as error:
            return str(error)

    models, problems = list[Any](), list[str]()
    for outcome in await asyncio.gather(*map(list_models, providers)):
        if isinstance(outcome, str):
            problems.append(name_options(outcome))
        else:
            models += outcome
    return models, problems


def _row(model: ModelInfo) -> tuple[str, ...]:
    features = ", ".join(sorted(model.features or ()))
    return *local_facts(model), _tokens(model.max_output), features


def local_facts(model: ModelInfo) -> tuple[str, ...]:
    """Return the cells for the name, the size, the quantization and the context window of a model."""
    from unified_llm._lib.byte_sizes import show_bytes

    size = "" if model.size is None else show_bytes(model.size)
    return model.model_string, size, model.quantization or "", _tokens(model.context_window)


def _tokens(count: int | None) -> str:
    return "" if count is None else f"{count:,}"
