"""The other endpoints with asyncio."""

# mypy: disable-error-code="deprecated"

from __future__ import annotations

from integration_tests.support.media import PNG, WAV
from unified_llm.openai_style import AsyncOpenAI


async def main(base_url: str, api_key: str) -> list[object]:
    sound = ("a.wav", WAV, "audio/wav")
    found: list[object] = []
    async with AsyncOpenAI(base_url=base_url, api_key=api_key) as client:
        found += [await client.models.retrieve("gpt-4o"), (await client.models.list()).data]
        found += [model.id async for model in client.models.list()]
        found.append(await client.moderations.create(input="peace"))
        found.append(await client.images.generate(model="gpt-image-2", prompt="a cat"))
        events = await client.images.generate(model="gpt-image-2", prompt="a cat", stream=True, partial_images=1)
        found.append([event async for event in events])
        found.append(await client.images.edit(image=("a.png", PNG), prompt="a hat"))
        spoken = await client.audio.speech.create(model="tts-1", voice="alloy", input="hello")
        found += [spoken.content, await spoken.aread()]
        async with client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="ash", input="x"
        ) as response:
            found.append([len(part) async for part in response.iter_bytes(16)])
        found.append(await client.audio.transcriptions.create(model="whisper-1", file=sound))
        words = await client.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound, stream=True)
        found.append([event async for event in words])
        found.append(await client.audio.translations.create(model="whisper-1", file=sound, response_format="text"))
        video = await client.videos.create_and_poll(model="sora-2", prompt="a cat", poll_interval_ms=1)
        found += [video, (await client.videos.download_content(video.id)).content]
        files = [await client.files.create(file=(f"{name}.txt", name.encode()), purpose="user_data") for name in "abc"]
        found += [files, [item.id async for item in client.files.list(limit=2)]]
        found += [(await client.files.content(files[0].id)).content, await client.files.delete(files[0].id)]
    return found
