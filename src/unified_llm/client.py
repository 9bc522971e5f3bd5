"""``LLMClient``: the façade of the core, and the only place that raises for what targets do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from unified_llm import call, request, resolve, runtime, secret
from unified_llm.call import Question
from unified_llm.config import LLMConfig, read_fallbacks
from unified_llm.connections import Connections
from unified_llm.discovery import Catalogue, Models
from unified_llm.drive import AsyncDrive, Drive
from unified_llm.exceptions import LLMError
from unified_llm.exchange import ForeignModel
from unified_llm.listing import Gathered, Pages, Place, places
from unified_llm.outcome import FailureKind
from unified_llm.policy.budget import HedgeBudget
from unified_llm.policy.plan import plan
from unified_llm.providers.codec import Ask
from unified_llm.resolve import Resolved
from unified_llm.rules import DEADLINE, Rules, check_stream_break
from unified_llm.stream import AsyncStream, Stream
from unified_llm.target import Target
from unified_llm.telemetry import AsyncWatchedDrive, WatchedDrive, awatched, watched
from unified_llm.types import Attempt, EmbeddingResponse, LLMResponse, ModelInfo

_log = logging.getLogger("unified_llm")

_MOST_NAMED: Final = 256


class LLMClient:
    """Asks a chain of targets, in order, until one answers.

    One client may be used from many threads and event loops at once. Making one is cheap: connections are made when
    they are needed.

    Args:
        config: A model string (``openai/gpt-5-mini``), an ``LLMConfig``, or a mapping of its fields.
        fallbacks: Further targets, in order, after those of the configuration.
        deadline: Seconds for a whole call, all attempts and waits included; None for no limit.
        hedge_after: For asynchronous chat: ask another target as well when so many seconds have brought no first chunk
            (or no whole answer, without streaming), and take the first to come. In at most 5 % of calls; the other
            attempt may be billed.
        failover_on: What fails over, where that is not to be as usual: kinds of failure (``attempt.outcome``) mapped to
            True or False. ``{"filter": True}`` tries another target when a content filter blocked the prompt;
            ``{"rate_limit": False}`` raises what is not cured by asking the same target again.
        on_stream_break: ``raise`` is all there is: a stream that broke after its first chunk raises
            ``StreamInterruptedError``.
        skip_unconfigured: Leave out targets whose key or extra is missing, with one warning each, rather than refuse.
        on_attempt: Called after each attempt; what it raises is logged and ignored. A client is pickled with it, so
            for that it must be a function of a module: no lambda can be pickled.
        **fields: Fields of ``LLMConfig``, where ``config`` is a model string.

    Raises:
        ConfigurationError: Anything about a target is wrong. Nothing is sent before that is known.
    """

    # For the repr of a client whose configuration turns out to be wrong.
    _chain: tuple[Resolved, ...] = ()

    def __init__(
        self,
        config: str | LLMConfig | Mapping[str, Any] | None = None,
        *,
        fallbacks: Sequence[str | LLMConfig | Mapping[str, Any] | ForeignModel] = (),
        deadline: float | None = DEADLINE,
        hedge_after: float | None = None,
        failover_on: Mapping[FailureKind, bool] | None = None,
        on_stream_break: str = "raise",
        skip_unconfigured: bool = False,
        on_attempt: Callable[[Attempt], None] | None = None,
        **fields: Any,
    ) -> None:
        """Resolve every target."""
        secret.hide(fields)
        self._config = LLMConfig.read(config, fields)
        self._fallbacks = read_fallbacks(fallbacks)
        self._rules = Rules.of_client(deadline=deadline, hedge_after=hedge_after, failover_on=failover_on)
        check_stream_break(on_stream_break)
        self._skip_unconfigured = skip_unconfigured
        self._on_attempt = on_attempt
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
        return f"LLMClient({' -> '.join(target.name for target in self.targets)})"

    # Chat

    def generate(self, prompt: request.Prompt, **overrides: Any) -> LLMResponse:
        """Ask for a whole answer.

        Args:
            prompt: A string, a list of messages, an ``LLMRequest``, or a dict with ``messages`` and request fields.
            **overrides: Request fields for this call (``model``, ``temperature``, ``tools`` ...), ``timeout`` (seconds
                for an attempt), ``deadline`` (seconds for the call), ``hedge_after``, ``failover_on``.

        Raises:
            ValidationError: The request is wrong.
            LLMError: No target answered; ``.attempts`` says what was tried.
        """
        answer: LLMResponse = self._answer(self._chat(prompt, overrides, stream=False))
        return answer

    async def agenerate(self, prompt: request.Prompt, **overrides: Any) -> LLMResponse:
        """As ``generate``."""
        answer: LLMResponse = await self._aanswer(self._chat(prompt, overrides, stream=False))
        return answer

    def stream(self, prompt: request.Prompt, **overrides: Any) -> Stream:
        """Ask for an answer in chunks; arguments as for ``generate``. Nothing is sent before the first is read."""
        question = self._chat(prompt, overrides, stream=True)
        return Stream(self._drive(question), question)

    def astream(self, prompt: request.Prompt, **overrides: Any) -> AsyncStream:
        """As ``stream``; it is not awaited itself."""
        question = self._chat(prompt, overrides, stream=True)
        return AsyncStream(self._adrive(question), question)

    def complete(self, prompt: str, **overrides: Any) -> LLMResponse:
        """Answer a single prompt: ``generate`` for those who have no conversation."""
        return self.generate(prompt, **overrides)

    async def acomplete(self, prompt: str, **overrides: Any) -> LLMResponse:
        """As ``complete``."""
        return await self.agenerate(prompt, **overrides)

    # Embeddings

    def embed(self, texts: str | Sequence[str], **overrides: Any) -> EmbeddingResponse:
        """Turn texts into vectors, in the same order.

        Fails over only between targets of the same model, or of the same declared ``space``.

        Args:
            texts: One text or several.
            **overrides: ``model``, ``dimensions``, ``purpose`` (``query`` or ``document``), ``extra_body``,
                ``timeout``, ``deadline``, ``failover_on``.
        """
        answer: EmbeddingResponse = self._answer(self._embedding(texts, overrides))
        return answer

    async def aembed(self, texts: str | Sequence[str], **overrides: Any) -> EmbeddingResponse:
        """As ``embed``."""
        answer: EmbeddingResponse = await self._aanswer(self._embedding(texts, overrides))
        return answer

    # Models

    def list_models(self, *, use_cache: bool = True) -> list[ModelInfo]:
        """The models of every provider in the chain, in its order.

        A list is kept for ``cache_ttl`` seconds. However many threads and tasks ask at once, one request is made. A
        provider that has no list, or does not answer, is passed over while another answers.

        Raises:
            LLMError: No provider answered.
        """
        if not use_cache:
            self.invalidate_cache()
        gathered, now = Gathered(), runtime.current().now
        for place in places(self._chain):
            try:
                gathered.add(self._catalogue.get(place.key, place.ttl, now, partial(self._fetch, place)))
            except LLMError as problem:
                gathered.missed(problem)
        return gathered.result()

    async def alist_models(self, *, use_cache: bool = True) -> list[ModelInfo]:
        """As ``list_models``."""
        if not use_cache:
            self.invalidate_cache()
        gathered, now = Gathered(), runtime.current().now
        for place in places(self._chain):
            try:
                gathered.add(await self._catalogue.aget(place.key, place.ttl, now, partial(self._afetch, place)))
            except LLMError as problem:
                gathered.missed(problem)
        return gathered.result()

    def invalidate_cache(self) -> None:
        """Forget the model lists, so that the next ``list_models`` asks again."""
        self._catalogue.forget()

    def health_check(self) -> bool:
        """Whether at least one provider of the chain answers with its model list. Never raises for a dead one."""
        try:
            self.list_models(use_cache=False)
        except LLMError:
            return False
        return True

    async def ahealth_check(self) -> bool:
        """As ``health_check``."""
        try:
            await self.alist_models(use_cache=False)
        except LLMError:
            return False
        return True

    def _fetch(self, place: Place) -> Models:
        pages = Pages()
        while (ask := pages.next) is not None:
            pages.read(self._answer(self._question(ask, (place.target,), self._rules)))
        return pages.models

    async def _afetch(self, place: Place) -> Models:
        pages = Pages()
        while (ask := pages.next) is not None:
            pages.read(await self._aanswer(self._question(ask, (place.target,), self._rules)))
        return pages.models

    # One call

    def _chat(self, prompt: request.Prompt, overrides: dict[str, Any], *, stream: bool) -> Question:
        rules = self._rules.of_call(overrides, chat=True)
        ask = request.chat(prompt, overrides, stream=stream)
        return self._question(ask, self._targets(ask.model), rules)

    def _embedding(self, texts: str | Sequence[str], overrides: dict[str, Any]) -> Question:
        rules = self._rules.of_call(overrides, chat=False)
        ask = request.embedding(texts, overrides)
        return self._question(ask, self._targets(ask.model), rules)

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

    def __deepcopy__(self, memo: dict[int, Any]) -> LLMClient:
        """A client with the same configuration, keys included, and connections of its own."""
        copy = type(self).__new__(type(self))
        copy.__setstate__(self.__getstate__())
        return copy
