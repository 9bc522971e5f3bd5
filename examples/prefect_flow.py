"""Many prompts as a flow of Prefect: tasks of a hundred prompts, which a second run does not send again.

    redis-server
    python -m examples.prefect_flow "What is failover?" "What is a queue?"

REDIS_URL has what the clients of several workers share; PROMPTS_MODEL and PROMPTS_FALLBACK name the targets,
PROMPTS_FOLDER what is finished.
"""

from __future__ import annotations

import json
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from unified_llm import LLMClient, configure

FINISHED = Path(os.environ.get("PROMPTS_FOLDER", "finished"))
PROMPTS_OF_A_TASK, AT_ONCE = 100, 8

configure(state=os.environ.get("REDIS_URL", "redis://localhost/0"))
# One for the process: Prefect runs sync tasks in threads and async ones in event loops, and a client serves all.
client = LLMClient(
    os.environ.get("PROMPTS_MODEL", "openai/gpt-5-mini"),
    fallbacks=[os.environ.get("PROMPTS_FALLBACK", "anthropic/claude-haiku-4-5")],
    deadline=120,
)


# The client retries, so Prefect does not: 3 times 3 would be 9 requests. Nor does Prefect keep results: it would keep
# the errors among them. A flow that runs again finds the responses in the checkpoint, and asks for the rest alone.
@task(retries=0, cache_policy=NO_CACHE)
async def answer(number: int, prompts: list[str]) -> list[dict[str, Any]]:
    """Answer prompts; one that fails has its error, and does not fail the task."""
    async with client.amap(
        prompts, concurrency=AT_ONCE, progress=False, checkpoint=_checkpoint(number, prompts)
    ) as run:
        return [
            {"text": result.text} if result.ok else {"error": f"{type(result.error).__name__}: {result.error}"}
            async for result in run
        ]


def _checkpoint(number: int, prompts: list[str]) -> Path:
    """Return the file of a task. It has the number of the part: two parts may be equal, and are in work at once."""
    FINISHED.mkdir(parents=True, exist_ok=True)
    return FINISHED / f"{sha256(json.dumps([number, prompts]).encode()).hexdigest()}.jsonl"


@flow
def answer_all(prompts: list[str]) -> list[dict[str, Any]]:
    """Answer all prompts, in their order."""
    parts = [prompts[start : start + PROMPTS_OF_A_TASK] for start in range(0, len(prompts), PROMPTS_OF_A_TASK)]
    return [answered for results in answer.map(range(len(parts)), parts).result() for answered in results]


def main(prompts: list[str]) -> None:
    """Run the flow, and print what comes back."""
    for answered in answer_all(prompts):
        print(answered.get("text") or answered["error"])


if __name__ == "__main__":
    main(sys.argv[1:] or ["What is failover?", "What is a queue?"])
