"""Every Python example of the documentation runs against scripted targets; links, install lines and names are right."""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import inspect
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

import pytest
from opentelemetry import metrics, trace

import unified_llm
from tests.support.doc_pages import ROOT, Example, examples, pages
from tests.support.scripted_targets import Attempt as ScriptedAttempt
from tests.support.scripted_targets import ScriptedTargets, call_tool, say
from unified_llm import (
    Attempt,
    BreakerConfig,
    FailureKind,
    LLMChunk,
    LLMClient,
    LLMConfig,
    LLMRequest,
    LLMResponse,
    ModelInfo,
    Usage,
    exceptions,
    langchain,
    llama_index,
    types,
)
from unified_llm._config.constructor_names import ALIASES
from unified_llm._core.outcome import Done, Failure
from unified_llm._providers import registry
from unified_llm._providers.registry import ROWS

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider

REPOSITORY: Final = "https://github.com/unified-llm/unified-llm"
EXAMPLES: Final = [(index, example) for page in pages() for index, example in enumerate(examples(page))]
# What an example imports, and what its install line must contain. The first that fits counts.
PACKAGES: Final = {
    "unified_llm.langchain": r"\[.*(langchain|agents)",
    "unified_llm.llama_index": r"\[.*llama-index",
    "unified_llm": r"unified-llm",
    "langchain_core": r"\[.*(langchain|agents)",
    "langchain": r"\[.*agents",
    "llama_index": r"\[.*llama-index",
    "opentelemetry.sdk": r"opentelemetry-sdk",
    "opentelemetry": r"\[.*otel",
    "pydantic": r"unified-llm",
    "fastapi": r"fastapi",
    "flask": r"flask",
    "django": r"django",
    "pytest": r"pytest",
}


# What users see only in annotations.
INTERNAL: Final = {
    "CountRequest", "EmbeddingRequest", "FinishReason", "Media", "ModelRequest", "ModelsRequest", "OutputMethod",
    "Part", "ProviderState", "RawChunk", "RawRequest", "RawResponse", "RerankRequest", "Role", "native",
    "targets_of_call", "run_embedding", "arun_embedding", "run_model_info", "arun_model_info",
    "run_request", "arun_request", "stream_request", "astream_request", "run_count", "arun_count",
    "write_entry", "read_entry",
    "ImageRequest", "MediaFile", "SpeechRequest", "TranscriptionRequest", "VideoContentRequest", "VideoJob",
    "VideoJobRequest", "VideoRequest",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _set_up_for_one_example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Undo what an example sets: OpenTelemetry's own providers can be set only once in a process.

    LlamaIndex makes an event loop where there is none, and closes it nowhere. MLX finds the folder of a model, a
    client the files of its certificate.
    """
    for name in ("models/Qwen3-4B-4bit", "mlx-community/Qwen3-4B-4bit", "mlx-community/Qwen3-8B-4bit"):
        model = tmp_path / name
        model.mkdir(parents=True)
        (model / "config.json").write_text('{"model_type": "qwen3"}', encoding="utf-8")
    (tmp_path / "tls").mkdir()
    for name in ("tls.crt", "tls.key"):
        shutil.copy(ROOT / "tests" / "support" / "localhost.pem", tmp_path / "tls" / name)
    for name, data in {
        "cat.png": b"\x89PNG", "question.wav": b"RIFF\0\0\0\0WAVE", "report.pdf": b"%PDF-1.7",
        "photo.png": b"\x89PNG\r\n\x1a\n", "meeting.mp3": b"ID3",
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    providers: list[MeterProvider] = []

    def use_tracers(provider: object) -> None:
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)

    def use_meters(provider: MeterProvider) -> None:
        providers.append(provider)
        monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)

    monkeypatch.setattr(trace, "set_tracer_provider", use_tracers)
    monkeypatch.setattr(metrics, "set_meter_provider", use_meters)
    yield
    asyncio.set_event_loop(None)
    loop.close()
    for provider in providers:
        provider.shutdown()  # its reader has a thread


class AnyTarget(dict[str, list[ScriptedAttempt]]):
    """Scripts of any target: an answer. A provider by itself, without a model, returns a list of models."""

    def __missing__(self, name: str) -> list[ScriptedAttempt]:
        return [
            say("Failover asks the next target.") if "/" in name else [Done(((ModelInfo("some-model", name),), None))]
        ]


# What the example with files and batches receives, in order.
STORED: Final = [
    {"id": "file-1", "object": "file", "filename": "requests.jsonl"},
    {"id": "batch_1", "object": "batch", "status": "validating"},
    {"object": "list", "data": [{"id": "file-1", "filename": "requests.jsonl"}], "has_more": False},
    {"id": "modr-1", "results": [{"flagged": True}]},
]


@pytest.mark.parametrize(
    ("index", "example"),
    [pytest.param(index, example, id=example.name) for index, example in EXAMPLES if not example.is_web_application],
)
def test_the_example_runs(
    index: int, example: Example, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first example of a page has one API key; the others have all."""
    code = compile(example.source, example.name, "exec")
    for row in ROWS:
        for variable in row.key_env[:1]:
            if index > 0 or row.name == "openai":
                monkeypatch.setenv(variable, "sk-CANARY-of-the-documentation")
    targets = ScriptedTargets(AnyTarget())
    if ".batches." in example.source:
        targets = ScriptedTargets(AnyTarget(openai=[[Done(types.RawResponse(body))] for body in STORED]))
    with targets.running():
        exec(code, {"__name__": "__main__"})  # noqa: S102 - runs the example
    for row in registry.registered():
        registry.unregister(row.name)
    assert targets.open == 0
    assert "CANARY" not in capsys.readouterr().out


def test_the_loop_of_tools_runs_them_and_returns_their_mistakes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = next(example.source for _, example in EXAMPLES if "Message.tool(" in example.source)
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(variable, "sk-CANARY-of-the-documentation")
    calls = [("weather", '{"city": "Paris"}'), ("wether", "{}"), ("weather", '{"town": 1}'), ("weather", "{")]
    steps = [call_tool(name, arguments, f"call_{index}") for index, (name, arguments) in enumerate(calls)]
    targets = ScriptedTargets({"openai/gpt-5-mini": [*steps, say("It is sunny.")]})
    with targets.running():
        exec(source, {"__name__": "__main__"})  # noqa: S102 - runs the example
    assert capsys.readouterr().out == "It is sunny.\n"
    results = [message for message in targets.asked[-1][1].messages if message.role == "tool"]
    assert [result.is_error for result in results] == [False, True, True, True]
    assert [result.tool_call_id for result in results] == ["call_0", "call_1", "call_2", "call_3"]


def test_the_batch_lists_what_failed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    source = next(example.source for _, example in EXAMPLES if "range(500)" in example.source)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-CANARY-of-the-documentation")
    refused = Failure("bad_request", 400)
    tenth = [refused if number % 10 == 9 else say("One sentence.") for number in range(500)]
    targets = ScriptedTargets({"openai/gpt-5-mini": tenth, "ollama/llama3.2": [refused]})
    with targets.running():
        exec(source, {"__name__": "__main__"})  # noqa: S102 - runs the example
    printed = capsys.readouterr()
    assert "450 served, 50 failed\n" in printed.out
    assert printed.out.count("BadRequestError openai/gpt-5-mini: ") == 50
    assert printed.err == ""


def test_the_page_on_web_frameworks_shows_every_file_that_the_integration_tests_run() -> None:
    shown = [example.source for _, example in EXAMPLES if example.is_web_application]
    files = sorted((ROOT / "examples" / "web").glob("*.py"))
    assert [path.name for path in files if path.read_text(encoding="utf-8") not in shown] == []
    assert len(shown) == len(files) == 5


def test_there_are_examples_to_run() -> None:
    assert len(EXAMPLES) >= 60


def imports(example: Example) -> set[str]:
    """Return the modules that an example imports, but those of the standard library."""
    names = set[str]()
    for node in ast.walk(ast.parse(example.source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name for name in names if any(f"{name}.".startswith(f"{package}.") for package in PACKAGES)}


def test_the_install_line_above_an_example_brings_what_it_imports() -> None:
    missing = []
    for _, example in EXAMPLES:
        for name in imports(example):
            package = next(package for package in PACKAGES if f"{name}.".startswith(f"{package}."))
            if not re.search(PACKAGES[package], example.install):
                missing.append(f"{example.name}: {name} is not in {example.install!r}")
    assert missing == []


LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    """Return the targets of the links on a page."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [first or second for first, second in LINK.findall(text)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {anchor(heading) for heading in headings}


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_link_within_the_repository_leads_to_something() -> None:
    wrong = []
    others = [ROOT / f"{name}.md" for name in ("CONTRIBUTING", "SECURITY", "CHANGELOG")]
    for page in [*pages(), *others]:
        for link in links(page):
            path, _, anchor = link.partition("#")
            if path.startswith(f"{REPOSITORY}/blob/main/"):
                target = ROOT / path.removeprefix(f"{REPOSITORY}/blob/main/")
            elif "://" in path or path.startswith("mailto:"):
                continue
            else:
                target = page.parent / path if path else page
            if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
                wrong.append(f"{page.name}: {link}")
    assert wrong == []


def test_a_long_page_begins_with_links_to_its_sections() -> None:
    missing = []
    for page in pages():
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        sections = [anchor(heading) for heading in re.findall(r"^## (.*)$", text, re.MULTILINE)]
        listed = re.findall(r"\]\(#([^)]+)\)", text.partition("\n## ")[0])
        if len(page.read_text(encoding="utf-8").splitlines()) > 250 and listed != sections:
            missing.append(f"{page.name}: {sections} are its sections, {listed} are listed")
    assert missing == []


def test_links_of_the_readme_work_on_an_index_page() -> None:
    assert [link for link in links(ROOT / "README.md") if not link.startswith(("https://", "#"))] == []


def test_every_page_is_in_the_list_of_pages() -> None:
    listed = {(ROOT / "docs" / link).resolve() for link in links(ROOT / "docs" / "README.md")}
    assert {*pages()} - listed == {ROOT / "README.md", ROOT / "docs" / "README.md"}
    assert f"{REPOSITORY}/blob/main/docs/README.md" in links(ROOT / "README.md")


def test_the_readme_has_the_terms_that_people_search_for() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").lower()
    terms = (
        "circuit breaker", "rate limit", "timeout", "retries", "context window", "api key", "async", "fastapi", "batch",
        "load balancing", "cost", "bedrock", "vertex", "exponential backoff", "half-open", "cooldown",
    )  # fmt: skip
    assert [term for term in terms if term not in text] == []


def test_every_exception_has_a_cause_and_a_remedy() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = {
        name: (cause, remedy)
        for name, cause, remedy in re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    }
    assert rows.keys() == {*exceptions.__all__}
    assert [name for name, row in rows.items() if not all(row)] == []


def test_every_kind_of_failure_is_explained() -> None:
    page = (ROOT / "docs" / "failover.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`.+?) \|", page.partition("## Kinds of failure")[2].partition("\n## ")[0], re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(get_args(FailureKind))


def test_every_process_wide_default_is_explained() -> None:
    page = (ROOT / "docs" / "configuration-files.md").read_text(encoding="utf-8")
    section = page.partition("## Process-wide settings")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` \|(?: `UNIFIED_LLM_(\w+)`)? \|", section, re.MULTILINE)
    parameters = {*inspect.signature(unified_llm.configure).parameters}
    assert {name for name, _ in named} == parameters - {*LLMConfig.model_fields, *ALIASES}
    assert [name for name, variable in named if variable and name.upper() != variable] == []


def test_every_argument_of_register_provider_is_explained() -> None:
    page = (ROOT / "docs" / "user-providers.md").read_text(encoding="utf-8")
    arguments = {*inspect.signature(unified_llm.register_provider).parameters} - {"name", "provider"}
    assert {name for name in arguments if not re.search(rf"\b{name}\b", page)} == set()


def test_every_public_name_is_in_the_docs() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages())
    named = set(re.findall(r"\w+", text))
    names = {*unified_llm.__all__, *types.__all__, *exceptions.__all__, *langchain.__all__, *llama_index.__all__}
    names |= {name for name in dir(LLMClient) if not name.startswith("_")} | {*LLMConfig.model_fields}
    data = (LLMRequest, LLMResponse, LLMChunk, Attempt, Usage, ModelInfo, BreakerConfig, types.Message, types.ToolCall)
    names |= {field.name for record in data for field in dataclasses.fields(record)}
    for adapter in (langchain.ChatUnified, langchain.UnifiedEmbeddings, llama_index.UnifiedLLM):
        names |= {name for name in adapter.__annotations__ if not name.startswith("_") and name.islower()}
    assert names - named - INTERNAL == set()


NAMED = re.compile(r"`((?:integration_)?tests/[\w/]+\.py)(?:::(\w+))?`")


@pytest.mark.parametrize("page", ["reliability.md", "requirements.md"])
def test_every_test_that_is_named_exists(page: str) -> None:
    named = NAMED.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert named
    for path, test in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in source, f"{path}::{test}"


def test_every_requirement_names_a_test() -> None:
    page = (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\| requirement \| here \| test \|\n(?:\|.*\n)+", page, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()[2:]]
    assert len(rows) > 50
    assert [row for row in rows if not NAMED.search(row.split(" | ")[-1])] == []
