"""Programs for OpenAI's client at providers whose API for media and files is another, or nearly OpenAI's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.each import each
from tests.support.sent_requests import SentRequest, SentRequests
from tests.support.support_checks import recorded_answer
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm.openai_style import AsyncOpenAI, BadRequestError, OpenAI
from unified_llm.types.raw import RawRequest

KEY = "sk-CANARY-other-providers"
GROQ, MISTRAL, XAI = "https://api.groq.com/openai/v1", "https://api.mistral.ai/v1", "https://api.x.ai/v1"
MOONSHOT, TOGETHER = "https://api.moonshot.ai/v1", "https://api.together.ai/v1"
RECORDING = ("talk.wav", b"RIFF\x24\x00\x00\x00WAVEfmt ")
PICTURE = ("a.png", b"\x89PNG\r\n\x1a\n picture")
LINES = ("lines.jsonl", b"{}")
BATCH = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
Call = Callable[[Any], Any]
# An address, a call, and the path and a part of the body that the provider is sent.
CALLS: dict[str, tuple[str, Call, str, str]] = {
    "files of Groq": (GROQ, lambda c: c.files.create(file=LINES, purpose="batch"), "/openai/v1/files", "lines.jsonl"),
    "batches of Groq": (GROQ, lambda c: c.batches.create(**BATCH), "/openai/v1/batches", "file-1"),
    "files of Moonshot": (MOONSHOT, lambda c: c.files.create(file=LINES, purpose="batch"), "/v1/files", "lines.jsonl"),
    "moderation of Mistral": (
        MISTRAL, lambda c: c.moderations.create(input="x", model="mistral-moderation-latest"), "/v1/moderations",
        '"input": "x"',
    ),
    "a transcription of Groq": (
        GROQ, lambda c: c.audio.transcriptions.create(model="whisper-large-v3", file=RECORDING, language="en"),
        "/openai/v1/audio/transcriptions", "whisper-large-v3",
    ),
    "speech of Mistral": (
        MISTRAL, lambda c: c.audio.speech.create(model="voxtral-mini-tts-2603", input="Hi", voice="v1"),
        "/v1/audio/speech", '"voice_id": "v1"',
    ),
    "an image of xAI": (
        XAI, lambda c: c.images.generate(model="grok-imagine-image", prompt="A fox", size="1024x1024"),
        "/v1/images/generations", '"aspect_ratio": "1:1"',
    ),
    "an edit of xAI": (
        XAI, lambda c: c.images.edit(model="grok-imagine-image", prompt="A hat", image=PICTURE), "/v1/images/edits",
        "data:image/png;base64,",
    ),
    "an image of Together AI": (
        TOGETHER, lambda c: c.images.generate(model="black-forest-labs/FLUX.1-schnell", prompt="A", size="1024x768"),
        "/v1/images/generations", '"height": 768',
    ),
    "an image of Gemini": (
        XAI, lambda c: c.images.generate(model="gemini/gemini-3.1-flash-image", prompt="A fox", size="1024x1024"),
        "/v1beta/models/gemini-3.1-flash-image:generateContent", '"aspectRatio": "1:1"',
    ),
    "speech of Gemini": (
        XAI, lambda c: c.audio.speech.create(model="gemini/gemini-3.8-flash-tts", input="Hi", voice="Kore"),
        "/v1beta/models/gemini-3.8-flash-tts:generateContent", '"voiceName": "Kore"',
    ),
}  # fmt: skip


def answer(request: Any, target: Target) -> list[Any]:
    if isinstance(request, RawRequest):
        body = {"id": "made-1", "results": [{"flagged": False}]}
        return [codec_for(target.format).decode(request, target, body)]
    return recorded_answer(request, target)


def run_sync(base_url: str, call: Call) -> Any:
    return call(OpenAI(api_key=KEY, base_url=base_url))


def run_async(base_url: str, call: Call) -> Any:
    async def run() -> Any:
        async with AsyncOpenAI(api_key=KEY, base_url=base_url) as client:
            return await call(client)

    return asyncio.run(run())


def sent_by(run: Callable[[str, Call], Any], base_url: str, call: Call) -> SentRequest:
    network = SentRequests(answers=answer)
    with network.running():
        assert run(base_url, call)
    (sent,) = network.sent
    return sent


@each("name", CALLS)
def test_the_provider_is_sent_what_it_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    base_url, call, path, part = CALLS[name]
    for run in (run_sync, run_async):
        sent = sent_by(run, base_url, call)
        assert sent.path == path
        assert part in (sent.body if isinstance(sent.body, str) else json.dumps(sent.body))


def test_what_a_provider_has_not_is_refused_with_those_who_have_it() -> None:
    network = SentRequests(answers=answer)
    with network.running(), pytest.raises(BadRequestError, match=r"mistral cannot run batches \(which openai"):
        OpenAI(api_key=KEY, base_url=MISTRAL).batches.create(**BATCH)
    assert network.sent == []
