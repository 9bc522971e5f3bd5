"""The first async call imports the HTTP client and reads certificates in a thread: a running loop must not wait (J)."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.support.thorough import some
from unified_llm._client import first_use
from unified_llm._client.first_use import load_for
from unified_llm._core.target import Target

pytestmark = pytest.mark.thorough

# A chain whose first target has TLS and refuses connections, and whose second answers: as Ollama does, on this machine.
PROGRAM = """
import asyncio, json, ssl, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self): self.send({"models": [{"name": "m", "model": "m"}]})
    def do_POST(self):
        texts = json.loads(self.rfile.read(int(self.headers["content-length"]))).get("input", ())
        message = {"role": "assistant", "content": "Hello"}
        self.send({"model": "m", "done": True, "message": message, "embeddings": [[1.0] for _ in texts]})
    def send(self, answer):
        raw = json.dumps(answer).encode() + b"\\n"
        self.send_response(200); self.send_header("content-length", str(len(raw))); self.end_headers()
        self.wfile.write(raw)

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
chain = dict(model="openai-compatible/m", base_url="https://127.0.0.1:1", max_retries=0,
             fallbacks=[dict(model="ollama/m", base_url=f"http://127.0.0.1:{server.server_port}")])
on_loop, loaded = [], []

class Recorder:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread(): on_loop.append(name)

load_certificates = ssl.SSLContext.load_verify_locations

def record_load(self, *args, **kwargs):
    loaded.append(threading.current_thread() is threading.main_thread())
    load_certificates(self, *args, **kwargs)

"""
MAKE = "from unified_llm import LLMClient; c = LLMClient(chain)"
WAYS = {
    "agenerate": (MAKE, "await c.agenerate('x')"),
    "awarm": (MAKE, "await c.awarm()"),
    "langchain, made on the loop": (
        "from unified_llm.langchain import ChatUnified",
        "[_ async for _ in ChatUnified(**chain).astream('x')]",
    ),
    "langchain, vectors": (
        "from unified_llm.langchain import UnifiedEmbeddings; c = UnifiedEmbeddings(**chain)",
        "await c.aembed_query('x'); await c.client.aclose()",
    ),
    "llama_index": (
        "from unified_llm.llama_index import UnifiedLLM; c = UnifiedLLM(**chain)",
        "await c.acomplete('x')",
    ),
}
HTTP = {"httpx", "httpcore", "h11", "anyio", "sniffio", "certifi", "rich", "click", "truststore", "ssl"}


@pytest.mark.parametrize("way", some(WAYS, 2))
def test_the_first_async_call_imports_no_http_client_on_the_loop(way: str) -> None:
    make, call = WAYS[way]
    program = (
        PROGRAM
        + f"""
{make}
async def main():
    sys.meta_path.insert(0, Recorder())
    ssl.SSLContext.load_verify_locations = record_load
    {call}
    sys.meta_path.pop(0)
asyncio.run(main())
print(json.dumps([on_loop, loaded]))
"""
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Exception ignored" not in done.stderr, "a connection that is still open at the end is closed in silence"
    on_loop, loaded = json.loads(done.stdout.splitlines()[-1])
    assert not {name.partition(".")[0] for name in on_loop} & HTTP
    assert [name for name in on_loop if name.startswith("unified_llm._backends.http")] == []
    assert loaded == [False], "certificates are read once, in another thread"
    if make == MAKE:
        assert [name for name in on_loop if not name.startswith("unified_llm.")] == []


@pytest.fixture
def held_import(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Make every import last until the event is set."""
    released = threading.Event()
    monkeypatch.setattr(first_use, "_loads", {})
    monkeypatch.setattr(first_use, "_import_backend", lambda _: released.wait(60))
    yield released
    released.set()


async def test_calls_that_start_together_share_one_import_and_one_that_is_cancelled_stops_none(
    held_import: threading.Event,
) -> None:
    target = Target("ollama", "m", "ollama")

    async def wait() -> None:
        if loading := load_for(target):
            await loading

    cancelled, others = asyncio.create_task(wait()), [asyncio.create_task(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.sleep(0)
    assert cancelled.cancelled()
    assert not any(task.done() for task in others)
    assert len(first_use._loads) == 1
    held_import.set()
    await asyncio.gather(*others)
    assert load_for(target) is None


def test_what_cannot_be_imported_is_reported_by_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Target) -> None:
        raise ImportError("no such module")

    monkeypatch.setattr(first_use, "_loads", {})
    monkeypatch.setattr(first_use, "_import_backend", fail)
    target = Target("ollama", "m", "ollama")

    async def wait() -> None:
        if loading := load_for(target):
            await loading

    asyncio.run(wait())
    assert load_for(target) is None
