"""Names in paths: one encoded segment, or several where names have parts; none that leaves its place."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.each import each
from unified_llm._core.paths import problem_with, segment, segments
from unified_llm.exceptions import ValidationError

HOSTILE = [
    ".", "..", "../x", "x/..", "x/../y", "./x", "x/.", "%2e", "%2E%2e", "%2e%2e%2fx", "x%2f..%2fy", "%252e%252e",
    "%25252e.", "a/%2e%2e/b", "..%00", "..;a=b", "x/..;/y", "..:fastest", " ..", ".. /x", "a\\b", "..\\x", "a%5cb",
    "%255c", "a\nb", "a%0ab", "a\rb", "a\x00b", "a%00b", "a\tb", "a\x7fb", "a\x1bb", "a\u202eb", "a\u2066b", "a\u200fb",
    "a\u2028b", "a\u2029b", "a\x85b", "a\ud800b", "a%E2%80%AEb",
]  # fmt: skip


@each("name", HOSTILE)
def test_a_name_that_could_become_another_path_is_refused(name: str) -> None:
    assert problem_with(name)
    for has_parts in (True, False):
        with pytest.raises(ValidationError, match="pass the name that the provider lists"):
            segments(name, has_parts=has_parts)


@each(
    ("name", "encoded"),
    [
        ("gpt-5-mini", "gpt-5-mini"),
        ("ft:gpt 5", "ft%3Agpt%205"),
        ("org/name", "org%2Fname"),
        ("50%", "50%25"),
        ("%41", "%2541"),
        ("a?b#c", "a%3Fb%23c"),
        ("x:countTokens", "x%3AcountTokens"),
        ("...", "..."),
        (".hidden", ".hidden"),
        ("modèle", "mod%C3%A8le"),
    ],
)
def test_any_other_name_is_one_encoded_segment(name: str, encoded: str) -> None:
    assert segment(name) == encoded


def test_a_slash_is_kept_between_parts_alone() -> None:
    assert segments("org/na me", has_parts=True) == "org/na%20me"
    assert segments("org/name", has_parts=False) == "org%2Fname"
    for name in ("/name", "org/", "org//name"):
        assert segments(name, has_parts=True) == name.replace("/", "%2F")
    with pytest.raises(ValidationError, match="is empty"):
        segment("")


@given(name=st.text(st.sampled_from(".%2efF5c/\\;: a\n25"), min_size=1), has_parts=st.booleans())
def test_no_name_is_a_dot_segment_however_often_a_server_decodes_it(name: str, *, has_parts: bool) -> None:
    try:
        encoded = segments(name, has_parts=has_parts)
    except ValidationError:
        return
    if not has_parts:
        assert unquote(encoded) == name
    while True:
        assert not {".", ".."}.intersection(encoded.replace("\\", "/").split("/"))
        if (decoded := unquote(encoded)) == encoded:
            return
        encoded = decoded
