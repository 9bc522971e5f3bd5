"""The same programs while the server that they name is down: a second one serves them, and they find the same."""

from __future__ import annotations

import functools
import importlib

import pytest

from integration_tests.fakes.openai_api.server import KEY, Fault, OpenAIAPI
from integration_tests.openai_style.conftest import break_hosts
from integration_tests.openai_style.pairs import run
from unified_llm import LLMConfig

# Programs whose answers come whole, from endpoints that the second server has as well.
NAMES = (
    "chat_choices", "chat_files", "chat_json", "chat_parse", "chat_tools", "chat_vision", "images_stream",
    "moderations", "responses_parse", "responses_tools", "speech", "transcriptions", "transcriptions_stream",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", NAMES)
def test_a_program_finds_the_same_where_its_server_is_down(
    api: OpenAIAPI, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    official = run("official", name, api)
    api.reset()
    break_hosts(api)
    api.faults[""] = Fault(status=503)
    second = LLMConfig(base_url=f"{api.address}/second/v1", api_key=KEY)
    program = importlib.import_module(f"integration_tests.openai_style.programs.unified.{name}")
    for client in ("OpenAI", "AsyncOpenAI"):
        if hasattr(program, client):
            made = functools.partial(getattr(program, client), fallbacks=[second], max_retries=0)
            monkeypatch.setattr(program, client, made)
    unified = run("unified", name, api)
    assert api.violations == []
    assert {request.prefix for request in api.requests} == {"", "/second"}
    assert unified.results == official.results
