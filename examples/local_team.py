"""One model in this process for many callers: they ask at the same time, and the model answers them as one batch.

    python examples/local_team.py [mlx/mlx-community/Qwen3-4B-4bit]

Without a model, ``mlx/demo`` answers, which is part of the package and knows next to nothing.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from unified_llm import LLMClient, LLMResponse, MLXConfig

INSTRUCTIONS = "You help the users of a library. Answer in one sentence."
QUESTIONS = ("What is failover?", "What is a token?", "What is an embedding?", "What is MLX?")


def main(model: str) -> None:
    """Ask all questions at once, and print the answers and how many tokens were read and written."""
    # A call that finds the queue full goes to the next target, if there is one: fallbacks=["openai/gpt-5-mini"].
    client = LLMClient(model, mlx=MLXConfig(max_queue=32, unload_after=600), max_tokens=100, deadline=120)

    def ask(question: str) -> LLMResponse:
        turns = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": question}]
        return client.generate(turns)

    ask(QUESTIONS[0])  # loads the model
    began = time.perf_counter()
    with ThreadPoolExecutor(len(QUESTIONS)) as callers:
        responses = list(callers.map(ask, QUESTIONS))
    seconds = time.perf_counter() - began
    for question, response in zip(QUESTIONS, responses, strict=True):
        print(f"{question}\n    {response.content}")
    written = sum(response.usage.completion_tokens or 0 for response in responses if response.usage)
    cached = sum(response.usage.cached_tokens or 0 for response in responses if response.usage)
    print(f"\n{written} tokens in {seconds:.2f} s; {cached} tokens of the prompts were known from earlier ones")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "mlx/demo")
