"""The chat template among the files of a model, read without the libraries: a target's features are known early."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

from unified_llm._backends.mlx.engine_types import EngineError
from unified_llm._backends.mlx.model_files import FURTHER_TEMPLATES, read_object, read_text

_KEPT: Final = 64
_MAX_SIZE: Final = 4_000_000  # bytes of a file
# Where the libraries look, the newest place first: huggingface.co/docs/transformers/chat_templating
_FILE: Final = "chat_template.jinja"
_BEGIN, _END = re.compile(r"\{[%{]"), re.compile(r"[%}]\}")
# One that is not closed goes on to the end, or the next quote would be looked at in the same way, and so on.
_TEXT: Final = re.compile(r"'(?:[^'\\]|\\.)*'?|\"(?:[^\"\\]|\\.)*\"?", re.DOTALL)


def read_template(folder: Path) -> str:
    """Return the text of a model's chat template, of all of them where there are several; empty if there is none.

    Templates that mlx-lm has written itself are named by ``chat_template_type``, and have no text.
    """
    names = ("tokenizer_config.json", "chat_template.json", _FILE)
    return _read(folder, tuple(_time(folder / name) for name in names))


def uses_variable(template: str, name: str) -> bool:
    """Return whether the code of a template uses a variable, rather than a field or a text of this name."""
    variable = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
    return any(variable.search(_TEXT.sub("''", code)) for code in _code_in(template))


def _code_in(template: str) -> Iterator[str]:
    """Yield the parts of a template that are code, in a time that grows with its length alone."""
    position = 0
    while (begin := _BEGIN.search(template, position)) and (end := _END.search(template, begin.end())):
        position = end.end()
        yield template[begin.start() : position]


def takes_tools(folder: Path) -> bool:
    """Return whether the chat template of a model writes tools into the prompt."""
    if uses_variable(read_template(folder), "tools"):
        return True
    try:
        return bool(read_object(folder / "tokenizer_config.json").get("chat_template_type"))
    except EngineError:
        return False


@lru_cache(maxsize=_KEPT)
def _read(folder: Path, times: tuple[int, ...]) -> str:
    del times  # of the files: changed ones are read again
    texts = [
        read_text(path, _MAX_SIZE) for path in (folder / _FILE, *sorted((folder / FURTHER_TEMPLATES).glob("*.jinja")))
    ]
    for name in ("tokenizer_config.json", "chat_template.json"):
        try:
            value = read_object(folder / name).get("chat_template")
        except EngineError:
            continue
        texts += _templates(value)
    return "\n".join(text for text in texts if text)


def _templates(value: Any) -> list[str]:
    """Return the templates of a field: one, several by name, or a list of such."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for text in cast("Mapping[str, Any]", value).values() if isinstance(text, str)]
    entries: list[Any] = value if isinstance(value, list) else []
    return [one["template"] for one in entries if isinstance(one, Mapping) and isinstance(one.get("template"), str)]


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
