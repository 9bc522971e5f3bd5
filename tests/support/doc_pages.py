"""The documentation as its tests read it: pages, Python examples, and the install line above a page's first example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_FENCE: Final = re.compile(r"^```(?P<language>\w*)\n(?P<source>.*?)^```$", re.MULTILINE | re.DOTALL)
_APPLICATIONS: Final = ROOT / "examples" / "web"
_INSTALL: Final = re.compile(r"^(?:python -m )?pip install .*?$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """One Python example.

    Attributes:
        page: The name of its file.
        line: The line of the file on which its fence begins.
        source: Its code.
        install: The nearest install line above it, without its comment; "" where there is none.
    """

    page: str
    line: int
    source: str
    install: str

    @property
    def name(self) -> str:
        """Return where it stands, as ``page:line``."""
        return f"{self.page}:{self.line}"

    @property
    def is_web_application(self) -> bool:
        """Return whether it is a file of examples/web/, which the integration tests run in a real server."""
        return self.source in {path.read_text(encoding="utf-8") for path in _APPLICATIONS.glob("*.py")}

    @property
    def needs_checkout(self) -> bool:
        """Return whether it imports what is in the repository and in no wheel."""
        return "from conformance" in self.source


@dataclass(frozen=True)
class Section:
    """The code under one heading of a page."""

    title: str
    text: str

    def sources(self, language: str) -> list[str]:
        """Return the code blocks of a language."""
        return [fence["source"] for fence in _FENCE.finditer(self.text) if fence["language"] == language]


def sections(page: Path) -> list[Section]:
    """Return the sections of a page below headings of the second level."""
    parts = re.split(r"^## (.*)\n", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return [Section(title, text) for title, text in zip(parts[::2], parts[1::2], strict=True)]


def pages() -> list[Path]:
    """Return README.md and all pages in docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def examples(page: Path) -> list[Example]:
    """Return the Python examples of a page in their order."""
    text = page.read_text(encoding="utf-8")
    found = list[Example]()
    install = ""
    for fence in _FENCE.finditer(text):
        if fence["language"] == "python":
            line = text[: fence.start()].count("\n") + 1
            found.append(Example(page.name, line, fence["source"], install))
        elif lines := _INSTALL.findall(fence["source"]):
            install = lines[0].partition("  #")[0].rstrip()
    return found


def first_examples() -> list[Example]:
    """Return the first example of each page that has one which runs after an installation."""
    return [example for page in pages() for example in list(_runnable(page))[:1]]


def _runnable(page: Path) -> Iterator[Example]:
    return (example for example in examples(page) if not (example.needs_checkout or example.is_web_application))
