from __future__ import annotations

import pytest

from unified_llm._lib.stop_strings import StopFilter


def shown(stops: tuple[str, ...], *texts: str) -> list[str]:
    """Return what passes for each text that is fed, and last what ``flush`` releases."""
    stop_filter = StopFilter(stops)
    return [*(stop_filter.feed(text) for text in texts), stop_filter.flush()]


def test_everything_passes_at_once_without_stop_strings() -> None:
    assert shown((), "a", "b") == ["a", "b", ""]


def test_an_empty_stop_string_stops_nothing() -> None:
    assert shown(("",), "a", "b") == ["a", "b", ""]


def test_the_text_ends_before_a_stop_string() -> None:
    assert shown(("cd",), "abcdef", "gh") == ["ab", "", ""]


def test_a_stop_string_is_found_across_pieces() -> None:
    assert shown(("\n\nUser:",), "yes\n", "\nUs", "er: and") == ["yes", "", "", ""]


def test_text_that_was_no_stop_string_after_all_is_given_back() -> None:
    assert shown(("\n\nUser:",), "yes\n", "\nUs", "ually") == ["yes", "", "\n\nUsually", ""]


def test_what_is_held_at_the_end_of_the_answer_is_given_back() -> None:
    assert shown(("END",), "the E") == ["the ", "E"]


def test_a_beginning_that_repeats_is_not_lost() -> None:
    assert shown(("aab",), "aa", "a", "bc") == ["", "a", "", ""]


@pytest.mark.parametrize("stops", [("b", "xabc"), ("xabc", "b")])
def test_the_stop_string_that_begins_first_wins(stops: tuple[str, str]) -> None:
    assert shown(stops, "1xabc") == ["1", ""]


def test_nothing_passes_after_a_stop_string() -> None:
    stop_filter = StopFilter(("x",))
    stop_filter.feed("ax")
    assert stop_filter.stopped
    assert stop_filter.feed("more") == ""
