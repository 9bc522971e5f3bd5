"""Every example of docs/media-input.md sends what it says, to a server that checks the format of its provider."""

from __future__ import annotations

import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

import unified_llm
from integration_tests.fakes import ollama
from integration_tests.support import upstream
from integration_tests.support.media import PDF, PNG, WAV
from integration_tests.test_provider_examples import server_of
from tests.support.doc_pages import ROOT, examples
from unified_llm import LLMClient
from unified_llm._providers import registry

EXAMPLES = {
    f"{match[1]}/{match[2]}": (match[1], match[2], example.source)
    for example in examples(ROOT / "docs" / "media-input.md")
    if (match := re.search(r'LLMClient\("([\w-]+)/([^"]+)"', example.source))
}
QUESTION = "What is this about?"
FILES = {"cat.png": PNG, "question.wav": WAV, "report.pdf": PDF}
ENCODED = {name: b64encode(data).decode() for name, data in FILES.items()}
DOG, PAPER = "https://example.com/dog.jpg", "https://example.com/paper.pdf"
# What each source is in the formats of OpenAI, Anthropic and Gemini; Cohere's is OpenAI's.
OPENAI: dict[str, Any] = {
    "cat.png": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{ENCODED['cat.png']}"}},
    DOG: {"type": "image_url", "image_url": {"url": DOG}},
    "question.wav": {"type": "input_audio", "input_audio": {"data": ENCODED["question.wav"], "format": "wav"}},
    "report.pdf": {
        "type": "file",
        "file": {"filename": "report.pdf", "file_data": f"data:application/pdf;base64,{ENCODED['report.pdf']}"},
    },
}
ANTHROPIC: dict[str, Any] = {
    "cat.png": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ENCODED["cat.png"]}},
    DOG: {"type": "image", "source": {"type": "url", "url": DOG}},
    "report.pdf": {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": ENCODED["report.pdf"]},
        "title": "report.pdf",
    },
    PAPER: {"type": "document", "source": {"type": "url", "url": PAPER}, "title": "paper.pdf"},
}
GEMINI: dict[str, Any] = {
    "cat.png": {"inlineData": {"mimeType": "image/png", "data": ENCODED["cat.png"]}},
    DOG: {"fileData": {"fileUri": DOG, "mimeType": "image/jpeg"}},
    "question.wav": {"inlineData": {"mimeType": "audio/wav", "data": ENCODED["question.wav"]}},
    "report.pdf": {"inlineData": {"mimeType": "application/pdf", "data": ENCODED["report.pdf"]}},
    PAPER: {"fileData": {"fileUri": PAPER, "mimeType": "application/pdf"}},
}


def expected_message(provider: str, names: list[str]) -> dict[str, Any]:
    """Return the message with these sources, as the API of the provider has it."""
    match registry.row(provider).format:
        case "anthropic":
            return {
                "role": "user",
                "content": [{"type": "text", "text": QUESTION}, *(ANTHROPIC[name] for name in names)],
            }
        case "gemini":
            return {"role": "user", "parts": [{"text": QUESTION}, *(GEMINI[name] for name in names)]}
        case "ollama":
            return {"role": "user", "content": QUESTION, "images": [ENCODED[name] for name in names]}
        case _:
            return {"role": "user", "content": [{"type": "text", "text": QUESTION}, *(OPENAI[name] for name in names)]}


def test_there_is_an_example_for_every_provider_that_reads_more_than_text() -> None:
    """Models of Moonshot and Z.ai do, their rows do not say so. MLX has no server: its example is in docs/mlx.md."""
    more = {"images", "image_urls", "audio", "files", "file_urls"}
    examples = {provider for provider, _, _ in EXAMPLES.values()}
    assert {row.name for row in registry.ROWS if row.features & more} <= {*examples, "mlx"}


def test_an_example_gives_all_that_its_model_reads() -> None:
    arguments = {"images": "images=", "audio": "audio=", "files": "files="}
    for provider, model, source in EXAMPLES.values():
        features = registry.model_profile(registry.row(provider), model).features
        assert {name for name, argument in arguments.items() if argument in source} == features & {*arguments}, model


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_of_a_provider_sends_its_images_recordings_and_files(
    example: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provider, model, source = EXAMPLES[example]
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ollama, "MODELS", (*ollama.MODELS, "gemma3"))
    monkeypatch.setitem(ollama._CAPABILITIES, "gemma3", ["completion", "vision"])
    server, key = server_of(provider, model, monkeypatch)
    with server as running:
        base_url = running.address + ("/v1" if isinstance(running, upstream.Upstream) else "")
        target = {"base_url": base_url, "api_key": key}
        monkeypatch.setattr(unified_llm, "LLMClient", lambda model, **fields: LLMClient(model, **{**fields, **target}))
        exec(compile(source, example, "exec"), {})  # noqa: S102 - runs the example
    assert capsys.readouterr().out.strip()
    assert not getattr(running, "violations", getattr(running, "refused", None))
    (sent,) = [
        turns for request in running.requests if (turns := request.body.get("messages", request.body.get("contents")))
    ]
    names = sorted(re.findall(r'"((?:cat|question|report)\.\w+|https://example\.com/[^"]+)"', source), key=source.index)
    assert names
    assert sent == [expected_message(provider, names)]
