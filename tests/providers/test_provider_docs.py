"""``docs/generate_providers.py``: the page about providers lists what the provider table has."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import get_args

from unified_llm import KnownModelName
from unified_llm._formats.error_codes import CODES
from unified_llm._formats.error_wording.read_message import SENTENCES
from unified_llm._providers import registry

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_about_providers_lists_every_row_of_the_table() -> None:
    """``make check`` compares the written page, so that a new row needs no change here."""
    page = runpy.run_path(str(DOCS / "generate_providers.py"))["render"]()
    for row in registry.ROWS:
        assert f"`{row.name}`" in page
        assert row.title in page


def test_the_examples_name_current_models() -> None:
    """Deployments of Azure have names of their own."""
    known = {*get_args(KnownModelName)}
    models = runpy.run_path(str(DOCS / "generate_providers.py"))["_MODELS"].items() - {("azure", "my-deployment")}
    names = {f"{provider}/{model}" for provider, model in models}
    examples = {name if name in known else name.partition(":")[0] for name in names}
    named = {name.partition("/")[0] for name in known}
    hosted = {row.name for row in registry.ROWS if not row.local} & named
    assert {example for example in examples - known if example.partition("/")[0] in hosted} == set()


def test_the_pages_about_errors_list_every_code_and_sentence() -> None:
    script = runpy.run_path(str(DOCS / "generate_providers.py"))
    assert script["render_error_tables"]() in (DOCS / "failover.md").read_text(encoding="utf-8")
    page = script["render_error_wording"]()
    for code in CODES:
        assert f"`{code.name}`" in page
    for sentence in SENTENCES:
        assert sentence.template.replace("|", "\\|") in page


# Features that a mark of a test may name.
FEATURES = {
    "audio", "caching", "chat", "citations", "completion", "count_tokens", "embeddings", "errors", "files", "images",
    "logprobs", "model_info", "models", "n", "reasoning", "rerank", "schema", "speech", "stream", "tools",
    "transcriptions", "videos", "images made", "images edited", "streamed speech", "streamed images",
}  # fmt: skip


def test_what_tests_prove_is_about_known_providers_and_features() -> None:
    proofs = runpy.run_path(str(DOCS / "generate_providers.py"))["proofs"]()
    assert proofs
    for (name, against), features in proofs.items():
        assert registry.row(name).name == name
        assert features <= FEATURES, name
        assert features, name
        assert against
