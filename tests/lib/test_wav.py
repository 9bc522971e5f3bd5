"""The header of a WAV file, for samples of which all or nothing is known before they come."""

from __future__ import annotations

import io
import wave

from hypothesis import given
from hypothesis import strategies as st

from unified_llm._lib.wav import samples_of, wav_header

SAMPLES = bytes(range(200))


@given(st.integers(8_000, 48_000), st.binary(max_size=400).filter(lambda data: len(data) % 2 == 0))
def test_python_reads_the_samples_that_a_header_stands_before(rate: int, samples: bytes) -> None:
    with wave.open(io.BytesIO(wav_header(rate, len(samples)) + samples)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (rate, 1, 2)
        assert file.readframes(file.getnframes()) == samples
    assert samples_of(wav_header(rate, len(samples)) + samples) == (samples, rate)


def test_of_a_file_without_an_end_all_that_came_is_samples() -> None:
    assert samples_of(wav_header(24_000) + SAMPLES) == (SAMPLES, 24_000)


def test_other_bytes_are_no_file() -> None:
    whole = wav_header(24_000, 4) + b"data"
    for broken in (b"", b"RIFF", whole[:20], b"ID3" + whole, SAMPLES):
        assert samples_of(broken) is None
