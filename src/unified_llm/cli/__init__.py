"""The command line: ``unified-llm``, or ``python -m unified_llm``. It needs the extra ``cli``.

    unified-llm generate --model openai/gpt-5-mini --fallback ollama/llama3.2 "What is failover?"

docs/command-line.md describes the commands.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

_EXTRA: Final = {"typer", "click", "rich", "shellingham"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 (the call failed), 2 (usage, configuration), 130 (Ctrl-C).

    Args:
        arguments: Those after the program's name; None for those of this process.
    """
    try:
        from unified_llm.cli._app import run
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _EXTRA:
            raise
        return _report('the command line is not installed: run pip install "unified-llm[cli]"', 2)
    except KeyboardInterrupt:
        return 130
    return run(sys.argv[1:] if arguments is None else arguments)


def _report(problem: str, code: int) -> int:
    if sys.stderr is not None:
        sys.stderr.write(f"unified-llm: error: {problem}\n")
    return code
