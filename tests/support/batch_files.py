"""Batch files for tests: lines of OpenAI's format, and the command that answers them with scripted targets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.command_line import Ended, run
from tests.support.scripted_targets import ScriptedTargets, say

MODEL = "openai-compatible/m"
HERE = ("--model", MODEL, "--base-url", "http://127.0.0.1:9/v1")


def line(number: int, text: str = "Hello", url: str = "/v1/chat/completions", **body: Any) -> dict[str, Any]:
    """Return a line of a batch file: a chat, unless the body says otherwise."""
    if url == "/v1/chat/completions":
        body = {"messages": [{"role": "user", "content": text}], **body}
    return {"custom_id": f"q{number}", "method": "POST", "url": url, "body": body}


def write_lines(path: Path, lines: Sequence[Any]) -> Path:
    """Write a file of JSON lines; a text is written as it is."""
    texts = [text if isinstance(text, str) else json.dumps(text) for text in lines]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file."""
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


def answer(
    *arguments: str | Path, scripts: Mapping[str, Sequence[Any]] | None = None, stdin: bytes = b""
) -> tuple[Ended, list[Any]]:
    """Run the command with scripted targets; return how it ended, and the requests that were sent."""
    targets = ScriptedTargets({MODEL: [say("Hi")], **(scripts or {})})
    with targets.running():
        ended = run("batch", *map(str, arguments), stdin=stdin)
    return ended, [request for _, request in targets.asked]


def text_of(answered: Mapping[str, Any]) -> str:
    """Return the text of an answered line."""
    return str(answered["response"]["body"]["choices"][0]["message"]["content"])
