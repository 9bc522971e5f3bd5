"""Import time of this package, compared with its dependencies. Run: ``python benchmarks/imports.py``.

The statements run in turn, each in a new interpreter, so that a temporary slowdown of the machine affects all of them.
The figure is the median of the CPU times, minus that of an empty program.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from statistics import median

ROUNDS = 15
STATEMENTS = {
    "nothing": "pass",
    "httpx, pydantic": "import httpx, pydantic",
    "unified_llm": "import unified_llm",
    "unified_llm, LLMClient": "from unified_llm import LLMClient",
    "langchain_core, BaseChatModel": "from langchain_core.language_models import BaseChatModel",
    "unified_llm.langchain, ChatUnified": "from unified_llm.langchain import ChatUnified",
    "llama_index.core, FunctionCallingLLM": "from llama_index.core.llms.function_calling import FunctionCallingLLM",
    "unified_llm.llama_index, UnifiedLLM": "from unified_llm.llama_index import UnifiedLLM",
}


def seconds(statement: str) -> float:
    """Return the CPU time of an interpreter that runs the statement."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True)  # noqa: S603 - our own statements
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the table, in milliseconds."""
    for statement in STATEMENTS.values():
        seconds(statement)  # writes the bytecode
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(ROUNDS):
        for name, statement in STATEMENTS.items():
            times[name].append(seconds(statement))
    empty = median(times["nothing"])
    for name, values in times.items():
        print(f"{name:<36}{(median(values) - empty) * 1000:8.1f} ms")


if __name__ == "__main__":
    main()
