"""Transcriptions in every format, and translations."""

# mypy: disable-error-code="deprecated"

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from integration_tests.support.media import WAV
from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    sound = ("a.wav", WAV, "audio/wav")
    named = io.BytesIO(WAV)
    named.name = "ü.wav"
    with OpenAI(base_url=base_url, api_key=api_key) as client, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "on-disk.wav"
        path.write_bytes(WAV)
        whole = client.audio.transcriptions.create(model="whisper-1", file=path)
        with path.open("rb") as file:
            opened = client.audio.transcriptions.create(model="whisper-1", file=file, response_format="text")
        return [
            whole,
            whole.text,
            opened,
            client.audio.transcriptions.create(model="whisper-1", file=named, response_format="srt"),
            client.audio.transcriptions.create(model="whisper-1", file=sound, response_format="vtt"),
            client.audio.transcriptions.create(
                model="whisper-1",
                file=sound,
                response_format="verbose_json",
                timestamp_granularities=["word", "segment"],
                language="de",
                prompt="Köln",
                temperature=0.2,
            ),
            client.audio.transcriptions.create(model="whisper-1", file=sound, response_format="verbose_json"),
            client.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound, include=["logprobs"]),
            client.audio.transcriptions.create(
                model="gpt-4o-transcribe-diarize",
                file=sound,
                response_format="diarized_json",
                chunking_strategy="auto",
                known_speaker_names=["Ann"],
                known_speaker_references=["data:audio/wav;base64,UklGRg=="],
            ),
            client.audio.translations.create(model="whisper-1", file=sound),
            client.audio.translations.create(model="whisper-1", file=sound, response_format="verbose_json", prompt="x"),
            client.audio.translations.create(model="whisper-1", file=sound, response_format="text", temperature=0),
        ]
