"""Default limits of requests for media, which take longer than a chat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from unified_llm._core.seconds import FOREVER
from unified_llm._core.target import Target
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
    """

    whole: float
    first: float
    gap: float = 60.0


# docs/configuration.md has these numbers.
_LIMITS: Final[Mapping[type, _Limits]] = {
    ImageRequest: _Limits(120.0, 120.0, 120.0),
    SpeechRequest: _Limits(60.0, 30.0),
    TranscriptionRequest: _Limits(300.0, 120.0),
    VideoRequest: _Limits(60.0, 60.0),
    VideoJobRequest: _Limits(30.0, 30.0),
    VideoContentRequest: _Limits(300.0, 300.0),
}


def for_request(target: Target, request: object) -> Target:
    """Return the target with the default limits for a request, unless the user chose a timeout for the target.

    A local model has the longer of these and its own.
    """
    limits, timing = _LIMITS.get(type(request)), target.timing
    if limits is None or timing.fixed:
        return target
    longest = {
        "first_token": max(limits.first, timing.first_token if timing.first_token < FOREVER else 0.0),
        "last_first_token": max(limits.first, timing.last_first_token if timing.last_first_token < FOREVER else 0.0),
        "whole": max(limits.whole, timing.whole if timing.cold else 0.0),
        "gap": limits.gap,
    }
    return replace(target, timing=replace(timing, **longest, of_call=True))
