"""The objects that a client in OpenAI's shape returns, under the names that they have in ``openai.types``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

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


def __getattr__(name: str) -> Any:  # noqa: C901, PLR0912
    """Import a name when it is first used."""
    if name not in __all__:
        from unified_llm._lib.missing_names import missing_name

        raise missing_name(__name__, name, __all__)
    home: ModuleType
    match name:
        case "Batch" | "BatchError" | "BatchRequestCounts" | "BatchUsage":
            import unified_llm.openai_style.types.batch as home
        case "Completion":
            import unified_llm.openai_style.types.completion as home
        case "CompletionChoice":
            import unified_llm.openai_style.types.completion_choice as home
        case "CompletionUsage":
            import unified_llm.openai_style.types.completion_usage as home
        case "CreateEmbeddingResponse":
            import unified_llm.openai_style.types.create_embedding_response as home
        case "Embedding":
            import unified_llm.openai_style.types.embedding as home
        case "FileDeleted" | "FileObject":
            import unified_llm.openai_style.types.file_object as home
        case "Image":
            import unified_llm.openai_style.types.image as home
        case "ImageEditCompletedEvent":
            import unified_llm.openai_style.types.image_edit_completed_event as home
        case "ImageEditPartialImageEvent":
            import unified_llm.openai_style.types.image_edit_partial_image_event as home
        case "ImageGenCompletedEvent":
            import unified_llm.openai_style.types.image_gen_completed_event as home
        case "ImageGenPartialImageEvent":
            import unified_llm.openai_style.types.image_gen_partial_image_event as home
        case "ImagesResponse":
            import unified_llm.openai_style.types.images_response as home
        case "Model" | "ModelDeleted":
            import unified_llm.openai_style.types.model as home
        case "Moderation":
            import unified_llm.openai_style.types.moderation as home
        case "ModerationCreateResponse":
            import unified_llm.openai_style.types.moderation_create_response as home
        case _:
            import unified_llm.openai_style.types.video as home
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
