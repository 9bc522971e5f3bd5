"""Requests a second of one process in each way to send many prompts, and what a checkpoint costs when it is opened.

    python benchmarks/scale.py [prompts]

A server in a process of its own responds at once. Each way runs in a process of its own, with 20 requests at a time.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from unified_llm import LLMClient
from unified_llm._lib.checkpoint import Checkpoint
from unified_llm.batch.ray import Generate

AT_ONCE = 20
BATCH = 500
STORED = 100_000
MESSAGE = {"role": "assistant", "content": "This is a response of some length. " * 6}
BODY = json.dumps({
    "id": "r", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 50, "total_tokens": 57},
}).encode()  # fmt: skip
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of a connection."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            await reader.readexactly(int(lengths[0].split(b":")[1]))
            writer.write(HEAD % len(BODY) + BODY)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        writer.close()


async def serve() -> None:
    """Listen, and print the port."""
    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def send_in_threads(settings: Mapping[str, Any], prompts: list[str], _: Path) -> int:
    """Call ``generate`` in threads."""
    client = LLMClient(settings)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return sum(bool(response.content) for response in threads.map(client.generate, prompts))


def send_by_map(settings: Mapping[str, Any], prompts: list[str], _: Path) -> int:
    """Use ``map``."""
    return sum(result.ok for result in LLMClient(settings).map(prompts, concurrency=AT_ONCE, progress=False))


def send_by_amap(settings: Mapping[str, Any], prompts: list[str], _: Path) -> int:
    """Use ``amap``."""

    async def run() -> int:
        return sum([result.ok async for result in LLMClient(settings).amap(prompts, concurrency=AT_ONCE)])

    return asyncio.run(run())


def send_with_checkpoint(settings: Mapping[str, Any], prompts: list[str], folder: Path) -> int:
    """Use ``map``, and store the responses."""
    run = LLMClient(settings).map(prompts, concurrency=AT_ONCE, progress=False, checkpoint=folder / "finished.jsonl")
    return sum(result.ok for result in run)


def send_rows(settings: Mapping[str, Any], prompts: list[str], _: Path) -> int:
    """Use what workers of Ray use."""
    worker = Generate(settings, concurrency=AT_ONCE)
    batches = [prompts[start : start + BATCH] for start in range(0, len(prompts), BATCH)]
    return sum(error is None for batch in batches for error in worker({"prompt": batch})["error"])


WAYS: dict[str, Callable[[Mapping[str, Any], list[str], Path], int]] = {
    "threads": send_in_threads, "map": send_by_map, "amap": send_by_amap,
    "checkpoint": send_with_checkpoint, "Generate": send_rows,
}  # fmt: skip


def measure(way: str, count: int, port: int) -> None:
    """Send prompts in one way, and print what it took."""
    settings = {"model": "vllm/m", "base_url": f"http://127.0.0.1:{port}/v1"}
    with TemporaryDirectory() as folder:
        (first := Path(folder) / "first").mkdir()
        WAYS[way](settings, ["warm up"], first)
        began, used = time.perf_counter(), time.process_time()
        served = WAYS[way](settings, [f"prompt {number}" for number in range(count)], Path(folder))
        seconds, processor = time.perf_counter() - began, time.process_time() - used
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{way:<12}{served / seconds:>8,.0f} a second{served / processor:>8,.0f} a processor second{memory:>8,.0f} MiB"
    )


def measure_checkpoint() -> None:
    """Print how long it takes to open a checkpoint."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "finished.jsonl"
        with Checkpoint(path, fsync=False) as checkpoint:
            for number in range(STORED):
                checkpoint.put(f"row-{number}", "f" * 64, {"content": "x" * 800})
        size = path.stat().st_size / 1e6
        began = time.perf_counter()
        with Checkpoint(path):
            seconds = time.perf_counter() - began
        print(f"a checkpoint of {STORED:,} responses, {size:,.0f} MB: opened in {seconds:.2f} s")


def main(count: str = "4000") -> None:
    """Start the server, and measure each way in a process of its own."""
    command = [sys.executable, __file__]
    server = subprocess.Popen([*command, "serve"], stdout=subprocess.PIPE, text=True)  # noqa: S603 - of this file
    try:
        port = (server.stdout.readline() if server.stdout else "").strip()
        for way in WAYS:
            subprocess.run([*command, way, count, port], check=True)  # noqa: S603 - of this file
    finally:
        server.kill()
        server.wait()
    measure_checkpoint()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            asyncio.run(serve())
        case [str(way), str(count), str(port)]:
            measure(way, int(count), int(port))
        case arguments:
            main(*arguments)
