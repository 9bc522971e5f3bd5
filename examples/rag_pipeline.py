"""Questions about a folder of Markdown files: models on this machine first, another provider if they fail.

Copy this file and change it. It needs ``pip install 'unified-llm[llama-index]'``, and by default Ollama with two models
(``ollama pull llama3.2``, ``ollama pull nomic-embed-text``) and an API key in ``OPENAI_API_KEY`` for the fallback:

    python rag_pipeline.py docs "What opens the circuit breaker?" "And for how long?"

``--model``, ``--fallback`` and ``--embedding`` take other model strings, such as ``mlx/models/all-MiniLM-L6-v2`` for
embeddings in this process. ``--model ollama/no-such-model`` shows the fallback take over.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.ingestion.pipeline import run_transformations
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import MarkdownNodeParser, SentenceSplitter

from unified_llm import Attempt
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM

if TYPE_CHECKING:
    from llama_index.core.base.response.schema import RESPONSE_TYPE
    from llama_index.core.schema import BaseNode


def read_pages(folder: Path, pages: tuple[str, ...] = (), *, chunk_size: int = 512) -> list[BaseNode]:
    """Split Markdown files into passages: one for each section, or several for a long one.

    Args:
        folder: Where the files are.
        pages: Their names without ``.md``; empty for all.
        chunk_size: The most tokens of a passage.
    """
    paths = [folder / f"{page}.md" for page in pages] or sorted(folder.glob("*.md"))
    documents = [Document(text=path.read_text(encoding="utf-8"), metadata={"page": path.stem}) for path in paths]
    steps = [MarkdownNodeParser(), SentenceSplitter(chunk_size=chunk_size, chunk_overlap=0)]
    return [*run_transformations(documents, steps)]


def build_index(passages: list[BaseNode], embedding: str, *, show_progress: bool = False) -> VectorStoreIndex:
    """Build an index of passages with an embedding model, given as a model string."""
    model = UnifiedEmbedding(model=embedding, embed_batch_size=16)
    return VectorStoreIndex(passages, embed_model=model, show_progress=show_progress)


@dataclass(frozen=True)
class Answered:
    """An answered question: the response, the best passage, and the attempts that it took."""

    response: str
    passage: str
    attempts: tuple[Attempt, ...]


@dataclass
class Pipeline:
    """A query engine and a chat engine over one index and one chain of models, with a record of the attempts.

    Attributes:
        index: The index of passages.
        models: Arguments of ``UnifiedLLM``.
        attempts: All attempts so far. A query engine's response does not have them, so ``on_attempt`` collects them.
    """

    index: VectorStoreIndex
    models: Mapping[str, Any]
    attempts: list[Attempt] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Create the model."""
        self.llm = UnifiedLLM(**self.models, on_attempt=self.attempts.append)

    def query(self, question: str, **options: Any) -> Answered:
        """Ask a query engine; ``options`` are those of ``as_query_engine`` (``response_mode``, prompts ...)."""
        engine = self.index.as_query_engine(llm=self.llm, similarity_top_k=3, **options)
        before = len(self.attempts)
        return self._answered(engine.query(question), before)

    def converse(self, *questions: str, **options: Any) -> Iterator[Answered]:
        """Ask a chat engine, which keeps the conversation, and stream each response."""
        engine = self.index.as_chat_engine(
            llm=self.llm,
            chat_mode=ChatMode.CONTEXT,
            memory=ChatMemoryBuffer.from_defaults(llm=self.llm),
            similarity_top_k=1,
            **options,
        )
        for question in questions:
            before = len(self.attempts)
            response = engine.stream_chat(question)
            text = "".join(response.response_gen)
            yield Answered(text, _passage(response.source_nodes), tuple(self.attempts[before:]))

    def _answered(self, response: RESPONSE_TYPE, before: int) -> Answered:
        return Answered(str(response), _passage(response.source_nodes), tuple(self.attempts[before:]))


def _passage(sources: list[Any]) -> str:
    if not sources:
        return ""
    metadata = sources[0].node.metadata
    return f"{metadata['page']}{metadata['header_path']}"


def main() -> None:
    """Read the arguments, build the index, and print each response with its attempts."""
    parser = argparse.ArgumentParser(description="Answer questions about a folder of Markdown files.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("question", nargs="+")
    parser.add_argument("--model", default="ollama/llama3.2")
    parser.add_argument("--fallback", default="openai/gpt-5-mini")
    parser.add_argument("--embedding", default="ollama/nomic-embed-text")
    options = parser.parse_args()

    index = build_index(read_pages(options.folder), options.embedding, show_progress=True)
    models = {"model": options.model, "fallbacks": [options.fallback], "context_window": 8192}
    for answered in Pipeline(index, models).converse(*options.question):
        print(f"\nFrom {answered.passage}:\n{answered.response.strip()}")
        for attempt in answered.attempts:
            print(f"    {attempt.target:<24}{attempt!s:<20}{attempt.seconds:7.3f} s")


if __name__ == "__main__":
    main()
