"""A program that PyInstaller made of this package answers as it does under Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from integration_tests.fakes.serving import Fake, Received
from integration_tests.support import fault_responses, frozen_program
from integration_tests.support.needs import need
from unified_llm._formats.codecs import FORMATS

FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures"
# The end of a request's path, and the recording that answers it.
RECORDINGS = {
    "/responses": "openai_responses/chat_plain",
    "/messages": "anthropic/chat_plain",
    ":generateContent": "gemini/chat_text",
    "/api/chat": "ollama/chat_plain",
    "/v2/chat": "cohere/chat_plain",
}
# Packages of this environment that the program does not need, and that take minutes to collect: the engine of mlx/,
# other frameworks, and what the tests use.
LEFT_OUT = (
    "mlx", "mlx_lm", "numpy", "tokenizers", "transformers", "langchain", "llama_index", "openai", "langchain_openai",
    "google", "PIL", "cryptography", "hypothesis", "pygments", "rich", "setuptools", "vcr",
)  # fmt: skip


class EveryProvider(Fake):
    """A server that answers in the format of each provider."""

    stream_type = "text/event-stream"

    @override
    def answer(self, received: Received) -> Any:
        for end, recording in RECORDINGS.items():
            if received.path.endswith(end):
                return json.loads((FIXTURES / f"{recording}.json").read_text(encoding="utf-8"))["body"]
        assert received.path.endswith("/chat/completions"), received.path
        return [fault_responses.events()] if received.body.get("stream") else fault_responses.body()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with EveryProvider() as fake:
        yield fake.address
        assert fake.refused == []


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the program, with no option for this package."""
    need("PyInstaller", install="make check installs it")
    folder = tmp_path_factory.mktemp("frozen")
    source = Path(frozen_program.__file__)
    options = [f"--{name}path={folder / name}" for name in ("dist", "work", "spec")]
    options += [f"--exclude-module={name}" for name in LEFT_OUT]
    done = subprocess.run(
        [sys.executable, "-m", "PyInstaller", "--onedir", "--noconfirm", "--log-level=WARN", *options, source],
        env={**os.environ, "PYINSTALLER_CONFIG_DIR": str(folder / "config")},
        cwd=folder, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "dist" / source.stem / source.stem


def test_a_frozen_program_answers_in_every_format_and_way(program: Path, server: str, tmp_path: Path) -> None:
    done = subprocess.run([program, server], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert answers == {**frozen_program.main(server), "frozen": True}
    assert set(frozen_program.MODELS) == set(FORMATS)
    assert all(answers.values())


def test_a_frozen_program_contains_the_demo_model(program: Path) -> None:
    """The hook in this package adds it; import statements lead to modules alone."""
    (folder,) = program.parent.rglob("unified_llm/_backends/mlx/demo")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in folder.iterdir()}
