"""Many tenants of one process: own keys, own headers, half of the keys wrong, all on one event loop.

``python -m integration_tests.support.tenants`` prints the figures that docs/tenants.md and the tests use. The server
and the tenants run in processes of their own, so that sockets and memory are those of the tenants alone.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

CONCURRENT: Final = 32
CALLS_PER_TENANT: Final = 3
_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Figures:
    """What 1,000 tenants cost, and what went wrong.

    Attributes:
        tenants: How many there were.
        calls: Calls of all tenants.
        answered: Calls that returned the tenant's own text in one attempt.
        refused: Calls that raised AuthenticationError: those of tenants with a wrong key.
        wrong: Calls with any other end, such as the text of another tenant or a skipped target.
        megabytes: Growth of the process, after the imports and a first call.
        sockets: The most sockets that were open at the same time.
        left: Sockets that were open at the end.
    """

    tenants: int
    calls: int
    answered: int
    refused: int
    wrong: int
    megabytes: float
    sockets: int
    left: int


def measure(tenants: int = 1000) -> Figures:
    """Run a server and tenants in two processes and return the tenants' figures."""
    with _serving() as port:
        command = [sys.executable, "-m", "integration_tests.support.tenants", "call", str(port), str(tenants)]
        output = subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, timeout=300).stdout
    return Figures(**json.loads(output))


@contextmanager
def _serving() -> Iterator[int]:
    command = [sys.executable, "-m", "integration_tests.support.tenants", "serve"]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


# The server: a tenant's key is good if its number is even, and the text names the tenant of the key and of the header.


async def _serve() -> None:
    server = await asyncio.start_server(_handle, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


async def _handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            await reader.readexactly(int(headers.get("content-length", 0)))
            key, tenant = headers["authorization"].rpartition("-")[2], headers["x-tenant"]
            if int(key) % 2:
                status = 401
                body: dict[str, Any] = {"error": {"message": "bad key", "code": "invalid_api_key"}}
            else:
                message = {"role": "assistant", "content": f"for {key} of {tenant}"}
                status, body = 200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
            text = json.dumps(body).encode()
            fields = f"content-type: application/json\r\ncontent-length: {len(text)}"
            writer.write(f"HTTP/1.1 {status} X\r\n{fields}\r\n\r\n".encode() + text)
            await writer.drain()
    writer.close()


# The tenants


class _Run:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.answered = self.refused = self.wrong = self.sockets = 0
        self._slots = asyncio.Semaphore(CONCURRENT)

    def fields(self, tenant: int) -> dict[str, Any]:
        return {
            "model": "openai-compatible/m",
            "base_url": self.url,
            "api_key": f"key-of-tenant-{tenant}",
            "default_headers": {"X-Tenant": str(tenant)},
        }

    async def serve(self, tenant: int) -> None:
        for _ in range(CALLS_PER_TENANT - 1):
            async with self._slots:
                await self._tally(tenant, self._ask_client(tenant))
        async with self._slots:
            await self._tally(tenant, self._ask_chat_model(tenant))
            if tenant % 10 == 0:
                self.sockets = max(self.sockets, count_sockets())

    async def _ask_client(self, tenant: int) -> tuple[str, int]:
        from unified_llm import LLMClient, LLMConfig

        async with LLMClient(LLMConfig(**self.fields(tenant))) as client:
            response = await client.agenerate("Who am I?")
        return response.content, len(response.attempts)

    async def _ask_chat_model(self, tenant: int) -> tuple[str, int]:
        from unified_llm.langchain import ChatUnified

        message = await ChatUnified(**self.fields(tenant)).ainvoke("Who am I?")
        return str(message.content), len(message.response_metadata["unified_llm"]["attempts"])

    async def _tally(self, tenant: int, call: Any) -> None:
        from unified_llm.exceptions import AuthenticationError

        try:
            text, attempts = await call
        except AuthenticationError:
            self.refused += tenant % 2
            self.wrong += 1 - tenant % 2
        else:
            right = (text, attempts) == (f"for {tenant} of {tenant}", 1)
            self.answered += right
            self.wrong += not right


async def _call(port: int, tenants: int) -> Figures:
    from langchain_core.caches import InMemoryCache
    from langchain_core.globals import set_llm_cache

    set_llm_cache(InMemoryCache())
    run = _Run(port)
    await run.serve(2 * tenants)  # imports
    run.answered = run.refused = run.wrong = run.sockets = 0
    before = _megabytes()
    await asyncio.gather(*(run.serve(tenant) for tenant in range(tenants)))
    grown = _megabytes() - before
    gc.collect()
    await asyncio.sleep(0.1)
    calls = tenants * CALLS_PER_TENANT
    return Figures(tenants, calls, run.answered, run.refused, run.wrong, round(grown, 1), run.sockets, count_sockets())


def count_sockets() -> int:
    """Count the open TCP sockets of this process: not those that the event loop wakes itself with."""
    inodes = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            inodes.add(str(descriptor.readlink()))
    tables = [Path(f"/proc/self/net/{name}").read_text() for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return sum(f"socket:[{row[9]}]" in inodes for row in rows)


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: list[str]) -> None:
    """Run one of the two processes, or both and print the figures."""
    match arguments:
        case ["serve"]:
            asyncio.run(_serve())
        case ["call", port, tenants]:
            sys.stdout.write(json.dumps(asdict(asyncio.run(_call(int(port), int(tenants))))))
        case _:
            for name, value in asdict(measure()).items():
                sys.stdout.write(f"{name:10}{value:>8}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
