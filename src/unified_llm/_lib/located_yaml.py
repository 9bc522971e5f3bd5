"""YAML with the line of each value: plain data alone, read by the safe loader's parser.

Values are typed as PyYAML types them, but for three traps: a date stays a text (``api_version: 2024-10-21``), so do
``1:30`` and numbers in octal, and a key that stands twice in a mapping is an error.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from unified_llm._lib.located import DocumentError, Located, Path, check_count, twice

if TYPE_CHECKING:
    import yaml

_TAG: Final = "tag:yaml.org,2002:"
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
# What an error may quote: a sign of the grammar, or the parser's name of a token.
_SIGN: Final = re.compile(r".{0,3}|<[a-z ]+>")
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_NUMBER: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL: Final = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}
_MOST_DIGITS: Final = 300


def parse_yaml(text: str) -> Located:
    """Parse a document; an empty one has the value None.

    Raises:
        DocumentError: It is no YAML, has a key twice, a tag of Python, an alias within itself, or too many values.
        ModuleNotFoundError: PyYAML is not installed.
    """
    import yaml

    reader = _Reader()
    problem, line = "it nests too deep", None
    try:
        node: Any = yaml.compose(text, Loader=_loader())
        return Located(None if node is None else reader.read(node, ()), reader.lines)
    except yaml.MarkedYAMLError as wrong:
        problem, line = _explain(wrong, text)
    except yaml.YAMLError as wrong:
        position = getattr(wrong, "position", None)
        problem = "a character is not printable"
        line = None if position is None else text.count("\n", 0, position) + 1
    except RecursionError:
        pass
    # Raised here, so that the parser's error, which quotes the text, is not the context.
    raise DocumentError(problem, line)


@cache
def _loader() -> Any:
    import yaml

    class TextLoader(yaml.SafeLoader):
        """Resolves no plain scalar, so that all are texts until they are typed here."""

    TextLoader.yaml_implicit_resolvers = {}
    return TextLoader


def _explain(wrong: yaml.MarkedYAMLError, text: str) -> tuple[str, int | None]:
    mark = wrong.problem_mark or wrong.context_mark
    line = None if mark is None else mark.line + 1
    problem = wrong.problem or ""
    written = text.split("\n")[line - 1] if line is not None else ""
    if "\t" in written[: len(written) - len(written.lstrip())] or "'\\t'" in problem:
        return "a tab stands where YAML needs blanks", line
    if "single document" in (wrong.context or ""):
        return "it has a second document after ---: keep one", line
    if "undefined alias" in problem:
        return "an alias refers to no anchor", line
    if "'@'" in problem:
        return 'a name that begins with @ stands in quotes: "@name"', line
    if "mapping values are not allowed" in problem:
        return (
            "a colon stands where no value can begin: put the text in quotes, or indent the line as its neighbours",
            line,
        )
    # The parser's words name the signs of its grammar, and quote single characters at most.
    shown = re.sub(r"'([^']*)'", lambda sign: sign[0] if _SIGN.fullmatch(sign[1]) else "...", problem)
    return f"it is no YAML: {shown or 'the structure is wrong'}", line


class _Reader:
    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self._open: list[object] = []  # nodes around the one that is read: an alias to one of them has no end
        self._count = 0

    def read(self, node: Any, path: Path) -> Any:
        line: int = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._count += 1
        check_count(self._count, line)
        if node.id == "scalar":
            return _typed(node)
        if node.tag not in {f"{_TAG}map", f"{_TAG}seq"}:
            raise DocumentError("a tag (!) has no meaning here: remove it", line)
        if any(node is outer for outer in self._open):
            raise DocumentError("an alias refers to what it stands in", line)
        self._open.append(node)
        value = self._read_mapping(node, path) if node.id == "mapping" else self._read_sequence(node, path)
        self._open.pop()
        return value

    def _read_sequence(self, node: Any, path: Path) -> list[Any]:
        return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]

    def _read_mapping(self, node: Any, path: Path) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, item in node.value:
            line: int = key.start_mark.line + 1
            if key.id != "scalar":
                raise DocumentError("a key must be a name", line)
            if key.value == "<<" and key.style is None:
                for name, value in self._read_merged(item, line).items():
                    merged.setdefault(name, value)
                    self.lines.setdefault((*path, name), line)
                continue
            if key.value in fields:
                raise twice(key.value, self.lines[*path, key.value], line)
            self.lines[*path, key.value] = line
            fields[key.value] = self.read(item, (*path, key.value))
        return {**merged, **fields}

    def _read_merged(self, node: Any, line: int) -> dict[str, Any]:
        """Return the fields that ``<<`` copies from one mapping, or from several: the first one goes before."""
        maps = node.value if node.id == "sequence" else [node]
        fields: dict[str, Any] = {}
        for mapping in maps:
            if mapping.id != "mapping":
                raise DocumentError("<< copies mappings alone: write <<: *anchor", line)
            fields = {**self.read(mapping, ("<<", line)), **fields}
        return fields


def _typed(node: Any) -> Any:
    """Return the value of a scalar: a text in quotes stays a text."""
    text: str = node.value
    line = node.start_mark.line + 1
    if node.tag == "!" or (node.tag == f"{_TAG}str" and node.style is not None):
        return text
    if node.tag != f"{_TAG}str":
        raise DocumentError("a tag (!) has no meaning here: remove it", line)
    if text in _NULLS:
        return None
    if (lowered := text.lower()) in _BOOLEANS and text in {lowered, lowered.title(), lowered.upper()}:
        return _BOOLEANS[lowered]
    if lowered in _SPECIAL:
        return _SPECIAL[lowered]
    if len(text) > _MOST_DIGITS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", ""))
    return float(text) if _NUMBER.fullmatch(text) and not text.isdigit() else text
