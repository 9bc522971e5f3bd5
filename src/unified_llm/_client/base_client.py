"""Base of the client: its targets and connections, how it runs one call; and its life: closing, copying, pickling."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

from unified_llm._client import extra_headers
from unified_llm._client.backends import Backends
from unified_llm._client.call import PreparedCall, finish_call, prepare_call
from unified_llm._client.call_options import CallOptions, check_seconds
from unified_llm._client.drivers import AsyncDriver, Driver
from unified_llm._client.errors import from_failure
from unified_llm._client.model_lists import ModelListKey
from unified_llm._client.model_loader import watch_standby
from unified_llm._client.vector_space import VectorSpace, find_unusable
from unified_llm._config import process_settings, resolve
from unified_llm._config.call_targets import CallChain, CallTargets, chain_of_call
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.make_target import ResolvedTarget
from unified_llm._config.model_objects import PrimaryObject
from unified_llm._core import defaults, runtime
from unified_llm._core.codec import AnyRequest
from unified_llm._core.exchange import WrappedModel
from unified_llm._core.hidden import CLEAR_VARIABLES
from unified_llm._core.outcome import Failure
from unified_llm._core.redaction import show_chain
from unified_llm._core.repeated_warnings import warn_once
from unified_llm._core.target import Target
from unified_llm._lib.bounded_dict import BoundedDict
from unified_llm._lib.fork_safe import make_lock
from unified_llm._lib.short_repr import short_repr
from unified_llm._observe import logs
from unified_llm._policy.budgets import HedgeBudget
from unified_llm._state import sharing
from unified_llm._state.process_health import health_of
from unified_llm.exceptions import ValidationError
from unified_llm.types.records import Attempt
from unified_llm.types.requests import EmbeddingRequest, LLMRequest

_MOST_NAMED: Final = 256  # models named in calls whose chains are kept
# What a pickle and a deep copy keep: the configuration, and nothing learned.
_PICKLED: Final = ("_config", "_fallbacks", "_options", "_skip_unconfigured", "_on_attempt")


class BaseClient:
    """A chain of targets, the connections to them, and the call that runs on them.

    Args:
        config: The first target.
        fallbacks: Further targets.
        options: Options of a call that has none of its own.
        skip_unconfigured: Leave out targets whose key or extra is missing.
        on_attempt: Called after each attempt.
    """

    # For the repr of a client whose configuration turns out to be wrong.
    _chain: tuple[ResolvedTarget, ...] = ()

    def __init__(
        self,
        config: LLMConfig | PrimaryObject,
        fallbacks: Sequence[LLMConfig | WrappedModel],
        options: CallOptions,
        *,
        skip_unconfigured: bool,
        on_attempt: Callable[[Attempt], None] | None,
    ) -> None:
        self._config, self._fallbacks, self._options = config, fallbacks, options
        self._skip_unconfigured, self._on_attempt = skip_unconfigured, on_attempt
        self._resolve()

    def _resolve(self) -> None:
        defaults.default("error_details")  # a mistake in the variable is reported now, not in place of an error
        self._layers = process_settings.layers()  # of the targets that a call names, too
        resolved = resolve.chain(
            self._config, self._fallbacks, skip_unconfigured=self._skip_unconfigured, layers=self._layers
        )
        self._chain, self._unconfigured = resolved[0], {target.name: target.reason for target in resolved[1]}
        logs.warn_of_demo_model(self.targets)
        self._named: BoundedDict[CallTargets, CallChain] = BoundedDict(_MOST_NAMED)
        sharing.begin()
        self._backends = Backends()
        self._lock = make_lock()
        self._watches: BoundedDict[tuple[Hashable, ...], object] = BoundedDict(_MOST_NAMED)
        self._watch_standby(self.targets)
        self._hedges = HedgeBudget()
        self._vector_spaces: BoundedDict[tuple[Hashable, int | None], VectorSpace] = BoundedDict(_MOST_NAMED)

    @property
    def targets(self) -> tuple[Target, ...]:
        """The chain, in the order in which requests are sent to it."""
        return tuple([resolved.target for resolved in self._chain])

    @property
    def fallback_configs(self) -> tuple[Any, ...]:
        """The fallbacks as they were configured, before what they take over from the primary."""
        settings = self._config.settings if isinstance(self._config, PrimaryObject) else self._config
        return (*settings.fallbacks, *self._fallbacks)

    @property
    def options(self) -> CallOptions:
        """The options of a call that has none of its own."""
        return self._options

    def health(self) -> list[dict[str, Any]]:
        """Return what this process knows of each target of the chain, in its order, without sending anything.

        Returns:
            One plain dict for each target, used or not, with the fields of ``unified_llm.health_snapshot()``.
        """
        return health_of(self.targets)

    def __repr__(self) -> str:
        """Show the targets' names."""
        return short_repr(self, [show_chain(target.name for target in self.targets)])

    # One call

    def _chain_of(self, model: str | None, options: CallOptions) -> CallChain:
        """Return the chain of a call: the client's, with what the call names in its place."""
        named = options.named_targets
        if model is None and named is None:
            return CallChain(self.targets, self._unconfigured)
        named = CallTargets(model) if named is None else replace(named, model=model)
        chain = self._named.get(named) if named.may_be_kept else None
        if chain is None:
            settings = self._config.settings if isinstance(self._config, PrimaryObject) else self._config
            chain = chain_of_call(
                self._chain, settings, named, skip_unconfigured=self._skip_unconfigured, layers=self._layers
            )
            if self._unconfigured and named.fallbacks is None:
                chain = replace(chain, left_out={**self._unconfigured, **chain.left_out})
            self._watch_standby(chain.targets)
            if named.may_be_kept:
                with self._lock:
                    self._named.put(named, chain)
        return chain

    def _watch_standby(self, chain: Sequence[Target]) -> None:
        """Keep a chain watched whose targets on standby are loaded when its first one is in trouble."""
        if (watch := watch_standby(chain)) is not None:
            with self._lock:
                self._watches.put(tuple(target.health_key for target in chain), watch)

    def targets_of_call(self, model: str | None, options: CallOptions) -> Sequence[Target]:
        """Return the targets of a call, in order."""
        return self._chain_of(model, options).targets

    def _prepare(
        self, request: AnyRequest, chain: CallChain, options: CallOptions, until: float | None = None
    ) -> PreparedCall:
        first, targets = self._chain[0], chain.targets
        skips_primary = targets[0] is first.target and not first.is_primary
        if isinstance(request, LLMRequest) and request.request_id:
            targets = extra_headers.add_request_id(targets, request.request_id)
        call = prepare_call(
            request,
            extra_headers.add(targets, options.extra_headers, options.extra_query, first_is_left=first.is_primary),
            options,
            hedges=self._hedges,
            on_attempt=self._on_attempt,
            on_model_gone=self._drop_from_list,
            until=until,
            skips_primary=skips_primary,
        )
        return replace(call, unconfigured=chain.left_out) if chain.left_out else call

    def _vector_space(self, request: EmbeddingRequest, targets: Sequence[Target]) -> VectorSpace:
        key = targets[0].health_key, request.dimensions
        space = self._vector_spaces.get(key)
        if space is None:
            with self._lock:
                space = self._vector_spaces.get(key) or self._open_space(targets, request.dimensions)
                self._vector_spaces.put(key, space)
        return space

    def _open_space(self, targets: Sequence[Target], dimensions: int | None) -> VectorSpace:
        """Return the space of a model that is asked for vectors for the first time."""
        if unusable := find_unusable(targets):
            warn_once(("unusable", unusable), "Embeddings have fewer fallbacks than the chain: %s", unusable)
        return VectorSpace(targets[0], dimensions)

    def _drop_from_list(self, target: Target) -> None:
        from unified_llm._state import model_list_cache  # which is for programs that list models

        model_list_cache.current().drop(ModelListKey(target, ttl=0.0).cache_key, target.model)

    def _run(self, call: PreparedCall, finish: Callable[[PreparedCall, Any], Any] = finish_call) -> Any:
        driver = self._driver(call)
        try:
            outcome = driver.advance()
        finally:
            driver.close()
        with CLEAR_VARIABLES:
            return finish(call, outcome)

    async def _arun(
        self, call: PreparedCall, finish: Callable[[PreparedCall, Any], Any] = finish_call, *, of_sync: bool = False
    ) -> Any:
        driver = self._adriver(call, of_sync=of_sync)
        try:
            outcome = await driver.advance()
        finally:
            await driver.close()
        with CLEAR_VARIABLES:
            return finish(call, outcome)

    def _driver(self, call: PreparedCall) -> Driver:
        _check_sync_keys(call)
        if call.state.hedging:  # which takes two attempts at once
            call.state.hedging = None
            warn_once("hedge_after", "hedge_after has no effect on sync calls; use the async methods to hedge")
        return Driver(call, self._backends.exchange, runtime.current(), loader=call.loader)

    def _adriver(self, call: PreparedCall, *, of_sync: bool = False) -> AsyncDriver:
        """Return the driver of an async caller, or of an event loop that serves a sync one (``of_sync``)."""
        connect = self._backends.aexchange
        if of_sync:
            _check_sync_keys(call)
            connect = self._backends.aexchange_of_sync
        return AsyncDriver(call, connect, runtime.current(), load=self._backends.load, loader=call.loader)

    # Before the first call

    def warm(self, *, timeout: float = 10.0) -> dict[str, str]:
        """Do now what the first call would do: import, read certificates, connect to each target.

        For the start of a web server, so that its first request does not wait for that. Nothing is sent or billed, and
        a target that cannot be reached is not counted as failed. No connection is made through a proxy, and no model of
        MLX is loaded.

        Args:
            timeout: Seconds for all targets together; none takes those of the next ones.

        Returns:
            What is wrong, by the name of the target; empty where nothing is.

        Raises:
            ValidationError: ``timeout`` is no number of seconds.
        """
        timeout = check_seconds("timeout", timeout, ValidationError)
        now = runtime.current().now
        targets, failures, until = self._distinct_targets(), list[Failure | None](), now() + timeout
        for left, target in zip(range(len(targets), 0, -1), targets, strict=True):
            began = now()
            failures.append(self._backends.connect_in_advance(target, began + (until - began) / left))
        return _describe(targets, failures)

    async def awarm(self, *, timeout: float = 10.0) -> dict[str, str]:
        """Do the same as ``warm`` for the running event loop, with all targets at once."""
        import asyncio

        until = runtime.current().now() + check_seconds("timeout", timeout, ValidationError)
        targets = self._distinct_targets()
        failures = await asyncio.gather(*(self._backends.aconnect_in_advance(target, until) for target in targets))
        return _describe(targets, failures)

    def _distinct_targets(self) -> list[Target]:
        """Return one target for each server, since a connection serves all of them."""
        return list({target.origin or target.name: target for target in self.targets}.values())

    # Closing, copying, pickling

    def close(self) -> None:
        """Close every connection. The client may be used again; it then makes new ones."""
        self._backends.close()

    async def aclose(self) -> None:
        """Close every connection, those of the running event loop included."""
        await self._backends.aclose()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    async def __aenter__(self) -> Self:
        """Close at the end of the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the configuration: no key, no connection, nothing learned."""
        return {name: getattr(self, name) for name in _PICKLED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Resolve again: keys come from this process's environment."""
        self.__dict__.update(state)
        self._resolve()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Make a client with the same configuration, keys included, and connections of its own."""
        copy = type(self).__new__(type(self))
        copy.__setstate__(self.__getstate__())
        return copy


def _check_sync_keys(call: PreparedCall) -> None:
    for target in call.chain:
        if target.key_callable is not None:
            target.key_callable.check_sync()


def _describe(targets: Sequence[Target], failures: Sequence[Failure | None]) -> dict[str, str]:
    pairs = zip(targets, failures, strict=True)
    return {target.name: str(from_failure(target, failure)) for target, failure in pairs if failure is not None}
