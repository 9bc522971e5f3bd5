"""Many prompts as tasks of Celery: one client for all worker processes, and what they learn is shared through Redis.

    redis-server
    celery --app examples.celery_app worker --concurrency 4
    python -m examples.celery_app "What is failover?" "What is a queue?"

REDIS_URL has the broker, the results and what the clients share; PROMPTS_MODEL and PROMPTS_FALLBACK name the targets.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from celery import Celery
from celery.signals import worker_process_init

from unified_llm import LLMClient, configure

REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost/0")
FINISHED = Path(os.environ.get("PROMPTS_FOLDER", "finished"))
# A task has so many prompts, and a worker process sends so many of them at once.
PROMPTS_OF_A_TASK, AT_ONCE = 100, 8

# What one worker learns of an outage or a rate limit, all know; rpm= and tpm= are kept by all together.
configure(state=REDIS_URL)
# Made before the workers are forked. Connections and threads belong to a process: each makes its own.
client = LLMClient(
    os.environ.get("PROMPTS_MODEL", "openai/gpt-5-mini"),
    fallbacks=[os.environ.get("PROMPTS_FALLBACK", "anthropic/claude-haiku-4-5")],
    deadline=120,
)

app = Celery("prompts", broker=REDIS_URL, backend=REDIS_URL)
app.conf.update(
    # A task is acknowledged when it has ended, so that one whose worker was killed is delivered again ...
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # ... also where nobody saw the end of the worker: Redis delivers it again after this time, longer than any task.
    broker_transport_options={"visibility_timeout": 3600},
    worker_prefetch_multiplier=1,  # no worker holds tasks that another could begin
    task_time_limit=3000,
)


@worker_process_init.connect
def warm(**_: Any) -> None:
    """Import and connect in a new worker process, before its first task."""
    client.warm(timeout=5)


@app.task(bind=True, name="prompts.answer")
def answer(task: Any, prompts: list[str]) -> list[dict[str, Any]]:
    """Answer prompts; one that fails has its error, and does not fail the task.

    The task may be delivered twice. It then goes on from its checkpoint: what has a response is not requested again.
    """
    FINISHED.mkdir(parents=True, exist_ok=True)
    with client.map(
        prompts, concurrency=AT_ONCE, progress=False, checkpoint=FINISHED / f"{task.request.id}.jsonl"
    ) as run:
        return [
            {"text": result.text} if result.ok else {"error": f"{type(result.error).__name__}: {result.error}"}
            for result in run
        ]


def main(prompts: list[str]) -> None:
    """Send the prompts in tasks, and print what comes back. Sent again, a task has the same name."""
    tasks = []
    for start in range(0, len(prompts), PROMPTS_OF_A_TASK):
        part = prompts[start : start + PROMPTS_OF_A_TASK]
        name = json.dumps([start, part])  # with the position: two parts may be equal, and two tasks share no checkpoint
        tasks.append(answer.apply_async([part], task_id=str(uuid5(NAMESPACE_URL, name))))
    for task in tasks:
        for answered in task.get(timeout=3600):
            print(answered.get("text") or answered["error"])


if __name__ == "__main__":
    main(sys.argv[1:] or ["What is failover?", "What is a queue?"])
