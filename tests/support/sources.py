"""The sources of the package as trees of syntax, read once per process for all tests that search them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Final

import unified_llm

ROOT: Final = Path(unified_llm.__file__).parent
FILES: Final = sorted(ROOT.rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    """Return the tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Return all nodes of a file, in the order of ``ast.walk``, which takes longer than to look at them."""
    return tuple(ast.walk(tree_of(path)))


def module_of(path: Path) -> str:
    """Return the name of a module, without the package's own name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").removesuffix(".")
