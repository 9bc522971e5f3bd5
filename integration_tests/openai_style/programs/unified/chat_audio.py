"""Audio in, and audio out, whole and streamed."""

from __future__ import annotations

import base64
from typing import Any

from integration_tests.support.media import WAV
from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    sound = base64.b64encode(WAV).decode()
    heard: Any = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is said?"},
                {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}},
            ],
        }
    ]
    found: list[object] = []
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        found.append(client.chat.completions.create(model="gpt-4o-audio-preview", messages=heard))
        spoken: Any = client.chat.completions.create(
            model="gpt-4o-audio-preview",
            messages=[{"role": "user", "content": "Say hello."}],
            modalities=["text", "audio"],
            audio={"voice": "alloy", "format": "wav"},
        )
        audio = spoken.choices[0].message.audio
        found += [spoken, base64.b64decode(audio.data)[:4], audio.transcript]
        found += client.chat.completions.create(
            model="gpt-4o-audio-preview",
            messages=[
                {"role": "user", "content": "Say hello."},
                {"role": "assistant", "audio": {"id": audio.id}},
                {"role": "user", "content": "Again."},
            ],
            modalities=["text", "audio"],
            audio={"voice": "alloy", "format": "pcm16"},
            stream=True,
        )
    return found
