"""Media: images, speech, transcriptions, videos, and the chunks of their streams. All classes are frozen."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from unified_llm._lib.short_repr import count, served_by, short_repr
from unified_llm.types.records import Attempt, Usage
from unified_llm.types.responses import FurtherResponse


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its bytes, or the address at which the provider keeps it for some time.

    Attributes:
        url: Its address, if the provider keeps it.
        data: Its bytes, if they came.
        revised_prompt: The prompt that the provider used in place of the caller's.
        format: ``png``, ``jpeg``, ``webp`` ..., if it is known.
    """

    url: str | None = field(default=None, repr=False)
    data: bytes | None = field(default=None, repr=False)
    revised_prompt: str | None = field(default=None, repr=False)
    format: str | None = None


@dataclass(frozen=True, slots=True)
class ImageResponse(FurtherResponse):
    """Images. ``url``, ``data`` and ``revised_prompt`` are those of the first one.

    Attributes:
        images: At least one image.
        model: The model that made them, as its provider names it.
        provider: The provider that made them.
        format: Their format, if it is known.
        size: Their size, if it is known.
        quality: Their quality, if it is known.
        background: Their background, if it is known.
        usage: Tokens used, where the provider counts them.
        request_id: The provider's identifier of the request, for its support.
        used_fallback: Whether another target than the first made them.
        attempts: Every attempt in order.
        raw: The body of the provider's response.
    """

    images: tuple[Image, ...] = ()
    model: str = ""
    provider: str = ""
    format: str | None = None
    size: str | None = None
    quality: str | None = None
    background: str | None = None
    usage: Usage | None = None
    request_id: str | None = None
    used_fallback: bool = False
    attempts: tuple[Attempt, ...] = ()
    raw: Any = field(default=None, repr=False)

    @property
    def url(self) -> str | None:
        """The address of the first image, if the provider keeps it."""
        return self.images[0].url if self.images else None

    @property
    def data(self) -> bytes | None:
        """The bytes of the first image, if they came."""
        return self.images[0].data if self.images else None

    @property
    def revised_prompt(self) -> str | None:
        """The prompt that the provider used for the first image, in place of the caller's."""
        return self.images[0].revised_prompt if self.images else None

    def __repr__(self) -> str:
        """Return what made the images, how many they are, and their size and format."""
        return short_repr(self, self._facts())

    def _facts(self) -> Iterator[str]:
        yield served_by(self.provider, self.model)
        yield count(len(self.images), "image") or "no images"
        yield self.size or ""
        yield self.format or ""
        yield "used a fallback" if self.used_fallback else ""
        yield count(len(self.attempts), "attempt")


@dataclass(frozen=True, slots=True)
class ImageChunk:
    """An image of a stream: one that is not complete yet, or a complete one.

    Attributes:
        data: Its bytes.
        index: For an incomplete one, its number, from 0.
        complete: Whether this is a complete image.
        format: ``png``, ``jpeg`` or ``webp``, if it is known.
        size: Its size, if it is known.
        quality: Its quality, if it is known.
        background: Its background, if it is known.
        usage: Tokens used, with a complete image.
        raw: The provider's event.
    """

    data: bytes = field(repr=False)
    index: int = 0
    complete: bool = False
    format: str | None = None
    size: str | None = None
    quality: str | None = None
    background: str | None = None
    usage: Usage | None = None
    raw: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SpeechResponse(FurtherResponse):
    """A text, read aloud.

    Attributes:
        audio: The recording.
        format: ``mp3``, ``wav`` ...; ``pcm`` is 16-bit samples, little-endian, one channel.
        sample_rate: Samples a second, where the format does not say it and it is known.
        model: The model that read it.
        provider: The provider that read it.
        usage: Tokens used, where the provider counts them.
        request_id: The provider's identifier of the request, for its support.
        used_fallback: Whether another target than the first read it.
        attempts: Every attempt in order.
    """

    audio: bytes = field(default=b"", repr=False)
    format: str = ""
    sample_rate: int | None = None
    model: str = ""
    provider: str = ""
    usage: Usage | None = None
    request_id: str | None = None
    used_fallback: bool = False
    attempts: tuple[Attempt, ...] = ()

    def __repr__(self) -> str:
        """Return what read the text, and the size and format of the recording."""
        return short_repr(self, self._facts())

    def _facts(self) -> Iterator[str]:
        yield served_by(self.provider, self.model)
        yield count(len(self.audio), "byte") or "nothing"
        yield self.format
        yield "used a fallback" if self.used_fallback else ""
        yield count(len(self.attempts), "attempt")


@dataclass(frozen=True, slots=True)
class TranscriptionSegment:
    """A part of a transcription: its text, its beginning and end in seconds, and who speaks, if that is known."""

    text: str = field(repr=False)
    start: float
    end: float
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class TranscriptionWord:
    """A word of a transcription, and its beginning and end in seconds."""

    word: str = field(repr=False)
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Transcription(FurtherResponse):
    """Transcription of a recording. ``str(transcription)`` is its text.

    Attributes:
        text: The text; with the formats ``srt`` and ``vtt``, the subtitles.
        language: The language, if the provider reports it.
        duration: The length of the recording in seconds, if the provider reports it.
        segments: Its parts, if they were requested.
        words: Its words, if they were requested.
        model: The model that wrote it.
        provider: The provider that wrote it.
        usage: Tokens used, where the provider counts them.
        request_id: The provider's identifier of the request, for its support.
        used_fallback: Whether another target than the first wrote it.
        attempts: Every attempt in order.
        raw: The body of the provider's response.
    """

    text: str = field(default="", repr=False)
    language: str | None = None
    duration: float | None = None
    segments: tuple[TranscriptionSegment, ...] = ()
    words: tuple[TranscriptionWord, ...] = ()
    model: str = ""
    provider: str = ""
    usage: Usage | None = None
    request_id: str | None = None
    used_fallback: bool = False
    attempts: tuple[Attempt, ...] = ()
    raw: Any = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return the text."""
        return self.text

    def __repr__(self) -> str:
        """Return what wrote it, and its length; no text."""
        return short_repr(self, self._facts())

    def _facts(self) -> Iterator[str]:
        yield served_by(self.provider, self.model)
        yield count(len(self.text), "character") or "no text"
        yield self.language or ""
        yield "used a fallback" if self.used_fallback else ""
        yield count(len(self.attempts), "attempt")


@dataclass(frozen=True, slots=True)
class TranscriptionChunk:
    """A part of a streamed transcription: what is new of its text; ``str(chunk)`` is that text."""

    text: str = field(default="", repr=False)
    raw: Any = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return the new text."""
        return self.text


@dataclass(frozen=True, slots=True)
class VideoJob:
    """The state of a video's job.

    Attributes:
        id: The provider's identifier of it.
        status: ``queued``, ``in_progress``, ``completed`` or ``failed``.
        progress: Per cent, if the provider reports it.
        url: Where the video is, if the provider says so.
        error: The provider's code of what went wrong, where it failed.
        detail: The provider's message of what went wrong, where it failed; it may quote the prompt.
        blocked: Whether it failed because a content filter blocked it.
        model: The model that makes the video.
        seconds: How long the video is, if that is known.
        size: Its size, if that is known.
        raw: The body of the provider's response.
    """

    id: str
    status: Literal["queued", "in_progress", "completed", "failed"] = "queued"
    progress: float | None = None
    url: str | None = field(default=None, repr=False)
    error: str | None = None
    detail: str | None = field(default=None, repr=False)
    blocked: bool = False
    model: str = ""
    seconds: float | None = None
    size: str | None = None
    raw: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class VideoResponse(FurtherResponse):
    """A video.

    Attributes:
        data: Its bytes.
        format: ``mp4`` ..., by its media type.
        job: The provider's identifier of the job that made it.
        seconds: How long it is, if that is known.
        size: Its size, if that is known.
        model: The model that made it.
        provider: The provider that made it.
        request_id: The provider's identifier of the last request, for its support.
        used_fallback: Whether another target than the first made it.
        attempts: Every attempt of all requests in order.
    """

    data: bytes = field(default=b"", repr=False)
    format: str = "mp4"
    job: str = ""
    seconds: float | None = None
    size: str | None = None
    model: str = ""
    provider: str = ""
    request_id: str | None = None
    used_fallback: bool = False
    attempts: tuple[Attempt, ...] = ()

    def __repr__(self) -> str:
        """Return what made it, its size, and its length."""
        return short_repr(self, self._facts())

    def _facts(self) -> Iterator[str]:
        yield served_by(self.provider, self.model)
        yield count(len(self.data), "byte") or "nothing"
        yield self.size or ""
        yield f"{self.seconds:g} s" if self.seconds else ""
        yield "used a fallback" if self.used_fallback else ""
        yield count(len(self.attempts), "attempt")


for _class in (
    Image,
    ImageResponse,
    ImageChunk,
    SpeechResponse,
    TranscriptionSegment,
    TranscriptionWord,
    Transcription,
    TranscriptionChunk,
    VideoJob,
    VideoResponse,
):
    _class.__module__ = "unified_llm.types"  # where users import it from
