"""Images, speech, transcriptions and videos, over the same policy as chats."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack

from unified_llm._client import field_names
from unified_llm._client.call import PreparedCall
from unified_llm._client.call_options import CallOptions
from unified_llm._client.drivers import check_loop
from unified_llm._client.endpoints import EndpointsClient
from unified_llm._client.keyword_tables import (
    keywords_of_image,
    keywords_of_speech,
    keywords_of_transcription,
    keywords_of_video,
)
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._lib.signatures import show_keywords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unified_llm._client.keywords import ImageKeywords, SpeechKeywords, TranscriptionKeywords, VideoKeywords
    from unified_llm._client.media_stream import AsyncMediaStream, MediaStream
    from unified_llm._client.video_jobs import VideoJobs
    from unified_llm.types.content import AudioPart
    from unified_llm.types.local_parts import Image, Source
    from unified_llm.types.media import (
        ImageChunk,
        ImageResponse,
        SpeechResponse,
        Transcription,
        TranscriptionChunk,
        VideoResponse,
    )
    from unified_llm.types.media_requests import VideoRequest


# Which of the arguments of a method are files.
_FILES: Final = {"image": slice(1, 3), "transcription": slice(0, 1), "video": slice(1, 2)}


class MediaClient(EndpointsClient):
    """A client that makes images, speech and videos, and transcribes recordings.

    A call fails over only between targets that can serve it. None is sent to two targets at once.
    """

    # Images

    @show_keywords(keywords_of_image)
    def generate_image(
        self,
        prompt: str,
        *,
        images: Image | Sequence[Image] | None = None,
        mask: Image | None = None,
        **overrides: Unpack[ImageKeywords],
    ) -> ImageResponse:
        """Make images from a prompt, or edit images.

        Args:
            prompt: What the images show, or how to change those of ``images``.
            images: Images to edit, one or several: paths, bytes, open files or parts; a path is read on this machine.
            mask: An image whose transparent parts say where the first of ``images`` is edited.
            **overrides: ``n`` (how many), ``size`` (``1024x1024``), ``quality`` (``low``, ``high``), ``format``
                (``png``, ``jpeg``, ``webp``), ``background`` (``transparent``, ``opaque``), ``model``, ``extra_body``,
                ``timeout`` (seconds for an attempt, by default 120), ``deadline`` (seconds for the call),
                ``failover_on``.

        Raises:
            ValidationError: An argument is wrong, or an image cannot be read.
            ContentFilterError: A content filter blocked the prompt.
            UnsupportedOperationError: No target makes images.
            LLMError: No target made any; ``.attempts`` lists what was tried.
        """
        given = Hidden((prompt, images, mask, overrides))
        del prompt, images, mask, overrides
        response: ImageResponse = self._run(self._media("image", given, stream=False))
        return response

    @show_keywords(keywords_of_image)
    async def agenerate_image(
        self,
        prompt: str,
        *,
        images: Image | Sequence[Image] | None = None,
        mask: Image | None = None,
        **overrides: Unpack[ImageKeywords],
    ) -> ImageResponse:
        """Do the same as ``generate_image``, for async callers."""
        given = Hidden((prompt, images, mask, overrides))
        del prompt, images, mask, overrides
        response: ImageResponse = await self._arun(await self._amedia("image", given, stream=False))
        return response

    @show_keywords(keywords_of_image)
    def stream_image(
        self,
        prompt: str,
        *,
        images: Image | Sequence[Image] | None = None,
        mask: Image | None = None,
        **overrides: Unpack[ImageKeywords],
    ) -> MediaStream[ImageChunk, ImageResponse]:
        """Stream an image while it is drawn; arguments as for ``generate_image``.

        The chunks are images that are not complete yet, as many as ``partial_images`` asks for (0 to 3), and then the
        complete ones. ``.response`` of the stream has the ``ImageResponse`` at its end.
        """
        given = Hidden((prompt, images, mask, overrides))
        del prompt, images, mask, overrides
        return self._stream(self._media("image", given, stream=True))

    @show_keywords(keywords_of_image)
    def astream_image(
        self,
        prompt: str,
        *,
        images: Image | Sequence[Image] | None = None,
        mask: Image | None = None,
        **overrides: Unpack[ImageKeywords],
    ) -> AsyncMediaStream[ImageChunk, ImageResponse]:
        """Do the same as ``stream_image``, for async callers; it is not awaited itself."""
        given = Hidden((prompt, images, mask, overrides))
        del prompt, images, mask, overrides
        return self._astream(self._media("image", given, stream=True))

    # Speech

    @show_keywords(keywords_of_speech)
    def generate_speech(self, text: str, **overrides: Unpack[SpeechKeywords]) -> SpeechResponse:
        """Read a text aloud.

        Args:
            text: The text.
            **overrides: ``voice`` (by default one that the provider has), ``format`` (``mp3``, ``wav``, ``opus``,
                ``aac``, ``flac``, ``pcm``; by default that of the provider, commonly ``mp3``), ``speed`` (1.0 is the
                usual one), ``instructions`` (how to speak, for models that can be told), ``model``, ``extra_body``,
                ``timeout`` (seconds for an attempt, by default 60), ``deadline`` (seconds for the call),
                ``failover_on``.

        Raises:
            ValidationError: An argument is wrong.
            UnsupportedOperationError: No target makes speech.
            LLMError: No target read the text; ``.attempts`` lists what was tried.
        """
        given = Hidden((text, overrides))
        del text, overrides
        response: SpeechResponse = self._run(self._media("speech", given, stream=False))
        return response

    @show_keywords(keywords_of_speech)
    async def agenerate_speech(self, text: str, **overrides: Unpack[SpeechKeywords]) -> SpeechResponse:
        """Do the same as ``generate_speech``, for async callers."""
        given = Hidden((text, overrides))
        del text, overrides
        response: SpeechResponse = await self._arun(self._media("speech", given, stream=False))
        return response

    @show_keywords(keywords_of_speech)
    def stream_speech(self, text: str, **overrides: Unpack[SpeechKeywords]) -> MediaStream[bytes, SpeechResponse]:
        """Stream the bytes of a text that is read aloud, as they arrive; arguments as for ``generate_speech``.

        ``.response`` of the stream says at its end what read the text; the audio is in the chunks alone.
        """
        given = Hidden((text, overrides))
        del text, overrides
        return self._stream(self._media("speech", given, stream=True))

    @show_keywords(keywords_of_speech)
    def astream_speech(self, text: str, **overrides: Unpack[SpeechKeywords]) -> AsyncMediaStream[bytes, SpeechResponse]:
        """Do the same as ``stream_speech``, for async callers; it is not awaited itself."""
        given = Hidden((text, overrides))
        del text, overrides
        return self._astream(self._media("speech", given, stream=True))

    # Transcriptions

    @show_keywords(keywords_of_transcription)
    def transcribe(self, audio: Source | AudioPart, **overrides: Unpack[TranscriptionKeywords]) -> Transcription:
        """Write down what is said in a recording.

        Args:
            audio: The recording: a path, bytes, an open file or a part; a path is read on this machine.
            **overrides: ``language`` (``en``), ``prompt`` (words that occur in it), ``format`` (``json``,
                ``verbose_json``, ``text``, ``srt``, ``vtt``, ``diarized_json``), ``timestamps`` (``word``,
                ``segment``), ``translate`` (True translates it into English), ``temperature``, ``model``,
                ``extra_body``, ``timeout`` (seconds for an attempt, by default 300), ``deadline`` (seconds for the
                call), ``failover_on``.

        Raises:
            ValidationError: An argument is wrong, or the recording cannot be read.
            UnsupportedOperationError: No target transcribes recordings.
            LLMError: No target transcribed it; ``.attempts`` lists what was tried.
        """
        given = Hidden((audio, overrides))
        del audio, overrides
        response: Transcription = self._run(self._media("transcription", given, stream=False))
        return response

    @show_keywords(keywords_of_transcription)
    async def atranscribe(self, audio: Source | AudioPart, **overrides: Unpack[TranscriptionKeywords]) -> Transcription:
        """Do the same as ``transcribe``, for async callers."""
        given = Hidden((audio, overrides))
        del audio, overrides
        response: Transcription = await self._arun(await self._amedia("transcription", given, stream=False))
        return response

    @show_keywords(keywords_of_transcription)
    def stream_transcription(
        self, audio: Source | AudioPart, **overrides: Unpack[TranscriptionKeywords]
    ) -> MediaStream[TranscriptionChunk, Transcription]:
        """Write down what is said in a recording, and stream the text; arguments as for ``transcribe``.

        ``.response`` of the stream has the ``Transcription`` at its end.
        """
        given = Hidden((audio, overrides))
        del audio, overrides
        return self._stream(self._media("transcription", given, stream=True))

    @show_keywords(keywords_of_transcription)
    def astream_transcription(
        self, audio: Source | AudioPart, **overrides: Unpack[TranscriptionKeywords]
    ) -> AsyncMediaStream[TranscriptionChunk, Transcription]:
        """Do the same as ``stream_transcription``, for async callers; it is not awaited itself."""
        given = Hidden((audio, overrides))
        del audio, overrides
        return self._astream(self._media("transcription", given, stream=True))

    # Videos

    @show_keywords(keywords_of_video)
    def generate_video(
        self,
        prompt: str,
        *,
        image: Image | None = None,
        poll_interval: float | None = None,
        **overrides: Unpack[VideoKeywords],
    ) -> VideoResponse:
        """Make a video: create a job, look at it until it is done, and fetch the video, all before the deadline.

        A job that fails is followed by one at the next target that makes videos. Only the target that took a job is
        asked about it.

        Args:
            prompt: What the video shows.
            image: Its first picture: a path, bytes, an open file or a part; a path is read on this machine.
            poll_interval: Seconds between two looks at the job; by default what the provider asks for, else 5.
            **overrides: ``seconds`` (how long it is), ``size`` (``1280x720``), ``model``, ``extra_body``, ``timeout``
                (seconds for each request), ``deadline`` (seconds for everything together, by default 600),
                ``failover_on``.

        Raises:
            ValidationError: An argument is wrong, or the picture cannot be read.
            ContentFilterError: A content filter blocked the video.
            TimeoutError: It was not done before the deadline; the job goes on at the provider.
            UnsupportedOperationError: No target makes videos.
            LLMError: No target made it; ``.attempts`` lists what was tried.
        """
        given = Hidden((prompt, image, overrides))
        del prompt, image, overrides
        with CLEAR_VARIABLES:
            request, options = self._read_media("video", given, {})
            return self._video(request, options, poll_interval).run(partial(self._run, finish=_as_it_is))

    @show_keywords(keywords_of_video)
    async def agenerate_video(
        self,
        prompt: str,
        *,
        image: Image | None = None,
        poll_interval: float | None = None,
        **overrides: Unpack[VideoKeywords],
    ) -> VideoResponse:
        """Do the same as ``generate_video``, for async callers."""
        given = Hidden((prompt, image, overrides))
        del prompt, image, overrides
        with CLEAR_VARIABLES:
            request, options = await self._aread_media("video", given, {})
            return await self._video(request, options, poll_interval).arun(partial(self._arun, finish=_as_it_is))

    # Calls. What reads and streams media is imported with the first call of that kind: few programs make one.

    def _media(self, name: str, given: Hidden[Any], **fields: bool) -> PreparedCall:
        return self._prepare_media(*self._read_media(name, given, fields))

    async def _amedia(self, name: str, given: Hidden[Any], **fields: bool) -> PreparedCall:
        return self._prepare_media(*await self._aread_media(name, given, fields))

    def _prepare_media(self, request: Any, options: CallOptions) -> PreparedCall:
        return self._prepare(request, self._chain_of(request.model, options), options)

    def _video(self, request: VideoRequest, options: CallOptions, poll_interval: float | None) -> VideoJobs:
        from unified_llm._client.read_media import read_poll_interval
        from unified_llm._client.video_jobs import VideoJobs

        seconds = read_poll_interval(poll_interval)
        return VideoJobs(request, self._chain_of(request.model, options), options, self._prepare, poll_interval=seconds)

    def _read_media(self, name: str, given: Hidden[Any], fields: Mapping[str, bool]) -> tuple[Any, CallOptions]:
        """Return the request and the options of a call; the last of its arguments are the keywords of both."""
        from unified_llm._client import read_media

        with CLEAR_VARIABLES:
            keywords = given.value[-1]
            field_names.rename(keywords)
            options = self._options.of_call(keywords, chat=False)
            return getattr(read_media, name)(*given.value, **fields), options

    async def _aread_media(self, name: str, given: Hidden[Any], fields: Mapping[str, bool]) -> tuple[Any, CallOptions]:
        """Do the same in a thread where files are read, so that the event loop goes on meanwhile."""
        if all(isinstance(file, (bytes, type(None))) for file in given.value[_FILES[name]]):
            return self._read_media(name, given, fields)
        check_loop()
        import asyncio

        return await asyncio.to_thread(self._read_media, name, given, fields)


def _as_it_is(_: PreparedCall, outcome: Any) -> Any:
    """Return the outcome of one request of a video's job, which is not the end of the call."""
    return outcome
