"""Admission of a request to a chat model: the prompt as tokens within the context window, its sampler and processors.

What is wrong with a request is found here, before it joins the others: its error is its own. Only the engine thread
may use this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from unified_llm._backends.mlx.engine_types import EngineError, EngineRequest, OpenedBlock, Prompt
from unified_llm._backends.mlx.loading import LoadedModel
from unified_llm._backends.mlx.running_request import RunningRequest
from unified_llm._backends.mlx.sampling import Processor, make_processors, make_sampler
from unified_llm._backends.mlx.token_logprobs import make_token_logprobs
from unified_llm._backends.mlx.vision import ImagePrompt
from unified_llm._formats.text_reasoning import TAGS, opened_tag
from unified_llm._lib.stop_strings import StopFilter

if TYPE_CHECKING:
    import mlx.core as mx

# The most tokens of an answer where neither the caller nor the model's configuration has a limit.
_UNKNOWN_ROOM: Final = 32_768
_PROMPT_END: Final = 16  # tokens: the longest tag of reasoning, and white space


def admit(request: EngineRequest, loaded: LoadedModel) -> RunningRequest:
    """Prepare a request to run, and tell its caller whether the template has begun a block of reasoning.

    Raises:
        EngineError: The request cannot be served: its template, its length, or an option.
    """
    prompt = request.payload
    if not isinstance(prompt, Prompt):
        message = f"The model in {loaded.folder} writes text and makes no embeddings: use an embedding model."
        raise EngineError("unsupported", message)
    window = min((size for size in (loaded.window, prompt.window) if size is not None), default=None)
    images = _read_images(prompt, loaded)
    ids = _tokenize(prompt, loaded, window) if images is None else images.ids
    end = loaded.tokenizer.decode(ids[-_PROMPT_END:])
    tag = opened_tag(end)
    prompt = _with_reasoning(prompt, tag, end)
    max_tokens = _count_room(prompt, window, ids)
    try:
        if max_tokens < 1:
            raise ValueError  # noqa: TRY301 - as what the library refuses
        sampler = make_sampler(prompt.sampling)
        processors = make_processors(prompt, loaded, ids)
    except (TypeError, ValueError) as error:
        # The library's message is left out: it could quote the prompt.
        message = f"MLX refused the request ({type(error).__name__}): check its sampling fields and max_tokens."
        raise EngineError("bad_request", message) from error
    running = RunningRequest(
        request, prompt, ids, max_tokens, sampler, [], loaded.tokenizer.detokenizer, StopFilter(prompt.stop)
    )
    running.token_logprobs = make_token_logprobs(prompt.sampling, loaded)
    running.images = images
    running.processors = [_contain_errors(processor, running) for processor in processors]
    if tag is not None:
        request.deliver(OpenedBlock(tag))
    return running


def _with_reasoning(prompt: Prompt, tag: str | None, end: str) -> Prompt:
    """Return a prompt whose constraint begins where reasoning ends.

    Args:
        prompt: The prompt.
        tag: The opening tag of a block of reasoning that the template has begun for the model.
        end: The end of the prompt's text. A template that switches reasoning off writes a block without content.
    """
    constraint = prompt.constraint
    if constraint is None or constraint.after is not None:
        return prompt
    if tag is not None:
        constraint = replace(constraint, after=TAGS[tag], blocks=())
    elif end.rstrip().endswith(tuple(TAGS.values())):
        constraint = replace(constraint, blocks=())
    return replace(prompt, constraint=constraint)


def _read_images(prompt: Prompt, loaded: LoadedModel) -> ImagePrompt | None:
    """Return a prompt with images as the network for images takes it; None for one that the network for texts reads."""
    if loaded.vision is not None and loaded.vision.takes(prompt):
        return loaded.vision.read(prompt)
    if prompt.images:
        raise EngineError("unsupported", f"The model in {loaded.folder} reads no images: use one that does.")
    return None


def _tokenize(prompt: Prompt, loaded: LoadedModel, window: int | None) -> list[int]:
    if prompt.text is not None:
        loaded.bounds.check(prompt.text, window)
        return _tokenize_text(prompt.text, loaded)
    if not loaded.tokenizer.has_chat_template:
        message = f"The model in {loaded.folder} has no chat template: use a model made for chat, or pass as_text=True."
        raise EngineError("unsupported", message)
    return loaded.template.tokenize(prompt, lambda text: loaded.bounds.check(text, window))


def _tokenize_text(text: str, loaded: LoadedModel) -> list[int]:
    """Turn a text that is to be continued into tokens, with the token that begins a text if the model has one."""
    begins = loaded.tokenizer.bos_token
    ids = list(loaded.tokenizer.encode(text, add_special_tokens=begins is None or not text.startswith(begins)))
    if not ids:
        raise EngineError("bad_request", "The text to continue has no tokens: pass a text that is not empty.")
    return ids


def _count_room(prompt: Prompt, window: int | None, ids: Sequence[int]) -> int:
    """Return the most tokens that may be written after the prompt."""
    room = _UNKNOWN_ROOM if window is None else window - len(ids)
    if room < 1:
        message = f"The prompt has {len(ids)} tokens and the model reads {window}: shorten it."
        raise EngineError("context", message, context_window=window)
    return room if prompt.max_tokens is None else min(room, prompt.max_tokens)


def _contain_errors(processor: Processor, running: RunningRequest) -> Processor:
    """Keep an error of one request's processor out of the step that it shares with others."""

    def process(tokens: mx.array, logits: mx.array) -> mx.array:
        if running.error is None:
            try:
                return processor(tokens, logits)
            except Exception as error:  # noqa: BLE001 - whatever it was, it ends this request after the step
                running.error = error
        return logits

    return process
