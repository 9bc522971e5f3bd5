"""``LLMClient``: the façade of the core, and the only place that raises for what targets do.

How a client makes one call, whatever is asked, in both colours; and its life: closing, copying, pickling.

``LLMClient`` adds what can be asked. Nothing here knows of prompts or answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from unified_llm._client import call, read_request
from unified_llm._client.backends import Backends
from unified_llm._client.call import PreparedCall
from unified_llm._client.call_options import DEADLINE, CallOptions, check_stream_break
from unified_llm._client.drivers import AsyncDrive, Drive
from unified_llm._client.model_lists import ModelListCache, ModelListKey, ModelListMerger, Models, PageReader, places
from unified_llm._client.stream import AsyncStream, Stream
from unified_llm._config import resolve
from unified_llm._config.llm_config import LLMConfig, read_fallbacks
from unified_llm._config.resolve import ResolvedTarget
from unified_llm._core import api_key, runtime
from unified_llm._core.codec import AnyRequest
from unified_llm._core.exchange import WrappedModel
from unified_llm._core.outcome import FailureKind
from unified_llm._core.target import Target
from unified_llm._observe.otel import AsyncWatchedDrive, WatchedDrive, awatched, watched
from unified_llm._policy.budgets import HedgeBudget
from unified_llm._policy.failover import run_policy
from unified_llm.exceptions import LLMError
from unified_llm.types.records import Attempt
from unified_llm.types.requests import CountRequest, ModelRequest
from unified_llm.types.responses import EmbeddingResponse, LLMResponse, ModelInfo, RerankResponse

_log = logging.getLogger("unified_llm")

_MOST_NAMED: Final = 256


class Caller:
    """The chain of a client, and the way to ask it."""

    # For the repr of a client whose configuration turns out to be wrong.
    _chain: tuple[ResolvedTarget, ...] = ()

    def __init__(
        self,
        config: LLMConfig,
        fallbacks: tuple[Any, ...],
        rules: CallOptions,
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
        self._named: dict[str, ResolvedTarget] = {}
        self._catalogue = ModelListCache()
        self._connections = Backends()
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

    def links(self, model: str | None = None) -> tuple[ResolvedTarget, ...]:
        """Whom a call asks, in order; ``model`` is what a call may name in place of the primary's."""
        return (resolve.with_model(self._chain[0], model), *self._chain[1:]) if model else self._chain

    def narrowed(self, links: Sequence[ResolvedTarget]) -> Self:
        """A client that asks these alone. It shares connections, model lists and the hedge budget with this one."""
        view = object.__new__(type(self))
        view.__dict__.update(vars(self), _chain=tuple(links), _named={})
        return view

    # One call

    def _question(self, request: AnyRequest, targets: Sequence[Target], rules: CallOptions) -> PreparedCall:
        return call.begin(
            request,
            targets,
            runtime.current(),
            rules,
            hedges=self._hedges,
            observe=self._on_attempt,
            unlist=self._unlist,
        )

    def _unlist(self, target: Target) -> None:
        self._catalogue.drop(ModelListKey(target, ttl=0.0).key, target.model)

    def _targets(self, model: str | None) -> Sequence[Target]:
        if model is None:
            return self.targets
        named = self._named.get(model)
        if named is None:
            named = resolve.with_model(self._chain[0], model)
            if len(self._named) < _MOST_NAMED:
                self._named[model] = named
        return (named.target, *self.targets[1:])

    def _answer(self, question: PreparedCall) -> Any:
        drive = self._drive(question)
        try:
            value = drive.advance()
        finally:
            drive.close()
        return call.finish(question, value, drive.defeat)

    async def _aanswer(self, question: PreparedCall) -> Any:
        drive = self._adrive(question)
        try:
            value = await drive.advance()
        finally:
            await drive.close()
        return call.finish(question, value, drive.defeat)

    def _drive(self, question: PreparedCall) -> Drive | WatchedDrive:
        if question.policy.hedging:  # which takes two attempts at once
            question.policy.hedging = None
            if not self._told_unhedged:
                self._told_unhedged = True
                _log.warning("hedge_after has no effect on synchronous calls; asynchronous ones are hedged")
        drive = Drive(
            run_policy(question.policy), partial(self._connections.exchange, question.request), runtime.current()
        )
        return watched(drive, question)

    def _adrive(self, question: PreparedCall) -> AsyncDrive | AsyncWatchedDrive:
        connect = partial(self._connections.aexchange, question.request)
        drive = AsyncDrive(run_policy(question.policy), connect, runtime.current())
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


class LLMClient(Caller):
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

    def __init__(
        self,
        config: str | LLMConfig | Mapping[str, Any] | None = None,
        *,
        fallbacks: Sequence[str | LLMConfig | Mapping[str, Any] | WrappedModel] = (),
        deadline: float | None = DEADLINE,
        hedge_after: float | None = None,
        failover_on: Mapping[FailureKind, bool] | None = None,
        on_stream_break: str = "raise",
        skip_unconfigured: bool = False,
        on_attempt: Callable[[Attempt], None] | None = None,
        **fields: Any,
    ) -> None:
        """Resolve every target."""
        api_key.hide(fields)
        config, fallbacks = api_key.covered(config), api_key.covered(fallbacks)
        first = LLMConfig.read(config, fields)
        others = read_fallbacks(fallbacks)
        rules = CallOptions.of_client(deadline=deadline, hedge_after=hedge_after, failover_on=failover_on)
        check_stream_break(on_stream_break)
        super().__init__(first, others, rules, skip_unconfigured=skip_unconfigured, on_attempt=on_attempt)

    # Chat

    def generate(self, prompt: read_request.Prompt, **overrides: Any) -> LLMResponse:
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

    async def agenerate(self, prompt: read_request.Prompt, **overrides: Any) -> LLMResponse:
        """As ``generate``."""
        answer: LLMResponse = await self._aanswer(self._chat(prompt, overrides, stream=False))
        return answer

    def stream(self, prompt: read_request.Prompt, **overrides: Any) -> Stream:
        """Ask for an answer in chunks; arguments as for ``generate``. Nothing is sent before the first is read."""
        question = self._chat(prompt, overrides, stream=True)
        return Stream(self._drive(question), question)

    def astream(self, prompt: read_request.Prompt, **overrides: Any) -> AsyncStream:
        """As ``stream``; it is not awaited itself."""
        question = self._chat(prompt, overrides, stream=True)
        return AsyncStream(self._adrive(question), question)

    def complete(self, prompt: str, **overrides: Any) -> LLMResponse:
        """Answer a single prompt: ``generate`` for those who have no conversation.

        With ``as_text=True`` the prompt is continued as it stands, without a chat template, by the text completion that
        base models have; a target that has none is skipped.
        """
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

    # Rankings and counts

    def rerank(self, query: str, documents: Sequence[str], **overrides: Any) -> RerankResponse:
        """Order documents by how well they answer a query, the best first.

        Fails over between any models: scores are compared within one answer only.

        Args:
            query: What is looked for.
            documents: At least one text.
            **overrides: ``top_n`` (how many of the best), ``model``, ``extra_body``, ``timeout``, ``deadline``,
                ``failover_on``.
        """
        answer: RerankResponse = self._answer(self._ranking(query, documents, overrides))
        return answer

    async def arerank(self, query: str, documents: Sequence[str], **overrides: Any) -> RerankResponse:
        """As ``rerank``."""
        answer: RerankResponse = await self._aanswer(self._ranking(query, documents, overrides))
        return answer

    def count_tokens(self, prompt: read_request.Prompt, **overrides: Any) -> int:
        """How many tokens a chat request would send, as the first target that can count says.

        Args:
            prompt: As for ``generate``.
            **overrides: Request fields (tools count as well), ``timeout``, ``deadline``, ``failover_on``.

        Raises:
            UnsupportedOperationError: No target has an endpoint that counts.
        """
        count: int = self._answer(self._counting(prompt, overrides))
        return count

    async def acount_tokens(self, prompt: read_request.Prompt, **overrides: Any) -> int:
        """As ``count_tokens``."""
        count: int = await self._aanswer(self._counting(prompt, overrides))
        return count

    # Models

    def model_info(self, model: str | None = None) -> ModelInfo:
        """What the provider says of a model: its window, what it can do. Asked anew each time.

        Args:
            model: As in a call; None for the primary's.

        Raises:
            UnsupportedOperationError: The provider does not describe its models one by one.
        """
        info: ModelInfo = self._answer(self._question(ModelRequest(), self._targets(model)[:1], self._rules))
        return info

    async def amodel_info(self, model: str | None = None) -> ModelInfo:
        """As ``model_info``."""
        info: ModelInfo = await self._aanswer(self._question(ModelRequest(), self._targets(model)[:1], self._rules))
        return info

    def list_models(self, *, use_cache: bool = True) -> list[ModelInfo]:
        """The models of every provider in the chain, in its order.

        A list is kept for ``cache_ttl`` seconds. However many threads and tasks ask at once, one request is made. A
        provider that has no list, or does not answer, is passed over while another answers.

        Raises:
            LLMError: No provider answered.
        """
        if not use_cache:
            self.invalidate_cache()
        gathered, now = ModelListMerger(), runtime.current().now
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
        gathered, now = ModelListMerger(), runtime.current().now
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

    def _fetch(self, place: ModelListKey) -> Models:
        pages = PageReader()
        while (request := pages.next) is not None:
            pages.read(self._answer(self._question(request, (place.target,), self._rules)))
        return pages.models

    async def _afetch(self, place: ModelListKey) -> Models:
        pages = PageReader()
        while (request := pages.next) is not None:
            pages.read(await self._aanswer(self._question(request, (place.target,), self._rules)))
        return pages.models

    # One call

    def _chat(self, prompt: read_request.Prompt, overrides: dict[str, Any], *, stream: bool) -> PreparedCall:
        rules = self._rules.of_call(overrides, chat=True)
        request = read_request.chat(prompt, overrides, stream=stream)
        return self._question(request, self._targets(request.model), rules)

    def _embedding(self, texts: str | Sequence[str], overrides: dict[str, Any]) -> PreparedCall:
        rules = self._rules.of_call(overrides, chat=False)
        request = read_request.embedding(texts, overrides)
        return self._question(request, self._targets(request.model), rules)

    def _ranking(self, query: str, documents: Sequence[str], overrides: dict[str, Any]) -> PreparedCall:
        rules = self._rules.of_call(overrides, chat=False)
        request = read_request.ranking(query, documents, overrides)
        return self._question(request, self._targets(request.model), rules)

    def _counting(self, prompt: read_request.Prompt, overrides: dict[str, Any]) -> PreparedCall:
        rules = self._rules.of_call(overrides, chat=False)
        request = CountRequest(read_request.chat(prompt, overrides))
        return self._question(request, self._targets(request.chat.model), rules)
