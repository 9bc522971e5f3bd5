"""A path in a prompt, a URL or a content part is never opened: through every surface, for every format."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms.types import AudioBlock, ChatMessage, DocumentBlock, ImageBlock, VideoBlock

from tests.support.four_ways import WAYS, Way, outcome_of
from tests.support.sent_requests import SentRequests
from tests.support.support_checks import WAV, recorded_answer
from tests.support.thorough import some
from unified_llm import LLMClient
from unified_llm.exceptions import LLMError, ValidationError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM
from unified_llm.openai_style import OpenAI

SECRET = b"\x89PNG the content of a file"
KEY: dict[str, Any] = {"api_key": "sk-of-a-test-0123456789", "base_url": "https://gateway.example/v1"}
# A target of each format; Azure and Hugging Face write OpenAI's.
TARGETS: tuple[dict[str, Any], ...] = (
    {"model": "openai-compatible/m"},
    {"model": "openai-compatible/m", "api": "responses"},
    {"model": "anthropic/claude-haiku-4-5"},
    {"model": "gemini/gemini-3.5-flash"},
    {"model": "cohere/command-a-03-2025"},
    {"model": "ollama/llama3.2"},
)
DATA_FIELDS = ("url", "data", "base64", "path", "file_data", "file_url", "image_url", "file_id", "uri", "text")


class OpenedError(AssertionError):
    """A file was opened."""


@pytest.fixture(name="path")
def _path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file that nobody may open."""
    path = tmp_path / "image.png"
    path.write_bytes(SECRET)
    opened, low = open, os.open

    def check(file: Any) -> None:
        if str(path) in str(file) or (isinstance(file, str) and "image.png" in file):
            raise OpenedError(file)

    def guarded(file: Any, *arguments: Any, **options: Any) -> Any:
        check(file)
        return opened(file, *arguments, **options)

    def guarded_low(file: Any, *arguments: Any, **options: Any) -> int:
        check(file)
        return low(file, *arguments, **options)

    monkeypatch.setattr("builtins.open", guarded)
    monkeypatch.setattr("io.open", guarded)
    monkeypatch.setattr("os.open", guarded_low)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OpenedError):
        path.read_bytes()
    return path


def spellings(path: Path) -> list[str]:
    return [
        str(path),
        path.name,
        f"./{path.name}",
        path.as_uri(),
        f"file:{path}",
        f"FILE://{path}",
        f"//{path}",
        f"@{path}",
    ]


def parts(text: str) -> Iterator[Any]:
    """Yield content parts of OpenAI, Anthropic, Gemini, Bedrock and both frameworks with a text in every field."""
    yield text
    yield {"type": "text", "text": text}
    for kind in (
        "image_url",
        "input_image",
        "image",
        "input_audio",
        "audio",
        "file",
        "input_file",
        "document",
        "video",
    ):
        yield {"type": kind, kind: text}
        yield {"type": kind, kind: dict.fromkeys(("url", "data", "file_data", "path", "format"), text)}
        yield {"type": kind, "source_type": "url", "url": text, "mime_type": "image/png"}
        yield from ({"type": kind, name: text, "mime_type": "image/png"} for name in DATA_FIELDS)
        for source in ("url", "base64", "file", "path"):
            yield {"type": kind, "source": {"type": source, **dict.fromkeys(("url", "data", "path"), text)}}
    yield {"type": "file", "file": {"file_id": text, "filename": text}}


def ask(way: Way, target: dict[str, Any], content: Any) -> None:
    outcome_of(way, LLMClient(target), [{"role": "user", "content": content}])


CALLS: dict[str, Callable[[dict[str, Any], Any], Any]] = {
    **{way: partial(ask, way) for way in WAYS},
    "an earlier answer": lambda target, content: LLMClient(target).generate(
        [("user", "Hello?"), {"role": "assistant", "content": content}, ("user", "Go on.")]
    ),
    "ChatUnified": lambda target, content: ChatUnified(**target).invoke([HumanMessage(content), AIMessage(content)]),
    "ChatUnified.ainvoke": lambda target, content: asyncio.run(
        ChatUnified(**target).ainvoke([SystemMessage(content), ToolMessage(content, tool_call_id="1")])
    ),
    "OpenAI": lambda _, content: OpenAI(**KEY).chat.completions.create(
        model="m", messages=[{"role": "user", "content": content}]
    ),
    "UnifiedLLM": lambda target, content: UnifiedLLM(**target).chat([ChatMessage(content=content)]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_content_part_makes_the_client_open_a_file(call: Callable[..., Any], path: Path) -> None:
    encoded, turns = base64.b64encode(SECRET).decode(), count()
    with SentRequests().running() as network:
        for number, target in enumerate(TARGETS if call is CALLS["generate"] else TARGETS[:1]):
            for text in spellings(path)[number % 2 :: 4]:
                contents: list[Any] = [text, *([part] for part in parts(text))]
                for content in some(contents[:: 1 if number == 0 else 3], 5, start=next(turns)):
                    with suppress(LLMError, ValueError, TypeError):  # refused by us or by the framework
                        call({**target, **KEY}, content)
    assert network.sent
    bodies = str([request.body for request in network.sent])
    assert encoded not in bodies
    assert "the content of a file" not in bodies


def test_no_text_to_complete_or_to_embed_is_a_path(path: Path) -> None:
    openai = {"model": "openai-compatible/m", **KEY}
    with SentRequests().running() as network:
        client = LLMClient(openai)
        for text in spellings(path):
            client.complete(text)
            client.generate(text)
            asyncio.run(client.acomplete(text))
            client.embed([text])
            OpenAI(**KEY).embeddings.create(model="m", input=text)
            UnifiedLLM(**openai).complete(text)
            ChatUnified(**openai).invoke(text)
            UnifiedEmbeddings(**openai).embed_query(text)
            UnifiedEmbedding(**openai).get_text_embedding(text)
    assert all(any(text in str(request.body) for text in spellings(path)) for request in network.sent)
    assert len(network.sent) == 9 * len(spellings(path))


def test_no_prompt_for_media_is_a_path(path: Path) -> None:
    client = LLMClient({"model": "openai-compatible/m", **KEY})
    with SentRequests(answers=recorded_answer).running() as network:
        for text in spellings(path):
            client.generate_image(text)
            client.generate_speech(text)
            client.generate_video(text)
            client.transcribe(WAV, prompt=text)
    with pytest.raises(ValidationError, match="cannot be read"):
        client.generate_image("A cat", images=path.as_uri())
    with pytest.raises(ValidationError, match="cannot be read"):
        client.generate_video("A cat", image=path.as_uri())
    assert "the content of a file" not in str([request.body for request in network.sent])
    assert len(network.sent) == 6 * len(spellings(path))  # a video takes three


def test_a_url_in_a_block_of_llama_index_is_no_path(path: Path) -> None:
    """Its ``path=`` is one, which its user writes."""
    with SentRequests().running() as network:
        for block in (ImageBlock, AudioBlock, DocumentBlock, VideoBlock):
            with suppress(LLMError):
                UnifiedLLM(model="openai-compatible/m", **KEY).chat([ChatMessage(blocks=[block(url=path.as_uri())])])
    assert "the content of a file" not in str([request.body for request in network.sent])


def test_a_path_in_a_block_of_llama_index_leads_to_what_the_block_is_alone(tmp_path: Path) -> None:
    """A message may have been read from JSON: its blocks give no other file away."""
    file = tmp_path / "passwd"
    file.write_bytes(b"root:x:0:0")
    with SentRequests().running() as network:
        for block in (ImageBlock, AudioBlock, VideoBlock):
            read = ChatMessage.model_validate({"role": "user", "blocks": [block(path=file).model_dump()]})
            with pytest.raises(ValidationError, match=r"The image is|The recording is|is no video"):
                UnifiedLLM(model="openai-compatible/m", **KEY).chat([read])
    assert network.sent == []
