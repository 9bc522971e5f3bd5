"""The providers that a command looks at: those of its options, else all that this machine can use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from unified_llm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from unified_llm._client.client import LLMClient
    from unified_llm._providers.spec import ProviderSpec
    from unified_llm.cli._options import TargetOptions
    from unified_llm.cli._terminal import Terminal
    from unified_llm.types.responses import ModelInfo

_DEADLINE: Final = 20.0
"""Seconds for all requests to one provider."""


@dataclass(frozen=True)
class UsableProvider:
    """A provider, and the client to ask it with.

    Attributes:
        name: Its name.
        client: The client; None where none is needed, or where its configuration has a mistake.
        problem: That mistake.
        models: Its models, where they are known without asking.
        certain: It is what its name says. False for a server on this machine that does not name its program.
        local: It is a server on this machine, which a command without a model may use.
    """

    name: str
    client: LLMClient | None = None
    problem: str | None = None
    models: Sequence[ModelInfo] = ()
    certain: bool = True
    local: bool = False


def chosen_providers(options: TargetOptions, *, local: bool) -> list[UsableProvider]:
    """Return the providers that options name, or all that can be used.

    Args:
        options: Their options about targets.
        local: Only servers and models of this machine, where the options name no target.

    Raises:
        ConfigurationError: A target of the options is wrong.
    """
    from unified_llm._backends.mlx import unavailable_reason
    from unified_llm._backends.mlx.local_models import find_models
    from unified_llm._client.client import LLMClient
    from unified_llm.cli._targets import NAMING_A_TARGET, chain_of, configured_target, fields_of

    fields = fields_of(options)
    if fields.get("provider") == "mlx" and fields.keys() & NAMING_A_TARGET == {"provider"}:
        return [UsableProvider("mlx", models=find_models(), problem=unavailable_reason())]
    if options.fallback and not fields.keys() & NAMING_A_TARGET and configured_target() is None:
        raise ConfigurationError("--fallback is given without --model")
    if fields.keys() & NAMING_A_TARGET or options.fallback:
        client = LLMClient(**chain_of({**fields, "max_retries": 0}, options), deadline=_DEADLINE)
        return [UsableProvider(client.targets[0].provider, client)]
    usable = (*configured_targets(options), *local_providers(options), *known_providers(options))
    return [*_each_once(usable, local=local)]


def _each_once(providers: Iterable[UsableProvider], *, local: bool) -> Iterator[UsableProvider]:
    """Leave out those that came before, by their addresses, and with ``local`` those on other machines."""
    from unified_llm._core.base_url import is_loopback

    seen: set[str] = set()
    for provider in providers:
        targets = provider.client.targets if provider.client else ()
        addresses = {target.base_url or target.provider for target in targets} or {provider.name}
        is_elsewhere = any(target.base_url and not is_loopback(target.base_url) for target in targets)
        if not addresses <= seen and not (local and is_elsewhere):
            seen |= addresses
            yield provider


def configured_targets(options: TargetOptions) -> Iterator[UsableProvider]:
    """Yield the targets that are configured for commands that name none."""
    from unified_llm._client.client import LLMClient
    from unified_llm.cli._targets import chain_of, configured_target, fields_of

    if (name := configured_target()) is None:
        return
    try:
        client = LLMClient(**chain_of({**fields_of(options), "max_retries": 0}, options), deadline=_DEADLINE)
        yield UsableProvider(client.targets[0].provider, client)
    except ConfigurationError as problem:
        yield UsableProvider(name.partition("/")[0], problem=str(problem))


def local_providers(options: TargetOptions) -> Iterator[UsableProvider]:
    """Look for servers on this machine, and for models of MLX that were downloaded."""
    from unified_llm._backends.mlx.local_models import find_models
    from unified_llm._client.local_servers import find_local_servers

    for server in find_local_servers():
        client = _client(options, provider=server.provider, base_url=server.base_url)
        yield UsableProvider(server.provider, client, certain=server.certain, local=True)
    models = find_models()
    if problem := _problem_of_mlx(models):
        yield UsableProvider("mlx", problem=problem)
    elif len(models) > 1:  # more than the demo model
        yield UsableProvider("mlx", models=models)


def _problem_of_mlx(models: Sequence[ModelInfo]) -> str | None:
    """Return why models in this process cannot be used, where the environment or the cache says that they should be."""
    from unified_llm._backends.mlx import unavailable_reason
    from unified_llm._backends.mlx.hub_cache import unfinished_downloads
    from unified_llm._backends.mlx.model_names import pull_command
    from unified_llm._backends.mlx.model_paths import CONFIGURED, configured_folders

    folders, unfinished = configured_folders(), unfinished_downloads()
    if (folders or unfinished) and (reason := unavailable_reason()):
        return reason
    if len(models) > 1:
        return None
    if unfinished:
        return f"the download of {unfinished[0]} is not whole: run {pull_command(unfinished[0])}"
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        return f"{CONFIGURED} names what is no folder: {', '.join(missing)}"
    return f"no folder of {CONFIGURED} has a model that can run here" if folders else None


def known_providers(options: TargetOptions) -> Iterator[UsableProvider]:
    """Yield the providers whose API key is configured, and the servers whose address is."""
    from unified_llm._config.credentials import endpoint_in_environment
    from unified_llm._providers import registry

    for spec in registry.specs():
        try:
            if not spec.key_required and endpoint_in_environment(spec) is None:
                continue
            yield UsableProvider(spec.name, _client(options, provider=spec.name))
        except ConfigurationError as problem:
            if _is_begun(spec):
                yield UsableProvider(spec.name, problem=str(problem))


def _is_begun(spec: ProviderSpec) -> bool:
    """Check whether a variable of a provider is set, so that a mistake in its configuration is worth a word."""
    from unified_llm._config.credentials import from_environment

    return from_environment((*spec.key_env, *spec.token_env, *spec.base_url_env)) is not None


def _client(options: TargetOptions, **fields: Any) -> LLMClient:
    from unified_llm._client.client import LLMClient

    return LLMClient({**fields, "timeout": options.timeout, "max_retries": 0}, deadline=_DEADLINE)


def note_uncertain(providers: Sequence[UsableProvider], terminal: Terminal) -> None:
    """Note which servers may be another program than the one under whose name they are shown."""
    for provider in providers:
        if provider.client and not provider.certain:
            address = provider.client.targets[0].base_url
            text = f"what answers at {address} does not name itself; {provider.name} is the usual program there"
            terminal.note(text)


async def check_all(providers: Sequence[UsableProvider]) -> list[tuple[UsableProvider, dict[str, Any]]]:
    """Ask all providers for their model lists at once, and return each with its rows of ``check_providers``."""
    import asyncio

    async def check(provider: UsableProvider) -> list[dict[str, Any]]:
        if provider.client is None:
            is_usable = provider.problem is None
            known = {"models": len(provider.models), "seconds": 0.0} if is_usable else {"models": None, "seconds": None}
            return [{"provider": provider.name, "base_url": None, "ok": is_usable, **known, "error": provider.problem}]
        async with provider.client as client:
            return await client.acheck_providers()

    checks = await asyncio.gather(*map(check, providers))
    return [(provider, row) for provider, rows in zip(providers, checks, strict=True) for row in rows]
