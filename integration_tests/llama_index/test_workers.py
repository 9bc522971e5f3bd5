"""An ingestion pipeline with worker processes: each gets the model as a pickle, and detects the failing primary."""

from __future__ import annotations

from llama_index.core.extractors import SummaryExtractor
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.schema import TextNode

from unified_llm.llama_index import UnifiedLLM


def test_every_worker_survives_a_primary_that_refuses_connections() -> None:
    llm = UnifiedLLM(
        model="openai-compatible/gone", base_url="http://127.0.0.1:9/v1", fallbacks=[MockLLM()], max_retries=0
    )
    extractor = SummaryExtractor(llm=llm, prompt_template="{context_str}", show_progress=False)
    nodes = [TextNode(text=f"Some words {number}.") for number in range(4)]
    made = IngestionPipeline(transformations=[extractor], disable_cache=True).run(nodes=nodes, num_workers=2)
    summaries = [node.metadata["section_summary"] for node in made]
    assert all(f"Some words {number}." in summary for number, summary in enumerate(summaries))
