"""What a run does with its prompts or texts: read them, look into the checkpoint, send them, store the responses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias

from unified_llm._client.checkpoints import store
from unified_llm._client.embedding_batches import PartialVectors
from unified_llm._client.map.tally import Finished, served_by
from unified_llm._core.repeated_warnings import warn_once
from unified_llm._lib.bounded_json import JSONError
from unified_llm._lib.checkpoint import Checkpoint
from unified_llm.exceptions import LLMError, ValidationError
from unified_llm.types.map_results import MapResult, ResponseT
from unified_llm.types.responses import EmbeddingResponse, LLMResponse

if TYPE_CHECKING:
    from unified_llm._client.call_options import CallOptions
    from unified_llm._core.target import Target

Read: TypeAlias = Callable[[Any], tuple[Any, "CallOptions"]]
"""Reads a prompt, or one text, to its request and options."""
Send: TypeAlias = Callable[[Any, "CallOptions"], Awaitable[Any]]
"""Sends a request in the event loop of the run."""

_TEXT_FIELDS: Final = ("text", "input")


@dataclass(frozen=True, slots=True)
class Item:
    """A prompt or a text that was read and has no result yet.

    Attributes:
        number: Its position.
        custom_id: Its ``custom_id``, if it has one.
        request: The request; of a text, the request for this text alone.
        options: The options of its call.
        fingerprint: The digest of what determines its response; empty where there is no checkpoint.
    """

    number: int
    custom_id: str | None
    request: Any = field(repr=False)
    options: CallOptions = field(repr=False)
    fingerprint: str = ""

    @property
    def key(self) -> str:
        """The key in the checkpoint."""
        return str(self.number) if self.custom_id is None else self.custom_id


class Work(Generic[ResponseT]):
    """Reads and sends the prompts of a run. ``read`` is called in the caller's thread, ``run`` in the event loop.

    Attributes:
        size: The most prompts in one job.
        checkpoint: Where responses are stored; None where they are not.

    Args:
        read: Reads a prompt.
        send: Sends a request.
        target_of: Returns the first target of a request, whose model the fingerprint has.
    """

    size = 1
    checkpoint: Checkpoint | None = None
    _kind: type[ResponseT]

    def __init__(self, read: Read, send: Send, target_of: Callable[[Any, CallOptions], Target]) -> None:
        self._read, self._send_request, self._target_of = read, send, target_of

    def read(self, number: int, prompt: Any) -> Item | Finished[ResponseT]:
        """Read a prompt; return its result at once where it is wrong, or finished already."""
        custom_id = None
        try:
            prompt, custom_id = _split_custom_id(prompt)
            item = Item(number, custom_id, *self._request(prompt))
            if self.checkpoint is not None:
                item = replace(item, fingerprint=self._fingerprint(item))
        except Exception as error:  # noqa: BLE001 - a prompt may be any object; what is wrong with it is its result
            return Finished(MapResult(number, custom_id, error=_as_value(error)))
        return item if self.checkpoint is None else self._look_up(self.checkpoint, item)

    def _fingerprint(self, item: Item) -> str:
        from unified_llm._client.request_fingerprint import fingerprint

        return fingerprint(item.request, self._target_of(item.request, item.options))

    def _look_up(self, checkpoint: Checkpoint, item: Item) -> Item | Finished[ResponseT]:
        from unified_llm._client.map.response_records import read_record

        record = checkpoint.get(item.key, item.fingerprint)
        response = None if record is None else read_record(record, self._kind)
        return item if response is None else _finished(item, response, counts=False, from_checkpoint=True)

    async def run(self, items: Sequence[Item]) -> list[Finished[ResponseT]]:
        """Send what was read; return the results, which are in the checkpoint by then.

        Raises:
            ConfigurationError: A response could not be stored.
        """
        results = await self._send(items)
        if self.checkpoint is not None:
            for item, finished in zip(items, results, strict=True):
                if finished.result.response is not None:
                    await self._store(self.checkpoint, item, finished.result.response)
        return results

    async def _store(self, checkpoint: Checkpoint, item: Item, response: ResponseT) -> None:
        from unified_llm._client.map.response_records import make_record

        try:
            record = make_record(response)
        except JSONError as error:
            warn_once("map_record", "map() cannot store a response, which a later run requests again: %s", error)
            return
        await store(checkpoint, item.key, item.fingerprint, record)

    def _request(self, prompt: Any) -> tuple[Any, CallOptions]:
        """Read a prompt to its request and options."""
        return self._read(prompt)

    @abstractmethod
    async def _send(self, items: Sequence[Item]) -> list[Finished[ResponseT]]:
        """Send items; return a result for each, in order."""


class ChatWork(Work[LLMResponse]):
    """Prompts, each of which is a call."""

    _kind = LLMResponse

    async def _send(self, items: Sequence[Item]) -> list[Finished[LLMResponse]]:
        (item,) = items
        try:
            response: LLMResponse = await self._send_request(item.request, item.options)
        except Exception as error:  # noqa: BLE001 - also of the code of a target: it ends this prompt alone
            return [_failed(item, error)]
        return [_finished(item, response)]


class EmbeddingWork(Work[EmbeddingResponse]):
    """Texts, many of which are embedded by one call.

    Args:
        size: The most texts in one call.
    """

    _kind = EmbeddingResponse

    def __init__(self, read: Read, send: Send, target_of: Callable[[Any, CallOptions], Target], *, size: int) -> None:
        super().__init__(read, send, target_of)
        self.size = size

    def _request(self, prompt: Any) -> tuple[Any, CallOptions]:
        if isinstance(prompt, Mapping):
            texts = [prompt[name] for name in _TEXT_FIELDS if name in prompt]
            if len(texts) != 1 or len(prompt) != 1:
                raise ValidationError('A text as a dict has "text", and may have "custom_id"; nothing else.')
            prompt = texts[0]
        if not isinstance(prompt, str):
            raise ValidationError(f"A text to embed is a string; got {type(prompt).__name__}.")
        return super()._request(prompt)

    async def _send(self, items: Sequence[Item]) -> list[Finished[EmbeddingResponse]]:
        """Send all texts; where one of them is refused by itself, the others once more, without it."""
        finished: dict[int, Finished[EmbeddingResponse]] = {}
        while left := [item for item in items if item.number not in finished]:
            texts = tuple([text for item in left for text in item.request.texts])
            try:
                whole = await self._send_request(replace(left[0].request, texts=texts), left[0].options)
                error, vectors = None, dict(enumerate(whole.vectors))
            except Exception as raised:  # noqa: BLE001 - as of a chat
                error, partial = _as_value(raised), getattr(raised, "partial", None)
                vectors = partial if isinstance(partial, PartialVectors) else PartialVectors({})
                whole = vectors.response
            first = min(vectors, default=0)
            for position, item in enumerate(left):
                if position in vectors:
                    usage = whole.usage if position == first else None  # that of the whole request
                    response = replace(whole, vectors=[vectors[position]], usage=usage)
                    # The attempts of a call that failed in part are counted with its error.
                    finished[item.number] = _finished(item, response, counts=error is None and position == first)
                elif error is not None and error.position in {None, position}:
                    finished[item.number] = _failed(item, error)
        return [finished[item.number] for item in items]


def _finished(item: Item, response: Any, *, counts: bool = True, from_checkpoint: bool = False) -> Finished[Any]:
    """Return a prompt with its response; ``counts``: its attempts are not counted with another one."""
    result = MapResult(item.number, item.custom_id, response, from_checkpoint=from_checkpoint)
    return Finished(result, response.attempts if counts else (), response.usage, served_by(response.attempts))


def _failed(item: Item, error: Exception) -> Finished[Any]:
    value = _as_value(error)
    return Finished(MapResult(item.number, item.custom_id, error=value), value.attempts)


def _as_value(error: Exception) -> LLMError:
    """Return an error to keep: without the frames, which hold prompts; of another kind as the cause of one of ours."""
    if isinstance(error, LLMError):
        return error.with_traceback(None)
    value = LLMError(
        f"{type(error).__name__} was raised for this prompt by code outside of this package: see __cause__."
    )
    value.__cause__ = error
    return value


def _split_custom_id(prompt: Any) -> tuple[Any, str | None]:
    """Return a prompt without its ``custom_id``, and that.

    Raises:
        ValidationError: It is no text, or none that UTF-8 can carry.
    """
    if not isinstance(prompt, Mapping) or "custom_id" not in prompt:
        return prompt, None
    custom_id = prompt["custom_id"]
    if not isinstance(custom_id, str) or not custom_id:
        raise ValidationError("custom_id is a text that is not empty.")
    try:
        custom_id.encode()
    except UnicodeEncodeError:
        raise ValidationError("custom_id holds a lone surrogate, which UTF-8 cannot carry.") from None
    return {name: value for name, value in prompt.items() if name != "custom_id"}, custom_id
