"""First response of an outage by a local fallback, with and without standby. Run: ``python -m benchmarks.standby``.

The primary is a server on this machine that answers by a script: three of its first six responses are failures, each
followed by a retry that succeeds; then every request fails. What is measured is the first call after that, whose
response comes from a model of 25 million parameters in this process::

    primary   fail ok  fail ok  fail ok  . . . . . .  fail fail fail ...
    standby                         |- loads -|       first call: answered at once
    cold                                              first call: |- imports MLX, loads -| answered

Each round is a process of its own, in which neither MLX nor the model is loaded before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any, Final

WAYS: Final = {"cold": None, "warm": "warm"}
PAUSE: Final = 8.0  # seconds between the last failure before the outage and its first call
ANSWER: Final = {
    "id": "r-1",
    "object": "chat.completion",
    "model": "scripted",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
}


class Primary(BaseHTTPRequestHandler):
    """A primary that fails at every other request, and at all once the outage has begun."""

    outage = False
    requests = 0

    def do_POST(self) -> None:
        """Answer as the script says."""
        self.rfile.read(int(self.headers["content-length"]))
        kind = type(self)
        kind.requests += 1
        fails = kind.outage or kind.requests % 2 == 1
        body = json.dumps({"error": {"message": "unavailable"}} if fails else ANSWER).encode()
        self.send_response(503 if fails else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def measure(way: str, folder: Path) -> float:
    """Return the seconds of the first call of an outage, in a process in which nothing is loaded yet."""
    from unified_llm import LLMClient

    server = ThreadingHTTPServer(("127.0.0.1", 0), Primary)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    local: dict[str, Any] = {"model": f"mlx/{folder}", "standby": WAYS[way]}
    client = LLMClient("vllm/scripted", base_url=f"http://127.0.0.1:{server.server_port}/v1", fallbacks=[local])
    for _ in range(3):
        assert client.generate("Hello?").content == "Hello"  # noqa: S101 - a benchmark checks what it measures
    client.health()
    time.sleep(PAUSE)
    Primary.outage = True
    began = time.perf_counter()
    response = client.generate("Hello?", max_tokens=1, temperature=0.0)
    seconds = time.perf_counter() - began
    assert response.provider == "mlx"  # noqa: S101 - as above
    server.shutdown()
    return seconds


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(measure(options.worker[0], Path(options.worker[1])))
        return
    with tempfile.TemporaryDirectory() as folder:
        make = "from pathlib import Path; from integration_tests.support.tiny_models import LARGE, make_model"
        subprocess.run([sys.executable, "-c", f"{make}; make_model(Path({folder!r}), LARGE)"], check=True)  # noqa: S603 - its own code
        command = [sys.executable, "-m", "benchmarks.standby", "--worker"]
        print(f"first response of an outage, seconds, medians of {options.rounds} rounds (least, most)")
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way, measured in seconds.items():
                done = subprocess.run([*command, way, folder], check=True, capture_output=True, text=True)  # noqa: S603 - as above
                measured.append(float(done.stdout))
        for way, measured in seconds.items():
            print(f"{way}  {median(measured):.2f}  ({min(measured):.2f}, {max(measured):.2f})")


if __name__ == "__main__":
    main()
