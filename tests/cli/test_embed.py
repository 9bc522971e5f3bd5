"""``embed``: texts from arguments and lines, vectors as lines or as one object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.support.command_line import Ended, run
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm._core.outcome import Done, Failure
from unified_llm.types import ModelInfo

MODEL = "ollama/nomic-embed-text"


def embed(
    *arguments: str, stdin: bytes | None = b"", scripts: Mapping[str, list[Any]] | None = None
) -> tuple[Ended, list[Any]]:
    """Return how ``embed`` ended, and the texts of each request."""
    targets = ScriptedTargets({MODEL: [say("")], **(scripts or {})})
    with targets.running():
        ended = run("embed", *arguments, stdin=stdin)
    return ended, [request.texts for _, request in targets.asked if hasattr(request, "texts")]


def test_texts_are_arguments_or_lines() -> None:
    cases: list[tuple[list[str], bytes, list[str]]] = [
        (["one text", "two"], b"not read", ["one text", "two"]),
        ([], b"one\r\ntwo\xe2\x80\xa8still two\n\n", ["one", "two\u2028still two"]),
        (["one", "-"], b"two\nthree", ["one", "two", "three"]),
    ]
    for arguments, stdin, expected in cases:
        ended, [texts] = embed("-m", MODEL, *arguments, stdin=stdin)
        assert list(texts) == expected
        assert ended == Ended(0, "[1.0, 0.0]\n" * len(expected), "")


def test_json_is_one_object() -> None:
    ended, _ = embed("-m", MODEL, "--json", "one")
    shown = json.loads(ended.out)
    assert (shown["vectors"], shown["dimensions"]) == ([[1.0, 0.0]], 2)
    assert shown["attempts"][0]["target"] == MODEL


def test_texts_that_cannot_be_embedded_are_one_line_and_exit_code_2() -> None:
    cases: list[tuple[list[str], bytes | None, str]] = [
        ([], None, "there is no text: give it as an argument, or a line each on standard input"),
        ([], b"", "there is no text on standard input"),
        ([], b"one\n\nthree", "text 2 of 3 is blank: leave it out"),
        (["--dimensions", "0", "x"], b"", "dimensions"),
        (["--purpose", "qury", "x"], b"", "purpose"),
    ]
    for arguments, stdin, problem in cases:
        ended, asked = embed("-m", MODEL, *arguments, stdin=stdin)
        assert (ended.code, ended.out, asked) == (2, "", []), arguments
        assert problem in ended.err
        assert ended.err.count("\n") == 1


def test_a_local_server_without_a_model_in_the_command_uses_its_first_one_for_embeddings() -> None:
    models = tuple(ModelInfo(name, "ollama") for name in ("llama3.2", "nomic-embed-text"))
    ended, _ = embed("-p", "ollama", "one", scripts={"ollama": [[Done((models, None))]]})
    assert ended == Ended(0, "[1.0, 0.0]\n", f"unified-llm: using {MODEL}\n")


def test_a_fallback_that_served_is_named() -> None:
    other = "lmstudio/nomic-embed-text"
    ended, _ = embed("-m", other, "--fallback", MODEL, "one", scripts={other: [Failure("server", 503)]})
    assert ended.code == 0
    warning, note = ended.err.splitlines()
    assert "pass --dimensions to be certain" in warning
    assert note == f"unified-llm: served by {MODEL} after {other} failed (HTTP 503)"
