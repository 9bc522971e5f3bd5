"""Checks that a text, an object or an error has no canary: no key, prompt or answer of a test."""

from __future__ import annotations

import pickle
import traceback

from tests.support.canary import PROVIDER_FIELDS
from tests.support.causes import error_and_causes
from unified_llm.exceptions import AllTargetsFailedError, LLMError
from unified_llm.types import LLMChunk, LLMResponse


def assert_no_canary(thing: object) -> None:
    """Check the repr of an object, and its text unless that is what a model wrote."""
    assert "CANARY" not in f"{thing!r}"
    if not isinstance(thing, (LLMResponse, LLMChunk)):
        assert "CANARY" not in f"{thing}"


def own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the package's own frames, with their variables, of an error and its causes."""
    frames: list[traceback.FrameSummary] = []
    for cause in error_and_causes(error):
        report = traceback.TracebackException(type(cause), cause, cause.__traceback__, capture_locals=True)
        frames += [frame for frame in report.stack if "/unified_llm/" in frame.filename]
    return frames


def assert_no_canary_in_error(error: BaseException) -> None:
    """Check what is displayed of an error, and for keys the variables of our frames, which error trackers collect."""
    assert_no_canary(error)
    assert_no_canary("".join(traceback.format_exception(error)))
    for frame in own_frames(error):
        assert "sk-CANARY" not in f"{frame.locals}", f"{frame.filename}:{frame.lineno}"
    if isinstance(error, LLMError):
        for name, value in vars(error).items():
            if name not in PROVIDER_FIELDS:
                assert_no_canary(value)
        data = pickle.dumps(error)
        assert b"CANARY" not in data
        assert_no_canary(pickle.loads(data))  # noqa: S301 - our own
    if isinstance(error, AllTargetsFailedError):
        for target_error in error.errors:
            assert_no_canary_in_error(target_error)
