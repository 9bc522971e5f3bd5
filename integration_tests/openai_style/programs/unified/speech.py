"""Speech: as bytes, in parts, as a file, and as events."""

from __future__ import annotations

import tempfile
from pathlib import Path

from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    found: list[object] = []
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        spoken = client.audio.speech.create(model="tts-1", voice="alloy", input="Grüße", speed=1.5)
        found += [spoken.content, spoken.read(), b"".join(spoken.iter_bytes())]
        slow = client.audio.speech.create(
            model="gpt-4o-mini-tts", voice="coral", input="hello", instructions="Slowly.", response_format="wav"
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "spoken.wav"
            slow.write_to_file(path)
            found.append(path.read_bytes())
        with client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="nova", input="in parts", response_format="pcm"
        ) as response:
            found += [b"".join(response.iter_bytes()), response.status_code, response.headers["content-type"]]
        events = client.audio.speech.create(model="gpt-4o-mini-tts", voice="ash", input="events", stream_format="sse")
        found.append(events.text)
    return found
