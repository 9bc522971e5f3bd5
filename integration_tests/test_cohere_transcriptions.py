"""Transcriptions by Cohere's own client and by ours: both send the same form and read the same text."""

from __future__ import annotations

import cohere
import pytest

from integration_tests.fakes.cohere import KEY, TRANSCRIBER, FakeCohere
from integration_tests.support.media import WAV
from unified_llm import LLMClient, LLMConfig
from unified_llm.exceptions import UnsupportedOperationError, ValidationError
from unified_llm.types import AudioPart

pytestmark = pytest.mark.proves("cohere", "transcriptions", against="the cohere SDK and a strict fake")


def ours(fake: FakeCohere) -> LLMClient:
    return LLMClient(LLMConfig(model=f"cohere/{TRANSCRIBER}", base_url=fake.address, api_key=KEY, max_retries=0))


def test_both_transcribe_the_same() -> None:
    with FakeCohere() as fake, cohere.ClientV2(KEY, base_url=fake.address, max_retries=0) as theirs:
        they = theirs.audio.transcriptions.create(
            model=TRANSCRIBER, language="de", temperature=0.5, file=("audio.wav", WAV, "audio/wav")
        )
        with ours(fake) as client:
            we = client.transcribe(AudioPart(WAV, "wav"), language="de", temperature=0.5)
        sent_by_them, sent_by_us = fake.requests
    assert sent_by_us.path == sent_by_them.path
    assert sent_by_us.body == sent_by_them.body
    assert (str(we), we.text) == (they.text, they.text)
    assert fake.refused == []


async def test_the_asynchronous_method_sends_the_same() -> None:
    with FakeCohere() as fake:
        async with ours(fake) as client:
            assert (await client.atranscribe(WAV, language="de")).text.endswith("says hello.")
    assert fake.refused == []


def test_what_cohere_cannot_is_refused_before_anything_is_sent() -> None:
    with FakeCohere() as fake, ours(fake) as client:
        with pytest.raises(ValidationError, match="language="):
            client.transcribe(WAV)
        with pytest.raises(UnsupportedOperationError, match="translate"):
            client.transcribe(WAV, translate=True)
    assert fake.requests == []
