"""Every snippet of the design of the local client runs with the package's name changed and nothing else.

Stand-ins for Ollama and LM Studio listen at their usual ports, which the snippets name.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final, TypeVar

import pytest

from integration_tests.fakes.local_servers import MODEL, LMStudio, LocalServer, Ollama
from tests.support.doc_pages import sections
from unified_llm import LLMClient, LLMConfig, LLMRequest, LLMResponse, Message, ModelInfo, Provider, Usage

SECTIONS: Final = {
    section.title: section for section in sections(Path(__file__).parent / "fixtures" / "local_client.md")
}
REQUEST: Final = {"messages": [{"role": "user", "content": "Hello?"}], "model": MODEL}
Server = TypeVar("Server", bound=LocalServer)


def listen(server: Callable[..., Server], port: int) -> Server:
    """Start at a port that another run of these tests may use for some seconds more."""
    until = time.monotonic() + 60
    while True:
        try:
            return server(port=port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            if time.monotonic() > until:
                pytest.skip(f"port {port}, which the design names, is in use")
            time.sleep(0.2)


@pytest.fixture(scope="module")
def _servers() -> Iterator[tuple[Ollama, LMStudio]]:
    with listen(Ollama, 11434) as ollama, listen(LMStudio, 1234) as lm_studio:
        yield ollama, lm_studio


@pytest.fixture
def servers(_servers: tuple[Ollama, LMStudio], monkeypatch: pytest.MonkeyPatch) -> tuple[Ollama, LMStudio]:
    for server in _servers:
        server.requests.clear()
        server.down = False
    for module, function in (("audio", "process_audio"), ("image", "process_image"), ("pdf", "extract_text")):
        name = f"{module}_extractor" if module == "pdf" else f"{module}_processor"
        stand_in = ModuleType(name)
        setattr(stand_in, function, read_document)
        monkeypatch.setitem(sys.modules, name, stand_in)
    return _servers


def read_document(path: str) -> SimpleNamespace:
    """Do what the design's other modules do with a file."""
    text = f"the text of {path}"
    return SimpleNamespace(success=True, text=text, description=text, pages=[SimpleNamespace(text=text)])


def run(title: str, **names: Any) -> list[dict[str, Any]]:
    """Run the Python snippets of a section, each with these names; return what each defines."""
    namespaces = []
    for source in SECTIONS[title].sources("python"):
        namespace = {"__name__": "snippet", **names}
        exec(compile(source, title, "exec"), namespace)  # noqa: S102 - runs the snippet
        namespaces.append(namespace)
    assert namespaces
    return namespaces


@pytest.mark.parametrize(
    ("title", "printed"),
    [
        ("one request", r"Response: Ollama was asked: Hello, world!\nModel: llama2:7b\nLatency: \d+\.\d+ms\n"),
        ("model lists", r"Model: llama2:7b, Provider: ollama\n"),
        ("every option", r""),
        ("health", r"Provider is healthy\n"),
        ("audio", r"Summary: Ollama was asked: Summarize this transcript: the text of .*podcast.mp3\n"),
        ("image", r"Answer: Ollama was asked: Based on this description: 'the text of .*\n"),
        ("pdf", r"Podcast script: Ollama was asked: Create a podcast script .*: the text of .*paper_no_images.pdf\n"),
    ],
)
@pytest.mark.usefixtures("servers")
def test_a_snippet_runs_and_prints_what_it_says(title: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(title)
    assert re.fullmatch(printed, capsys.readouterr().out)


def test_the_list_is_cached_until_it_is_invalidated(servers: tuple[Ollama, LMStudio]) -> None:
    (namespace,) = run("model lists")
    before = len(servers[0].requests)
    assert namespace["client"].list_models() == namespace["models"]
    assert len(servers[0].requests) == before


def test_a_provider_that_does_not_respond_is_not_healthy(
    servers: tuple[Ollama, LMStudio], capsys: pytest.CaptureFixture[str]
) -> None:
    servers[0].down = True
    run("health")
    assert capsys.readouterr().out == "Provider is not responding\n"


@pytest.mark.parametrize("is_down", [False, True])
def test_the_fallback_is_asked_for_the_model_that_the_call_names(
    servers: tuple[Ollama, LMStudio], *, is_down: bool
) -> None:
    (namespace,) = run("a fallback")
    servers[0].down = is_down
    response = namespace["client"].generate(REQUEST)
    assert response.content == f"{'LMStudio' if is_down else 'Ollama'} was asked: Hello?"
    assert (response.model, response.used_fallback) == (MODEL, is_down)
    assert response.fallback_provider == ("lmstudio" if is_down else None)
    assert namespace["config"].fallback_configs == (namespace["fallback_config"],)


def test_the_exceptions_can_be_imported_and_caught(
    servers: tuple[Ollama, LMStudio], capsys: pytest.CaptureFixture[str]
) -> None:
    with LLMClient(LLMConfig(provider="ollama", max_retries=0)) as client:
        run("exceptions", client=client, request=REQUEST)
        run("exceptions", client=client, request={**REQUEST, "model": "llama9"})
    with LLMClient(LLMConfig(provider="ollama", base_url="http://localhost:9", max_retries=0)) as client:
        run("exceptions", client=client, request=REQUEST)
    missing, unreachable = capsys.readouterr().out.splitlines()
    assert missing.startswith("Model not available: ollama/llama9")
    assert unreachable.startswith("Cannot connect to provider: ollama/llama2:7b")


@pytest.mark.usefixtures("servers")
def test_the_remedies_run(capsys: pytest.CaptureFixture[str]) -> None:
    with LLMClient(LLMConfig(provider="ollama")) as client:
        *_, slow, insecure = run("remedies", client=client, LLMConfig=LLMConfig)
    assert "Available models: ['llama2:7b']\n" in capsys.readouterr().out
    assert (slow["config"].timeout, insecure["config"].verify_ssl) == (120.0, False)


RECORDS: Final = (Message, LLMRequest, LLMResponse, ModelInfo, Usage, Provider)
VALUES: Final = {
    "role": "user", "messages": [Message("user", "Hello?")], "content": "Hi", "model": MODEL, "provider": "ollama",
    "finish_reason": "stop", "response_id": "r-1", "latency_ms": 12.5, "id": MODEL, "prompt_tokens": 1,
    "completion_tokens": 2, "total_tokens": 3,
}  # fmt: skip


def test_the_records_are_made_as_the_design_makes_them() -> None:
    run("records", **VALUES, **{record.__name__: record for record in RECORDS})


@pytest.mark.parametrize("record", RECORDS[:-1])
def test_a_record_has_the_fields_of_the_design(record: Callable[..., Any]) -> None:
    (source,) = SECTIONS["records"].sources("python")
    call = source.partition(f"\n{record.__name__}(")[2].partition(")")[0]
    names = re.findall(r"(\w+)(?=[,=]|\s*$)", re.sub(r"=[^,]*", "=", call))
    made = record(**{name: VALUES[name] for name in names if name in VALUES})
    assert names
    assert [name for name in names if not hasattr(made, name)] == []


@pytest.mark.parametrize("file", ["a.pdf", "a.jpg", "a.png", "a.mp3", "a.wav"])
@pytest.mark.usefixtures("servers")
def test_the_pipeline_summarizes_a_document(file: str) -> None:
    (namespace,) = run("pipeline")
    assert f": the text of {file}" in namespace["process_document_with_llm"](file)
    assert namespace["process_document_with_llm"]("a.txt") == "Unsupported file type"


def test_the_variables_are_read(servers: tuple[Ollama, LMStudio], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LM_STUDIO_API_KEY", raising=False)  # LM Studio's own name for its key comes first
    for title in ("variables of providers", "variables of the client"):
        for source in SECTIONS[title].sources("bash"):
            for name, value in re.findall(r"^export (\w+)=(.*)$", source, re.MULTILINE):
                monkeypatch.setenv(name, value)
    for provider, server in zip(("ollama", "lmstudio"), servers, strict=True):
        with LLMClient(LLMConfig(provider=provider, max_retries=0)) as client:
            assert client.generate(REQUEST).content == f"{type(server).__name__} was asked: Hello?"
    assert servers[1].requests[-1].headers["authorization"] == "Bearer your_key_here"


COMMANDS: Final = [
    pytest.param(title, line, id=line.removeprefix("python -m unified_llm "))
    for title in ("help", "generate and models", "addresses and health", "a configuration file", "a test message")
    for source in SECTIONS[title].sources("bash")
    for line in source.splitlines()
    if line.startswith("python ")
]


@pytest.mark.parametrize(("title", "line"), COMMANDS)
@pytest.mark.usefixtures("servers")
def test_a_command_runs(title: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "llm_config.json").write_text(f'{{"provider": "ollama", "model": "{MODEL}"}}', encoding="utf-8")
    _, *arguments = shlex.split(line)
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path)},
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    server = "LMStudio" if "lmstudio" in arguments else "Ollama"
    answer = f"{server} was asked: {arguments[-1]}\n"
    printed = {"generate": answer, "models": MODEL, "health": "ollama", "--help": "generate"}
    assert printed[arguments[2]] in done.stdout
