"""What a run does with its lines: reads them, looks into the checkpoint, sends them, stores the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from unified_llm._client.checkpoints import store
from unified_llm._client.map.tally import Finished, served_by
from unified_llm._client.map.work import Item, Work
from unified_llm._core.usage_sums import add_usage
from unified_llm._lib.bounded_json import JSONError
from unified_llm._lib.checkpoint import Checkpoint
from unified_llm.batch._calls import Calls, fingerprint_of, send
from unified_llm.batch._lines import BadLine, BatchLine
from unified_llm.exceptions import ConfigurationError, GenerationError, LLMError, ValidationError
from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.types.map_results import MapResult
from unified_llm.types.records import Usage


@dataclass(frozen=True, slots=True)
class Refusals:
    """Lines that are not sent in calls, after batches of the provider have answered others.

    Attributes:
        errors: Why lines were not answered, by their ``custom_id``.
        rest: The error of each further line without an answer; None: it is sent in a call.
    """

    errors: Mapping[str, LLMError]
    rest: LLMError | None = None

    def of(self, custom_id: str) -> LLMError | None:
        """Return the error of a line that has no answer; None where it is sent."""
        return self.errors.get(custom_id, self.rest)


class LineWork(Work[Any]):
    """Lines, each of which is a call. The response of a result is that of the output: status, ID and body.

    Args:
        calls: Reads their bodies.
        checkpoint: Where answers are stored.
        refused: The lines that are not sent; None where no line was in a batch.
    """

    def __init__(self, calls: Calls, checkpoint: Checkpoint, refused: Refusals | None = None) -> None:
        self._calls, self._answers, self._refused = calls, checkpoint, refused

    def read(self, number: int, prompt: Any) -> Item | Finished[Any]:
        """Read a line; return its result at once where it is wrong, or answered already."""
        line: BatchLine | BadLine = prompt
        try:
            if isinstance(line, BadLine):
                raise ValidationError(line.message)
            call = self._calls.prepare(line)
            digest = fingerprint_of(call)
        except LLMError as error:
            return Finished(MapResult(number, line.custom_id, error=error.with_traceback(None)))
        record = read_record(self._answers, line.custom_id, digest)
        if record is not None:
            # What a batch has brought is of this run; of what was there before nothing is known by then.
            return _stored(number, line.custom_id, record, from_checkpoint=self._refused is None)
        if self._refused and (refusal := self._refused.of(line.custom_id)) is not None:
            return Finished(MapResult(number, line.custom_id, error=refusal.with_traceback(None)), refusal.attempts)
        return Item(number, line.custom_id, call, call.options, digest)

    async def _send(self, items: Sequence[Item]) -> list[Finished[Any]]:
        """Send a line and store its answer; return the result.

        Raises:
            LLMError: An answer could not be stored.
        """
        (item,) = items
        try:
            responses = await send(item.request)
        except LLMError as error:
            return [Finished(MapResult(item.number, item.custom_id, error=error.with_traceback(None)), error.attempts)]
        attempts = tuple(attempt for response in responses for attempt in response.attempts)
        usage: Usage | None = None
        for response in responses:
            usage = add_usage(usage, response.usage)
        record = make_record(item.request.answer_of(responses), served_by(attempts), usage)
        try:
            await store(self._answers, item.key, item.fingerprint, record)
        except ConfigurationError as error:  # a full disk: no mistake in the command
            raise LLMError(str(error)) from None
        except JSONError as error:
            unwritable = GenerationError(f"The response cannot be written as JSON: {error}.")
            return [Finished(MapResult(item.number, item.custom_id, error=unwritable), attempts)]
        result: MapResult[Any] = MapResult(item.number, item.custom_id, record["response"])
        return [Finished(result, attempts, usage, record["served_by"])]


def make_record(answer: OpenAIObject, target: str | None, usage: Usage | None) -> dict[str, Any]:
    """Return what is stored of an answer.

    Args:
        answer: The answer in OpenAI's shape.
        target: The name of the target that served it.
        usage: The tokens of all its requests.
    """
    body = answer.to_dict(mode="json")
    body.pop("unified_llm", None)
    response = {"status_code": 200, "request_id": getattr(answer, "_request_id", None), "body": body}
    return {"response": response, "served_by": target, "usage": None if usage is None else asdict(usage)}


def read_record(checkpoint: Checkpoint, custom_id: str, fingerprint: str) -> dict[str, Any] | None:
    """Return what is stored of the answer to a line; None where it is not answered."""
    match checkpoint.get(custom_id, fingerprint):
        case {"response": {"body": dict()}} as record:
            return record
        case _:
            return None


def _stored(number: int, custom_id: str, record: Mapping[str, Any], *, from_checkpoint: bool) -> Finished[Any]:
    known = record.get("usage")
    usage = Usage(**known) if isinstance(known, dict) and known.keys() <= Usage.__dataclass_fields__.keys() else None
    result: MapResult[Any] = MapResult(number, custom_id, record["response"], from_checkpoint=from_checkpoint)
    return Finished(result, (), usage, record.get("served_by"))
