"""The list in docs/architecture.md of the modules that one call passes is what a call passes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import FrameType

from integration_tests.support.fault_server import FaultServer, Send, ok
from unified_llm.langchain import ChatUnified

DOCUMENT = Path(__file__).parents[2] / "docs" / "architecture.md"
DOWN = ok(b"{}", status="503 Service Unavailable")
ANSWER = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}]}


def documented() -> list[str]:
    section = DOCUMENT.read_text().partition("## The modules of one call")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return re.findall(r"`([\w/]+)`", "\n".join(rows))


def test_the_documented_modules_are_those_that_a_call_passes() -> None:
    passed: dict[str, None] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        _, _, module = frame.f_code.co_filename.partition("/src/unified_llm/")
        if event == "call" and module:
            passed[module.removesuffix(".py")] = None

    with FaultServer([Send(DOWN)]) as down, FaultServer([Send(ok(json.dumps(ANSWER).encode()))]) as up:
        chain = ChatUnified(
            model="openai-compatible/a",
            base_url=down.url,
            fallbacks=[{"model": "openai-compatible/b", "base_url": up.url}],
            max_retries=0,
        )
        chain.invoke("Hello?")  # imports what is imported lazily
        sys.setprofile(note)
        try:
            answer = chain.invoke("Hello?")
        finally:
            sys.setprofile(None)
    assert answer.content == "Hello"
    assert list(passed) == documented()
