"""Makes the screenshots of docs/command-line.md: what commands show on a terminal, with scripted models.

Run it from the root of the repository after a change of the command line. With --check it compares the text of each.
"""  # noqa: INP001 - a script

from __future__ import annotations

import html
import io
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.scripted_targets import Pause, ScriptedTargets, say  # noqa: E402
from unified_llm._client import local_servers  # noqa: E402
from unified_llm._client.local_servers import LocalServer  # noqa: E402
from unified_llm._core.outcome import Done, Failure  # noqa: E402
from unified_llm._state import process_health  # noqa: E402
from unified_llm.cli import main  # noqa: E402
from unified_llm.types.responses import ModelInfo  # noqa: E402

FOLDER: Final = ROOT / "docs" / "screenshots"
COLUMNS: Final = 80
VARIABLES: Final = {
    "COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color", "PATH": os.environ.get("PATH", ""),
    "HOME": os.environ.get("HOME", ""), "XDG_CONFIG_HOME": "/nonexistent", "OPENAI_API_KEY": "sk-screenshot-1234567890",
}  # fmt: skip
MODELS: Final = {
    "ollama": [
        ModelInfo("llama3.2:3b", "ollama", context_window=131_072, features=frozenset({"tools", "streaming"})),
        ModelInfo("nomic-embed-text", "ollama", context_window=2_048, features=frozenset({"embeddings"})),
    ],
    "lmstudio": [ModelInfo("qwen3-4b", "lmstudio", context_window=40_960)],
    "openai": [
        ModelInfo("gpt-5-mini", "openai", context_window=400_000, max_output=128_000),
        ModelInfo("gpt-5-nano", "openai", context_window=400_000, max_output=128_000),
    ],
}
ANSWER: Final = (
    "When a request fails, it is sent to another model that can serve it,\nso that the caller still gets an answer."
)
SHORT: Final = "A target that keeps failing is not called for a while; then one request tries it."


@dataclass(frozen=True)
class Screen:
    """A screenshot.

    Attributes:
        command: What is typed after the program's name.
        arguments: The same as a list.
        scripts: What the targets answer.
        typed: The lines that are typed at its prompts.
    """

    command: str
    arguments: Sequence[str]
    scripts: Mapping[str, Sequence[Any]]
    typed: Sequence[str] = ()


def lists(**failures: Failure) -> dict[str, Sequence[Any]]:
    """Return scripts in which providers send their lists, but for those that fail."""
    sent: dict[str, Sequence[Any]] = {
        name: [[Pause(0.03), Done((tuple(models), None))]] for name, models in MODELS.items()
    }
    return {**sent, **{name: [failure] for name, failure in failures.items()}}


SCREENS: Final = {
    "generate": Screen(
        'generate -m openai/gpt-5-mini --fallback ollama/llama3.2:3b "What is failover?"',
        ["generate", "-m", "openai/gpt-5-mini", "--fallback", "ollama/llama3.2:3b", "What is failover?"],
        {"openai/gpt-5-mini": [Failure("server", 503)], "ollama/llama3.2:3b": [[Pause(0.8), *say(ANSWER)]]},
    ),
    "chat": Screen(
        "chat --local",
        ["chat", "--local"],
        {"ollama/llama3.2:3b": [[Pause(0.8), *say(ANSWER)], [Pause(0.6), *say(SHORT)]]},
        ["What is failover?", "And a circuit breaker?", "/exit"],
    ),
    "models": Screen("models", ["models"], lists()),
    "health": Screen("health", ["health"], lists(openai=Failure("auth", 401))),
}


class Stream(io.StringIO):
    """A terminal in memory, which shows what is typed."""

    encoding = "utf-8"

    def __init__(self, typed: Sequence[str] = (), shown: Stream | None = None) -> None:
        super().__init__("".join(f"{line}\n" for line in typed))
        self._shown = shown

    def isatty(self) -> bool:
        """Be a terminal."""
        return True

    def readline(self, size: int | None = -1, /) -> str:
        """Return a line, and show it, as a terminal does."""
        line = super().readline(-1 if size is None else size)
        if self._shown is not None:
            self._shown.write(line)
        return line


def draw(screen: Screen) -> str:
    """Return the picture of a command."""
    shown = Stream()
    shown.write(f"$ unified-llm {screen.command}\n")
    with _apart(), ScriptedTargets(screen.scripts).running():
        before, sys.stdin = sys.stdin, Stream(screen.typed, shown)
        try:
            with redirect_stdout(shown), redirect_stderr(shown):
                main(screen.arguments)
        finally:
            sys.stdin = before
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(shown.getvalue()))
    drawn = console.export_svg(title="unified-llm", unique_id="screen")
    return re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # which would be loaded from another server


@contextmanager
def _apart() -> Iterator[None]:
    """Take variables, health and servers of this machine away for a moment."""
    servers = [
        LocalServer(name, address, tuple(MODELS[name]), certain=True)
        for name, address in (("ollama", "http://127.0.0.1:11434/v1"), ("lmstudio", "http://127.0.0.1:1234/v1"))
    ]
    variables, search = dict(os.environ), local_servers.find_local_servers
    os.environ.clear()
    os.environ.update(VARIABLES)
    local_servers.find_local_servers = lambda **_: servers
    try:
        with process_health.apart():
            yield
    finally:
        local_servers.find_local_servers = search
        os.environ.clear()
        os.environ.update(variables)


def text_of(drawn: str) -> list[str]:
    """Return the texts in a picture: its form may differ with the version of rich."""
    texts = (html.unescape(text).replace("\xa0", " ").rstrip() for text in re.findall(r">([^<>]+)</text>", drawn))
    return [text for text in texts if text]


def outdated() -> list[str]:
    """Return the names of the pictures whose commands show something else now."""
    paths = {name: FOLDER / f"{name}.svg" for name in SCREENS}
    return [
        name
        for name, path in paths.items()
        if not path.exists() or text_of(path.read_text(encoding="utf-8")) != text_of(draw(SCREENS[name]))
    ]


if __name__ == "__main__":
    if "--check" in sys.argv:
        names = outdated()
        sys.exit(f"Run docs/make_screenshots.py: {', '.join(names)} changed." if names else 0)
    FOLDER.mkdir(exist_ok=True)
    for screen_name, one in SCREENS.items():
        (FOLDER / f"{screen_name}.svg").write_text(draw(one), encoding="utf-8")
