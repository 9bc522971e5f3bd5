"""The suggestions for misspelled names."""

from __future__ import annotations

from tests.support.each import each
from unified_llm._lib.close_names import closest

KNOWN = ("temperature", "top_p", "max_tokens", "openai-compatible", "outage", "Outage")


@each(
    ("name", "meant"),
    [
        ("temprature", "temperature"),
        ("TEMPERATURE", "temperature"),
        ("topP", "top_p"),
        ("OpenAI_Compatible", "openai-compatible"),
        ("outtage", "outage"),
        ("Outtage", "Outage"),
        ("banana", None),
        ("", None),
        ("___", None),
    ],
)
def test_a_name_is_found_in_other_case_without_separators_and_misspelled(name: str, meant: str | None) -> None:
    assert closest(name, KNOWN) == meant


def test_nothing_is_suggested_where_nothing_is_known_or_the_likeness_is_too_small() -> None:
    assert closest("temperature", ()) is None
    assert closest("ChatOpenAI", ["ChatUnified"], 0.75) is None
