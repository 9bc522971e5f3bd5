"""How a client makes one call, whatever is asked, in both colours; and its life: closing, copying, pickling.

``LLMClient`` adds what can be asked. Nothing here knows of prompts or answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from unified_llm import call, resolve, runtime
from unified_llm.call import Question
from unified_llm.config import LLMConfig
from unified_llm.connections import Connections
from unified_llm.discovery import Catalogue
from unified_llm.drive import AsyncDrive, Drive
from unified_llm.listing import Place
from unified_llm.policy.budget import HedgeBudget
from unified_llm.policy.plan import plan
from unified_llm.providers.codec import Ask
from unified_llm.resolve import Resolved
from unified_llm.rules import Rules
from unified_llm.target import Target
from unified_llm.telemetry import AsyncWatchedDrive, WatchedDrive, awatched, watched
from unified_llm.types import Attempt

_log = logging.getLogger("unified_llm")

_MOST_NAMED: Final = 256


class Caller:
    """The chain of a client, and the way to ask it."""

    # For the repr of a client whose configuration turns out to be wrong.
    _chain: tuple[Resolved, ...] = ()

    def __init__(
        self,
        config: LLMConfig,
        fallbacks: tuple[Any, ...],
        rules: Rules,
        *,
        skip_unconfigured: bool,
        on_attempt: Callable[[Attempt], None] | None,
    ) -> None:
        """Resolve every target."""
        self._config, self._fallbacks, self._rules = config, fallbacks, rules
        self._skip_unconfigured, self._on_attempt = skip_unconfigured, on_attempt
        self._prepare()

    def _prepare(self) -> None:
        self._chain = resolve.chain(self._config, self._fallbacks, skip_unconfigured=self._skip_unconfigured)
        self._named: dict[str, Resolved] = {}
        self._catalogue = Catalogue()
        self._connections = Connections()
        self._hedges = HedgeBudget()
        self._told_unhedged = False

    @property
    def targets(self) -> tuple[Target, ...]:
        """The chain, in the order in which it is asked."""
        return tuple(each.target for each in self._chain)

    def __repr__(self) -> str:
        """The targets' names."""
        return f"{type(self).__name__}({' -> '.join(target.name for target in self.targets)})"

    # A part of the chain, for surfaces that pursue an answer beyond one call

    def links(self, model: str | None = None) -> tuple[Resolved, ...]:
        """Whom a call asks, in order; ``model`` is what a call may name in place of the primary's."""
        return (resolve.with_model(self._chain[0], model), *self._chain[1:]) if model else self._chain

    def narrowed(self, links: Sequence[Resolved]) -> Self:
        """A client that asks these alone. It shares connections, model lists and the hedge budget with this one."""
        view = object.__new__(type(self))
        view.__dict__.update(vars(self), _chain=tuple(links), _named={})
        return view

    # One call

    def _question(self, ask: Ask, targets: Sequence[Target], rules: Rules) -> Question:
        return call.begin(
            ask,
            targets,
            runtime.current(),
            rules,
            hedges=self._hedges,
            observe=self._on_attempt,
            unlist=self._unlist,
        )

    def _unlist(self, target: Target) -> None:
        self._catalogue.drop(Place(target, ttl=0.0).key, target.model)

    def _targets(self, model: str | None) -> Sequence[Target]:
        if model is None:
            return self.targets
        named = self._named.get(model)
        if named is None:
            named = resolve.with_model(self._chain[0], model)
            if len(self._named) < _MOST_NAMED:
                self._named[model] = named
        return (named.target, *self.targets[1:])

    def _answer(self, question: Question) -> Any:
        drive = self._drive(question)
        try:
            value = drive.advance()
        finally:
            drive.close()
        return call.finish(question, value, drive.defeat)

    async def _aanswer(self, question: Question) -> Any:
        drive = self._adrive(question)
        try:
            value = await drive.advance()
        finally:
            await drive.close()
        return call.finish(question, value, drive.defeat)

    def _drive(self, question: Question) -> Drive | WatchedDrive:
        if question.policy.hedging:  # which takes two attempts at once
            question.policy.hedging = None
            if not self._told_unhedged:
                self._told_unhedged = True
                _log.warning("hedge_after has no effect on synchronous calls; asynchronous ones are hedged")
        drive = Drive(plan(question.policy), partial(self._connections.exchange, question.ask), runtime.current())
        return watched(drive, question)

    def _adrive(self, question: Question) -> AsyncDrive | AsyncWatchedDrive:
        connect = partial(self._connections.aexchange, question.ask)
        drive = AsyncDrive(plan(question.policy), connect, runtime.current())
        return awatched(drive, question)

    # Life

    def close(self) -> None:
        """Close every connection. The client may be used again; it then makes new ones."""
        self._connections.close()

    async def aclose(self) -> None:
        """As ``close``, for those of the running event loop too."""
        await self._connections.aclose()

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
        kept = ("_config", "_fallbacks", "_rules", "_skip_unconfigured", "_on_attempt")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Resolve again: keys come from this process's environment."""
        self.__dict__.update(state)
        self._prepare()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A client with the same configuration, keys included, and connections of its own."""
        copy = type(self).__new__(type(self))
        copy.__setstate__(self.__getstate__())
        return copy
