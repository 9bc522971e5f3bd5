"""No key, prompt or answer is shown by what an OpenAI client raises, in whichever way it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.canary_checks import assert_no_canary, assert_no_canary_in_error, own_frames
from tests.support.each import each
from unified_llm import ChatCompletion, Completion, Embedding
from unified_llm.openai_style import AsyncOpenAI, AzureOpenAI, OpenAI, OpenAIError
from unified_llm.testing import outage

KEY = "sk-CANARY-0123456789"
BAD = "sk-CANARY with a blank"
PROMPT = "CANARY prompt"
MESSAGES = [{"role": "user", "content": PROMPT}]
PNG = b"\x89PNG\r\n\x1a\nCANARY"


async def listed(page: Any) -> list[Any]:
    return [item async for item in page]


CALLS: dict[str, Callable[[], Any]] = {
    "constructor": lambda: OpenAI(api_key=BAD),
    "azure": lambda: AzureOpenAI(azure_endpoint="https://r.openai.azure.com", api_key=BAD),
    "azure twice": lambda: AzureOpenAI(azure_endpoint="https://r.openai.azure.com", api_key=KEY, azure_ad_token=KEY),
    "header": lambda: OpenAI(default_headers={"X-Api-Key": f"{KEY}\n"}),
    "copy": lambda: OpenAI().with_options(api_key=BAD),
    "key of a call": lambda: OpenAI().chat.completions.create(model="m", messages=MESSAGES, api_key=BAD),
    "chat": lambda: OpenAI(api_key=KEY).chat.completions.create(model="gpt-4o", messages=MESSAGES),
    "stream": lambda: [*OpenAI(api_key=KEY).chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)],
    "text": lambda: OpenAI(api_key=KEY).completions.create(model="gpt-3.5-turbo-instruct", prompt=PROMPT),
    "wrong text": lambda: OpenAI(api_key=KEY).completions.create(model="gpt-4o", prompt={PROMPT: KEY}),
    "vectors": lambda: OpenAI().embeddings.create(model="text-embedding-3-small", input=PROMPT, api_key=KEY),
    "wrong vectors": lambda: OpenAI(api_key=KEY).embeddings.create(model="x", input=[PROMPT, 5]),
    "facade": lambda: ChatCompletion.create("openai/gpt-4o", MESSAGES, api_key=KEY),
    "async facade": lambda: asyncio.run(ChatCompletion.acreate("openai/gpt-4o", MESSAGES, api_key=KEY)),
    "text of the facade": lambda: Completion.create("openai/gpt-4o", PROMPT, api_key=KEY, echo=True),
    "vectors of the facade": lambda: Embedding.create("openai/text-embedding-3-small", PROMPT, api_key=KEY),
    "raw": lambda: OpenAI(api_key=KEY).embeddings.with_raw_response.create(
        model="text-embedding-3-small", input=PROMPT
    ),
    "moderation": lambda: OpenAI(api_key=KEY).moderations.create(input=PROMPT),
    "image": lambda: OpenAI(api_key=KEY).images.generate(model="gpt-image-1", prompt=PROMPT),
    "stream of an image": lambda: OpenAI(api_key=KEY).images.generate(model="gpt-image-1", prompt=PROMPT, stream=True),
    "edit": lambda: OpenAI(api_key=KEY).images.edit(model="gpt-image-1", prompt=PROMPT, image=PNG),
    "speech": lambda: OpenAI(api_key=KEY).audio.speech.create(model="tts-1", voice="alloy", input=PROMPT),
    "transcription": lambda: OpenAI(api_key=KEY).audio.transcriptions.create(model="whisper-1", file=PNG),
    "video": lambda: OpenAI(api_key=KEY).videos.create(model="sora-2", prompt=PROMPT),
    "file": lambda: OpenAI(api_key=KEY).files.create(file=("a.txt", PNG), purpose="batch"),
    "files": lambda: OpenAI().files.list(api_key=KEY, extra_headers={"X-Key": KEY}),
    "batch": lambda: OpenAI(api_key=KEY).batches.create(input_file_id="f", metadata={"a": PROMPT}),
    "response": lambda: OpenAI(api_key=KEY).responses.create(model="gpt-4o", input=PROMPT),
    "async image": lambda: asyncio.run(AsyncOpenAI(api_key=KEY).images.generate(model="gpt-image-1", prompt=PROMPT)),
    "async files": lambda: asyncio.run(listed(AsyncOpenAI().files.list(api_key=KEY))),
    "model": lambda: OpenAI().models.retrieve("m", api_key=BAD),
    "models": lambda: OpenAI(api_key=KEY).models.list(timeout=KEY),
}


@each("call", CALLS)
def test_what_is_raised_shows_neither_key_nor_prompt(call: str) -> None:
    with outage("openai", "401", reply="CANARY answer", allow_unused=True), pytest.raises(OpenAIError) as caught:
        CALLS[call]()
    assert_no_canary_in_error(caught.value)
    for frame in own_frames(caught.value):
        assert "CANARY" not in f"{frame.locals}", f"{frame.filename}:{frame.lineno}"


def test_clients_show_no_key() -> None:
    client = OpenAI(api_key=KEY, default_headers={"X-Api-Key": KEY}).with_options(api_key=KEY)
    for shown in (client, client.settings, client.settings.targets.own, client.models, vars(client)):
        assert_no_canary(shown)
