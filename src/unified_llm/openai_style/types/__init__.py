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


def __getattr__(name: str) -> Any:
    """Import all classes, which are small, with the first that is used; and a package when it is first used."""
    package: ModuleType | None = None
    match name:
        case "audio":
            import unified_llm.openai_style.types.audio as package
        case "chat":
            import unified_llm.openai_style.types.chat as package
        case "responses":
            import unified_llm.openai_style.types.responses as package
        case _:
            pass
    if package is not None:
        return package
    if name not in __all__:
        from unified_llm._lib.missing_names import missing_name

        raise missing_name(__name__, name, __all__)
    from unified_llm.openai_style.types import (
        batch,
        completion,
        completion_choice,
        completion_usage,
        create_embedding_response,
        embedding,
        file_object,
        image,
        image_edit_completed_event,
        image_edit_partial_image_event,
        image_gen_completed_event,
        image_gen_partial_image_event,
        images_response,
        model,
        moderation,
        moderation_create_response,
        video,
    )

    homes = (
        batch, completion, completion_choice, completion_usage, create_embedding_response, embedding, file_object,
        image, image_edit_completed_event, image_edit_partial_image_event, image_gen_completed_event,
        image_gen_partial_image_event, images_response, model, moderation, moderation_create_response, video,
    )  # fmt: skip
    value = globals()[name] = next(getattr(home, name) for home in homes if hasattr(home, name))
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
