"""A request that an engine is answering: its prompt as tokens, what it has written so far, and how that is delivered.

The batch and the serial path share it. Only the engine thread may use this module.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from unified_llm._backends.mlx.engine_types import EngineError, EngineRequest, Finished, Output, Prompt, TextChunk
from unified_llm._backends.mlx.loading import Detokenizer
from unified_llm._backends.mlx.sampling import Processor, Sampler
from unified_llm._backends.mlx.token_logprobs import TokenLogprobs
from unified_llm._backends.mlx.vision import ImagePrompt
from unified_llm._lib.stop_strings import StopFilter
from unified_llm.types.responses import TokenLogprob

if TYPE_CHECKING:
    import mlx.core as mx

Ending: TypeAlias = Literal["stop", "length"]
"""Why the generator ended a request: the model ended its turn, or the limit of tokens was reached."""


@dataclass(slots=True, eq=False)
class RunningRequest:
    """A request that was admitted.

    Attributes:
        request: The request as it was submitted.
        prompt: What it asks for.
        ids: The prompt as tokens.
        max_tokens: The most tokens to write.
        sampler: Draws its tokens; None for the likeliest ones.
        processors: Change its logits, in order.
        detokenizer: Turns its tokens into text.
        stops: Finds its stop strings.
        cached_tokens: How many tokens of the prompt were taken from the prefix cache.
        read_tokens: How many tokens of the prompt the model has read, those included.
        boundaries: The numbers of tokens after which reading the prompt stops for a moment.
        completion_tokens: How many tokens were written, without the one that ends a turn.
        delivered_tokens: How many of them the chunks had so far.
        token_logprobs: Collects their log probabilities; None where they were not requested.
        images: The prompt with its images, as a network of mlx-vlm takes it.
        error: Why one of its processors failed; the request ends with it after the step.
    """

    request: EngineRequest
    prompt: Prompt
    ids: list[int] = field(repr=False)
    max_tokens: int
    sampler: Sampler | None
    processors: list[Processor]
    detokenizer: Detokenizer
    stops: StopFilter
    cached_tokens: int = 0
    read_tokens: int = 0
    boundaries: frozenset[int] = frozenset()
    completion_tokens: int = 0
    delivered_tokens: int = 0
    token_logprobs: TokenLogprobs | None = None
    images: ImagePrompt | None = field(default=None, repr=False)
    error: Exception | None = None

    def write(self, token: int, logprobs: mx.array, ending: Ending | None) -> bool:
        """Deliver the text of one token, and the end of the response after the last.

        Args:
            token: The token.
            logprobs: The log probabilities of all tokens at its place, as a vector.
            ending: Why the generator ended the request, if it did.

        Returns:
            Whether the request is over: it has ended, or its caller takes no more.
        """
        if ending != "stop":  # the token that ends a turn is no text
            self.completion_tokens += 1
            self.detokenizer.add_token(token)
            if self.token_logprobs is not None:
                self.token_logprobs.add(token, logprobs)
        if ending:
            self.detokenizer.finalize()
        text = self.stops.feed(self.detokenizer.last_segment)
        if self.stops.stopped:
            ending = "stop"
        elif ending:
            text += self.stops.flush()
        entries: tuple[TokenLogprob, ...] = ()
        if self.token_logprobs is not None:
            entries = self.token_logprobs.take(text, is_whole=bool(ending) and not self.stops.stopped)
        outputs: list[Output] = []
        if text or entries:
            outputs.append(TextChunk(text, entries, self.completion_tokens - self.delivered_tokens))
            self.delivered_tokens = self.completion_tokens
        if ending:
            outputs.append(Finished(ending, len(self.ids), self.completion_tokens, self.cached_tokens))
        return not all(self.request.deliver(output) for output in outputs) or bool(ending)

    def fail(self, error: EngineError) -> None:
        """End the request with an error."""
        self.request.deliver(error)
