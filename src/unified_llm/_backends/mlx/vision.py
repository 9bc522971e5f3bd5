"""A model that reads images, through mlx-vlm: its prompt as tokens and pixels, and the tokens of its response.

Only the engine thread may use this module, which alone imports mlx-vlm (2.6 seconds)::

    messages --> places of images as the model's type has them --> chat template --> text --+
                                                                                            +--> processor --> tokens
    files of images --> RGB within bounds --------------------------------------------------+                  pixels

All else is as for other models: admission, sampler, processors of logits, stop strings. The requests run one after the
other (``serial``): the positions of a prompt with images are a state of mlx-vlm's network.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast

from unified_llm._backends.mlx.chat_template import ChatTemplate
from unified_llm._backends.mlx.engine_types import EngineError, EngineKey, Prompt, UnloadableError
from unified_llm._backends.mlx.vision_images import read_images

if TYPE_CHECKING:
    import mlx.core as mx

_NOTHING: Final = ((), None)
# As in ``sampling``.
_Sampler: TypeAlias = "Callable[[mx.array], mx.array]"
_Processor: TypeAlias = "Callable[[mx.array, mx.array], mx.array]"


@dataclass(slots=True)
class ImagePrompt:
    """A prompt as mlx-vlm's processor returns it.

    Attributes:
        ids: The tokens, those of the images included.
        pixels: The images; None for a text alone.
        mask: Which tokens count.
        further: What else the network of this type takes, such as the sizes of the images.
        files: The files of the images.
        cached_tokens: How many tokens the network had read for the last request; known with the first token.
    """

    ids: list[int] = field(repr=False)
    pixels: Any = field(repr=False)
    mask: Any = field(repr=False)
    further: Mapping[str, Any] = field(repr=False)
    files: tuple[bytes, ...] = field(repr=False)
    cached_tokens: int = 0


class LoadedImages(NamedTuple):
    """The network of mlx-vlm for a model, ready to run.

    Attributes:
        network: The network.
        processor: Turns texts and images into its input.
        size: The bytes of its weights that the network for texts does not have.
    """

    network: Any
    processor: Any
    size: int = 0


class VisionModel:
    """The part of a model that reads images.

    Its memory is reserved with the model, and measured once it is loaded::

        model loaded         LoadImages, or the first image           image read
            | size: the files, less the weights for texts  | size: as measured
            +----------------- is_loaded: False -----------+----- is_loaded: True, or refused each time ---->

    Args:
        key: What was loaded.
        template: The chat template.
        load: Loads the network and the processor; its argument is the bytes that they may take, None for no limit.
        runs_texts: Whether prompts without images are to be read here as well.
    """

    def __init__(
        self,
        key: EngineKey,
        template: ChatTemplate,
        load: Callable[[int | None], LoadedImages],
        *,
        runs_texts: bool = False,
    ) -> None:
        self._key, self._folder, self._template = key, key.folder, template
        self._load = load
        self._runs_texts = runs_texts
        self._network: Any = None
        self._processor: Any = None
        self._unloadable: EngineError | None = None
        self._room: int | None = None
        self._last: tuple[tuple[bytes, ...], Any] = _NOTHING  # images and caches of the last request
        self.size = 0
        """The bytes that it takes, or will take: any thread may read it."""
        self.kept_bytes = 0
        """The bytes of the caches of the last request."""

    def takes(self, prompt: Prompt) -> bool:
        """Return whether a prompt has to be read here."""
        return self._runs_texts or bool(prompt.images)

    @property
    def is_loaded(self) -> bool:
        """Return whether nothing is left to load: it is there, or is refused each time. Any thread may ask."""
        return self._network is not None or self._unloadable is not None

    def reserve(self, size: int, room: int | None) -> None:
        """Note, before it is loaded, how many bytes it will take, and may take; None for no limit."""
        if not self.is_loaded:
            self.size, self._room = max(0, size), room

    def load(self) -> None:
        """Load the network and the processor, where that has not happened.

        Raises:
            EngineError: They cannot be loaded, or there is no memory for them.
        """
        if self._unloadable is not None:
            raise self._unloadable
        if self._network is None:
            try:
                self._network, self._processor, self.size = self._load(self._room)
            except UnloadableError as error:  # as which it would fail each time
                self._unloadable, self.size = error, 0
                raise

    def _check(self, prompt: Prompt) -> None:
        """Refuse what the network cannot do."""
        settings = {
            "adapter_path": self._key.adapter,
            "draft_model": prompt.draft_tokens or None,
            "kv_bits": prompt.kv_bits,
        }
        if given := [name for name, value in settings.items() if value is not None]:
            detail = f"The model in {self._folder} does not read images together with {' and '.join(given)}"
            raise EngineError("unsupported", f"{detail}: leave that out of mlx=, or use another target for images.")
        for message in prompt.messages:
            if message["role"] != "user" and not isinstance(message.get("content"), str | None):
                detail = (
                    f"A message with the role {message['role']!r} has an image: put images into messages of the user."
                )
                raise EngineError("unsupported", detail)

    def read(self, prompt: Prompt) -> ImagePrompt:
        """Turn a prompt and its images into the input of the network.

        Raises:
            EngineError: An image cannot be read, or the model takes no such messages.
        """
        self._check(prompt)
        self.load()
        import mlx_vlm.utils

        prepare_inputs = cast("Any", mlx_vlm.utils).prepare_inputs
        images = read_images(prompt.images)
        text = prompt.text
        if text is None:
            self._template.refuse_control_tokens(prompt)
            text = self._template.render(replace(prompt, messages=self._write_places(prompt)))
        tokenizer = getattr(self._processor, "tokenizer", self._processor)
        try:
            inputs = dict(
                prepare_inputs(
                    self._processor,
                    images=images or None,
                    prompts=text,
                    image_token_index=getattr(self._network.config, "image_token_index", None),
                    # As transformers: a template writes the token that begins a prompt, or leaves it to the tokenizer.
                    add_special_tokens=not (tokenizer.bos_token and text.startswith(tokenizer.bos_token)),
                )
            )
        except Exception as error:
            # The library's message is left out: it may quote the prompt.
            message = f"The model in {self._folder} cannot take these images ({type(error).__name__})"
            raise EngineError("unsupported", f"{message}: send fewer or other ones, or use another model.") from error
        ids = inputs.pop("input_ids").flatten().tolist()
        if images and not self._has_place(ids):
            message = f"The chat template of the model in {self._folder} has no place for images"
            raise EngineError("unsupported", f"{message}: use another model.")
        pixels, mask = inputs.pop("pixel_values", None), inputs.pop("attention_mask", None)
        return ImagePrompt(ids, pixels, mask, inputs, prompt.images)

    def _write_places(self, prompt: Prompt) -> tuple[Mapping[str, Any], ...]:
        """Return the messages with images in the places and in the form that the model's type has for them."""
        from mlx_vlm.prompt_utils import MODEL_CONFIG, apply_chat_template

        config = self._network.config
        if config.model_type.lower() not in MODEL_CONFIG:  # mlx-vlm would keep the texts alone
            return prompt.messages
        try:
            messages: Any = apply_chat_template(
                self._processor, config, list(prompt.messages), num_images=len(prompt.images), return_messages=True
            )
        except ValueError as error:  # several images, for a type that takes one
            message = f"The model in {self._folder} does not take these messages ({type(error).__name__})"
            raise EngineError("unsupported", f"{message}: send one image, or use another model.") from error
        return tuple(messages)

    def _has_place(self, ids: Sequence[int]) -> bool:
        """Return whether there are tokens of images, as far as the configuration says which ones those are."""
        config = self._network.config
        tokens = {getattr(config, name, None) for name in ("image_token_id", "image_token_index")} - {None}
        return not tokens or not tokens.isdisjoint(ids)

    def generate(
        self,
        prompt: ImagePrompt,
        sampler: _Sampler | None,
        processors: Sequence[_Processor],
        max_tokens: int,
        *,
        most_kept: int,
    ) -> Iterator[tuple[int, mx.array]]:
        """Read a prompt and write tokens, each with the log probabilities of its place, that of the end included.

        What a conversation has in common with the last request is not read again, where the images are the same.

        Args:
            prompt: The prompt.
            sampler: Draws a token; None for the likeliest one.
            processors: Change the logits, in order.
            max_tokens: The most tokens to write.
            most_kept: The most bytes of caches to keep for the next request.
        """
        import mlx.core as mx
        from mlx_vlm.generate import PromptCacheState, stream_generate

        ids = mx.array(prompt.ids)
        images, state = self._last
        if images != prompt.files or state is None:
            state = cast("Any", PromptCacheState)()
        # Until all is written: the caches of a request that was left do not fit its tokens.
        self._last, self.kept_bytes = _NOTHING, 0
        results = cast("Any", stream_generate)(
            self._network,
            self._processor,
            "",
            input_ids=ids[None],
            pixel_values=prompt.pixels,
            mask=prompt.mask,
            max_tokens=max_tokens,
            temperature=0.0,  # the default would be that of the model's folder
            sampler=sampler,
            logits_processors=[_with_whole_prompt(processor, ids) for processor in processors],
            prompt_cache_state=state,
            **prompt.further,
        )
        for number, result in enumerate(results, 1):
            prompt.cached_tokens = result.cached_tokens
            if result.finish_reason or number == max_tokens:
                deque(results, maxlen=0)  # its end puts the caches into the state
                if (nbytes := sum(cache.nbytes for cache in state.cache)) <= most_kept:
                    self._last, self.kept_bytes = (prompt.files, state), nbytes
            yield result.token, result.logprobs
            if result.finish_reason:
                return


def _with_whole_prompt(processor: _Processor, ids: mx.array) -> _Processor:
    """Let a processor have all tokens of the prompt: mlx-vlm passes those of its last step only, often one."""
    unseen: mx.array | None = None

    def process(tokens: mx.array, logits: mx.array) -> mx.array:
        nonlocal unseen
        import mlx.core as mx

        if unseen is None:
            unseen = ids[: ids.size - tokens.size]
        return processor(mx.concatenate([unseen, tokens.astype(unseen.dtype)]), logits)

    return process
