from __future__ import annotations

from tests.support.each import each
from unified_llm._lib.show_seconds import show_seconds


@each(
    "seconds, shown",
    [
        (0.0, "0 s"),
        (0.12345, "0.123 s"),
        (1.0, "1 s"),
        (34.194, "34.2 s"),
        (99.96, "100 s"),
        (299.931, "300 s"),
        (7200.0, "7200 s"),
        (86_400.4, "86400 s"),
    ],
)
def test_a_duration_is_never_shown_with_an_exponent(seconds: float, shown: str) -> None:
    assert show_seconds(seconds) == shown
