"""WAV files of 16-bit samples in one channel, and the samples in them."""

from __future__ import annotations

import io
import struct
from typing import Final

_SAMPLE_BYTES: Final = 2
_HEADER_BYTES: Final = 36  # that follow the size in the header
_UNKNOWN: Final = 2**32 - 1  # the size of a file that is written as it is made


def wav_header(rate: int, size: int | None = None) -> bytes:
    """Return the header of a file.

    Args:
        rate: Samples a second.
        size: Bytes of the samples; None for a stream, whose length nobody knows yet.
    """
    whole = _UNKNOWN if size is None else size + _HEADER_BYTES
    form = struct.pack("<4sI4s", b"RIFF", whole, b"WAVE")
    per_second = rate * _SAMPLE_BYTES
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, per_second, _SAMPLE_BYTES, 8 * _SAMPLE_BYTES)
    return form + layout + struct.pack("<4sI", b"data", _UNKNOWN if size is None else size)


def samples_of(data: bytes) -> tuple[bytes, int] | None:
    """Return the samples of a file, and how many there are a second; None where it is no such file."""
    import wave

    try:
        with wave.open(io.BytesIO(data)) as file:
            if file.getsampwidth() != _SAMPLE_BYTES or file.getnchannels() != 1:
                return None
            return file.readframes(len(data)), file.getframerate()
    except (wave.Error, EOFError):
        return None
