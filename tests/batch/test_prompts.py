"""Templates reach columns of the row and nothing else; lines that are too long are failures of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.batch_files import line, write_lines
from tests.support.each import each
from unified_llm.batch import _input
from unified_llm.batch._input import Input
from unified_llm.batch._lines import BadLine, BatchLine
from unified_llm.batch._prompts import PromptReader
from unified_llm.batch._template import Template
from unified_llm.exceptions import ValidationError


def prompt(template: str, row: Any) -> str:
    read = PromptReader(template=Template.parse(template)).read(1, row)
    return read.body["messages"][0]["content"] if isinstance(read, BatchLine) else f"wrong: {read.problem}"


@each(
    ("template", "row", "expected"),
    [
        ("{a}", {"a": "x"}, "x"),
        ("{a}{a} {b}", {"a": "x", "b": 1.5}, "xx 1.5"),
        ("{{{a}}} {{}}", {"a": "x"}, "{x} {}"),
        ('{{"json": "{a}"}}', {"a": "x"}, '{"json": "x"}'),
        ("{a}", {"a": "{b} {{"}, "{b} {{"),
        ("{a}", {"a": [1, {"b": None}]}, '[1,{"b":null}]'),
        ("{a}", {"a": True}, "true"),
        ("{a}", {"a": ""}, "wrong: its prompt is empty"),
        ("{a}b", {"a": ""}, "b"),
        ("{a}", {"a": b"\xff"}, "wrong: its column 'a' has bytes that are no text in UTF-8"),
        ("{a b.c}", {"a b.c": "x"}, "x"),
        ("{größe}\n", {"größe": "groß"}, "groß\n"),
        ("{a.__class__}", {"a": "x"}, "wrong: it has no column 'a.__class__': its columns are 'a'"),
        ("{a[0]}", {"a": "x"}, "wrong: it has no column 'a[0]': its columns are 'a'"),
        ("{a!r}", {"a": "x"}, "wrong: it has no column 'a!r': its columns are 'a'"),
        ("{a:>99999999999}", {"a": "x"}, "wrong: it has no column 'a:>99999999999': its columns are 'a'"),
        ("{0}", {"a": "x"}, "wrong: it has no column '0': its columns are 'a'"),
        ("{a}", {"a": None}, "wrong: its column 'a' is empty"),
        ("{a}", {}, "wrong: it has no column 'a': its columns are none"),
        ("{a}", ["a"], "wrong: it is no JSON object of columns"),
        ("{a}", {"sk-" + "k" * 40: 1}, "wrong: it has no column 'a': its columns are (hidden)"),
    ],
)
def test_a_template_reaches_columns_alone(template: str, row: Any, expected: str) -> None:
    assert prompt(template, row) == expected


@each("template", ["{", "}", "{}", "a {b", "{a}}", "{{a}", "no columns", "", "{{a}}"])
def test_a_template_that_cannot_be_meant_is_refused(template: str) -> None:
    with pytest.raises(ValidationError, match="emplate"):
        Template.parse(template)


def test_a_line_that_is_too_long_is_its_own_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_input, "_LONGEST_LINE", 300)
    monkeypatch.setattr(_input, "_why_unreadable", lambda data, _: f"{len(data)} bytes")
    path = write_lines(tmp_path / "in.jsonl", [line(1), line(2, "x" * 2000), line(3), line(4, "x" * 2000)])
    read = list(Input(str(path)).lines())
    assert [(one.number, isinstance(one, BadLine)) for one in read] == [(1, False), (2, True), (3, False), (4, True)]
    assert isinstance(read[1], BadLine)
    assert read[1].problem == "300 bytes", "the rest is not kept in memory"


def test_an_input_is_read_lazily(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps(line(1)) + "\n" + "{bad\n")
    lines = Input(str(path)).lines()
    assert next(lines).number == 1
    assert len(Input(str(path))) == 2
    assert len(Input(str(path), limit=1)) == 1
