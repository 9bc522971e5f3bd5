"""``LLMClient``: the façade of the core, and the only place that raises for what targets do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from unified_llm import request, runtime, secret
from unified_llm.asks import CountRequest, ModelRequest, RerankResponse
from unified_llm.call import Question
from unified_llm.caller import Caller
from unified_llm.config import LLMConfig, read_fallbacks
from unified_llm.discovery import Models
from unified_llm.exceptions import LLMError
from unified_llm.exchange import ForeignModel
from unified_llm.listing import Gathered, Pages, Place, places
from unified_llm.outcome import FailureKind
from unified_llm.rules import DEADLINE, Rules, check_stream_break
from unified_llm.stream import AsyncStream, Stream
from unified_llm.types import Attempt, EmbeddingResponse, LLMResponse, ModelInfo


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
        config, fallbacks = secret.covered(config), secret.covered(fallbacks)
        first = LLMConfig.read(config, fields)
        others = read_fallbacks(fallbacks)
        rules = Rules.of_client(deadline=deadline, hedge_after=hedge_after, failover_on=failover_on)
        check_stream_break(on_stream_break)
        super().__init__(first, others, rules, skip_unconfigured=skip_unconfigured, on_attempt=on_attempt)

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

    def count_tokens(self, prompt: request.Prompt, **overrides: Any) -> int:
        """How many tokens a chat request would send, as the first target that can count says.

        Args:
            prompt: As for ``generate``.
            **overrides: Request fields (tools count as well), ``timeout``, ``deadline``, ``failover_on``.

        Raises:
            UnsupportedOperationError: No target has an endpoint that counts.
        """
        count: int = self._answer(self._counting(prompt, overrides))
        return count

    async def acount_tokens(self, prompt: request.Prompt, **overrides: Any) -> int:
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

    def _ranking(self, query: str, documents: Sequence[str], overrides: dict[str, Any]) -> Question:
        rules = self._rules.of_call(overrides, chat=False)
        ask = request.ranking(query, documents, overrides)
        return self._question(ask, self._targets(ask.model), rules)

    def _counting(self, prompt: request.Prompt, overrides: dict[str, Any]) -> Question:
        rules = self._rules.of_call(overrides, chat=False)
        ask = CountRequest(request.chat(prompt, overrides))
        return self._question(ask, self._targets(ask.chat.model), rules)
