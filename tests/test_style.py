"""Habits that no linter knows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).parents[1]
SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "src" / "unified_llm").rglob("*.py"))
}
TREES = {name: ast.parse(text) for name, text in SOURCES.items()}
FOLDERS = (
    "src", "tests", "integration_tests", "conformance", "examples", "docs", "training", "benchmarks", ".ci", ".github",
)  # fmt: skip
WRITTEN = {".py", ".md", ".toml", ".yml", ".sh", ""}

LONGEST_FILE = 400
# Data, one entry after another; and the façade, most of which says what its callers may pass.
TABLES = {"src/unified_llm/_providers/hosted.py", "src/unified_llm/_client/client.py"}
LONGEST_TABLE = 500
LONGEST_FUNCTION = 60
# Words that say nothing about what a thing is.
EMPTY_WORDS = re.compile(r"(manager|helper|util)s?$", re.IGNORECASE)
# Where and how a file was written is no business of its reader. (In brackets, for this file is read as well.)
FOREIGN_WORDS = re.compile(r"/wor[k]/|/roo[t]/|\bfix[m]e\b|\bto[d]o\b", re.IGNORECASE)

Named: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions() -> Iterator[tuple[str, Named]]:
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield f"{name}:{node.lineno} {node.name}", node


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 50
    assert sum(1 for _ in definitions()) > 300


def test_a_file_can_be_read_at_one_sitting() -> None:
    lengths = {name: len(text.splitlines()) for name, text in SOURCES.items()}
    longest = {name: LONGEST_TABLE if name in TABLES else LONGEST_FILE for name in SOURCES}
    assert [f"{name}: {length}" for name, length in lengths.items() if length > longest[name]] == []


def test_a_file_says_why_it_exists() -> None:
    first_lines = {
        name: (ast.get_docstring(tree) or "").partition("\n")[0] for name, tree in TREES.items() if tree.body
    }
    assert [name for name, line in first_lines.items() if not re.search(r"\w.*[.:]$", line)] == []


def test_a_function_fits_on_a_screen() -> None:
    lengths = {}
    for name, node in definitions():
        if not isinstance(node, ast.ClassDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lengths[name] = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_names_say_what_a_thing_is() -> None:
    folders = {part.removesuffix(".py") for name in SOURCES for part in name.split("/")}
    assert [name for name in [*folders, *(name for name, _ in definitions())] if EMPTY_WORDS.search(name)] == []


def test_no_file_says_where_it_was_written() -> None:
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    paths += [path for path in ROOT.iterdir() if not path.name.startswith(".")]
    told = []
    for path in paths:
        if path.suffix in WRITTEN and path.is_file() and "__pycache__" not in path.parts:
            lines = path.read_bytes().decode(errors="replace").splitlines()
            told += [f"{path.name}:{number}" for number, line in enumerate(lines, 1) if FOREIGN_WORDS.search(line)]
    assert told == []
