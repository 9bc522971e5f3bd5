"""``client.videos``: jobs of videos at the provider of the client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unified_llm._core import runtime
from unified_llm._policy.retry_after import read_poll_after
from unified_llm.openai_style._binary_content import BinaryContent
from unified_llm.openai_style._omitted import NOT_GIVEN, is_omitted
from unified_llm.openai_style._pages import AsyncPage, AsyncPaginator, SyncPage
from unified_llm.openai_style._raw_calls import AsyncRawCalls, RawCall, RawCalls, path_of
from unified_llm.openai_style.types.video import Video, VideoDeleteResponse

_FEATURE: Final = "video"
_PENDING: Final = frozenset({"queued", "in_progress"})
_POLL_INTERVAL: Final = 1.0  # seconds, as with OpenAI's SDK


class SyncVideoPage(SyncPage):
    """A page of videos."""

    data: list[Video]


class AsyncVideoPage(AsyncPage):
    """A page of videos."""

    data: list[Video]


def _create(given: dict[str, Any]) -> RawCall[Video]:
    return RawCall("POST", "/videos", _FEATURE, given, Video.from_json, files=("input_reference",))


def _retrieve(video_id: str, given: dict[str, Any]) -> RawCall[Video]:
    return RawCall("GET", path_of("videos", "video_id", video_id=video_id), _FEATURE, given, Video.from_json)


def _delete(video_id: str, given: dict[str, Any]) -> RawCall[VideoDeleteResponse]:
    path = path_of("videos", "video_id", video_id=video_id)
    return RawCall("DELETE", path, _FEATURE, given, VideoDeleteResponse.from_json)


def _content(video_id: str, given: dict[str, Any]) -> RawCall[BinaryContent]:
    path = path_of("videos", "video_id", "content", video_id=video_id)
    return RawCall("GET", path, _FEATURE, given, BinaryContent, returns="bytes")


def _remix(video_id: str, given: dict[str, Any]) -> RawCall[Video]:
    return RawCall("POST", path_of("videos", "video_id", "remix", video_id=video_id), _FEATURE, given, Video.from_json)


def _pause(poll_interval_ms: Any, headers: Mapping[str, str]) -> float:
    """Return the seconds until the next request for a state: as the program, or else the server, asks for."""
    if not is_omitted(poll_interval_ms):
        seconds: float = poll_interval_ms / 1000
        return seconds
    return read_poll_after(headers) or _POLL_INTERVAL


class Videos(RawCalls):
    """Videos, which a provider makes in jobs of some minutes; they belong to its account, so that nothing fails over.

    ``LLMClient.generate_video`` does the whole with failover.
    """

    PATH = "videos"

    def create(self, *, prompt: str, **fields: Any) -> Video:
        """Begin a video.

        Args:
            prompt: What it shows.
            **fields: ``model``, ``seconds``, ``size``, ``input_reference`` (an image, as for ``images.edit``), and
                options of the call.
        """
        return self._send(_create({"prompt": prompt, **fields}))

    def create_and_poll(self, *, prompt: str, poll_interval_ms: Any = NOT_GIVEN, **fields: Any) -> Video:
        """Begin a video, and wait until it is done or has failed.

        Args:
            prompt: What it shows.
            poll_interval_ms: Milliseconds from one request for its state to the next; not given: what the server
                asks for, else 1000.
            **fields: As for ``create``.
        """
        return self.poll(self.create(prompt=prompt, **fields).id, poll_interval_ms=poll_interval_ms)

    def poll(self, video_id: str, *, poll_interval_ms: Any = NOT_GIVEN) -> Video:
        """Wait until a video is done or has failed.

        Args:
            video_id: The video.
            poll_interval_ms: Milliseconds from one request for its state to the next; not given: what the server
                asks for, else 1000.
        """
        clock = runtime.current()
        while True:
            video, headers = self._send_for_headers(_retrieve(video_id, {}))
            if video.status not in _PENDING:
                return video
            clock.sleep(clock.now() + _pause(poll_interval_ms, headers))

    def retrieve(self, video_id: str, **options: Any) -> Video:
        """Return the state of a video."""
        return self._send(_retrieve(video_id, options))

    def list(self, **fields: Any) -> SyncVideoPage:
        """List the videos; iterating over the page fetches those after it.

        Args:
            **fields: ``limit``, ``order``, ``after``, and options of the call.
        """
        return self._list("/videos", _FEATURE, fields, SyncVideoPage)

    def delete(self, video_id: str, **options: Any) -> VideoDeleteResponse:
        """Delete a video."""
        return self._send(_delete(video_id, options))

    def download_content(self, video_id: str, **fields: Any) -> BinaryContent:
        """Return a video that is done.

        Args:
            video_id: The video.
            **fields: ``variant`` (``video``, ``thumbnail`` or ``spritesheet``), and options of the call.
        """
        return self._send(_content(video_id, fields))

    def remix(self, video_id: str, *, prompt: str, **options: Any) -> Video:
        """Begin a video that changes another.

        Args:
            video_id: The other video.
            prompt: How to change it.
            **options: Options of the call.
        """
        return self._send(_remix(video_id, {"prompt": prompt, **options}))


class AsyncVideos(AsyncRawCalls):
    """The same as ``Videos``, with async methods."""

    PATH = "videos"

    async def create(self, *, prompt: str, **fields: Any) -> Video:
        """Do the same as ``Videos.create``."""
        return await self._send(_create({"prompt": prompt, **fields}))

    async def create_and_poll(self, *, prompt: str, poll_interval_ms: Any = NOT_GIVEN, **fields: Any) -> Video:
        """Do the same as ``Videos.create_and_poll``."""
        video = await self.create(prompt=prompt, **fields)
        return await self.poll(video.id, poll_interval_ms=poll_interval_ms)

    async def poll(self, video_id: str, *, poll_interval_ms: Any = NOT_GIVEN) -> Video:
        """Do the same as ``Videos.poll``."""
        clock = runtime.current()
        while True:
            video, headers = await self._send_for_headers(_retrieve(video_id, {}))
            if video.status not in _PENDING:
                return video
            await clock.asleep(clock.now() + _pause(poll_interval_ms, headers))

    async def retrieve(self, video_id: str, **options: Any) -> Video:
        """Do the same as ``Videos.retrieve``."""
        return await self._send(_retrieve(video_id, options))

    def list(self, **fields: Any) -> AsyncPaginator[AsyncVideoPage]:
        """Do the same as ``Videos.list``; await it, or iterate over it with ``async for``."""
        return self._list("/videos", _FEATURE, fields, AsyncVideoPage)

    async def delete(self, video_id: str, **options: Any) -> VideoDeleteResponse:
        """Do the same as ``Videos.delete``."""
        return await self._send(_delete(video_id, options))

    async def download_content(self, video_id: str, **fields: Any) -> BinaryContent:
        """Do the same as ``Videos.download_content``."""
        return await self._send(_content(video_id, fields))

    async def remix(self, video_id: str, *, prompt: str, **options: Any) -> Video:
        """Do the same as ``Videos.remix``."""
        return await self._send(_remix(video_id, {"prompt": prompt, **options}))
