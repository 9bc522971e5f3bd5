"""Transcriptions as events, also by speakers."""

from __future__ import annotations

from integration_tests.support.media import WAV
from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    sound = ("a.wav", WAV, "audio/wav")
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        events = [
            *client.audio.transcriptions.create(
                model="gpt-4o-transcribe", file=sound, stream=True, include=["logprobs"], chunking_strategy="auto"
            )
        ]
        speakers = [
            *client.audio.transcriptions.create(
                model="gpt-4o-transcribe-diarize",
                file=sound,
                stream=True,
                response_format="diarized_json",
                chunking_strategy={"type": "server_vad", "threshold": 0.5},
            )
        ]
    return [events, [event.type for event in events], speakers]
