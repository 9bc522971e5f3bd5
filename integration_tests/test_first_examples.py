"""A new user's first minutes: the install line above the first example of each page, then that example, nothing else.

The wheel is built from this checkout and offered to pip by ``PIP_FIND_LINKS``; all else has the versions of
``requirements/dev.txt``. The line itself is run as it stands, in an environment that holds pip alone.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration_tests.fakes.openai_api import server as openai_api
from integration_tests.fakes.openai_api.server import OpenAIAPI
from integration_tests.support import media
from integration_tests.support.tiny_models import make_model
from integration_tests.support.upstream import KEY, Upstream
from integration_tests.support.upstream_answers import answer
from integration_tests.support.upstream_schema import ChatBody
from tests.support.doc_pages import ROOT, Example, first_examples
from unified_llm._providers.registry import ROWS

EXAMPLES = first_examples()
PAGE_OF_MEDIA = "media.md"  # its first example makes no chat
PAGE_OF_MLX = "mlx.md"  # its first example sends nothing
MODELS = ("gpt-5-mini", "gpt-4o-mini", "text-embedding-3-small")

Install = Callable[[str], Path]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, and return its folder."""
    folder = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def install(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Return a function that runs an install line in an empty environment, once for each line."""
    environments: dict[str, Path] = {}

    def run(line: str) -> Path:
        if line not in environments:
            environments[line] = _environment(line, wheels, tmp_path_factory.mktemp("environment"))
        return environments[line]

    return run


def _environment(line: str, wheels: Path, folder: Path) -> Path:
    """Create an environment and run the line in it; return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    program, *arguments = shlex.split(line)
    command = [str(folder / "bin" / program), *arguments]
    variables = {
        **os.environ,
        "PIP_FIND_LINKS": str(wheels),
        "PIP_CONSTRAINT": str(ROOT / "requirements" / "dev.txt"),
        "PIP_NO_COMPILE": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return folder / "bin" / "python"


@pytest.fixture
def provider() -> Iterator[Upstream]:
    """Serve the models of the examples."""
    with Upstream(models=MODELS) as upstream:
        yield upstream


def test_each_page_has_an_install_line_above_its_first_example() -> None:
    assert [example.name for example in EXAMPLES if not example.install] == []
    assert [example.name for example in EXAMPLES if "unified-llm" not in example.install] == []


@pytest.mark.parametrize("example", [pytest.param(example, id=example.page) for example in EXAMPLES])
def test_the_first_example_prints_the_answer_after_its_own_install_line(
    example: Example, install: Install, provider: Upstream, tmp_path: Path
) -> None:
    if example.page == PAGE_OF_MEDIA:
        with OpenAIAPI() as api:
            done = run(example, install(example.install), tmp_path, api.base_url, openai_api.KEY)
        assert (done.returncode, api.violations) == (0, []), done.stderr
        assert done.stdout.startswith("openai ")
        return
    if example.page == PAGE_OF_MLX:
        put_into_cache("mlx-community/Qwen3-4B-4bit", tmp_path)
        done = run(example, install(example.install), tmp_path, provider.base_url, KEY)
        assert (done.returncode, provider.requests) == (0, []), done.stderr
        assert done.stdout.strip()
        return
    done = run(example, install(example.install), tmp_path, provider.base_url, KEY)
    assert (done.returncode, provider.violations) == (0, []), done.stderr
    chats = [request.body for request in provider.requests if request.path.endswith("/chat/completions")]
    sent = [answer(ChatBody.model_validate(body)) for body in chats]
    assert any(reply.text and reply.text in done.stdout for reply in sent), done.stdout


def put_into_cache(name: str, home: Path) -> None:
    """Put a tiny model with random weights where a download would have put the model of a name."""
    model = home / ".cache" / "huggingface" / "hub" / f"models--{name.replace('/', '--')}"
    make_model(model / "snapshots" / ("0" * 40))
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("0" * 40)


def run(example: Example, python: Path, folder: Path, *server: str) -> subprocess.CompletedProcess[str]:
    """Run an example in a folder with the files that examples read; ``server`` is an address and its key."""
    base_url, key = server
    program = folder / "first.py"
    program.write_text(example.source, encoding="utf-8")
    for name, data in {"cat.png": media.PNG, "photo.png": media.PNG, "report.pdf": media.PDF}.items():
        (folder / name).write_bytes(data)
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    variables |= {row.key_env[0]: key for row in ROWS if row.key_env}
    variables |= {"OPENAI_BASE_URL": base_url}
    return subprocess.run(
        [str(python), str(program)],
        env=variables, cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
