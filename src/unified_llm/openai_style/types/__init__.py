"""The objects that a client in OpenAI's shape returns, under the names that they have in ``openai.types``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from unified_llm.openai_style.types.batch import Batch, BatchError, BatchRequestCounts, BatchUsage
    from unified_llm.openai_style.types.completion import Completion
    from unified_llm.openai_style.types.completion_choice import CompletionChoice
    from unified_llm.openai_style.types.completion_usage import CompletionUsage
    from unified_llm.openai_style.types.create_embedding_response import CreateEmbeddingResponse
    from unified_llm.openai_style.types.embedding import Embedding
    from unified_llm.openai_style.types.file_object import FileDeleted, FileObject
    from unified_llm.openai_style.types.image import Image
    from unified_llm.openai_style.types.image_edit_completed_event import ImageEditCompletedEvent
    from unified_llm.openai_style.types.image_edit_partial_image_event import ImageEditPartialImageEvent
    from unified_llm.openai_style.types.image_gen_completed_event import ImageGenCompletedEvent
    from unified_llm.openai_style.types.image_gen_partial_image_event import ImageGenPartialImageEvent
    from unified_llm.openai_style.types.images_response import ImagesResponse
    from unified_llm.openai_style.types.model import Model, ModelDeleted
    from unified_llm.openai_style.types.moderation import Moderation
    from unified_llm.openai_style.types.moderation_create_response import ModerationCreateResponse
    from unified_llm.openai_style.types.video import Video, VideoCreateError, VideoDeleteResponse

__all__ = [
    "Batch",
    "BatchError",
    "BatchRequestCounts",
    "BatchUsage",
    "Completion",
    "CompletionChoice",
    "CompletionUsage",
    "CreateEmbeddingResponse",
    "Embedding",
    "FileDeleted",
    "FileObject",
    "Image",
    "ImageEditCompletedEvent",
    "ImageEditPartialImageEvent",
    "ImageGenCompletedEvent",
    "ImageGenPartialImageEvent",
    "ImagesResponse",
    "Model",
    "ModelDeleted",
    "Moderation",
    "ModerationCreateResponse",
    "Video",
    "VideoCreateError",
    "VideoDeleteResponse",
]

# module: the names that it has
_HOMES: Final[Mapping[str, tuple[str, ...]]] = {
    "batch": ("Batch", "BatchError", "BatchRequestCounts", "BatchUsage"),
    "completion": ("Completion",),
    "completion_choice": ("CompletionChoice",),
    "completion_usage": ("CompletionUsage",),
    "create_embedding_response": ("CreateEmbeddingResponse",),
    "embedding": ("Embedding",),
    "file_object": ("FileDeleted", "FileObject"),
    "image": ("Image",),
    "image_edit_completed_event": ("ImageEditCompletedEvent",),
    "image_edit_partial_image_event": ("ImageEditPartialImageEvent",),
    "image_gen_completed_event": ("ImageGenCompletedEvent",),
    "image_gen_partial_image_event": ("ImageGenPartialImageEvent",),
    "images_response": ("ImagesResponse",),
    "model": ("Model", "ModelDeleted"),
    "moderation": ("Moderation",),
    "moderation_create_response": ("ModerationCreateResponse",),
    "video": ("Video", "VideoCreateError", "VideoDeleteResponse"),
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        from unified_llm._lib.missing_names import missing_name

        raise missing_name(__name__, name, __all__)
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
