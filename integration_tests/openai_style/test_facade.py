"""``ChatCompletion`` and its like against a real server: cancelled calls, threads, event loops and forks."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from typing import Any

import pytest

from integration_tests.support.fault_server import CHUNKED, FaultServer, Hang, Send, Step, chunk, head, ok
from unified_llm import ChatCompletion, Completion, Embedding

MESSAGES = [{"role": "user", "content": "Hello?"}]
MESSAGE = {"role": "assistant", "content": "Hi"}
CHOICE = {"index": 0, "message": MESSAGE, "finish_reason": "stop"}
ANSWER = ok(
    json.dumps({"id": "1", "object": "chat.completion", "created": 7, "model": "m", "choices": [CHOICE]}).encode()
)
FIRST = chunk(b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n')


def create(**given: Any) -> str:
    return str(ChatCompletion.create(model="m", messages=MESSAGES, **given).choices[0].message.content)


@pytest.mark.parametrize("way", ["whole", "stream", "begun", "completion", "embedding"])
async def test_a_cancelled_call_closes_its_connection(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script: list[Step] = [Send(head(CHUNKED) + FIRST), Hang()] if way == "begun" else [Hang()]
    with FaultServer(script) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)

        async def call() -> None:
            match way:
                case "completion":
                    await Completion.acreate(model="m", prompt="Say.")
                case "embedding":
                    await Embedding.acreate(model="m", input="a")
                case "whole":
                    await ChatCompletion.acreate(model="m", messages=MESSAGES)
                case _:
                    async for _ in await ChatCompletion.acreate(model="m", messages=MESSAGES, stream=True):
                        pass

        task = asyncio.create_task(call())
        assert await asyncio.to_thread(server.has_received, 1)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.settles_at(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}


def test_threads_loops_and_forks_share_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(*[[Send(ANSWER)]] * 20) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        texts: list[str] = []
        threads = [threading.Thread(target=lambda: texts.append(create())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for _ in range(2):
            response = asyncio.run(ChatCompletion.acreate(model="m", messages=MESSAGES))
            texts.append(str(response.choices[0].message.content))
        child = os.fork()
        if child == 0:
            os._exit(0 if create() == "Hi" else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        texts.append(create())
        assert texts == ["Hi"] * 7
