"""Resident memory of this package above that of httpx and pydantic. Run: ``python benchmarks/memory.py`` (Linux).

Each program uses httpx and pydantic as any program does (a model, a request), then this package, against a server in
another process. It prints its resident memory after each step. The figures are medians of several processes, with
compiled bytecode, as after an installation. The command fails if a call needs more than the limit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median

ROUNDS = 9
LIMIT = 10.0  # MB
BASE = "httpx and pydantic, used"
START = """
import sys
def resident(step):
    pages = int(open("/proc/self/statm").read().split()[1])
    print(f"{step}={pages * 4096}", flush=True)
url = sys.argv[1]
import httpx, pydantic
resident("httpx and pydantic, imported")
class Shape(pydantic.BaseModel):
    text: str
Shape(text="x")
"""
PROGRAMS = {
    "sync": f"""{START}
with httpx.Client() as http:
    http.get(url)
resident("{BASE}")
from unified_llm import LLMClient
resident("LLMClient imported")
client = LLMClient("openai-compatible/m", base_url=url, api_key="not-needed")
resident("a client made")
client.generate("Hello?")
resident("a call")
for _ in range(100):
    client.generate("Hello?")
resident("100 more calls")
""",
    "async": f"""{START}
import asyncio
async def get():
    async with httpx.AsyncClient() as http:
        await http.get(url)
asyncio.run(get())
resident("{BASE}")
from unified_llm import LLMClient
resident("LLMClient imported")
client = LLMClient("openai-compatible/m", base_url=url, api_key="not-needed")
resident("a client made")
async def call(times):
    for _ in range(times):
        await client.agenerate("Hello?")
asyncio.run(call(1))
resident("a call")
asyncio.run(call(100))
resident("100 more calls")
""",
}
ANSWER = json.dumps(
    {"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers every request with the same response of a model."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer."""
        self.do_POST()

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serving() -> Iterator[str]:
    """Serve the response; yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def megabytes(program: str, url: str, bytecode: str) -> dict[str, float]:
    """Return the resident memory of a new process after each step."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(  # noqa: S603 - our own programs
        [sys.executable, "-c", program, url],
        env={**variables, "PYTHONPYCACHEPREFIX": bytecode}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    steps = (line.rpartition("=") for line in done.stdout.splitlines())
    return {step: int(size) / 1e6 for step, _, size in steps}


def measure(rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    """Return for each program the medians of its steps, in megabytes."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in PROGRAMS}
    with serving() as url, tempfile.TemporaryDirectory() as bytecode:
        for program in PROGRAMS.values():
            megabytes(program, url, bytecode)  # writes the bytecode
        for _ in range(rounds):
            for name, program in PROGRAMS.items():
                runs[name].append(megabytes(program, url, bytecode))
    return {name: {step: median(run[step] for run in each) for step in each[0]} for name, each in runs.items()}


def main() -> int:
    """Print the table; return 1 if a call needs more than the limit."""
    programs = measure()
    print(f"{'MB of resident memory':<32}" + "".join(f"{name:>8}{'above':>8}" for name in programs))
    for step in next(iter(programs.values())):
        cells = (f"{sizes[step]:8.1f}{sizes[step] - sizes[BASE]:+8.1f}" for sizes in programs.values())
        print(f"{step:<32}{''.join(cells)}")
    return int(any(sizes["a call"] - sizes[BASE] > LIMIT for sizes in programs.values()))


if __name__ == "__main__":
    sys.exit(main())
