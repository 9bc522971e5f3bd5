"""A name that a public module does not have: the error says where it is, or which one was probably meant."""

from __future__ import annotations

from importlib import import_module

import unified_llm
import unified_llm.exceptions
from tests.support.each import each
from unified_llm._lib import missing_names
from unified_llm.exceptions import LLMError

# The module, the name, and what the error says.
MISSING = [
    ("unified_llm", "ChatUnified", "it is in unified_llm.langchain: from unified_llm.langchain import ChatUnified"),
    ("unified_llm", "UnifiedEmbeddings", "it is in unified_llm.langchain"),
    ("unified_llm", "register", "it is in unified_llm.langchain"),
    ("unified_llm", "UnifiedLLM", "it is in unified_llm.llama_index"),
    ("unified_llm", "UnifiedRerank", "it is in unified_llm.llama_index"),
    ("unified_llm", "AllTargetsFailedError", "it is in unified_llm.exceptions"),
    ("unified_llm", "outage", "it is in unified_llm.testing"),
    ("unified_llm", "Tool", "it is in unified_llm.types"),
    ("unified_llm", "LLMclient", "did you mean LLMClient?"),
    ("unified_llm", "LlmConfig", "did you mean LLMConfig?"),
    ("unified_llm", "ChatUnifed", "did you mean ChatUnified, from unified_llm.langchain?"),
    ("unified_llm.langchain", "ChatUnifed", "did you mean ChatUnified?"),
    ("unified_llm.langchain", "LLMClient", "it is in unified_llm: from unified_llm import LLMClient"),
    ("unified_llm.langchain", "UnifiedEmbedding", "it is in unified_llm.llama_index"),
    ("unified_llm.llama_index", "UnifiedEmbeddings", "it is in unified_llm.langchain"),
    ("unified_llm.llama_index", "UnifiedLlm", "did you mean UnifiedLLM?"),
    ("unified_llm.exceptions", "RateLimitErorr", "did you mean RateLimitError?"),
    ("unified_llm.exceptions", "AuthentificationError", "did you mean AuthenticationError?"),
    ("unified_llm.testing", "outtage", "did you mean outage?"),
    ("unified_llm.types", "LLMClient", "it is in unified_llm"),
]


def error_of(statement: str) -> BaseException:
    try:
        exec(statement, {"__name__": "program"})  # noqa: S102 - the statement of a user's program
    except (ImportError, AttributeError) as error:
        return error
    raise AssertionError(statement)


@each(("module", "name", "expected"), MISSING)
def test_a_missing_name_is_found_where_it_is_and_a_misspelt_one_is_corrected(
    module: str, name: str, expected: str
) -> None:
    imported = error_of(f"from {module} import {name}")
    assert isinstance(imported, ImportError)
    assert expected in str(imported)
    read = error_of(f"import {module}; {module}.{name}")
    assert isinstance(read, AttributeError)
    assert expected in str(read)


@each("name", ["VectorStore", "anything", "_private"])
def test_a_name_that_is_like_no_other_gets_the_usual_error(name: str) -> None:
    for module in ("unified_llm", "unified_llm.exceptions"):
        assert f"cannot import name '{name}' from '{module}' (" in str(error_of(f"from {module} import {name}"))
        assert str(error_of(f"import {module}; {module}.{name}")).endswith(f"has no attribute '{name}'")


def test_asking_whether_a_name_is_there_raises_nothing() -> None:
    for module in (unified_llm, unified_llm.exceptions):
        assert not hasattr(module, "ChatUnified")
        assert getattr(module, "AllTargetsFaildError", None) is None


def test_the_table_has_the_names_of_each_public_module() -> None:
    for module, names in missing_names._NAMES.items():
        assert names.split() == [name for name in import_module(module).__all__ if not name.startswith("_")], module


def test_submodules_are_imported_as_ever() -> None:
    imported: dict[str, object] = {}
    exec("from unified_llm import exceptions, testing, types", imported)  # noqa: S102
    assert imported["exceptions"] is unified_llm.exceptions
    assert issubclass(unified_llm.exceptions.RateLimitError, LLMError)
