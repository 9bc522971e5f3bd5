"""LangChain chain with failover: the first provider may not run, the second answers 503, the third answers.

Run it with ``make demo``. If Ollama runs and has the model llama3.2, Ollama answers.
"""

from __future__ import annotations

import io
import logging

from broken_server import broken_server
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from unified_llm import Attempt
from unified_llm.langchain import ChatUnified

QUESTION = "What is failover?"


def main() -> None:
    """Ask one question, and print the attempts and what the package logged."""
    attempts: list[Attempt] = []
    with broken_server() as url:
        model = ChatUnified(
            model="ollama/llama3.2",
            fallbacks=[{"model": "openai-compatible/gpt-oss-20b", "base_url": url}, "mlx/demo"],
            on_attempt=attempts.append,
        )
        chain = ChatPromptTemplate.from_template("{question}") | model | StrOutputParser()
        log = collect_log()
        print(f"\n{QUESTION}\n")
        for chunk in chain.stream({"question": QUESTION}):
            print(chunk, end="", flush=True)

    print(f"\n\n{'target':<32}{'what happened':<24}seconds")
    for attempt in attempts:
        print(f"{attempt.target:<32}{attempt!s:<24}{attempt.seconds:7.3f}")
    print(f"\n{log.getvalue()}")
    served = attempts[-1]
    print(f"served by {served.target} after {len(attempts) - 1} failed attempts")


def collect_log() -> io.StringIO:
    """Write what the package logs from now on into a text, so that it does not run into the streamed answer."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger = logging.getLogger("unified_llm")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return text


if __name__ == "__main__":
    main()
