"""Requests for media: images, speech, transcriptions, videos. All classes are frozen.

Names and values are those of OpenAI's API (https://platform.openai.com/docs/api-reference), which others have taken
over; the formats write them for each provider. Prompts and data are in no ``repr``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from unified_llm.types.requests import FurtherRequest


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file that is sent with a request.

    Attributes:
        data: Its bytes.
        filename: The name that it is sent under; providers tell the format by its ending.
        media_type: Its media type (``audio/wav``).
    """

    data: bytes = field(repr=False)
    filename: str = field(default="file", repr=False)
    media_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class ImageRequest(FurtherRequest):
    """A request for images.

    Attributes:
        prompt: What they show.
        model: Replaces the primary for this call.
        images: Images to edit; then the prompt says how.
        mask: Where its transparent parts are, the first image is edited.
        n: How many images.
        size: ``1024x1024``, ``auto`` ..., as the model names it.
        quality: ``low``, ``high``, ``hd`` ..., as the model names it.
        format: ``png``, ``jpeg`` or ``webp``.
        background: ``transparent``, ``opaque`` or ``auto``.
        partial_images: For streams: how many images that are not complete yet come first, 0 to 3.
        stream: Whether images come as they are drawn; set by the client.
        extra_body: Further fields of the request's body, sent unchanged to the targets whose API knows them.
    """

    prompt: str = field(repr=False)
    model: str | None = None
    images: tuple[MediaFile, ...] = ()
    mask: MediaFile | None = None
    n: int | None = None
    size: str | None = None
    quality: str | None = None
    format: str | None = None
    background: str | None = None
    partial_images: int | None = None
    stream: bool = False
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True)
class SpeechRequest(FurtherRequest):
    """A request to read a text aloud.

    Attributes:
        text: The text.
        model: Replaces the primary for this call.
        voice: The voice, as the model names it.
        format: ``mp3``, ``opus``, ``aac``, ``flac``, ``wav`` or ``pcm``.
        speed: 1.0 is the usual speed.
        instructions: How to speak, for models that can be told.
        stream: Whether the audio comes in parts; set by the client.
        extra_body: Further fields of the request's body, sent unchanged to the targets whose API knows them.
    """

    text: str = field(repr=False)
    model: str | None = None
    voice: str | None = None
    format: str | None = None
    speed: float | None = None
    instructions: str | None = field(default=None, repr=False)
    stream: bool = False
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True)
class TranscriptionRequest(FurtherRequest):
    """A request to write down what is said in a recording.

    Attributes:
        audio: The recording.
        model: Replaces the primary for this call.
        translate: Translate it into English.
        language: Its language, as an ISO 639-1 code (``en``), where it is known.
        prompt: Words that occur in it, or what was said before.
        format: What is returned: ``json``, ``verbose_json``, ``text``, ``srt``, ``vtt`` or ``diarized_json``.
        temperature: Randomness, 0 to 1.
        timestamps: Times of what, in ``verbose_json``: ``word``, ``segment``.
        stream: Whether the text comes in parts; set by the client.
        extra_body: Further fields of the request's body, sent unchanged to the targets whose API knows them.
    """

    audio: MediaFile
    model: str | None = None
    translate: bool = False
    language: str | None = None
    prompt: str | None = field(default=None, repr=False)
    format: str | None = None
    temperature: float | None = None
    timestamps: tuple[Literal["word", "segment"], ...] = ()
    stream: bool = False
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True)
class VideoRequest(FurtherRequest):
    """A request for a video, which a provider makes in a job of some minutes.

    Attributes:
        prompt: What it shows.
        model: Replaces the primary for this call.
        seconds: How long it is.
        size: ``1280x720`` ..., as the model names it.
        image: The first picture of it.
        extra_body: Further fields of the request's body, sent unchanged to the targets whose API knows them.
    """

    prompt: str = field(repr=False)
    model: str | None = None
    seconds: int | None = None
    size: str | None = None
    image: MediaFile | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True)
class VideoJobRequest(FurtherRequest):
    """A request for the state of a video's job, by its identifier."""

    job: str
    model: str | None = None

    @property
    def runs_model(self) -> bool:
        """Whether a model answers it: the job runs beside it."""
        return False

    @property
    def shows_health(self) -> bool:
        """Whether what becomes of it shows if its target can make videos."""
        return False


@dataclass(frozen=True, slots=True)
class VideoContentRequest(FurtherRequest):
    """A request for the video of a job that is done.

    Attributes:
        job: The job's identifier.
        model: Replaces the primary for this call.
        variant: ``video``, ``thumbnail`` or ``spritesheet``.
        url: Where the provider said that it is, where that is no path of its API.
    """

    job: str
    model: str | None = None
    variant: str | None = None
    url: str | None = field(default=None, repr=False)

    @property
    def runs_model(self) -> bool:
        """Whether a model answers it: the video is there already."""
        return False

    @property
    def shows_health(self) -> bool:
        """Whether what becomes of it shows if its target can make videos."""
        return False


for _class in (
    MediaFile,
    ImageRequest,
    SpeechRequest,
    TranscriptionRequest,
    VideoRequest,
    VideoJobRequest,
    VideoContentRequest,
):
    _class.__module__ = "unified_llm.types"  # where users import it from
