"""``client.files``: files that are stored at the provider of the client."""

from __future__ import annotations

from typing import Any, Final

from unified_llm._core import runtime
from unified_llm.openai_style._binary_content import BinaryContent
from unified_llm.openai_style._pages import AsyncPage, AsyncPaginator, SyncPage
from unified_llm.openai_style._raw_calls import AsyncRawCalls, RawCall, RawCalls, path_of
from unified_llm.openai_style.types.file_object import FileDeleted, FileObject

_FEATURE: Final = "file_storage"
_DONE: Final = frozenset({"processed", "error", "deleted"})


class SyncFilePage(SyncPage):
    """A page of stored files."""

    data: list[FileObject]


class AsyncFilePage(AsyncPage):
    """A page of stored files."""

    data: list[FileObject]


def _create(given: dict[str, Any]) -> RawCall[FileObject]:
    return RawCall("POST", "/files", _FEATURE, given, FileObject.from_json, files=("file",))


def _retrieve(file_id: str, given: dict[str, Any]) -> RawCall[FileObject]:
    return RawCall("GET", path_of("files", "file_id", file_id=file_id), _FEATURE, given, FileObject.from_json)


def _delete(file_id: str, given: dict[str, Any]) -> RawCall[FileDeleted]:
    return RawCall("DELETE", path_of("files", "file_id", file_id=file_id), _FEATURE, given, FileDeleted.from_json)


def _content(file_id: str, given: dict[str, Any]) -> RawCall[BinaryContent]:
    path = path_of("files", "file_id", "content", file_id=file_id)
    return RawCall("GET", path, _FEATURE, given, BinaryContent, returns="bytes")


def _is_over(file: FileObject, seconds: float, most: float) -> bool:
    """Return whether to wait no longer for a file.

    Raises:
        RuntimeError: It took too long.
    """
    if file.status in _DONE:
        return True
    if seconds > most:
        raise RuntimeError(f"The file was not processed within {most:g} seconds: pass a greater max_wait_seconds=.")
    return False


class Files(RawCalls):
    """Files that are stored at the provider of the client; they belong to its account, so that nothing fails over."""

    PATH = "files"

    def create(self, *, file: Any, purpose: str, **fields: Any) -> FileObject:
        """Upload a file.

        Args:
            file: Bytes, a ``pathlib.Path``, a file that is open in binary mode, or a tuple of a name and one of these
                (and a media type); at most 64 MiB.
            purpose: ``batch``, ``user_data``, ``vision`` ...
            **fields: ``expires_after``, and options of the call.

        Raises:
            ValidationError: The file cannot be read.
            OpenAIError: The provider did not serve the call.
        """
        return self._send(_create({"file": file, "purpose": purpose, **fields}))

    def retrieve(self, file_id: str, **options: Any) -> FileObject:
        """Return what is known of a file."""
        return self._send(_retrieve(file_id, options))

    def list(self, **fields: Any) -> SyncFilePage:
        """List the files; iterating over the page fetches those after it.

        Args:
            **fields: ``purpose``, ``limit``, ``order``, ``after``, and options of the call.
        """
        return self._list("/files", _FEATURE, fields, SyncFilePage)

    def delete(self, file_id: str, **options: Any) -> FileDeleted:
        """Delete a file."""
        return self._send(_delete(file_id, options))

    def content(self, file_id: str, **options: Any) -> BinaryContent:
        """Return the content of a file."""
        return self._send(_content(file_id, options))

    def retrieve_content(self, file_id: str, **options: Any) -> str:
        """Return the content of a file as text."""
        return self.content(file_id, **options).text

    # Named as in OpenAI's SDK.
    def wait_for_processing(
        self,
        id: str,  # noqa: A002
        *,
        poll_interval: float = 5.0,
        max_wait_seconds: float = 30 * 60,
    ) -> FileObject:
        """Wait until a file was processed.

        Args:
            id: The file.
            poll_interval: Seconds from one request for its state to the next.
            max_wait_seconds: The most seconds to wait.

        Raises:
            RuntimeError: It took longer.
        """
        clock = runtime.current()
        started = clock.now()
        while not _is_over(file := self.retrieve(id), clock.now() - started, max_wait_seconds):
            clock.sleep(clock.now() + poll_interval)
        return file


class AsyncFiles(AsyncRawCalls):
    """The same as ``Files``, with async methods."""

    PATH = "files"

    async def create(self, *, file: Any, purpose: str, **fields: Any) -> FileObject:
        """Do the same as ``Files.create``."""
        return await self._send(_create({"file": file, "purpose": purpose, **fields}))

    async def retrieve(self, file_id: str, **options: Any) -> FileObject:
        """Do the same as ``Files.retrieve``."""
        return await self._send(_retrieve(file_id, options))

    def list(self, **fields: Any) -> AsyncPaginator[AsyncFilePage]:
        """Do the same as ``Files.list``; await it, or iterate over it with ``async for``."""
        return self._list("/files", _FEATURE, fields, AsyncFilePage)

    async def delete(self, file_id: str, **options: Any) -> FileDeleted:
        """Do the same as ``Files.delete``."""
        return await self._send(_delete(file_id, options))

    async def content(self, file_id: str, **options: Any) -> BinaryContent:
        """Do the same as ``Files.content``."""
        return await self._send(_content(file_id, options))

    async def retrieve_content(self, file_id: str, **options: Any) -> str:
        """Do the same as ``Files.retrieve_content``."""
        return (await self.content(file_id, **options)).text

    async def wait_for_processing(
        self,
        id: str,  # noqa: A002
        *,
        poll_interval: float = 5.0,
        max_wait_seconds: float = 30 * 60,
    ) -> FileObject:
        """Do the same as ``Files.wait_for_processing``."""
        clock = runtime.current()
        started = clock.now()
        while not _is_over(file := await self.retrieve(id), clock.now() - started, max_wait_seconds):
            await clock.asleep(clock.now() + poll_interval)
        return file
