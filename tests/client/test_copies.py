"""Copies of a client: keys are copied within a process and never pickled."""

from __future__ import annotations

import copy
import pickle

import pytest

from tests.support.four_ways import CANARY, GPT, HAIKU
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient, LLMConfig
from unified_llm.exceptions import ConfigurationError

EXPLICIT = f"{CANARY}-explicit"


def key_of(client: LLMClient) -> str | None:
    key = client.targets[0].key
    return key.reveal() if key else None


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_has_the_same_targets_and_keys_and_connections_of_its_own(duplicate: object) -> None:
    client = LLMClient(LLMConfig(model=GPT, api_key=EXPLICIT, temperature=0.3), fallbacks=[HAIKU], deadline=9.0)
    copied: LLMClient = duplicate(client)  # type: ignore[operator]
    assert copied is not client
    assert copied.targets == client.targets
    assert key_of(copied) == EXPLICIT
    assert copied._options.deadline == 9.0
    targets = ScriptedTargets({GPT: [say("Hello")]})
    with targets.running():
        assert copied.generate("Hello?").content == "Hello"


def test_a_pickled_client_finds_its_keys_in_the_environment_again(monkeypatch: pytest.MonkeyPatch) -> None:
    client = LLMClient(
        LLMConfig(model=GPT, api_key=EXPLICIT), fallbacks=[HAIKU, LLMConfig(model=GPT, api_key=EXPLICIT)]
    )
    data = pickle.dumps(client)
    assert CANARY.encode() not in data
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-other-process")
    other = pickle.loads(data)  # noqa: S301 - our own
    assert key_of(other) == "sk-of-the-other-process"
    assert [target.name for target in other.targets] == [GPT, HAIKU, GPT]


def test_a_pickled_client_says_which_key_it_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickle.dumps(LLMClient(LLMConfig(model=GPT, api_key=EXPLICIT)))
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        pickle.loads(data)  # noqa: S301 - our own


def test_a_client_is_a_context_manager_and_can_be_used_again() -> None:
    targets = ScriptedTargets({GPT: [say("Hello")]})
    with targets.running():
        with LLMClient(GPT) as client:
            client.generate("Hello?")
        client.close()
        assert client.generate("Hello?").content == "Hello"


async def test_a_client_is_an_async_context_manager() -> None:
    targets = ScriptedTargets({GPT: [say("Hello")]})
    with targets.running():
        async with LLMClient(GPT) as client:
            assert (await client.agenerate("Hello?")).content == "Hello"
        await client.aclose()
