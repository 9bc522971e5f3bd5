"""LangChain chain with failover: the first provider may not run, the second answers 503, the third answers.

Run it with ``make demo``. If Ollama runs and has the model llama2, Ollama answers.
"""

from __future__ import annotations

import logging

from broken_server import broken_server
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from unified_llm import Attempt
from unified_llm.langchain import ChatUnified


def main() -> None:
    """Ask one question, and print the attempts."""
    logging.getLogger("unified_llm").setLevel(logging.ERROR)  # the table below replaces the warnings
    attempts: list[Attempt] = []
    with broken_server() as url:
        model = ChatUnified(
            model="ollama/llama2",
            fallbacks=[{"model": "openai-compatible/gpt-oss-20b", "base_url": url}, "mlx/demo"],
            on_attempt=attempts.append,
        )
        chain = ChatPromptTemplate.from_template("{question}") | model | StrOutputParser()
        print("What is failover?\n")
        for piece in chain.stream({"question": "What is failover?"}):
            print(piece, end="", flush=True)

    print(f"\n\n{'target':<32}{'what happened':<24}seconds")
    for attempt in attempts:
        print(f"{attempt.target:<32}{attempt!s:<24}{attempt.seconds:7.3f}")


if __name__ == "__main__":
    main()
