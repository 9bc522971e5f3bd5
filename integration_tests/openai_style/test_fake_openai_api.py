"""The fake of OpenAI's API before the official SDK: it reads every program, and refuses what the types do not have."""

# mypy: disable-error-code="deprecated"

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from openai import APIConnectionError, APIStatusError, OpenAI

from integration_tests.fakes.openai_api.server import KEY, Fault, OpenAIAPI
from integration_tests.openai_style.pairs import NAMES, run
from integration_tests.support.media import PNG, WAV

# Programs that make mistakes on purpose.
MISTAKEN = {"models", "responses"}
QUESTION: Any = [{"role": "user", "content": "x"}]
SOUND = ("a.wav", WAV)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", NAMES)
def test_the_official_client_reads_it(api: OpenAIAPI, name: str) -> None:
    assert run("official", name, api).results
    assert api.violations == [] or name in MISTAKEN


def chat(**fields: Any) -> Callable[[OpenAI], object]:
    return lambda client: client.chat.completions.create(**{"model": "gpt-4o", "messages": QUESTION, **fields})


def image(**fields: Any) -> Callable[[OpenAI], object]:
    return lambda client: client.images.generate(**{"model": "gpt-image-2", "prompt": "x", **fields})


def edit(**fields: Any) -> Callable[[OpenAI], object]:
    return lambda client: client.images.edit(**{"model": "gpt-image-2", "image": PNG, "prompt": "x", **fields})


def speech(**fields: Any) -> Callable[[OpenAI], object]:
    return lambda client: client.audio.speech.create(**{"model": "tts-1", "voice": "ash", "input": "x", **fields})


def transcription(**fields: Any) -> Callable[[OpenAI], object]:
    return lambda client: client.audio.transcriptions.create(**{"model": "whisper-1", "file": SOUND, **fields})


REFUSED: Mapping[str, Callable[[OpenAI], object]] = {
    "an unknown field": chat(extra_body={"colour": 1}),
    "an unknown field of a message": chat(messages=[{"role": "user", "content": "x", "colour": 1}]),
    "a text for a number": chat(temperature="0.5"),
    "a number out of range": chat(temperature=3),
    "no message": chat(messages=[]),
    "a call without a result": chat(
        messages=[
            *QUESTION,
            {
                "role": "assistant",
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
        ]
    ),
    "stream_options without a stream": chat(stream_options={"include_usage": True}),
    "top_logprobs without logprobs": chat(top_logprobs=2),
    "two limits": chat(max_tokens=1, max_completion_tokens=1),
    "a temperature where the model reasons": chat(model="gpt-5-mini", temperature=0.5),
    "max_tokens where the model reasons": chat(model="gpt-5-mini", max_tokens=5),
    "an effort where the model does not reason": chat(reasoning_effort="low"),
    "a picture that is none": chat(
        messages=[
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}],
            }
        ]
    ),
    "a choice without tools": chat(tool_choice="auto"),
    "more best_of than n in a stream": lambda client: client.completions.create(
        model="davinci-002", prompt="x", best_of=2, stream=True
    ),
    "a suffix at another model": lambda client: client.completions.create(model="davinci-002", prompt="x", suffix="y"),
    "an empty text to embed": lambda client: client.embeddings.create(model="text-embedding-3-small", input=""),
    "dimensions at an old model": lambda client: client.embeddings.create(
        model="text-embedding-ada-002", input="x", dimensions=4
    ),
    "a response_format at a GPT image model": image(response_format="url"),
    "a style at a GPT image model": image(style="vivid"),
    "a background at dall-e-3": image(model="dall-e-3", background="opaque"),
    "two pictures of dall-e-3": image(model="dall-e-3", n=2),
    "partial images without a stream": image(partial_images=1),
    "a size that is none": image(size="1000x1000"),
    "a compression of png": image(output_compression=5),
    "a file that is no picture": edit(image=b"hello"),
    "an unknown field of a form": edit(extra_body={"colour": "1"}),
    "a mask that is text": edit(extra_body={"mask": "x"}),
    "variations of another model": lambda client: client.images.create_variation(image=PNG, model="gpt-image-2"),
    "events of tts-1": speech(stream_format="sse"),
    "instructions for tts-1": speech(instructions="x"),
    "a speed out of range": speech(speed=5),
    "a long text to speak": speech(input="x" * 4097),
    "a file without an extension": transcription(file=WAV),
    "a format of another model": transcription(model="gpt-4o-transcribe", response_format="srt"),
    "granularities without verbose_json": transcription(timestamp_granularities=["word"]),
    "a prompt where speakers are told apart": transcription(model="gpt-4o-transcribe-diarize", prompt="x"),
    "a translation of another model": lambda client: client.audio.translations.create(
        model="gpt-4o-transcribe", file=SOUND
    ),
    "a size of another video model": lambda client: client.videos.create(prompt="x", size="1792x1024"),
    "a purpose that is none": lambda client: client.files.create(file=b"x", purpose="fun"),  # type: ignore[arg-type]
    "a limit that is no number": lambda client: client.files.list(extra_query={"limit": "many"}),
    "an unknown field of a query": lambda client: client.batches.list(extra_query={"colour": "1"}),
    "an unknown field of a response": lambda client: client.responses.create(
        model="gpt-4o", input="x", extra_body={"colour": 1}
    ),
    "a result without a call": lambda client: client.responses.create(
        model="gpt-4o", input=[{"type": "function_call_output", "call_id": "c", "output": "x"}]
    ),
}


@pytest.fixture
def client(api: OpenAIAPI) -> OpenAI:
    return OpenAI(base_url=api.base_url, api_key=KEY, max_retries=0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_refuses_what_the_types_and_the_docstrings_do_not_allow(api: OpenAIAPI, client: OpenAI) -> None:
    for name, mistake in REFUSED.items():
        with pytest.raises(APIStatusError) as caught:
            mistake(client)
        assert caught.value.status_code == 400, name
        assert len(api.violations) == 1, name
        api.violations.clear()


def test_hosts_fail_as_their_faults_say(api: OpenAIAPI) -> None:
    api.faults["/a"] = Fault(status=503, headers={"Retry-After": "7"}, times=1)
    api.faults["/b"] = Fault(cut_after=200)
    with OpenAI(base_url=f"{api.address}/a/v1", api_key=KEY, max_retries=0) as client:
        with pytest.raises(APIStatusError) as caught:
            client.models.list()
        assert (caught.value.status_code, caught.value.response.headers["retry-after"]) == (503, "7")
        assert client.models.list().data
    with (
        OpenAI(base_url=f"{api.address}/b/v1", api_key=KEY, max_retries=0) as client,
        pytest.raises(APIConnectionError),
    ):
        client.models.list()
