"""``client.audio.speech``: texts, read aloud; whole, and as the audio arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final

from unified_llm.openai_style._binary_content import BinaryContent
from unified_llm.openai_style._media_streams import aopen_stream, open_stream
from unified_llm.openai_style._plain import plain
from unified_llm.openai_style._records import with_record
from unified_llm.openai_style._resource import AsyncResource, Call, Resource, family_errors
from unified_llm.openai_style._streams import AsyncStream, AsyncStreamOpener, Stream, StreamOpener
from unified_llm.types.media import SpeechResponse
from unified_llm.types.media_requests import SpeechRequest
from unified_llm.types.raw import RawRequest

_NAMES: Final[Mapping[str, str]] = {
    "voice": "voice", "response_format": "format", "speed": "speed", "instructions": "instructions",
}  # fmt: skip
_MEDIA_TYPES: Final[Mapping[str, str]] = {"mp3": "audio/mpeg"}  # others have their own name


class _Shared(Resource):
    PATH = "audio.speech"

    def _read_speech(self, given: Mapping[str, Any], *, stream: bool) -> tuple[SpeechRequest | RawRequest, Call]:
        """Return the request of a call, and what says how to send it.

        Audio in events (``stream_format="sse"``) comes as the text of the events.

        Raises:
            ValidationError: An argument makes no sense, or no model is named.
            ConfigurationError: The target of the call lacks a key, a URL or a package.
        """
        body, call = self._read(given)
        body = plain(body)
        if body.get("stream_format") == "sse" and not stream:
            return RawRequest("POST", "/audio/speech", "speech", body=body, returns="bytes", model=call.model), call
        del body["model"]
        named = {ours: body.pop(name) for name, ours in _NAMES.items() if body.get(name) is not None}
        if not isinstance(named.get("voice", ""), str):  # a voice of one's own, by its identifier
            body["voice"] = named.pop("voice")
        return SpeechRequest(body.pop("input"), call.model, stream=stream, extra_body=body, **named), call


class Speech(_Shared):
    """Texts, read aloud."""

    def create(self, *, input: str, **fields: Any) -> BinaryContent:  # noqa: A002
        """Read a text aloud.

        Args:
            input: The text.
            **fields: The arguments of OpenAI's SDK: ``model``, ``voice``, ``response_format``, ``speed``,
                ``instructions``, ``stream_format``; and options of the call.

        Raises:
            OpenAIError: The request is wrong, or no target read the text.
        """
        with family_errors():
            request, call = self._read_speech({"input": input, **fields}, stream=False)
            return _content_of(call.client.run_request(request, call.options))

    @property
    def with_streaming_response(self) -> StreamingSpeech:
        """The same method, for audio as it arrives."""
        return StreamingSpeech(self._open)

    def _open(self, given: Mapping[str, Any]) -> StreamedSpeech:
        with family_errors():
            request, call = self._read_speech(given, stream=True)
        return StreamedSpeech(open_stream(call.client, request, call.options, _parts), given)


class AsyncSpeech(_Shared, AsyncResource):
    """The same as ``Speech``, with async methods."""

    async def create(self, *, input: str, **fields: Any) -> BinaryContent:  # noqa: A002
        """Do the same as ``Speech.create``."""
        with family_errors():
            request, call = self._read_speech({"input": input, **fields}, stream=False)
            return _content_of(await call.client.arun_request(request, call.options))

    @property
    def with_streaming_response(self) -> AsyncStreamingSpeech:
        """The same method, for audio as it arrives."""
        return AsyncStreamingSpeech(self._open)

    async def _open(self, given: Mapping[str, Any]) -> AsyncStreamedSpeech:
        with family_errors():
            request, call = self._read_speech(given, stream=True)
        return AsyncStreamedSpeech(await aopen_stream(call.client, request, call.options, _parts), given)


def _content_of(response: Any) -> BinaryContent:
    audio = response.audio if isinstance(response, SpeechResponse) else response.value
    return with_record(BinaryContent(audio), response)


def _parts(chunk: Any) -> Iterator[bytes]:
    if isinstance(chunk, bytes):
        yield chunk


class _StreamedSpeech:
    """What programs read of a response with audio.

    Attributes:
        status_code: 200.
        headers: The media type of the audio.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        audio_format = given.get("response_format")
        name = audio_format if isinstance(audio_format, str) else "mp3"
        self.status_code = 200
        self.headers = {"content-type": _MEDIA_TYPES.get(name, f"audio/{name}")}


class StreamedSpeech(_StreamedSpeech):
    """Audio as it arrives, for sync callers."""

    def __init__(self, stream: Stream[bytes], given: Mapping[str, Any]) -> None:
        super().__init__(given)
        self._stream = stream

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Yield the bytes as they arrive.

        Args:
            chunk_size: Bytes of each part; None for the parts in which they arrive.
        """
        buffer = _Buffer(chunk_size)
        for part in self._stream:
            yield from buffer.add(part)
        yield from buffer.rest()

    def read(self) -> bytes:
        """Read to the end, and return the bytes."""
        return b"".join(self._stream)

    def stream_to_file(self, file: str | PathLike[str], *, chunk_size: int | None = None) -> None:
        """Write the bytes to a file as they arrive.

        Args:
            file: The path.
            chunk_size: Bytes of each part that is written.
        """
        with Path(file).open("wb") as opened:
            opened.writelines(self.iter_bytes(chunk_size))

    def close(self) -> None:
        """Stop, and give the connection back."""
        self._stream.close()


class AsyncStreamedSpeech(_StreamedSpeech):
    """Audio as it arrives, for async callers."""

    def __init__(self, stream: AsyncStream[bytes], given: Mapping[str, Any]) -> None:
        super().__init__(given)
        self._stream = stream

    async def iter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Do the same as ``StreamedSpeech.iter_bytes``."""
        buffer = _Buffer(chunk_size)
        async for part in self._stream:
            for whole in buffer.add(part):
                yield whole
        for whole in buffer.rest():
            yield whole

    async def read(self) -> bytes:
        """Read to the end, and return the bytes."""
        return b"".join([part async for part in self._stream])

    async def stream_to_file(self, file: str | PathLike[str], *, chunk_size: int | None = None) -> None:
        """Do the same as ``StreamedSpeech.stream_to_file``."""
        opened = await asyncio.to_thread(Path(file).open, "wb")
        try:
            async for part in self.iter_bytes(chunk_size):
                await asyncio.to_thread(opened.write, part)
        finally:
            opened.close()

    async def close(self) -> None:
        """Stop, and give the connection back."""
        await self._stream.close()


class _Buffer:
    """Joins parts to parts of one size."""

    def __init__(self, size: int | None) -> None:
        self._size = size
        self._kept = bytearray()

    def add(self, part: bytes) -> Iterator[bytes]:
        if self._size is None:
            yield part
            return
        self._kept += part
        while len(self._kept) >= self._size:
            yield bytes(self._kept[: self._size])
            del self._kept[: self._size]

    def rest(self) -> Iterator[bytes]:
        if self._kept:
            yield bytes(self._kept)


class StreamingSpeech:
    """``audio.speech.with_streaming_response``."""

    def __init__(self, send: Callable[[Mapping[str, Any]], StreamedSpeech]) -> None:
        self._send = send

    def create(self, **fields: Any) -> StreamOpener[StreamedSpeech]:
        """Read a text aloud; to be used in a ``with`` statement, which sends the request.

        Args:
            **fields: As for ``audio.speech.create``.
        """
        return StreamOpener(lambda: self._send(fields))


class AsyncStreamingSpeech:
    """``audio.speech.with_streaming_response`` of an async client."""

    def __init__(self, send: Callable[[Mapping[str, Any]], Awaitable[AsyncStreamedSpeech]]) -> None:
        self._send = send

    def create(self, **fields: Any) -> AsyncStreamOpener[AsyncStreamedSpeech]:
        """Do the same as ``StreamingSpeech.create``, for ``async with``."""
        return AsyncStreamOpener(lambda: self._send(fields))
