"""Errors for names that a public module does not have: where the name is, or which one was probably meant.

Where a module's ``__getattr__`` raises ``AttributeError``, ``from unified_llm import ChatUnified`` raises Python's own
``ImportError``, without our text. So an import statement gets an ``ImportError`` of ours, and any other access the
``AttributeError`` that ``hasattr`` and ``getattr`` with a default rely on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from opcode import opmap
from types import FrameType
from typing import Final

# In the order in which a name is looked for. The names of each are in its ``__all__``.
_MODULES: Final = tuple(
    f"unified_llm{name}" for name in ("", ".langchain", ".llama_index", ".exceptions", ".testing", ".types")
)
_CUTOFF: Final = 0.75  # of difflib: LLMclient and ChatUnifed are like our names, ChatOpenAI is not


def missing_name(module: str, name: str, public: Sequence[str]) -> Exception:
    """Make the error that the ``__getattr__`` of a module raises for a name that it does not have.

    Args:
        module: The module.
        name: The name.
        public: The names that the module has.
    """
    plain = AttributeError(f"module {module!r} has no attribute {name!r}", name=name, obj=sys.modules.get(module))
    if name.startswith("_"):  # what Python and its tools look for
        return plain
    with suppress(ModuleNotFoundError):  # the module is no package
        if find_spec(f"{module}.{name}") is not None:  # Python imports it after this error
            return plain
    hint = _hint(module, name, public)
    if hint and _is_import_statement(sys._getframe(2)):  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        return ImportError(f"cannot import name {name!r} from {module!r}: {hint}", name=module)
    return AttributeError(f"{plain}: {hint}", name=name, obj=plain.obj) if hint else plain


def _hint(module: str, name: str, public: Sequence[str]) -> str | None:
    homes = dict.fromkeys(public, module)
    for other in _MODULES:
        with suppress(ImportError):
            homes = {**dict.fromkeys(import_module(other).__all__, other), **homes}
    if name in homes:
        return f"it is in {homes[name]}: from {homes[name]} import {name}"
    spellings = {known.lower(): known for known in homes}
    close = get_close_matches(name.lower(), spellings, 1, _CUTOFF)
    if not close:
        return None
    known = spellings[close[0]]
    return f"did you mean {known}?" if homes[known] == module else f"did you mean {known}, from {homes[known]}?"


def _is_import_statement(frame: FrameType) -> bool:
    """Return whether this frame executes ``from module import name``, or does a part of that for one that does."""
    if frame.f_globals.get("__name__") == "importlib._bootstrap":  # looks whether the name is that of a submodule
        return True
    return frame.f_code.co_code[frame.f_lasti] == opmap["IMPORT_FROM"]
