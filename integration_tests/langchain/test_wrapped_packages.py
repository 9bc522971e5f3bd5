"""LangChain's own packages for OpenAI, Anthropic, Ollama and Google as fallbacks, and the first call under blockbuster.

Langchain D and J. The packages need versions of their own: they run in an environment that ``make servers`` installs.
"""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from integration_tests.support.install_servers import HOME
from integration_tests.support.langchain_models import CASES, MODELS
from integration_tests.support.needs import need_program

_ROOT: Final = Path(__file__).parents[2]
_OF_OTHERS: Final = ("LANGSMITH_", "LANGCHAIN_", "LC_")  # settings of this machine


@cache
def _run(*arguments: str) -> Any:
    python = need_program(str(HOME / "langchain-models" / "bin" / "python"), install="make servers")
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OF_OTHERS) and not name.endswith("_API_KEY")
    }
    done = subprocess.run(
        [python, "-W", "ignore", "-m", "integration_tests.support.langchain_models", *arguments],
        cwd=_ROOT,
        env={**variables, "PYTHONPATH": os.pathsep.join((str(_ROOT / "src"), str(_ROOT)))},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("case", CASES)
def test_d_a_model_of_langchains_own_takes_what_its_class_accepts(case: str, model: str) -> None:
    problem = _run()[f"{case}/{model}"]
    assert not problem, problem


def test_j_the_first_async_call_blocks_no_loop_that_refuses_blocking_calls() -> None:
    assert _run("cold") == "Grüße aus der Ferne."
