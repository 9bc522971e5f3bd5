"""The public names: they are exported, documented and annotated, and there are no others."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from enum import Enum
from types import FunctionType
from typing import Any, get_type_hints

import pydantic
import pytest

import unified_llm
import unified_llm.batch.ray
import unified_llm.exceptions
import unified_llm.langchain
import unified_llm.openai_style
import unified_llm.testing
from tests.support.each import each

EXPORTING = (
    unified_llm, unified_llm.exceptions, unified_llm.langchain, unified_llm.openai_style, unified_llm.testing,
    unified_llm.batch.ray,
)  # fmt: skip
MODULES = {module.__name__: module for module in EXPORTING}
PUBLIC = {f"{home}.{name}": getattr(module, name) for home, module in MODULES.items() for name in module.__all__}
OBJECTS = {
    name: value
    for name, value in PUBLIC.items()
    if callable(value) and not name.endswith(("FailureKind", "KnownModelName"))
}
CLASSES = {name: value for name, value in OBJECTS.items() if inspect.isclass(value)}


def members() -> dict[str, Any]:
    """Return public methods and properties that the package itself defines, by their qualified names."""
    methods: dict[str, Any] = {}
    for name, kind in CLASSES.items():
        for base in inspect.getmro(kind):
            if not base.__module__.startswith("unified_llm"):
                continue
            for member, value in list(vars(base).items()):
                function = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
                is_ours = isinstance(function, FunctionType) and function.__module__.startswith("unified_llm")
                if is_ours and (not member.startswith("_") or member == "__init__"):
                    methods.setdefault(f"{name}.{member}", function)
    return methods


MEMBERS = members()
FUNCTIONS = MEMBERS | {name: value for name, value in OBJECTS.items() if not inspect.isclass(value)}


def generated(name: str, function: Any) -> bool:
    """Return whether ``dataclass`` or the like wrote this function, so that it has no docstring."""
    return name.endswith("__init__") and (
        function.__code__.co_filename.startswith("<") or "self" not in function.__code__.co_varnames
    )


def test_the_names_are_those_of_the_design() -> None:
    assert set(unified_llm.__all__) == {
        "LLMClient", "LLMConfig", "BreakerConfig", "MLXConfig",
        "Message", "LLMRequest", "LLMResponse", "LLMChunk", "EmbeddingResponse", "ModelInfo", "Usage", "ToolCall",
        "Attempt", "ChatCompletion", "Completion", "Embedding",
        "Provider", "ChatProvider", "ProviderBase", "FailureKind", "KnownModelName", "register_provider",
        "configure", "health_snapshot", "reset_health", "__version__",
        "MapResult", "MapRun", "AsyncMapRun", "MapTotals",
    }  # fmt: skip
    assert set(unified_llm.testing.__all__) == {"outage", "Outage"}
    assert set(unified_llm.langchain.__all__) >= {"ChatUnified", "UnifiedEmbeddings", "register"}
    assert set(unified_llm.exceptions.__all__) == {
        "LLMError", "ConfigurationError", "ConnectionError", "TimeoutError", "AuthenticationError",
        "PermissionDeniedError", "QuotaExceededError", "RateLimitError", "ServiceUnavailableError",
        "ModelNotFoundError", "ValidationError", "BadRequestError", "ContextOverflowError", "ContentFilterError",
        "UnsupportedOperationError", "GenerationError", "StreamInterruptedError", "AllTargetsFailedError",
        "UnconfiguredError",
    }  # fmt: skip


@each("home", MODULES)
def test_every_promised_name_is_there_and_listed(home: str) -> None:
    module = MODULES[home]
    assert len(module.__all__) == len(set(module.__all__))
    assert set(module.__all__) <= set(dir(module))
    star: dict[str, Any] = {}
    exec(f"from {home} import *", star)  # noqa: S102 - a star import imports the public names
    assert set(star) - {"__builtins__"} == set(module.__all__)


def test_a_name_that_is_not_there_is_refused_as_by_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'unified_llm' has no attribute 'LLMCleint'"):
        unified_llm.LLMCleint  # noqa: B018
    with pytest.raises(ImportError):
        importlib.import_module("unified_llm.sessions")


def test_the_errors_of_the_package_are_all_public() -> None:
    kinds = {
        name
        for name, value in vars(unified_llm.exceptions).items()
        if inspect.isclass(value) and value.__module__ == "unified_llm.exceptions"
    }
    assert kinds == set(unified_llm.exceptions.__all__)


def test_there_is_something_to_look_at() -> None:
    assert "unified_llm.LLMClient.generate" in MEMBERS
    assert "unified_llm.langchain.ChatUnified.list_models" in MEMBERS
    assert len(FUNCTIONS) > 60


def test_every_public_name_is_described() -> None:
    for name, thing in OBJECTS.items():
        documentation = inspect.getdoc(thing) or ""
        inherited = {base.__doc__ for base in inspect.getmro(type(thing))}
        assert documentation, name
        assert documentation not in inherited, name
        assert documentation.splitlines()[0].endswith((".", "?")), name


def test_every_public_method_is_described() -> None:
    # The class describes what ``__init__`` takes.
    methods = {name: member for name, member in MEMBERS.items() if not name.endswith(".__init__")}
    assert [name for name, member in methods.items() if not generated(name, member) and not member.__doc__] == []


def test_every_public_function_is_annotated() -> None:
    for name, wrapped in FUNCTIONS.items():
        function = inspect.unwrap(wrapped)
        if generated(name, function):
            continue
        signature = inspect.signature(function)
        assert signature.return_annotation is not signature.empty, name
        for parameter in signature.parameters.values():
            assert parameter.name in {"self", "cls", "_"} or parameter.annotation is not parameter.empty, name


@each("name", [name for name in CLASSES if dataclasses.is_dataclass(CLASSES[name])])
def test_types_of_data_can_be_resolved_at_run_time(name: str) -> None:
    kind: Any = CLASSES[name]
    assert {field.name for field in dataclasses.fields(kind)} <= set(get_type_hints(kind))


def test_a_class_is_known_by_the_name_that_it_is_imported_by() -> None:
    assert {name: kind.__name__ for name, kind in CLASSES.items()} == {
        name: name.rpartition(".")[2] for name in CLASSES
    }


@each("name", [name for name in CLASSES if issubclass(CLASSES[name], pydantic.BaseModel)])
def test_no_field_hides_one_of_pydantics_own(name: str) -> None:
    kind: Any = CLASSES[name]
    assert not set(kind.model_fields) & {"copy", "json", "dict", "schema", "validate"}


def test_providers_are_an_enumeration_of_strings() -> None:
    assert issubclass(unified_llm.Provider, str)
    assert issubclass(unified_llm.Provider, Enum)
    assert f"{unified_llm.Provider.OPENAI}" == "openai"


def test_the_version_is_one() -> None:
    from importlib.metadata import version

    assert unified_llm.__version__ == version("unified-llm")
