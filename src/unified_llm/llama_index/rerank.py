"""``UnifiedRerank``: a LlamaIndex node postprocessor over a chain of rerankers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, Unpack

from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher
from pydantic import Field, model_validator

from unified_llm._adapters.target_fields import TargetFields
from unified_llm._core.hidden import Hidden
from unified_llm.exceptions import ConfigurationError, ValidationError
from unified_llm.types.responses import RerankResponse

if TYPE_CHECKING:
    from unified_llm._config.model_name import ModelName
    from unified_llm.llama_index._keywords import Fallbacks, UnifiedRerankKeywords

_dispatcher = get_dispatcher(__name__)

_Nodes: TypeAlias = list[NodeWithScore]


class UnifiedRerank(TargetFields, BaseNodePostprocessor):
    """Reranker of retrieved nodes, with failover.

    Any reranker may replace any other: scores are only compared within one response.

    Example:
        .. code-block:: python

            rerank = UnifiedRerank(model="cohere/rerank-v3.5", top_n=3)
            index.as_query_engine(similarity_top_k=20, node_postprocessors=[rerank])

    Args:
        model: ``provider/model``.
        top_n: How many of the best nodes to return; None for all.

    The other arguments are in docs/parameters.md. The returned nodes are new objects: the original ones keep their
    scores.

    Raises:
        ConfigurationError: A setting is wrong. No request has been sent.
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            model: ModelName | None = None,
            *,
            fallbacks: Fallbacks | None = (),
            **fields: Unpack[UnifiedRerankKeywords],
        ) -> None: ...

    top_n: int | None = Field(default=None, gt=0)

    SHARED: ClassVar[tuple[str, ...]] = (*TargetFields.SHARED, "callback_manager")
    ALIASES: ClassVar[Mapping[str, str]] = {**TargetFields.ALIASES, "top_k": "top_n"}

    @model_validator(mode="after")
    def _require_model(self) -> Self:
        if self.model is None:
            raise ConfigurationError('UnifiedRerank needs a model: write "provider/model".')
        return self

    @classmethod
    def class_name(cls) -> str:
        """Return the name of this class in LlamaIndex's dumps."""
        return "unified_rerank"

    def _postprocess_nodes(self, nodes: _Nodes, query_bundle: QueryBundle | None = None) -> _Nodes:
        given = Hidden((nodes, _query(query_bundle)))
        del nodes, query_bundle
        if not given.value[0]:
            return []
        with self._reported(*given.value) as report_end:
            response = self.client.rerank(given.value[1], _texts(given.value[0]), top_n=self.top_n)
            return report_end(_ranked(given.value[0], response))

    async def _apostprocess_nodes(self, nodes: _Nodes, query_bundle: QueryBundle | None = None) -> _Nodes:
        given = Hidden((nodes, _query(query_bundle)))
        del nodes, query_bundle
        if not given.value[0]:
            return []
        with self._reported(*given.value) as report_end:
            response = await self.client.arerank(given.value[1], _texts(given.value[0]), top_n=self.top_n)
            return report_end(_ranked(given.value[0], response))

    @contextmanager
    def _reported(self, nodes: _Nodes, query: str) -> Generator[Callable[[_Nodes], _Nodes]]:
        """Report the start to LlamaIndex's observers; yield a function that reports the result and returns it."""
        top_n, name = min(self.top_n or len(nodes), len(nodes)), self.model or ""
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: name,
            EventPayload.QUERY_STR: query,
            EventPayload.TOP_K: top_n,
        }
        _dispatcher.event(ReRankStartEvent(query=query, nodes=nodes, top_n=top_n, model_name=name))
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:

            def report_end(ranked: _Nodes) -> _Nodes:
                event.on_end(payload={EventPayload.NODES: ranked})
                _dispatcher.event(ReRankEndEvent(nodes=ranked))
                return ranked

            yield report_end


def _query(bundle: QueryBundle | None) -> str:
    if bundle is None:
        raise ValidationError("Reranking needs a query: pass query_str= or query_bundle=.")
    return bundle.query_str


def _texts(nodes: _Nodes) -> list[str]:
    return [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]


def _ranked(nodes: _Nodes, response: RerankResponse) -> _Nodes:
    return [NodeWithScore(node=nodes[result.index].node, score=result.score) for result in response.results]


# The public name in reprs, tracebacks and pickles. Set here, not in the class: Pydantic looks up annotations in the
# module that defines the class.
UnifiedRerank.__module__ = "unified_llm.llama_index"
