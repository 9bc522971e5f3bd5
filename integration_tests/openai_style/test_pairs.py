"""Programs written for OpenAI's client, and the same with another import: what they send and find is equal.

The programs of ``programs/unified`` are those of ``programs/official``, which import ``unified_llm.openai_style``.
"""

from __future__ import annotations

import re

import pytest

from integration_tests.fakes.openai_api.server import OpenAIAPI
from integration_tests.openai_style.conftest import break_hosts
from integration_tests.openai_style.pairs import NAMES, PROGRAMS, Run, run
from unified_llm._providers import registry

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# One model is found in the list, which every provider has.
OTHER_REQUESTS = {"models", "async_endpoints"}
_OPENAI = re.compile(r"\bfrom openai\b")


def _imports_and_rest(side: str, name: str) -> tuple[list[str], list[str]]:
    lines = (PROGRAMS / side / f"{name}.py").read_text(encoding="utf-8").splitlines()
    imports = [line for line in lines if line.startswith(("from ", "import "))]
    return sorted(imports), [line for line in lines if line and line not in imports]


@pytest.mark.parametrize("name", NAMES)
def test_the_programs_differ_in_their_imports_alone(name: str) -> None:
    official, unified = _imports_and_rest("official", name), _imports_and_rest("unified", name)
    assert unified[1] == official[1]
    assert unified[0] == sorted(_OPENAI.sub("from unified_llm.openai_style", line) for line in official[0])


@pytest.fixture(scope="module")
def official_runs() -> dict[str, Run]:
    return {}


@pytest.fixture
def official(api: OpenAIAPI, official_runs: dict[str, Run], name: str) -> Run:
    """What the program does with OpenAI's client, which each program runs once."""
    if name not in official_runs:
        official_runs[name] = run("official", name, api)
        api.reset()
        break_hosts(api)
    return official_runs[name]


@pytest.fixture(params=["openai", "openai-compatible"])
def _provider(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the fake for OpenAI, whose models have facts of their own, or for a server with models of any name."""
    if request.param == "openai":
        row = registry.row("openai")
        monkeypatch.setattr("unified_llm.openai_style._targets._provider_at", lambda url: row)


@pytest.mark.usefixtures("_provider")
@pytest.mark.parametrize("name", NAMES)
def test_both_send_and_find_the_same(api: OpenAIAPI, official: Run, name: str) -> None:
    unified = run("unified", name, api)
    if name not in OTHER_REQUESTS:
        assert unified.sent == official.sent
    assert unified.results == official.results
