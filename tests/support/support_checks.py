"""Checks of one cell of the support matrix: what a provider can do is done, and what it cannot is refused unsent.

A request goes through the client, the policy and the provider's codec, and its answer is one recorded of that provider
or its format.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.media_answers import PICTURE, SAMPLES, VIDEO, WORDS, media_answer
from tests.support.recordings import as_event
from tests.support.sent_requests import SentRequests, answer_to
from unified_llm import ChatCompletion, Completion, Embedding, LLMClient, Message
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._providers import registry
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.types import AudioPart, EmbeddingRequest, FilePart, ImagePart, LLMRequest, LLMResponse, Part

FIXTURES = Path(__file__).parents[1] / "fixtures"
TEXTS = ["hello", "goodbye"]
QUESTION = [{"role": "user", "content": "Hello?"}]
PNG, WAV, PDF = b"\x89PNG data", b"RIFF\x00\x00\x00\x00WAVEdata", b"%PDF-1.7 data"
# The recording of a format for each kind of answer; those of OpenAI's chat format are by provider, in ``rows``.
RECORDINGS: Mapping[str, Mapping[str, str]] = {
    "chat": {
        "openai_chat": "openai_chat/chat_plain",
        "anthropic": "anthropic/chat_plain",
        "gemini": "gemini/chat_text",
        "cohere": "cohere/chat_plain",
        "ollama": "ollama/chat_plain",
    },
    "stream": {
        "openai_chat": "openai_chat/stream_text",
        "anthropic": "anthropic/stream_text",
        "gemini": "gemini/stream_text",
        "cohere": "cohere/stream_text",
        "ollama": "ollama/stream_text",
    },
    "text": {"ollama": "ollama/text_raw"},
    "embeddings": {
        "openai_chat": "openai_chat/embeddings_floats",
        "huggingface": "huggingface/embeddings",
        "gemini": "gemini/embeddings",
        "cohere": "cohere/embed",
        "ollama": "ollama/embed",
    },
}
# How the path of each kind of request ends: by provider or format, or else as in OpenAI's API.
ENDPOINTS: Mapping[str, Mapping[str, str]] = {
    "chat": {
        "openai": "/chat/completions",
        "anthropic": "/v1/messages",
        "gemini": ":generateContent",
        "cohere": "/v2/chat",
        "ollama": "/api/chat",
    },
    "streaming": {
        "openai": "/chat/completions",
        "anthropic": "/v1/messages",
        "gemini": ":streamGenerateContent",
        "cohere": "/v2/chat",
        "ollama": "/api/chat",
    },
    "text completion": {"openai": "/completions", "deepseek": "/beta/completions", "ollama": "/api/generate"},
    "embeddings": {
        "openai": "/embeddings",
        "gemini": ":batchEmbedContents",
        "cohere": "/v2/embed",
        "huggingface": "/hf-inference/models/some-model/pipeline/feature-extraction",
        "ollama": "/api/embed",
    },
    "generate_image": {"openai": "/images/generations", "gemini": ":generateContent"},
    "edit_image": {"openai": "/images/edits", "gemini": ":generateContent"},
    "speech": {"openai": "/audio/speech", "gemini": ":generateContent"},
    "transcription": {"openai": "/audio/transcriptions", "cohere": "/v2/audio/transcriptions"},
    "translation": {"openai": "/audio/translations"},
    "video": {
        "openai": "/videos /videos/job_1 /videos/job_1/content",
        "gemini": "/v1beta/interactions /v1beta/interactions/job_1",
    },
}
# What says in the body of a request which kind it is, where the path does not.
FIELDS: Mapping[tuple[str, str], str] = {
    ("gemini", "generate_image"): '"responseModalities": ["IMAGE"]',
    ("gemini", "edit_image"): '"responseModalities": ["IMAGE"]',
    ("gemini", "speech"): '"responseModalities": ["AUDIO"]',
}


def recorded_case(row: registry.ProviderSpec, kind: str) -> Any:
    """Return what this provider, or else another one in its format, has answered to a request of this kind."""
    own = FIXTURES / "rows" / f"{row.name}.json"
    cases = json.loads(own.read_text(encoding="utf-8")) if own.exists() else {}
    if kind in cases:
        return cases[kind]
    if kind == "text" and row.format not in RECORDINGS[kind]:
        return recorded_case(registry.row("openai-compatible"), kind)
    by_format = RECORDINGS[kind]
    name = by_format.get(row.format) or by_format["openai_chat"]
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


def recorded_answer(request: Any, target: Target) -> list[Any]:
    """Return the events with which the recorded answer is decoded."""
    row, codec = registry.row(target.provider), codec_for(target.format)
    match request:
        case LLMRequest(stream=True):
            decoder = codec.decoder(request, target)
            sent = [as_event(event) for event in recorded_case(row, "stream")["events"]]
            events: list[Any] = [out for event in sent for out in decoder.feed(event)]
            return events if events and isinstance(events[-1], (Done, Failure)) else [*events, decoder.finish()]
        case LLMRequest():
            return [codec.decode(request, target, recorded_case(row, "text" if request.as_text else "chat")["body"])]
        case EmbeddingRequest():
            return [codec.decode(request, target, recorded_case(row, "embeddings")["body"])]
        case _ if (body := media_answer(target.format, request)) is not None:
            return [codec.decode(request, target, body)]
        case _:
            return answer_to(request)


class Cell:
    """One provider, its client, and what the client sends."""

    def __init__(self, provider: str, model: str) -> None:
        self.row = registry.row(provider)
        self.network = SentRequests(answers=recorded_answer)
        base_url = self.row.base_url or "https://gateway.example/v1"
        self.target: dict[str, Any] = {
            "model": f"{provider}:{model}",
            "api_key": "sk-of-a-test-0123456789",
            "base_url": base_url,
        }
        if self.row.format == "mlx":
            self.target = {"model": "mlx/demo"}
        self.client = LLMClient(self.target)

    @property
    def body(self) -> str:
        """The bodies of all requests."""
        return json.dumps([request.body for request in self.network.sent])

    def expect_endpoints(self, kind: str) -> None:
        """Check where the requests went, each once or more, and for which model and kind of answer."""
        ends = ENDPOINTS[kind]
        expected = ends.get(self.row.name) or ends.get(self.row.format) or ends["openai"]
        paths = dict.fromkeys(request.path for request in self.network.sent)
        assert len(paths) == len(expected.split()), paths
        assert all(map(str.endswith, paths, expected.split())), paths
        first = self.network.sent[0]
        assert str(self.target["model"]).partition(":")[2] in first.path + json.dumps(first.body)
        assert FIELDS.get((self.row.format, kind), "") in self.body

    def expect(self, kind: str, response: LLMResponse) -> None:
        assert response.content == recorded_case(self.row, kind)["expect"]["content"]
        assert response.provider == self.row.name

    def refuse(self, call: Callable[[], Any]) -> None:
        sent = len(self.network.sent)
        with pytest.raises(UnsupportedOperationError):
            call()
        assert len(self.network.sent) == sent, "nothing is sent"

    def read_parts(self, support: str, parts: Mapping[str, tuple[Part, str]]) -> None:
        """Send each part, and find its data or URL in the request; those that are not supported are refused."""
        for form, (part, mark) in parts.items():
            messages = [Message("user", (part,))]
            if form in support.split(", "):
                self.expect("chat", self.client.generate(messages))
                assert mark in self.body
            else:
                self.refuse(partial(self.client.generate, messages))


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def chat(cell: Cell, _: str) -> None:
    response = cell.client.generate("Hello?")
    cell.expect("chat", response)
    assert "Hello?" in cell.body
    completion = ChatCompletion.create(messages=QUESTION, **cell.target)
    assert completion.choices[0].message.content == response.content


def completion(cell: Cell, support: str) -> None:
    if support == "by chat":
        cell.expect("chat", cell.client.complete("Hello?"))
        cell.refuse(lambda: cell.client.complete("Hello?", as_text=True))
    else:
        cell.expect("text", cell.client.complete("Hello?", as_text=True))
        assert '"messages"' not in cell.body
    assert "Hello?" in cell.body
    text = recorded_case(cell.row, "chat" if support == "by chat" else "text")["expect"]["content"]
    assert Completion.create(prompt="Hello?", **cell.target).choices[0].text == text


def streaming(cell: Cell, _: str) -> None:
    chunks = list(cell.client.stream("Hello?"))
    text = recorded_case(cell.row, "stream")["expect"]["content"]
    assert "".join(chunk.content for chunk in chunks) == text
    assert chunks[-1].provider == cell.row.name
    shaped = [chunk.choices[0].delta for chunk in ChatCompletion.create(messages=QUESTION, stream=True, **cell.target)]
    assert "".join(delta.content or "" for delta in shaped) == text


def embeddings(cell: Cell, _: str) -> None:
    response = cell.client.embed(TEXTS)
    assert [list(vector) for vector in response.vectors] == recorded_case(cell.row, "embeddings")["expect"]["vectors"]
    assert response.provider == cell.row.name
    assert all(text in cell.body for text in TEXTS)
    shaped = Embedding.create(input=TEXTS, **cell.target)
    assert [item.embedding for item in shaped.data] == [list(vector) for vector in response.vectors]


def images(cell: Cell, support: str) -> None:
    url = "https://example.org/cat.png"
    cell.read_parts(support, {"data": (ImagePart(data=PNG), encoded(PNG)), "URL": (ImagePart(url=url), url)})


def audio(cell: Cell, support: str) -> None:
    cell.read_parts(support, {"data": (AudioPart(WAV), encoded(WAV))})


def files(cell: Cell, support: str) -> None:
    url = "https://example.org/report.pdf"
    file = FilePart(PDF, "application/pdf", "report.pdf")
    cell.read_parts(support, {"data": (file, encoded(PDF)), "URL": (FilePart(url=url), url)})


def generate_image(cell: Cell, _: str) -> None:
    response = cell.client.generate_image("A cat")
    assert (response.data, response.provider) == (PICTURE, cell.row.name)
    assert "A cat" in cell.body


def edit_image(cell: Cell, _: str) -> None:
    assert cell.client.generate_image("Add a hat", images=PNG).data == PICTURE
    assert "Add a hat" in cell.body
    assert encoded(PNG) in cell.body or json.dumps(PNG.decode("latin-1")).strip('"') in cell.body


def speech(cell: Cell, _: str) -> None:
    response = cell.client.generate_speech("Hello")
    assert response.audio.endswith(SAMPLES)
    assert response.provider == cell.row.name
    assert "Hello" in cell.body


def transcription(cell: Cell, _: str) -> None:
    response = cell.client.transcribe(WAV, language="en")
    assert (response.text, response.provider) == (WORDS, cell.row.name)
    assert "WAVEdata" in cell.body or encoded(WAV) in cell.body


def translation(cell: Cell, _: str) -> None:
    assert cell.client.transcribe(WAV, translate=True).text == WORDS
    assert "translation" in cell.network.sent[-1].url or "transl" in cell.body


def video(cell: Cell, _: str) -> None:
    response = cell.client.generate_video("A cat runs")
    assert (response.data, response.provider) == (VIDEO, cell.row.name)
    assert "A cat runs" in cell.body


_COLUMNS = (chat, completion, streaming, embeddings, images, audio, files)
_MEDIA_COLUMNS = (generate_image, edit_image, speech, transcription, translation, video)
CHECKS: Mapping[str, Callable[[Cell, str], None]] = {check.__name__: check for check in (*_COLUMNS, *_MEDIA_COLUMNS)}
# What is called where a provider cannot, for the columns that are either yes or no.
CALLS: Mapping[str, Callable[[LLMClient], Any]] = {
    "streaming": lambda client: list(client.stream("Hello?")),
    "embeddings": lambda client: client.embed(TEXTS),
    "generate_image": lambda client: client.generate_image("A cat"),
    "edit_image": lambda client: client.generate_image("Add a hat", images=PNG),
    "speech": lambda client: client.generate_speech("Hello"),
    "transcription": lambda client: client.transcribe(WAV),
    "translation": lambda client: client.transcribe(WAV, translate=True),
    "video": lambda client: client.generate_video("A cat runs"),
}


def check_cell(provider: str, column: str, support: str, model: str = "some-model") -> None:
    """Check that a model of a provider supports exactly this."""
    cell = Cell(provider, model)
    with cell.network.running():
        if support == "no" and column in CALLS:
            cell.refuse(lambda: CALLS[column](cell.client))
        else:
            CHECKS[column](cell, support)
        if cell.network.sent:
            cell.expect_endpoints(support if support in ENDPOINTS else column if column in ENDPOINTS else "chat")
