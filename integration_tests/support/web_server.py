"""A web application of examples/web/ in a server process, as the documentation starts it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from integration_tests.support.processes import free_port, stop
from integration_tests.support.waiting import PATIENCE, wait_until

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "examples" / "web"
COMMANDS: Final = {
    "fastapi": "uvicorn fastapi_app:app --port {port}",
    "flask": "flask --app flask_app run --port {port}",
    "django-wsgi": "django_app.py runserver --noreload {port}",
    "asgi": "uvicorn asgi_app:app --port {port}",
    "django-asgi": "uvicorn django_app:asgi --port {port}",
}


@dataclass(frozen=True)
class WebServer:
    """A running server.

    Attributes:
        url: The address of the application.
        log: The file to which the process writes.
    """

    url: str
    log: Path

    @property
    def logged(self) -> str:
        """All that the process has written."""
        return self.log.read_text(encoding="utf-8")


@contextlib.contextmanager
def serving(app: str, log: Path, variables: Mapping[str, str]) -> Iterator[WebServer]:
    """Run the application until the block ends; ``app`` is a key of ``COMMANDS``."""
    port = free_port()
    program, *arguments = COMMANDS[app].format(port=port).split()
    module = [program] if program.endswith(".py") else ["-m", program]
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, *module, *arguments], cwd=FOLDER, env=_environment(variables), stdout=output, stderr=output
        )
        server = WebServer(f"http://127.0.0.1:{port}", log)
        try:
            _wait_for(server, process)
            yield server
        finally:
            stop(process)
            output.flush()


def run_beside_the_apps(code: str, variables: Mapping[str, str]) -> str:
    """Run a program that imports an application; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=FOLDER, env=_environment(variables), capture_output=True, text=True, timeout=2 * PATIENCE, check=True,
    )  # fmt: skip
    return done.stdout


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1", **variables}


def _wait_for(server: WebServer, process: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{server.url}/", trust_env=False)
            return True
        return False

    assert wait_until(lambda: process.poll() is not None or answers())
    assert process.poll() is None, f"the server did not start:\n{server.logged}"
