"""``UnifiedLLM`` over a model in this process: a tiny one with random weights, run by MLX."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

import unified_llm
from conformance.llama_index.contender import Contender
from conformance.llama_index.in_process import InProcess
from conformance.llama_index.upstream import Upstream
from integration_tests.support.tiny_models import make_model
from unified_llm.llama_index import UnifiedLLM

# By the test that wants it, what a model in this process cannot do.
_TEXT_ONLY: Final = "needs a model that reads more than text"
_CONSTRAINED: Final = "the schema is a constraint of the output, so that the model cannot give the answer of the script"
_CHECKED: Final = "what is written as a call is one only if its arguments fit the tool, and is text otherwise"
_WHOLE: Final = "calls are checked before they are shown, so that they come whole"
UNMET: Final[Mapping[str, str]] = {
    "TestEvents.test_tokens_are_counted_as_the_provider_counts_them": "scripts a server's counts",
    "TestRetries.test_a_provider_that_names_a_time_is_given_it": "scripts a server's header; an engine names no time",
    "TestMessages.test_a_picture_arrives": _TEXT_ONLY,
    "TestMessages.test_a_picture_may_be_elsewhere": _TEXT_ONLY,
    "TestMessages.test_a_sound_arrives": _TEXT_ONLY,
    "TestMessages.test_a_document_arrives": _TEXT_ONLY,
    "TestStructuredOutput.test_an_answer_without_an_object_is_an_error": _CONSTRAINED,
    "TestStructuredOutput.test_an_object_that_does_not_fit_is_an_error": _CONSTRAINED,
    "TestStructuredOutput.test_a_structured_llm_raises": _CONSTRAINED,
    "TestCallsInResponses.test_a_chunk_with_half_a_call_stays_as_it_was": _WHOLE,
    "TestCallsInResponses.test_arguments_that_are_none_are_an_empty_dict": _CHECKED,
    "TestCallsInResponses.test_arguments_that_were_cut_are_a_dict": _CHECKED,
}
BY_CHANCE: Final = frozenset({"TestRetries.test_a_provider_that_names_a_time_is_given_it"})
"""Those of them that pass on a slow machine, whose second attempt comes late for another reason."""
_MAX_TOKENS: Final = 400  # of an answer that a constraint leaves open


class UnifiedMLX(Contender):
    """A chain of one model without a server; the addresses of the suite's server only tell its scripts apart."""

    name = "UnifiedLLM with MLX"
    packages = ("unified-llm", "mlx", "mlx-lm")
    unmet = UNMET

    def __init__(self) -> None:
        self._files = tempfile.TemporaryDirectory(prefix="conformance-")
        folder = Path(self._files.name)
        self._models = InProcess(make_model(folder / "weights"), folder)
        self._models.install()

    @override
    def opened(self, upstream: Upstream) -> None:
        self._models.open(upstream)

    @override
    def calling_functions(self, base_url: str, api_key: str, **fields: Any) -> UnifiedLLM:
        return self.of_model("scripted", base_url, api_key, **fields)

    @override
    def without_functions(self, base_url: str, api_key: str, **fields: Any) -> UnifiedLLM:
        return self.of_model("scripted", base_url, api_key, is_function_calling_model=False, **fields)

    @override
    def of_model(self, model: str, base_url: str, api_key: str, **fields: Any) -> UnifiedLLM:
        folder = self._models.folder_of(base_url, model)
        return UnifiedLLM(model=f"mlx/{folder}", **{"max_tokens": _MAX_TOKENS, "merge_messages": False, **fields})

    @override
    def forget(self) -> None:
        unified_llm.reset_health()

    @override
    def close(self) -> None:
        self._models.uninstall()
        self._files.cleanup()
