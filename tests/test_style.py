"""Rules of style that no linter checks: lengths, docstrings, names and words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeAlias

from tests.support.sources import nodes_of, tree_of

ROOT = Path(__file__).parents[1]
SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "src" / "unified_llm").rglob("*.py"))
}
FOLDERS = (
    "src", "tests", "integration_tests", "conformance", "examples", "docs", "training", "benchmarks", ".ci", ".github",
)  # fmt: skip
WRITTEN = {".py", ".md", ".toml", ".yml", ".sh", ""}

LONGEST_FILE = 400
# Tables of data.
TABLES = {"src/unified_llm/_providers/makers.py"}
LONGEST_TABLE = 500
LONGEST_FUNCTION = 60
# Words that do not say what a class or function is.
EMPTY_WORDS = re.compile(r"(manager|helper|util)s?$", re.IGNORECASE)
# Paths and notes of whoever wrote a file. (In brackets, because this file is checked as well.)
MACHINE_WORDS = re.compile(r"/wor[k]/|/roo[t]/|\bfix[m]e\b|\bto[d]o\b", re.IGNORECASE)

# Names of variables that have no role.
EMPTY_NAMES = {"each", "said", "told", "found", "place"}
# Phrases for which the field has a term: cooldown, fix, again, sync and async, transient error, provider state.
VAGUE_WORDS = re.compile(
    r"\b(empty pur[s]e|left alon[e]|men[d](s|ed)?|ane[w]|hear[s] of|for eve[r]|twice ove[r]|colou[r]s?|bli[p]s?"
    r"|seale[d]|foreign mode[l]|asked (for )?in word[s]|goes on answerin[g]|spoil[t]|rival[s]?|its own word[s]"
    r")\b",
    re.IGNORECASE,
)
# A docstring that begins with one of these tells a story; that of a function begins with what the function does.
STORY_OPENINGS = {
    "a", "all", "an", "any", "as", "both", "each", "every", "for", "how", "if", "in", "it", "its", "no", "none",
    "nothing", "of", "one", "some", "such", "that", "the", "these", "they", "this", "those", "to", "two", "what",
    "when", "where", "whether", "which", "while", "who", "whom", "whose", "with", "without",
}  # fmt: skip
VERBS_IN_S = {"pass", "process", "address", "access", "press", "compress", "suppress", "bypass", "dismiss", "guess"}

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Named: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def trees() -> dict[str, ast.Module]:
    return {name: tree_of(ROOT / name) for name in SOURCES}


@cache
def definitions() -> list[tuple[str, Named]]:
    return [
        (f"{name}:{node.lineno} {node.name}", node)
        for name in SOURCES
        for node in nodes_of(ROOT / name)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    ]


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 50
    assert len(definitions()) > 300


def test_a_file_can_be_read_at_one_sitting() -> None:
    lengths = {name: len(text.splitlines()) for name, text in SOURCES.items()}
    longest = {name: LONGEST_TABLE if name in TABLES else LONGEST_FILE for name in SOURCES}
    assert [f"{name}: {length}" for name, length in lengths.items() if length > longest[name]] == []


def test_a_file_says_why_it_exists() -> None:
    first_lines = {
        name: (ast.get_docstring(tree) or "").partition("\n")[0] for name, tree in trees().items() if tree.body
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
    wrong = []
    for path in paths:
        if path.suffix in WRITTEN and path.is_file() and "__pycache__" not in path.parts:
            lines = path.read_bytes().decode(errors="replace").splitlines()
            wrong += [f"{path.name}:{number}" for number, line in enumerate(lines, 1) if MACHINE_WORDS.search(line)]
    assert wrong == []


def functions() -> Iterator[tuple[str, Function]]:
    for name, node in definitions():
        if not isinstance(node, ast.ClassDef):
            yield name, node


def decorators(node: Function) -> set[str]:
    return {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}


def test_the_docstring_of_a_function_begins_with_a_verb() -> None:
    wrong = []
    for name, node in functions():
        text = ast.get_docstring(node)
        if text and not decorators(node) & {"property", "cached_property"}:
            first = re.split(r"[^A-Za-z'`]", text, maxsplit=1)[0].lower()
            third_person = first.endswith("s") and first not in VERBS_IN_S
            if not first.isalpha() or first in STORY_OPENINGS or third_person:
                wrong.append(f"{name}: {text.splitlines()[0]}")
    assert wrong == []


def test_an_init_has_no_docstring() -> None:
    """The docstring of the class describes its arguments."""
    assert [name for name, node in functions() if node.name == "__init__" and ast.get_docstring(node)] == []


def test_a_public_function_says_what_its_signature_cannot() -> None:
    """Ruff checks only folders without an underscore. Methods of a private class are private."""
    inner = set[int]()
    for _, outer in definitions():  # those outside come first
        if id(outer) not in inner and (not isinstance(outer, ast.ClassDef) or outer.name.startswith("_")):
            inner |= {id(node) for node in ast.walk(outer) if node is not outer}
    wrong = [
        name
        for name, node in functions()
        if not node.name.startswith("_") and id(node) not in inner
        if not ast.get_docstring(node) and not decorators(node) & {"overload", "override"}
    ]
    assert wrong == []


def test_variables_have_names_with_a_role() -> None:
    wrong = []
    for path in SOURCES:
        for node in nodes_of(ROOT / path):
            targets: list[ast.expr] = []
            match node:
                case ast.For(target=target) | ast.AsyncFor(target=target) | ast.AnnAssign(target=target):
                    targets = [target]
                case ast.NamedExpr(target=target):
                    targets = [target]
                case ast.Assign(targets=several):
                    targets = several
                case _:
                    continue
            names = {inside.id for target in targets for inside in ast.walk(target) if isinstance(inside, ast.Name)}
            wrong += [f"{path}:{node.lineno} {name}" for name in names & EMPTY_NAMES]
    assert wrong == []


def test_prose_uses_the_terms_of_the_field() -> None:
    pages = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")]
    texts = {path.name: path.read_text(encoding="utf-8") for path in [*pages, *sorted((ROOT / "docs").rglob("*.md"))]}
    wrong = [
        f"{name}:{number}: {line.strip()}"
        for name, text in {**SOURCES, **texts}.items()
        for number, line in enumerate(text.splitlines(), 1)
        if VAGUE_WORDS.search(line)
    ]
    assert wrong == []
