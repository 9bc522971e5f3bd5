"""Default limits of requests for media, which take longer than a chat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from unified_llm._core.batch_service import (
    BatchCancelRequest,
    BatchCreateRequest,
    BatchListRequest,
    BatchLookRequest,
    BatchResultsRequest,
    BatchUploadRequest,
)
from unified_llm._core.target import Target, Timing
from unified_llm.types.media_requests import (
    ImageRequest,
    SpeechRequest,
    TranscriptionRequest,
    VideoContentRequest,
    VideoJobRequest,
    VideoRequest,
)


class _Limits(NamedTuple):
    """Limits in seconds; ``Timing`` explains them.

    Attributes:
        whole: To a whole response.
        first: To the first chunk of a stream.
        gap: Between two chunks.
        always: ``whole`` holds for the last target as well, in place of what is left of the deadline.
    """

    whole: float
    first: float
    gap: float = 60.0
    always: bool = False


# docs/configuration.md has these numbers.
_LIMITS: Final[Mapping[type, _Limits]] = {
    ImageRequest: _Limits(120.0, 120.0, 120.0),
    SpeechRequest: _Limits(60.0, 30.0),
    TranscriptionRequest: _Limits(300.0, 120.0),
    VideoRequest: _Limits(60.0, 60.0),
    VideoJobRequest: _Limits(30.0, 30.0, always=True),  # which is repeated
    VideoContentRequest: _Limits(300.0, 300.0),
    BatchUploadRequest: _Limits(300.0, 300.0),
    BatchCreateRequest: _Limits(300.0, 300.0, always=True),
    BatchLookRequest: _Limits(120.0, 120.0, always=True),  # which is repeated
    BatchCancelRequest: _Limits(30.0, 30.0, always=True),
    BatchListRequest: _Limits(30.0, 30.0, always=True),
    BatchResultsRequest: _Limits(300.0, 300.0),
}


def for_request(target: Target, request: object) -> Target:
    """Return the target with the default limits for a request, unless the user chose a timeout for the target.

    A local model has the longer of these and its own.
    """
    limits, timing = _LIMITS.get(type(request)), target.timing
    if limits is None or timing.fixed:
        return target
    longer = timing if timing.cold else Timing(first_token=0.0, last_first_token=0.0, whole=0.0)
    timing = replace(
        timing,
        first_token=max(limits.first, longer.first_token),
        last_first_token=max(limits.first, longer.last_first_token),
        whole=max(limits.whole, longer.whole),
        gap=limits.gap,
        fixed=limits.always,
        of_call=True,
    )
    return replace(target, timing=timing)
