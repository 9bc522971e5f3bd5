"""Results of a run over many prompts, and its totals. Both classes are frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from unified_llm._lib.other_names import HintsAtOtherNames
from unified_llm._lib.short_repr import count, short_repr
from unified_llm._lib.show_seconds import show_seconds
from unified_llm.exceptions import LLMError, without_traceback
from unified_llm.types.records import Usage
from unified_llm.types.responses import EmbeddingResponse, LLMResponse

ResponseT = TypeVar("ResponseT", bound=LLMResponse | EmbeddingResponse)


@dataclass(frozen=True)  # with slots, Python cannot call MapResult[LLMResponse](...)
class MapResult(HintsAtOtherNames, Generic[ResponseT]):
    """The result of one prompt of ``map``, or of one text of ``map_embed``: a response, or an error.

    Attributes:
        index: The position of the prompt in what was passed to ``map``, from 0.
        custom_id: The ``custom_id`` of the prompt, where it has one.
        response: The response; None where there is none. Of a text it has one vector; the ``usage`` of a request is
            that of the first of its texts.
        error: Why there is none; else None.
        from_checkpoint: The response was stored by an earlier run, and nothing was sent.
    """

    OTHER_NAMES: ClassVar[Mapping[str, str]] = {
        "content": ".text", "result": ".response", "exception": ".error", "id": ".custom_id", "embedding": ".vector",
        "usage": ".response.usage",
    }  # fmt: skip

    index: int
    custom_id: str | None = None
    response: ResponseT | None = None
    error: LLMError | None = None
    from_checkpoint: bool = False

    @property
    def ok(self) -> bool:
        """Whether there is a response."""
        return self.error is None

    @property
    def text(self) -> str:
        """The text of the response.

        Raises:
            LLMError: There is no response: the error of this prompt.
        """
        response = self._answer()
        if isinstance(response, LLMResponse):
            return response.content
        raise TypeError("A result of map_embed() has a vector and no text: use .vector.")

    @property
    def vector(self) -> list[float]:
        """The vector of a text.

        Raises:
            LLMError: There is none: the error of this text.
        """
        response = self._answer()
        if isinstance(response, EmbeddingResponse):
            return response.vectors[0]
        raise TypeError("A result of map() has a text and no vector: use .text, or map_embed() for vectors.")

    def _answer(self) -> LLMResponse | EmbeddingResponse | None:
        if self.error is not None:
            # The error itself would keep the frame that it passes through, and the run in it, which it is a part of:
            # the calls of a run end when nobody has it any more.
            raise without_traceback(self.error)
        return self.response

    def __repr__(self) -> str:
        """Return the index, and what served the prompt or how it failed; no text."""
        outcome = type(self.error).__name__ if self.error is not None else repr(self.response)
        identifier = "" if self.custom_id is None else f"custom_id={self.custom_id!r}"
        return short_repr(self, [str(self.index), identifier, outcome, "from the checkpoint" * self.from_checkpoint])


MapResult.__module__ = "unified_llm"


@dataclass(frozen=True, slots=True)
class MapTotals:
    """What a run has done so far. ``print(run.totals)`` prints a summary.

    Attributes:
        done: Prompts with a result: ``served`` and those that failed.
        served: Prompts with a response, those of earlier runs included.
        from_checkpoint: Of these, the ones that an earlier run had stored, for which nothing was sent.
        failed: How many prompts failed, by the kind of failure of their last attempt (``rate_limit``, ``timeout`` ...),
            or by the name of the exception where nothing was sent (``ValidationError``).
        by_target: How many prompts each target served, by its name in ``attempt.target``.
        retries: Attempts of this run beyond the first of each call, over all targets.
        usage: Tokens of all responses, as far as the providers reported them; None where none did.
        seconds: Seconds since the first result was asked for.
    """

    done: int = 0
    served: int = 0
    from_checkpoint: int = 0
    failed: Mapping[str, int] = field(default_factory=dict[str, int])
    by_target: Mapping[str, int] = field(default_factory=dict[str, int])
    retries: int = 0
    usage: Usage | None = None
    seconds: float = 0.0

    def __str__(self) -> str:
        """Return a summary of a few lines."""
        stored = f" ({self.from_checkpoint} of them by an earlier run)" if self.from_checkpoint else ""
        failed = f", {self.done - self.served} failed" if self.failed else ""
        done = count(self.done, "prompt") or "no prompts"
        lines = [f"{done} in {show_seconds(self.seconds)}: {self.served} served{stored}{failed}"]
        for title, numbers in (("served by", self.by_target), ("failed with", self.failed)):
            if numbers:
                ordered = sorted(numbers.items(), key=lambda pair: (-pair[1], pair[0]))
                lines.append(f"{title} " + ", ".join(f"{name}: {number}" for name, number in ordered))
        spent = [f"{self.retries} {'retry' if self.retries == 1 else 'retries'}"] if self.retries else []
        if self.usage is not None:
            spent.append(f"{self.usage.prompt_tokens} + {self.usage.completion_tokens} tokens")
        return "\n".join([*lines, *([", ".join(spent)] if spent else [])])


MapTotals.__module__ = "unified_llm"
